//! Counters, signals and files of a running tunnel, beside the original's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use kcptun_interop::{
    Case, Job, Maker, OURS_ALONE, Pair, Process, Role, Signal, Tunnel, flags, free_port, wait_until,
};

const LIMIT: Duration = Duration::from_secs(10);

/// A folder of its own below the system's, gone with the guard.
struct Folder(PathBuf);

impl Folder {
    fn create(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kcptun-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the folder is there").flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Names and values of a line that SIGUSR1 brought.
fn counters(process: &Process) -> Vec<(String, u64)> {
    const FRONT: &str = "KCP SNMP:&{";
    let lines = |log: &str| log.lines().filter(|line| line.contains(FRONT)).count();
    let before = lines(&process.log());
    process.signal(Signal::USR1);
    assert!(
        wait_until(LIMIT, || lines(&process.log()) > before),
        "no counters:\n{}",
        process.log()
    );
    let log = process.log();
    let line = log.lines().rfind(|line| line.contains(FRONT)).expect("just seen");
    let (_, fields) = line.split_once(FRONT).expect("just seen");
    let fields = fields.strip_suffix('}').unwrap_or_else(|| panic!("no }} at the end: {line}"));
    let field = |field: &str| {
        let (name, value) = field.split_once(':').unwrap_or_else(|| panic!("{field} in {line}"));
        (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{field} in {line}")))
    };
    fields.split(' ').map(field).collect()
}

#[track_caller]
fn value(counters: &[(String, u64)], name: &str) -> u64 {
    counters.iter().find(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1
}

fn names(counters: &[(String, u64)]) -> Vec<&str> {
    counters.iter().map(|(name, _)| name.as_str()).collect()
}

const DEBIAN_ALONE: Pair = Pair { client: Maker::Debian, server: Maker::Debian };
/// Four connections on three sessions, 1 MiB up and 2 MiB down each.
const JOB: Job = Job { connections: 4, up: 1 << 20, down: 2 << 20, patience: LIMIT };

/// Client's and server's counters after the job.
fn after_the_job(pair: Pair, link: &str) -> [Vec<(String, u64)>; 2] {
    let case = Case::new("counters").both("--nocomp --mode fast2").client("--conn 3");
    let tunnel = case.link(link).start(pair);
    tunnel.run(&JOB).unwrap_or_else(|error| panic!("{pair:?}: {error}"));
    agreeing_counters(&tunnel)
}

/// Client's and server's counters, once all that one end sent has reached the other.
fn agreeing_counters(tunnel: &Tunnel) -> [Vec<(String, u64)>; 2] {
    let mut both = Default::default();
    let agree = wait_until(LIMIT, || {
        let [client, server] = [counters(&tunnel.client), counters(&tunnel.server)];
        let agree = value(&client, "BytesSent") == value(&server, "BytesReceived")
            && value(&server, "BytesSent") == value(&client, "BytesReceived");
        both = [client, server];
        agree
    });
    assert!(agree, "the ends do not agree on bytes: {both:#?}");
    both
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn counters_mean_what_the_original_s_do() {
    let ours = after_the_job(OURS_ALONE, "delay=5ms");
    let debian = after_the_job(DEBIAN_ALONE, "delay=5ms");
    for (ours, debian) in ours.iter().zip(&debian) {
        assert_eq!(names(ours), names(debian));
        // What a job settles is equal.
        for name in ["MaxConn", "ActiveOpens", "PassiveOpens", "CurrEstab", "InErrs", "FECErrs"] {
            assert_eq!(value(ours, name), value(debian, name), "{name}");
        }
        // (The original counts a bad checksum now and then where nothing is damaged.)
        for name in ["InCsumErrors", "KCPInErrors"] {
            assert_eq!(value(ours, name), 0, "{name}: {ours:?}");
        }
        // Bytes differ by headers of smaller or larger frames.
        for name in ["BytesSent", "BytesReceived"] {
            let share = value(ours, name) as f64 / value(debian, name) as f64;
            assert!((0.95..1.05).contains(&share), "{name}: {ours:?} {debian:?}");
        }
        // Packets, segments and parity differ by acks and repetitions, not by an order.
        for name in ["InPkts", "OutPkts", "InSegs", "OutSegs", "InBytes", "OutBytes"] {
            let share = value(ours, name) as f64 / value(debian, name) as f64;
            assert!((0.2..2.0).contains(&share), "{name}: {ours:?} {debian:?}");
        }
        assert!(value(ours, "FECParityShards") > 0 && value(debian, "FECParityShards") > 0);
    }
    let [client, server] = &ours;
    let up = JOB.connections as u64 * JOB.up;
    assert_eq!(value(client, "ActiveOpens"), 3);
    assert_eq!(value(server, "PassiveOpens"), 3);
    assert_eq!(value(client, "CurrEstab"), 3);
    assert!((up..up + up / 50).contains(&value(client, "BytesSent")), "{client:?}");
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn losses_show_in_the_counters_of_repetition_and_repair() {
    let link = "delay=10ms,loss=4%";
    for pair in [OURS_ALONE, DEBIAN_ALONE] {
        for counters in after_the_job(pair, link) {
            let of = |name| value(&counters, name);
            assert!(of("FECRecovered") > 0, "{pair:?}: {counters:?}");
            assert!(of("RetransSegs") > 0, "{pair:?}: {counters:?}");
            let kinds = of("FastRetransSegs") + of("EarlyRetransSegs") + of("LostSegs");
            assert_eq!(of("RetransSegs"), kinds, "{pair:?}: {counters:?}");
            assert!(of("OutSegs") > of("RetransSegs"), "{pair:?}: {counters:?}");
        }
    }
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn another_key_shows_in_the_counter_of_checksums() {
    let tunnel = Case::new("keys").client("--key one").server("--key two").start(OURS_ALONE);
    let job = Job { patience: Duration::from_secs(1), ..Job::small() };
    tunnel.run(&job).expect_err("the keys differ");
    let server = counters(&tunnel.server);
    assert!(value(&server, "InCsumErrors") > 0, "{server:?}");
    assert_eq!((value(&server, "InPkts"), value(&server, "PassiveOpens")), (0, 0), "{server:?}");
}

/// A server that writes rows each second to `name` in a folder, in the time zone `zone`.
fn logging(maker: Maker, folder: &Folder, name: &str, zone: &str) -> Process {
    let program = maker.binary(Role::Server);
    let path = folder.path(name);
    let listen = format!("-l 127.0.0.1:{} -t 127.0.0.1:9 --snmpperiod 1", free_port());
    let mut command = Command::new(program);
    command.args(flags(&listen)).args(["--snmplog", &path]).env("TZ", zone);
    Process::spawn(&format!("{maker:?} server"), command)
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn names_of_csv_files_are_layouts_as_go_reads_them() {
    // No seconds in it, so that both have the same name unless a minute ends in between.
    let layout = "2006-01-02 15h04 06 1 2 3 _2 __2 002 Jan January Janet Mon Monday Money MST PM pm \
                  -0700 -07 Z0700 Z07 _2006 %Y 7890 é x.09 -070000 03.log";
    for zone in ["UTC", "Asia/Kolkata", "America/Sao_Paulo", "Europe/Berlin", "Pacific/Marquesas"] {
        let folders = [Maker::Ours, Maker::Debian].map(|maker| {
            let folder = Folder::create(&format!("{maker:?}-{}", zone.replace('/', "-")));
            (logging(maker, &folder, layout, zone), folder)
        });
        let both = || folders.iter().map(|(_, folder)| folder.names()).collect::<Vec<_>>();
        let are_equal = wait_until(LIMIT, || {
            let both = both();
            let common: Vec<&String> =
                both[0].iter().filter(|name| both[1].contains(name)).collect();
            !common.is_empty()
        });
        assert!(are_equal, "{zone}: {:#?}", both());
        for (_, folder) in &folders {
            assert!(folder.names().len() <= 2, "{:?}", folder.names());
        }
    }
}

/// Header and rows of a file as the original writes it.
fn table(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines().map(|line| line.split(',').map(String::from).collect()).collect()
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn rows_have_the_original_s_form() {
    let folder = Folder::create("rows");
    let tables = [Maker::Ours, Maker::Debian].map(|maker| {
        let name = format!("{maker:?}");
        let path = folder.0.join(&name);
        // A file from before gets no second header.
        for _ in 0..2 {
            let rows = table(&path).len();
            let _server = logging(maker, &folder, &name, "UTC");
            let grows = wait_until(LIMIT, || table(&path).len() >= rows + 3);
            assert!(grows, "{maker:?}: {:?}", table(&path));
        }
        table(&path)
    });
    assert_eq!(tables[0][0], tables[1][0]);
    for table in &tables {
        assert_eq!(table.iter().filter(|row| row[0] == "Unix").count(), 1);
        let times: Vec<u64> = table[1..].iter().map(|row| row[0].parse().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert!(times.iter().all(|time| (now - 60..=now).contains(time)), "{now}: {times:?}");
        for row in &table[1..] {
            assert_eq!(row.len(), table[0].len());
            assert!(row.iter().all(|field| field.parse::<u64>().is_ok()), "{row:?}");
        }
    }
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn rows_hold_the_counters_and_survive_a_folder_that_is_gone() {
    let folder = Folder::create("gone");
    let inner = folder.0.join("inner");
    let file = inner.join("rows");
    let flags = format!("--snmpperiod 1 --snmplog {}", file.display());
    let tunnel = Case::new("rows").server(&flags).start(OURS_ALONE);
    let complaint = tunnel.server.wait_line(LIMIT, |line| line.contains("error: --snmplog"));
    assert!(complaint.is_some_and(|line| line.contains("No such file")));
    tunnel.run(&Job::small()).expect("the tunnel works all the same");
    std::fs::create_dir(&inner).unwrap();
    let has_rows = || table(&file).len() > 1;
    assert!(wait_until(LIMIT, has_rows), "{}", tunnel.server.log());
    let again = tunnel.server.wait_line(LIMIT, |line| line.contains("written again"));
    assert!(again.is_some(), "{}", tunnel.server.log());
    let errors = tunnel.server.log().matches("error: --snmplog").count();
    assert_eq!(errors, 1, "{}", tunnel.server.log());
    let (rows, counters) = (table(&file), counters(&tunnel.server));
    for name in ["PassiveOpens", "BytesReceived"] {
        let column = rows[0].iter().position(|other| other == name).expect(name);
        assert_eq!(rows[1][column], value(&counters, name).to_string(), "{name}");
    }
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn full_disks_stop_nothing() {
    let full = "--log /dev/full --snmplog /dev/full --snmpperiod 1";
    let mut tunnel = Case::new("full").both(full).start(OURS_ALONE);
    for _ in 0..3 {
        tunnel.run(&Job::small()).expect("the tunnel works");
        std::thread::sleep(Duration::from_secs(1));
    }
    for process in [&mut tunnel.client, &mut tunnel.server] {
        assert!(process.is_running());
        process.signal(Signal::TERM);
        assert_eq!(process.wait_exit(LIMIT).and_then(|status| status.code()), Some(0));
        let log = process.log();
        assert_eq!(log.matches("error: --log /dev/full: cannot be written").count(), 1, "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn a_log_that_is_rotated_goes_on_in_a_new_file() {
    let folder = Folder::create("rotated");
    let (path, old) = (folder.0.join("log"), folder.0.join("log.1"));
    let tunnel =
        Case::new("rotated").client(&format!("--log {}", path.display())).start(OURS_ALONE);
    tunnel.run(&Job::small()).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let opened = |path: &Path| read(path).matches("stream opened in: ").count();
    assert!(wait_until(LIMIT, || opened(&path) == 1));
    std::fs::rename(&path, &old).unwrap();
    tunnel.run(&Job::small()).unwrap();
    assert!(wait_until(LIMIT, || opened(&old) == 2), "lines go to the renamed file until SIGHUP");
    tunnel.client.signal(Signal::HUP);
    assert!(wait_until(LIMIT, || path.exists()));
    tunnel.run(&Job::small()).unwrap();
    assert!(wait_until(LIMIT, || opened(&path) == 1), "{}", read(&path));
    assert_eq!(opened(&old), 2);
    // A folder that is gone costs nothing but a line on standard error.
    let away = folder.0.with_extension("away");
    std::fs::rename(&folder.0, &away).unwrap();
    tunnel.client.signal(Signal::HUP);
    let told = tunnel.client.wait_line(LIMIT, |line| line.contains("cannot be opened"));
    assert!(told.is_some(), "{}", tunnel.client.log());
    tunnel.run(&Job::small()).expect("the tunnel works all the same");
    std::fs::rename(&away, &folder.0).unwrap();
}

/// What the last line says, as words.
fn totals(tunnel: &mut Tunnel, role: Role, signal: Signal) -> String {
    let process = match role {
        Role::Client => &mut tunnel.client,
        Role::Server => &mut tunnel.server,
    };
    process.signal(signal);
    let status = process.wait_exit(Duration::from_secs(5)).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", process.log());
    process.log().lines().last().unwrap_or_default().to_owned()
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn the_last_line_has_the_totals() {
    let mut tunnel = Case::new("totals").client("--conn 2").start(OURS_ALONE);
    let job = Job { connections: 3, up: 200_000, down: 300_000, ..Job::small() };
    tunnel.run(&job).unwrap();
    for (role, signal, ways) in [
        (Role::Client, Signal::TERM, ["sent", "received"]),
        (Role::Server, Signal::INT, ["received", "sent"]),
    ] {
        let line = totals(&mut tunnel, role, signal);
        assert!(line.contains(" ran for ") && line.contains(": 2 sessions, 3 streams, "), "{line}");
        for (way, bytes) in ways.iter().zip([600_000, 900_000]) {
            let (front, _) = line.split_once(&format!(" bytes {way}")).expect(way);
            let number = front.rsplit(", ").next().unwrap_or_default().to_owned();
            let number = &front[front.len() - number.len()..];
            let digits: String = number.chars().filter(char::is_ascii_digit).collect();
            let counted: u64 = digits.parse().expect(&line);
            // The target's protocol adds a few bytes to what a job moves.
            assert!((bytes..bytes + 1000).contains(&counted), "{way}: {line}");
        }
        assert!(line.contains("% of data segments sent again, "), "{line}");
    }
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn shards_share_the_port_and_count_as_one() {
    let server = "--shards 4";
    let mut tunnel = Case::new("shards").server(server).client("--conn 16").start(OURS_ALONE);
    let job = Job { connections: 32, up: 128 << 10, down: 128 << 10, ..Job::default() };
    for _ in 0..2 {
        tunnel.run(&job).unwrap();
    }
    let [_, server] = agreeing_counters(&tunnel);
    assert_eq!(value(&server, "PassiveOpens"), 16, "{server:?}");
    assert_eq!(value(&server, "CurrEstab"), 16, "{server:?}");
    assert_eq!(value(&server, "MaxConn"), 16, "{server:?}");
    assert_eq!(value(&server, "InErrs"), 0, "no client moves between shards: {server:?}");
    // Another server, sharded or not, does not get a part of the traffic by mistake.
    for more in ["", "--shards 2"] {
        let line = format!("-l :{} -t 127.0.0.1:9 {more}", tunnel.server_port());
        let mut other = Process::start("other", &Maker::Ours.binary(Role::Server), &flags(&line));
        let status = other.wait_exit(LIMIT).expect("the port is taken");
        assert_eq!(status.code(), Some(1), "{}", other.log());
    }
    let line = totals(&mut tunnel, Role::Server, Signal::TERM);
    assert!(line.contains(": 16 sessions, 64 streams, "), "{line}");
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn a_sharded_server_that_starts_under_fire_serves_all_who_wait() {
    // Clients that send all the time while the server binds its sockets.
    let mut tunnel = Case::new("fire").server("--shards 4").client("--conn 16").start(OURS_ALONE);
    let job = Job { connections: 32, ..Job::small() };
    tunnel.run(&job).unwrap();
    let port = tunnel.server_port();
    let target = tunnel.target.address();
    tunnel.server.signal(Signal::KILL);
    tunnel.server.wait_exit(LIMIT).expect("nobody survives that");
    let line = format!("-l :{port} -t {target} --shards 4");
    let mut again = Process::start("again", &Maker::Ours.binary(Role::Server), &flags(&line));
    again.wait_udp(port);
    let job = Job { patience: Duration::from_secs(2), ..job };
    let works = wait_until(Duration::from_secs(15), || tunnel.run(&job).is_ok());
    assert!(works, "{}", again.log());
}
