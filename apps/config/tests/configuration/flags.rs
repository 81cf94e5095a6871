//! What the options lead to: every spelling, default, precedence, and value out of range.

use std::ffi::OsString;
use std::time::Duration;

use kcptun_config::{
    ClientConfig, FecShape, Mode, Outcome, Parsed, Problems, ServerConfig, SmuxVersion, SnmpLog,
    Timing,
};
use kcptun_net::{ListenAddress, TargetAddress};
use proptest::prelude::*;

use crate::support::assert_snapshot;

fn nothing(_: &str) -> Option<OsString> {
    None
}

fn client(line: &str) -> Result<Parsed<ClientConfig>, Problems> {
    match ClientConfig::parse(line.split_whitespace(), &nothing)? {
        Outcome::Run(parsed) => Ok(parsed),
        Outcome::Print(text) => panic!("{text}"),
    }
}

fn server(line: &str) -> Result<Parsed<ServerConfig>, Problems> {
    match ServerConfig::parse(line.split_whitespace(), &nothing)? {
        Outcome::Run(parsed) => Ok(parsed),
        Outcome::Print(text) => panic!("{text}"),
    }
}

/// The configuration of a client with a key, which leads to exactly one warning that begins with
/// `warning`, or to none if that is empty.
#[track_caller]
fn warned(line: &str, warning: &str) -> ClientConfig {
    let parsed = client(&format!("-key k {line}")).unwrap();
    let texts: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [] => assert_eq!(warning, "", "{line}"),
        [text] if !warning.is_empty() => assert!(text.starts_with(warning), "{line}: {text}"),
        _ => panic!("{line}: {texts:?}"),
    }
    parsed.config
}

/// The problems of a client, which is refused.
#[track_caller]
fn refused(line: &str) -> String {
    client(line).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_those_of_the_original() {
    let parsed = client("").unwrap();
    let config = &parsed.config;
    assert_eq!(parsed.warnings.len(), 1);
    assert_eq!(config.listen.to_string(), ":12948");
    assert_eq!(config.remote.to_string(), "vps:29900");
    assert_eq!(config.conn, 1);
    let common = &config.common;
    assert_eq!(common.key.as_bytes(), b"it's a secrect");
    assert_eq!(common.crypt.name(), "aes");
    assert_eq!(common.mode, Mode::Fast);
    let fast = Timing {
        nodelay: false,
        interval: Duration::from_millis(30),
        resend: 2,
        congestion_control: false,
    };
    assert_eq!(common.timing, fast);
    assert!(!common.ack_nodelay && common.compression && !common.quiet);
    assert_eq!((common.mtu, common.send_window, common.receive_window), (1350, 128, 512));
    assert_eq!(common.fec, Some(FecShape { data: 10, parity: 3 }));
    assert_eq!((common.dscp.ipv4_tos(), common.socket_buffer), (0, 4_194_304));
    assert_eq!(common.smux_version, SmuxVersion::V1);
    assert_eq!((common.session_buffer, common.stream_buffer), (4_194_304, 2_097_152));
    assert_eq!(common.keepalive, Duration::from_secs(10));
    assert_eq!(common.log, None);
    assert_eq!((config.auto_expire, config.scavenge_ttl.as_secs()), (None, 600));
    assert_eq!(
        (common.close_wait, common.rate_limit, common.frame_size),
        (Duration::ZERO, None, 16384)
    );
    assert_eq!((&common.snmp, &common.pprof, &common.status), (&None, &None, &None));

    let server = server("").unwrap().config;
    assert_eq!((server.listen.host(), server.listen.ports().first()), ("", 29900));
    assert_eq!(server.target.to_string(), "127.0.0.1:12948");
    assert_eq!((server.common.send_window, server.common.receive_window), (1024, 1024));
    assert_eq!((server.shards, server.common.close_wait.as_secs()), (1, 30));
}

#[test]
fn every_option_is_read_in_every_spelling() {
    let lines = [
        "-l :1 -r h:2 -key k -crypt xtea -mode fast3 -mtu 1200 -sndwnd 3 -rcvwnd 4 -ds 5 -ps 6 \
         -nocomp -acknodelay -dscp 46 -sockbuf 70000 -smuxver 2 -smuxbuf 900000 \
         -streambuf 800000 -keepalive 9 -conn 8 -quiet -log f -autoexpire 99 -scavengettl 98 \
         -closewait 97 -ratelimit 96 -framesize 95 -snmplog s -snmpperiod 94 -pprof=[::1]:93 \
         -status :92 -tcp=false -QPP=false -QPPCount 7",
        "--localaddr=:1 --remoteaddr=h:2 --key=k --crypt=xtea --mode=fast3 --mtu=0x4b0 \
         --sndwnd=0b11 --rcvwnd=04 --datashard=+5 --parityshard=6 --nocomp=true --acknodelay=1 \
         --dscp=0o56 --sockbuf=70_000 --smuxver=2 --smuxbuf=900_000 --streambuf=800000 \
         --keepalive=9 --conn=8 --quiet=T --log=f --autoexpire=0x63 --scavengettl=98 \
         --closewait=97 --ratelimit=96 --framesize=95 --snmplog=s --snmpperiod=94 \
         --pprof=[::1]:93 --status=:92 --tcp=0 --QPP=F --QPPCount=0",
        "--l :1 --r h:2 --key k --crypt xtea --mode fast3 --mtu 1 --mtu 1200 --sndwnd 3 \
         --rcvwnd 4 --ds 5 --ps 6 --nocomp=false --nocomp --acknodelay --dscp 46 \
         --sockbuf 70000 --smuxver 2 --smuxbuf 900000 --streambuf 800000 --keepalive 9 --conn 8 \
         --quiet --log f --autoexpire 99 --scavengettl 98 --closewait 97 --ratelimit 96 \
         --framesize 95 --snmplog s --snmpperiod 94 --pprof --pprof=[::1]:93 --status :92",
    ];
    for line in lines {
        let parsed = client(line).unwrap();
        assert_eq!(parsed.warnings, [], "{line}");
        let ClientConfig { listen, remote, conn, common, auto_expire, scavenge_ttl, .. } =
            parsed.config;
        assert_eq!((listen.to_string(), remote.to_string(), conn), (":1".into(), "h:2".into(), 8));
        assert_eq!(common.key.as_bytes(), b"k");
        assert_eq!((common.crypt.name(), common.mode), ("xtea", Mode::Fast3));
        assert_eq!((common.mtu, common.send_window, common.receive_window), (1200, 3, 4));
        assert_eq!(common.fec, Some(FecShape { data: 5, parity: 6 }));
        assert!(common.ack_nodelay && !common.compression && common.quiet);
        assert_eq!((common.dscp.ipv4_tos(), common.dscp.ipv6_traffic_class()), (184, 46));
        assert_eq!(common.socket_buffer, 70_000);
        assert_eq!(common.smux_version, SmuxVersion::V2);
        assert_eq!((common.session_buffer, common.stream_buffer), (900_000, 800_000));
        assert_eq!(common.keepalive.as_secs(), 9);
        assert_eq!(common.log.as_deref(), Some("f".as_ref()));
        let seconds = [auto_expire.unwrap(), scavenge_ttl, common.close_wait];
        assert_eq!(seconds.map(|time| time.as_secs()), [99, 98, 97]);
        assert_eq!(common.rate_limit.map(u64::from), Some(96));
        assert_eq!(common.frame_size, 95);
        let snmp = SnmpLog { path: "s".into(), period: Duration::from_secs(94) };
        assert_eq!(common.snmp, Some(snmp));
        assert_eq!(common.pprof.unwrap().to_string(), "[::1]:93");
        assert_eq!(common.status.unwrap().to_string(), ":92");
    }
}

#[test]
fn the_modes_are_those_of_the_original() {
    for (mode, numbers) in [
        ("normal", "0 40 2 1"),
        ("fast", "0 30 2 1"),
        ("fast2", "1 20 2 1"),
        ("fast3", "1 10 2 1"),
        ("manual", "0 50 0 0"),
    ] {
        let config = warned(&format!("-mode {mode}"), "");
        let lines = config.start_up_lines("");
        assert!(lines.contains(&format!("nodelay parameters: {numbers}")), "{mode}");
        let numbers: Vec<u64> = numbers.split(' ').map(|n| n.parse().unwrap()).collect();
        let timing = config.common.timing;
        assert_eq!(u64::from(timing.nodelay), numbers[0]);
        assert_eq!(timing.interval, Duration::from_millis(numbers[1]));
        assert_eq!(u64::from(timing.resend), numbers[2]);
        assert_eq!(u64::from(!timing.congestion_control), numbers[3]);
    }
    let manual = warned("-mode manual -nodelay 1 -interval 20 -resend 3 -nc 1", "");
    assert_eq!(
        manual.common.timing,
        Timing {
            nodelay: true,
            interval: Duration::from_millis(20),
            resend: 3,
            congestion_control: false,
        }
    );
    let unknown = warned("-mode turbo -resend 5", "--mode turbo: unknown, read as manual");
    assert_eq!((unknown.common.mode, unknown.common.timing.resend), (Mode::Manual, 5));
    let warning = "--interval 77, --nc 1: no effect with --mode fast2";
    let named = warned("-mode fast2 -nc 1 -interval 77", warning);
    assert_eq!(named.common.timing.interval.as_millis(), 20);
}

#[test]
fn intervals_are_clipped_and_negative_values_ignored() {
    for (given, used) in [("0", 10), ("9", 10), ("5001", 5000), ("-1", 100)] {
        let line = format!("-mode manual -interval {given}");
        let timing = warned(&line, "--interval").common.timing;
        assert_eq!(timing.interval.as_millis(), used, "{given}");
    }
    for name in ["nodelay", "resend", "nc"] {
        let line = format!("-mode manual -{name} -1");
        let timing = warned(&line, &format!("--{name} -1: negative, 0 is used")).common.timing;
        assert!(!timing.nodelay && timing.resend == 0 && timing.congestion_control);
    }
}

#[test]
fn sizes_the_original_ignores_keep_its_start_values() {
    for (given, used) in [("-mtu 1500", 1500), ("-mtu 53", 53), ("-mtu 50 -crypt null -ds 0", 50)] {
        let warning = if given.contains("null") { "--crypt" } else { "" };
        assert_eq!(warned(given, warning).common.mtu, used, "{given}");
    }
    for given in ["-mtu 1501", "-mtu 49", "-mtu 0", "-mtu -5", "-mtu 52", "-mtu 44 -ds 0"] {
        assert_eq!(warned(given, "--mtu").common.mtu, 1400, "{given}");
    }
    for (given, used) in [("0", 32), ("-3", 32), ("65535", 65535), ("65536", 65535)] {
        let warning = if given == "65535" { "" } else { "--rcvwnd" };
        let config = warned(&format!("-sockbuf 100000000 -rcvwnd {given}"), warning);
        assert_eq!(config.common.receive_window, used);
        let warning = warning.replace("rcv", "snd");
        let config = warned(&format!("-sockbuf 100000000 -sndwnd {given}"), &warning);
        assert_eq!(config.common.send_window, used);
    }
}

#[test]
fn correction_is_off_where_the_original_turns_it_off() {
    for (given, warning) in [
        ("-ds 0 -ps 0", ""),
        ("-ps 0", ""),
        ("-ds 0", ""),
        ("-ds -1", "--datashard -1: negative"),
        ("-ds 200 -ps 100", "--datashard 200: with --parityshard 100 above 256 together"),
        ("-ds 256", "--datashard 256: with --parityshard 3 above 256 together"),
    ] {
        assert_eq!(warned(given, warning).common.fec, None, "{given}");
    }
    for (data, parity) in [(255, 1), (1, 255), (128, 128)] {
        let shape = warned(&format!("-ds {data} -ps {parity}"), "").common.fec;
        assert_eq!(shape, Some(FecShape { data, parity }));
    }
}

#[test]
fn other_odd_values_keep_their_effect() {
    assert_eq!(
        warned("-crypt AES-128", "--crypt AES-128: unknown, aes").common.crypt.name(),
        "aes"
    );
    for weak in ["none", "null", "xor"] {
        let crypt = warned(&format!("-crypt {weak}"), "--crypt").common.crypt;
        assert_eq!(crypt.name(), weak);
    }
    assert_eq!(warned("-conn 65537", "--conn 65537: above 65535, 1 is used").conn, 1);
    let dscp = warned("-dscp 184", "--dscp 184: outside 0 to 63").common.dscp;
    assert_eq!((dscp.ipv4_tos(), dscp.ipv6_traffic_class()), (224, 184));
    assert_eq!(warned("-sockbuf -1", "--sockbuf").common.socket_buffer, i32::MAX as u32);
    assert_eq!(warned("-sockbuf 0", "--sockbuf").common.socket_buffer, 0);
    let buffer = warned("-smuxbuf 4294967296", "--smuxbuf").common.session_buffer;
    assert_eq!(buffer, i32::MAX as u32);
    assert_eq!(warned("-key=", "--key: an empty key").common.key.as_bytes(), b"");
}

#[test]
fn what_stops_the_original_is_refused() {
    for (line, problem) in [
        ("-smuxver 3", "--smuxver 3: allowed: 1 or 2"),
        ("-smuxver 0", "--smuxver 0: allowed: 1 or 2"),
        ("-keepalive 0", "--keepalive 0: allowed: 1 to 30 seconds"),
        ("-keepalive 31", "--keepalive 31: allowed: 1 to 30 seconds"),
        ("-keepalive -1", "--keepalive -1: allowed: 1 to 30 seconds"),
        ("-conn 0", "--conn 0: allowed: 1 to 65535"),
        ("-conn -1", "--conn -1: allowed: 1 to 65535"),
        ("-conn 131072", "--conn 131072: allowed: 1 to 65535"),
        ("-smuxbuf 0", "--smuxbuf 0: allowed: 1 to 2147483647 bytes"),
        ("-smuxbuf 5 -streambuf 6", "--streambuf 6: allowed: at most --smuxbuf, which is 5"),
        ("-mtu abc", "--mtu abc: not a whole number; allowed: 50 to 1500 bytes"),
        ("-mtu=", "--mtu \"\": not a whole number; allowed: 50 to 1500 bytes"),
        ("-mode fast -nc x", "--nc x: not a whole number; allowed: 0 or 1"),
        (
            "-ds 99999999999999999999",
            "--datashard 99999999999999999999: too large; allowed: 1 to 255; 0: no repair",
        ),
        ("-nocomp=maybe", "--nocomp maybe: allowed: true or false"),
        ("-mtu abc -mtu 1200", "--mtu abc: not a whole number; allowed: 50 to 1500 bytes"),
        ("-framesize 0", "--framesize 0: allowed: 1 to 65535 bytes"),
        ("-framesize 65536", "--framesize 65536: allowed: 1 to 65535 bytes"),
        ("-snmplog f -snmpperiod -1", "--snmpperiod -1: allowed: 1 second or more; 0: none"),
        ("-snmpperiod x", "--snmpperiod x: not a whole number; allowed: 1 second or more; 0: none"),
        ("-QPP", "--QPP true: quantum permutation pads are not built; allowed: false"),
        ("-QPPCount x", "--QPPCount x: not a whole number"),
        (
            "-pprof=6060",
            "--pprof 6060: no port in it; allowed: true, false, host:port, or :port for all \
             addresses",
        ),
        (
            "-status h:1-2",
            "--status h:1-2: one port, not a range; allowed: host:port, or :port for all addresses",
        ),
    ] {
        assert_eq!(refused(line), problem, "{line}");
    }
}

#[test]
fn a_server_has_1_to_64_shards() {
    for (shards, used) in [(1, Some(1)), (64, Some(64)), (0, None), (65, None), (-1, None)] {
        let parsed = server(&format!("-key k -shards {shards}"));
        assert_eq!(parsed.ok().map(|parsed| parsed.config.shards), used, "{shards}");
    }
    assert!(refused("-shards 2").contains("an option of kcptun-server, not of kcptun-client"));
}

#[test]
fn profiles_stay_on_this_machine_unless_an_address_is_given() {
    let pprof = |line: &str, warning: &str| {
        warned(line, warning).common.pprof.map(|address| address.to_string())
    };
    assert_eq!(pprof("-pprof", ""), Some("127.0.0.1:6060".to_owned()));
    assert_eq!(pprof("-pprof=true", ""), Some("127.0.0.1:6060".to_owned()));
    assert_eq!(pprof("-pprof=localhost:1", ""), Some("localhost:1".to_owned()));
    assert_eq!(pprof("-pprof=false", ""), None);
    assert_eq!(pprof("-pprof=:6060", "--pprof :6060: whoever"), Some(":6060".to_owned()));
    assert_eq!(warned("-status=:9", "").common.status.unwrap().to_string(), ":9");
}

#[test]
fn what_is_not_built_is_said() {
    warned("-tcp", "--tcp true: fake TCP is not built yet: UDP is used");
    warned("-tcp=false -QPP=false -QPPCount 61", "");
}

#[test]
fn times_may_be_0_and_are_bounded() {
    assert_eq!(warned("-autoexpire 0 -scavengettl 9", "").auto_expire, None);
    assert_eq!(warned("-autoexpire -5", "--autoexpire -5: negative, 0").auto_expire, None);
    assert_eq!(warned("-closewait -1", "--closewait -1: negative").common.close_wait.as_secs(), 0);
    let long =
        warned("-closewait 9223372036854775807", "--closewait 9223372036854775807: too large");
    assert_eq!(long.common.close_wait.as_secs(), 2_147_483_647);
    assert_eq!(warned("-ratelimit -1", "--ratelimit -1: negative").common.rate_limit, None);
    let warning = "--scavengettl 600 (the default): longer than --autoexpire, which is 599";
    assert_eq!(warned("-autoexpire 599", warning).scavenge_ttl.as_secs(), 600);
    warned("-autoexpire 600", "");
    assert_eq!(warned("-snmplog f -snmpperiod 0", "--snmplog f: nothing").common.snmp, None);
    // Without a file the period is of no account, as in the original.
    assert_eq!(warned("-snmpperiod 0", "").common.snmp, None);
    assert_eq!(warned("-snmpperiod -1", "").common.snmp, None);
}

#[test]
fn a_window_that_the_socket_buffer_cannot_hold_is_named() {
    warned("-sndwnd 3106", "");
    let warning = "--sndwnd 3107: 3107 packets of 1350 bytes are 4194450 bytes, more than --sockbuf \
                   4194304 holds";
    warned("-sndwnd 3107", warning);
    warned("-sockbuf 600000", "--rcvwnd 512 (the default): 512 packets of 1350 bytes are 691200");
    warned("-sockbuf 691200", "");
}

#[test]
fn all_problems_are_reported_together() {
    let line = "-zzz -l :x -r y -conn 0 -smuxver 9 -mtu a -sndwnd b -rcvwnd c -ds d -ps e \
                -nodelay f -nc=g -dscp h -sockbuf i -smuxbuf -1 -streambuf k -keepalive 99 -quiet=l \
                -autoexpire m -scavengettl n -closewait o -ratelimit p -framesize 0 -snmplog f \
                -snmpperiod -1 -pprof=q -status r -tcp=s -QPP -c /no/such/file.json";
    assert_snapshot("problems", &format!("{}\n", refused(line)));
}

#[test]
fn a_bad_address_is_named_once_with_the_forms_allowed() {
    let local = "host:port, :port for all addresses, or the path of a unix socket";
    let remote = "host:port or host:first-last";
    for (line, problem, allowed) in [
        ("-l :70000", "--localaddr :70000: ports are 0 to 65535", local),
        ("-l 127.0.0.1:5-6", "--localaddr 127.0.0.1:5-6: one port, not a range", local),
        ("-l :5-x", "--localaddr :5-x: ports are 0 to 65535", local),
        ("-l=", "--localaddr \"\": empty", local),
        ("-r vps", "--remoteaddr vps: no port in it", remote),
        ("-r vps:0", "--remoteaddr vps:0: ports are 1 to 65535", remote),
        ("-r vps:1-70000", "--remoteaddr vps:1-70000: ports are 1 to 65535", remote),
        ("-r vps:9-8", "--remoteaddr vps:9-8: the range of ports runs backwards", remote),
        (
            "-r ::1:80",
            "--remoteaddr ::1:80: an IPv6 address needs brackets, as in [::1]:3000",
            remote,
        ),
    ] {
        assert_eq!(refused(line), format!("{problem}; allowed: {allowed}"), "{line}");
    }
}

#[test]
fn ports_may_be_a_range() {
    let remote = warned("-r vps:3000-4000", "").remote;
    assert_eq!((remote.host(), remote.ports().first(), remote.ports().last()), ("vps", 3000, 4000));
    let listen = server("-l :3000-3002").unwrap().config.listen;
    assert!(listen.ports().iter().eq(3000..=3002));
}

/// As kcptun 20210624 has it; shards could not find each other's port.
#[test]
fn the_system_may_choose_the_port_of_a_server() {
    assert!(server("-l 127.0.0.1:0").unwrap().config.listen.ports().is_system_chosen());
    assert!(server("-l :0 --shards 1").is_ok() && server("-l :5 --shards 2").is_ok());
    let problem = |line: &str| server(line).unwrap_err().to_string();
    assert_eq!(
        problem("-l :0 --shards 2"),
        "--listen :0: with --shards 2 the port has to be named, as all shards share it"
    );
    assert!(problem("-l :0-5").starts_with("--listen :0-5: ports are 1 to 65535; "));
}

#[test]
fn a_target_or_local_address_may_be_a_path() {
    for (text, warnings) in [("/run/app.sock", 1), ("./a", 1), ("@name", 1), ("12948", 2)] {
        let parsed = server(&format!("-t {text}")).unwrap();
        assert_eq!(parsed.config.target, TargetAddress::Unix(text.into()));
        assert_eq!(parsed.warnings.len(), warnings, "{text}");
        let parsed = client(&format!("-l {text}")).unwrap();
        assert_eq!(parsed.config.listen, ListenAddress::Unix(text.into()));
        assert_eq!(parsed.warnings.len(), warnings, "{text}");
    }
    // Two colons do not split either.
    warned("-l h:1:2", "--localaddr h:1:2: not host:port, so it is the path of a unix socket");
    let target = server("-t [::1]:80").unwrap().config.target;
    assert!(matches!(target, TargetAddress::Tcp(address) if address.host() == "::1"));
    assert!(server("-t host:99999").is_err() && server("-t=").is_err());
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_default() {
    let key = |arguments: &[&str], variable: Option<&str>| {
        let environment = |name: &str| {
            assert_eq!(name, "KCPTUN_KEY");
            variable.map(OsString::from)
        };
        match ClientConfig::parse(arguments, &environment).unwrap() {
            Outcome::Run(parsed) => parsed.config.common.key.as_bytes().to_vec(),
            Outcome::Print(text) => panic!("{text}"),
        }
    };
    assert_eq!(key(&[], None), b"it's a secrect");
    assert_eq!(key(&[], Some("env")), b"env");
    assert_eq!(key(&[], Some("")), b"");
    assert_eq!(key(&["-key", "flag"], Some("env")), b"flag");
    assert_eq!(key(&["-key="], Some("env")), b"");
}

/// A reader who copies a file or a command as it stands has a key that everyone knows.
#[test]
fn the_keys_of_our_examples_are_warned_of() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut keys = Vec::new();
    for page in [
        "README.md",
        "README.zh-CN.md",
        "apps/packaging/examples/client.json",
        "apps/packaging/examples/server.json",
        "apps/packaging/openwrt/kcptun/files/kcptun.config",
    ] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let marks = [("--key \"", '"'), ("\"key\": \"", '"'), ("option key '", '\'')];
        let found = text.lines().filter_map(|line| {
            let key = |(mark, end)| line.split_once(mark)?.1.split(end).next();
            marks.into_iter().find_map(key).map(str::to_owned)
        });
        let before = keys.len();
        keys.extend(found);
        assert!(keys.len() > before, "{page} has no key");
    }
    for key in keys {
        let outcome = ClientConfig::parse(["-key", key.as_str()], &nothing).unwrap();
        let Outcome::Run(parsed) = outcome else { panic!("{key}") };
        let warnings: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|it| it.contains("--key: the key of an example")), "{key}");
        assert!(!warnings.concat().contains(&key), "{warnings:?}");
    }
}

#[test]
fn no_message_shows_the_key() {
    let secret = "hunter2hunter2";
    let line = format!("-key {secret} {secret} -mtu x");
    let parsed = client(&line).unwrap();
    let said = format!("{parsed:?}{:?}", parsed.config.start_up_lines(""));
    assert!(!said.contains(secret), "{said}");
    assert!(!refused(&format!("-kye {secret} -mtu x")).contains(secret));
}

#[test]
fn start_up_lines() {
    let text = |lines: Vec<String>| lines.join("\n") + "\n";
    let lines = client("").unwrap().config.start_up_lines("[::]:12948");
    assert_snapshot("start-up-client", &text(lines).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    let lines = server("").unwrap().config.start_up_lines();
    assert_snapshot("start-up-server", &text(lines).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    // Odd values stand there as given, as in the original; what comes of them is a warning.
    let line = "-crypt AES -mode turbo -interval 1 -mtu 9000 -sndwnd 0 -rcvwnd 9000 -ds 200 -ps 100 \
                -dscp 99 -conn 65538 -nocomp -autoexpire 60 -snmplog s -pprof=[::]:6060 -tcp \
                -status :9";
    let parsed = client(line).unwrap();
    let mut lines = parsed.config.start_up_lines("[::]:12948");
    lines.extend(parsed.warnings.iter().map(|warning| format!("warning: {warning}")));
    assert_snapshot("start-up-odd", &text(lines).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

/// What `kcptun-router` has not is not said to be in effect.
#[test]
fn start_up_lines_of_the_router() {
    let arguments = |line: &str| line.split(' ').map(Into::into).collect::<Vec<_>>();
    let router = |line| ClientConfig::parse_for_router("client", arguments(line), &nothing);
    let Ok(Outcome::Run(here)) = router("-r vps:1 -pprof -status :9") else { panic!() };
    let here = here.config.start_up_lines("[::]:12948");
    let mut there =
        client("-r vps:1 -pprof -status :9").unwrap().config.start_up_lines("[::]:12948");
    there.retain(|line| !line.starts_with("pprof: ") && !line.starts_with("status: "));
    assert_eq!(here, there);

    let line = "-t x:1 -pprof -status :9 -shards 2";
    let Ok(Outcome::Run(here)) =
        ServerConfig::parse_for_router("server", arguments(line), &nothing)
    else {
        panic!()
    };
    let here = here.config.start_up_lines();
    let mut there = server(line).unwrap().config.start_up_lines();
    let before = there.len();
    let missing = ["pprof: ", "status: ", "shards: "];
    there.retain(|line| !missing.iter().any(|name| line.starts_with(name)));
    assert_eq!((here, before), (there.clone(), there.len() + 3));
}

/// As it was written, and where.
#[test]
fn the_memory_is_named_as_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router.json");
    std::fs::write(&path, "{\"mem\": \"100k\"}").unwrap();
    let file = format!("-c {}", path.display());
    let place = format!("{}:1:9: mem 100k", path.display());
    for (line, named) in
        [("-mem 100k", "--mem 100k"), ("-conn 3", "--mem 8M (the default)"), (&*file, &*place)]
    {
        let arguments = line.split(' ').map(Into::into).collect();
        let Ok(Outcome::Run(parsed)) =
            ClientConfig::parse_for_router("client", arguments, &nothing)
        else {
            panic!("{line}")
        };
        assert_eq!(parsed.config.common.memory_called(), named);
    }
    assert_eq!(client("").unwrap().config.common.memory_called(), "");
}

fn word() -> impl Strategy<Value = String> {
    let name = "key|crypt|mode|nodelay|interval|resend|nc|acknodelay|mtu|sndwnd|rcvwnd|ds|ps|nocomp\
                |dscp|sockbuf|smuxver|smuxbuf|streambuf|keepalive|conn|quiet|log|l|r|t|listen|target\
                |datashard|h|v|zzz|tcp|c|autoexpire|scavengettl|closewait|ratelimit|framesize\
                |snmplog|snmpperiod|pprof|status|shards|QPP|QPPCount";
    let value =
        "[-+]?[0-9]{1,22}|0x[0-9a-f]{1,20}|[a-z0-9.:\\[\\]/%-]{0,12}|.{0,8}|fast3|none|true";
    let regex = |pattern: &str| prop::string::string_regex(pattern).unwrap();
    prop_oneof![
        5 => regex(&format!("--?({name})")),
        3 => regex(&format!("--?({name})=({value})")),
        4 => regex(value),
        1 => regex("-{0,3}=?.{0,4}"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_command_line_panics(words in prop::collection::vec(word(), 0..12)) {
        let client = ClientConfig::parse(&words, &nothing);
        if let Ok(Outcome::Run(parsed)) = client {
            // Whatever was given, the promises of the fields hold.
            let common = &parsed.config.common;
            prop_assert!((45..=1500).contains(&common.mtu));
            prop_assert!(common.send_window > 0 && common.receive_window > 0);
            prop_assert!(common.stream_buffer <= common.session_buffer);
            prop_assert!((10..=5000).contains(&common.timing.interval.as_millis()));
            prop_assert!((1..=30).contains(&common.keepalive.as_secs()));
            prop_assert!(common.frame_size > 0 && common.close_wait.as_secs() <= 1 << 31);
            prop_assert!(parsed.config.auto_expire.is_none_or(|time| !time.is_zero()));
            prop_assert!(common.snmp.as_ref().is_none_or(|snmp| !snmp.period.is_zero()));
            if let Some(shape) = common.fec {
                prop_assert!(shape.data > 0 && shape.parity > 0);
                prop_assert!(u16::from(shape.data) + u16::from(shape.parity) <= 256);
            }
            let lines = 28 + usize::from(common.status.is_some());
            prop_assert_eq!(parsed.config.start_up_lines("").len(), lines);
        }
        if let Err(problems) = ServerConfig::parse(&words, &nothing) {
            let text = problems.to_string();
            prop_assert!(!text.is_empty());
            prop_assert_eq!(text.lines().count(), problems.iter().count());
        }
    }
}
