//! The same JSON file given to the original's binaries and to ours.
//!
//! The files are in the form of kcptun's own `examples/local.json` and `examples/server.json`, with
//! every key of those; addresses and windows are this machine's.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use kcptun_interop::{BOTH_WAYS, Job, Maker, Pair, Process, Role, Target, free_port};

const LIMIT: Duration = Duration::from_secs(10);

/// What the two examples have in common, to the end of the file.
const SHARED: &str = r#"
	"key": "PASSWORD",
	"crypt": "aes-128",
	"mode": "fast3",
	"mtu": 1400,
	"sndwnd": 1024,
	"rcvwnd": 1024,
	"datashard": 10,
	"parityshard": 3,
	"dscp": 46,
	"nocomp": true,
	"acknodelay": false,
	"nodelay": 1,
	"interval": 40,
	"resend": 2,
	"nc": 1,
	"sockbuf": 16777217,
	"smuxver": 1,
	"smuxbuf": 16777217,
	"streambuf": 2097152,
	"keepalive": 10,
	"quiet": false,
	"tcp": false
}
"#;

/// A file in the scratch directory of the tests.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{}.json", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// A tunnel whose settings all come from two files, behind the flags given.
struct Tunnel {
    client: Process,
    server: Process,
    _target: Target,
    entrance: SocketAddr,
}

impl Tunnel {
    /// `shared` ends both files; `flags` stand on both command lines.
    fn start(pair: Pair, name: &str, shared: &str, flags: &[&str]) -> Self {
        let target = Target::start();
        let (port, entrance) = (free_port(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let listen =
            format!("{{\n\t\"listen\": \":{port}\",\n\t\"target\": \"{}\",", target.address());
        let server = file(&format!("{name}-server"), &format!("{listen}{shared}"));
        let local = format!(
            "{{\n\t\"localaddr\": \"{entrance}\",\n\t\"remoteaddr\": \"127.0.0.1:{port}\",\n\
             \t\"autoexpire\": 1800,"
        );
        let client = file(&format!("{name}-local"), &format!("{local}{shared}"));
        let start = |role: Role, maker: Maker, file: PathBuf| {
            let mut words: Vec<String> = flags.iter().copied().map(String::from).collect();
            words.extend(["-c".to_owned(), file.to_str().unwrap().to_owned()]);
            Process::start(&format!("{role:?}"), &maker.binary(role), &words)
        };
        let mut server = start(Role::Server, pair.server, server);
        server.wait_udp(port);
        let mut client = start(Role::Client, pair.client, client);
        client.wait_tcp(entrance.port());
        Self { client, server, _target: target, entrance }
    }

    fn run(&mut self, pair: Pair) {
        let job = Job { connections: 2, up: 1 << 20, down: 1 << 20, patience: LIMIT };
        job.run(self.entrance).unwrap_or_else(|error| panic!("{pair:?}: {error}"));
        assert!(self.client.is_running() && self.server.is_running(), "{pair:?}");
    }

    /// The start-up line of `process` that contains `text`.
    fn line(process: &Process, text: &str) {
        let found = process.wait_line(LIMIT, |line| line.contains(text));
        assert!(found.is_some(), "\"{text}\" is not in:\n{}", process.log());
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn files_of_the_original_s_form() {
    for pair in BOTH_WAYS {
        let mut tunnel = Tunnel::start(pair, "form", SHARED, &[]);
        tunnel.run(pair);
        for process in [&tunnel.client, &tunnel.server] {
            for text in [
                "encryption: aes-128",
                "nodelay parameters: 1 10 2 1",
                "sndwnd: 1024 rcvwnd: 1024",
                "compression: false",
                "mtu: 1400",
                "dscp: 46",
                "sockbuf: 16777217",
            ] {
                Tunnel::line(process, text);
            }
        }
        Tunnel::line(&tunnel.client, "autoexpire: 1800");
    }
}

/// Precedence, case of keys, keys nobody knows, values of `null`, and text behind the object: if
/// one end read any of these in another way, nothing would pass.
#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn odd_files_are_read_alike() {
    let odd = "\n\t\"KEY\": \"from the file\",\n\t\"Crypt\": \"xtea\", \"crypt\": \"sm4\",\n\
               \t\"NoComp\": true,\n\t\"datashard\": null,\n\t\"no such key\": [1, {\"mtu\": 9}],\n\
               \t\"smuxver\": 2\n} and \"smuxver\": 1 }";
    let flags = ["--key", "from a flag", "--crypt", "aes", "--smuxver", "1", "--datashard", "5"];
    for pair in BOTH_WAYS {
        let mut tunnel = Tunnel::start(pair, "odd", odd, &flags);
        tunnel.run(pair);
        for process in [&tunnel.client, &tunnel.server] {
            for text in ["encryption: sm4", "smux version: 2", "datashard: 5", "compression: false"]
            {
                Tunnel::line(process, text);
            }
        }
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn files_that_stop_the_original_stop_ours() {
    for (name, text) in [
        ("empty", ""),
        ("comma", "{\n\"mtu\": 1350,\n}"),
        ("list", "[]"),
        ("quoted", "{\n\"mtu\": \"1350\"\n}"),
        ("fraction", "{\"mtu\": 1350.5}"),
        ("exponent", "{\"mtu\": 1e3}"),
        ("number", "{\"key\": 7}"),
        ("word", "{\"nocomp\": \"true\"}"),
    ] {
        let path = file(name, text);
        let path = path.to_str().unwrap();
        for role in [Role::Client, Role::Server] {
            for maker in [Maker::Debian, Maker::Ours] {
                let words = ["-c".to_owned(), path.to_owned()];
                let mut process = Process::start(&format!("{role:?}"), &maker.binary(role), &words);
                let status = process.wait_exit(LIMIT).unwrap_or_else(|| panic!("{maker:?} {name}"));
                assert!(!status.success(), "{maker:?} {role:?} {name}: {}", process.log());
                let named = process.log().lines().any(|line| line.contains(&format!("{path}:")));
                assert!(named || maker == Maker::Debian, "{role:?} {name}: {}", process.log());
            }
        }
    }
}
