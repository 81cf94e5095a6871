//! `kcptun load` against a real server.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Output, Stdio};

const KCPTUN: &str = env!("CARGO_BIN_EXE_kcptun");

/// A server that runs until it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(target: &str, flags: &[&str]) -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(KCPTUN);
        command.args(["server", "--listen", &address, "--target", target, "--quiet"]);
        let mut child = command.args(flags).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with("key derivation done")));
        // Nobody shall block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of TCP that nobody has at present.
fn free_target() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn load(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(KCPTUN).arg("load").args(arguments).output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code(), text)
}

#[test]
fn every_session_carries_and_lives() {
    let target = free_target();
    let server = Server::start(&target, &[]);
    let pid = server.child.id().to_string();
    let arguments = ["--sessions", "60", "--remote", &server.address, "--target-listen", &target];
    let (status, text) = load(&[&arguments[..], &["--time", "1s", "--server-pid", &pid]].concat());
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("60 sessions opened, 60 alive, 0 lost, 60 carried"), "{text}");
    assert!(text.contains("warning: --key: the published default key"), "{text}");
    if cfg!(target_os = "linux") {
        assert!(
            text.contains("KB of memory per session") && text.contains("% of a core"),
            "{text}"
        );
    }
}

#[test]
fn sessions_go_on_sending_at_their_rate() {
    let target = free_target();
    let server = Server::start(&target, &["--nocomp"]);
    let arguments = ["--sessions", "20", "--remote", &server.address, "--target-listen", &target];
    let (status, text) =
        load(&[&arguments[..], &["--nocomp", "--rate", "80kbit", "--time", "3s"]].concat());
    assert_eq!(status, Some(0), "{text}");
    // 20 sessions at 10,000 bytes per second, for some of the seconds.
    let back = text.lines().rev().find(|line| line.contains(" MB back")).unwrap();
    let number = back.split(" MB back").next().unwrap().split_whitespace().next_back().unwrap();
    assert!(number.parse::<f64>().unwrap() > 0.2, "{text}");
}

#[test]
fn a_server_with_another_key_is_a_failure() {
    let target = free_target();
    let server = Server::start(&target, &["--key", "one"]);
    let arguments = ["--sessions", "3", "--remote", &server.address, "--key", "another"];
    let mut child = Command::new(KCPTUN)
        .arg("load")
        .args(arguments)
        .args(["--time", "1s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // No session carries anything, so the stay would begin after half a minute: a signal ends it.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("opened      3") && line.contains("carried      0")));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("0 carried all their bytes")), "{rest:?}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    for (arguments, named) in [
        (&["--sessions", "0"][..], "--sessions"),
        (&["--keepalive", "99", "--smuxver", "3"], "--keepalive"),
        (&["--server-pid", "4294967295", "--target-listen", "127.0.0.1:0"], "no such process"),
        (&["--target-listen", "192.0.2.1:1"], "--target-listen"),
    ] {
        let (status, text) = load(&[&["--remote", "127.0.0.1:9"], arguments].concat());
        assert_eq!(status, Some(2), "{text}");
        assert!(text.lines().all(|line| line.starts_with("kcptun load: ")), "{text}");
        assert!(text.contains(named), "{text}");
    }
}
