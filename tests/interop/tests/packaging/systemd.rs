//! The systemd units and kernel limits.
//!
//! The filter of system calls is looked at in another way too: a refused call is not fatal, so a
//! tunnel under systemd may work and lack something. strace tells what the programs call.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kcptun_interop::{Job, Signal, wait_until};

use crate::{Booted, Ends, Machine, source};

const SIDES: [&str; 2] = ["client", "server"];

#[test]
#[ignore = "needs root, systemd-analyze and the package; run by cargo xtask test"]
fn systemd_understands_the_units_and_finds_them_hardened() {
    let machine = Machine::with_package();
    for side in SIDES {
        let unit = format!("/usr/lib/systemd/system/kcptun-{side}@office.service");
        let template = unit.replace("office", "");
        // The tool wants a file of the instance's name.
        machine.shell(&format!("cp {template} {unit}"));
        assert_eq!(machine.shell(&format!("systemd-analyze verify {unit}")), "", "{side}");
        // 0.0 is shut off from everything, 10.0 is a plain service. In tenths.
        machine.shell(&format!("systemd-analyze security --offline=yes --threshold=25 {unit}"));
    }
}

#[test]
#[ignore = "needs root, systemd and the package; run by cargo xtask test"]
fn a_tunnel_runs_under_systemd() {
    let machine = Machine::with_package();
    let ends = Ends::new();
    for side in SIDES {
        let text = ends.put_into(&source(&format!("examples/{side}.json")));
        // More than the kernel gives to those without the capability; and only the client has a
        // log file, by its name.
        let log = if side == "client" { "\"log\": \"here.log\", " } else { "" };
        let more = format!("{{ {log}\"sockbuf\": 40000000,");
        machine.write(&format!("/etc/kcptun/{side}.json"), &text.replacen('{', &more, 1));
        // There is no journal.
        let folder = format!("/etc/systemd/system/kcptun-{side}@.service.d");
        machine.write(&format!("{folder}/log.conf"), "[Service]\nStandardError=append:/run/said\n");
    }
    machine.shell("chmod 600 /etc/kcptun/*.json");
    let systemd = Booted::start(&machine);
    systemd.shell("systemctl start kcptun-server@server kcptun-client@client");
    let log = "/var/log/kcptun-client/client/here.log";
    let holds = |script: &str| {
        let output = systemd.command("sh", &["-c", script]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let has_started = || holds(&format!("grep -qi 'listening on' {log}"));
    if !wait_until(Duration::from_secs(20), has_started) {
        panic!("{}", systemd.shell("systemctl status 'kcptun-*' || true; cat /run/said"));
    }
    let job = Job { connections: 2, up: 256 << 10, down: 256 << 10, ..Job::default() };
    let entrance = ([127, 0, 0, 1], ends.entrance).into();
    job.run(entrance).expect("the tunnel carries the job");

    let text = systemd.shell(&format!("cat {log}"));
    assert!(!text.contains("rmem_max"), "{text}");
    // What logrotate does.
    systemd.shell(&format!("mv {log} {log}.1 && systemctl reload kcptun-client@client"));
    let is_anew = || holds(&format!("test -e {log}"));
    assert!(wait_until(Duration::from_secs(10), is_anew), "the client opens its log anew");
    for side in SIDES {
        let unit = format!("kcptun-{side}@{side}");
        let pid = systemd.shell(&format!("systemctl show --property MainPID --value {unit}"));
        let pid = pid.trim();
        let told = systemd.shell(&format!("cat /proc/{pid}/status"));
        let line = |name: &str| {
            told.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
        };
        // CAP_NET_BIND_SERVICE is 10, CAP_NET_ADMIN is 12.
        assert!(line("CapEff:").ends_with("0000000000001400"), "{told}");
        assert!(line("CapBnd:").ends_with("0000000000001400"), "{told}");
        assert!(!line("Uid:").contains("\t0"), "{told}");
        assert!(line("Seccomp:").ends_with('2'), "{told}");
        systemd.shell(&format!("systemctl reload {unit}"));
        job.run(entrance).expect("a reload disturbs nothing");
        let same = systemd.shell(&format!("systemctl show --property MainPID --value {unit}"));
        assert_eq!(same.trim(), pid, "a reload is no restart");
    }
    for unit in ["kcptun-client@client", "kcptun-server@server"] {
        systemd.shell(&format!("systemctl stop {unit}"));
        let result = systemd.shell(&format!("systemctl show --property Result --value {unit}"));
        assert_eq!(result.trim(), "success");
    }
}

#[test]
#[ignore = "needs root, strace, systemd-analyze and the package; run by cargo xtask test"]
fn the_system_calls_of_a_tunnel_pass_the_filter() {
    let machine = Machine::with_package();
    let list = machine.shell("systemd-analyze syscall-filter");
    let groups = call_groups(&list);
    let ends = Ends::new();
    let start = |side: &str| {
        let text = ends.put_into(&source(&format!("examples/{side}.json")));
        // A name, so that the resolver has work.
        let text = text.replace("\"remoteaddr\": \"127.0.0.1", "\"remoteaddr\": \"localhost");
        machine.write(&format!("/etc/kcptun/{side}.json"), &text);
        let program = format!("/usr/bin/kcptun-{side}");
        let (trace, file) = (format!("/run/{side}.trace"), format!("/etc/kcptun/{side}.json"));
        // -D: the process that is started is the program.
        machine.command("strace", &["-D", "-f", "-qq", "-o", &trace, &program, "-c", &file])
    };
    let (server, client) = ends.carry(start("server"), start("client"));
    for (side, mut process) in SIDES.into_iter().zip([client, server]) {
        process.signal(Signal::USR1);
        let reported = process.wait_line(Duration::from_secs(10), |line| line.contains("KCP SNMP"));
        assert!(reported.is_some(), "{side}: {}", process.log());
        process.signal(Signal::TERM);
        let status = process.wait_exit(Duration::from_secs(10)).expect("SIGTERM ends it");
        assert!(status.success(), "{side}: {status}");
        let trace = format!("/run/{side}.trace");
        let is_whole = || machine.read(&trace).contains("exit_group");
        assert!(wait_until(Duration::from_secs(10), is_whole), "strace has written all");
        let calls = calls(&machine.read(&trace));
        assert!(calls.contains("recvmmsg") || calls.contains("recvmsg"), "{calls:?}");
        let allowed = allowed(&source(&format!("systemd/kcptun-{side}@.service")), &groups);
        let refused: Vec<_> = calls.difference(&allowed).collect();
        assert!(refused.is_empty(), "kcptun-{side}: {refused:?}");
    }
}

#[test]
#[ignore = "reads /proc/sys; run by cargo xtask test"]
fn the_kernel_knows_the_limits() {
    let text = source("sysctl.d/60-kcptun.conf");
    let settings: Vec<_> = text.lines().filter_map(|line| line.split_once(" = ")).collect();
    assert!(settings.len() >= 2, "{text}");
    for (key, value) in settings {
        let path = format!("/proc/sys/{}", key.replace('.', "/"));
        assert!(std::path::Path::new(&path).is_file(), "{path}");
        assert!(value.parse::<u32>().is_ok(), "{key} = {value}");
    }
}

/// systemd's groups of system calls, by name. A group may have others in it.
fn call_groups(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut group = "";
    for line in text.lines() {
        let word = line.trim();
        if line.starts_with('@') {
            group = word;
            groups.insert(group, Vec::new());
        } else if let Some(calls) = groups.get_mut(group)
            && line.starts_with(' ')
            && !word.starts_with('#')
        {
            calls.push(word);
        }
    }
    assert!(groups.contains_key("@system-service"), "{text}");
    groups
}

/// What the filter of a unit lets through.
fn allowed(unit: &str, groups: &BTreeMap<&str, Vec<&str>>) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    let rules: Vec<_> =
        unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    assert_eq!(rules.len(), 2, "one that allows and one that takes away");
    for rule in rules {
        let (names, takes) = rule.strip_prefix('~').map_or((rule, false), |rest| (rest, true));
        for name in names.split_whitespace() {
            for call in members(name, groups) {
                if takes {
                    allowed.remove(&call)
                } else {
                    allowed.insert(call)
                };
            }
        }
    }
    allowed
}

fn members(name: &str, groups: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    match groups.get(name) {
        Some(calls) => calls.iter().flat_map(|call| members(call, groups)).collect(),
        None => vec![name.into()],
    }
}

/// The names in a trace, whose lines are `PID name(arguments) = result`.
fn calls(trace: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let (_, call) = line.split_once(char::is_whitespace)?;
        let (name, _) = call.trim_start().split_once('(')?;
        let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        (is_name && !name.is_empty()).then(|| name.to_owned())
    };
    trace.lines().filter_map(name).collect()
}
