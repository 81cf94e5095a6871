//! `kcptun doctor` against real servers, over links with known faults.
#![cfg(unix)]

mod support;

use std::io::{BufRead as _, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Output};

use support::assert_snapshot;

const KCPTUN: &str = env!("CARGO_BIN_EXE_kcptun");

/// A command of the toolbox that runs until it is dropped.
struct Running(Child);

impl Running {
    /// Starts it and waits for a line of its output with `sign` in it.
    fn start(arguments: &[&str], sign: &str) -> Self {
        let mut command = Command::new(KCPTUN);
        let (reader, writer) = std::io::pipe().unwrap();
        command.args(arguments).stdout(writer.try_clone().unwrap()).stderr(writer);
        let child = Self(command.env_remove("KCPTUN_KEY").spawn().unwrap());
        drop(command);
        let reader: Box<dyn Read + Send> = Box::new(reader);
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains(sign)), "{arguments:?} does not say {sign:?}");
        // Nobody shall block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        child
    }

    fn server(address: &str, target: &str, flags: &[&str]) -> Self {
        let addresses = ["server", "--listen", address, "--target", target, "--quiet"];
        Self::start(&[&addresses[..], flags].concat(), "key derivation done")
    }

    fn answer(address: &str) -> Self {
        Self::start(&["doctor", "--answer", address], "answering at")
    }

    fn link(address: &str, to: &str, link: &str) -> Self {
        Self::start(&["link", "--listen", address, "--to", to, "--link", link], "link from")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_udp() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn free_tcp() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn doctor(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(KCPTUN);
    command.arg("doctor").args(arguments).env_remove("KCPTUN_KEY");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code(), text)
}

/// What stands behind `about`, on one line, with what is continued below.
#[track_caller]
fn finding(text: &str, about: &str) -> String {
    let mut lines =
        text.lines().skip_while(|line| !line.get(8..).is_some_and(|it| it.starts_with(about)));
    let first = lines.next().unwrap_or_else(|| panic!("nothing about {about}:\n{text}"));
    let rest = lines.take_while(|line| line.starts_with("                        "));
    let all: Vec<&str> = [first].into_iter().chain(rest).map(str::trim).collect();
    all.join(" ")
}

/// The first number of `text` behind `mark`.
#[track_caller]
fn number(text: &str, mark: &str) -> f64 {
    let rest = text.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {text}")).1;
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// The form of an output: addresses are `ADDRESS`, numbers `N`. Socket buffers are the machine's.
fn form(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.contains("socket buffers")) {
        let words = line.split(' ').map(|word| match word {
            _ if word.starts_with("127.0.0.1:") => "ADDRESS".to_owned(),
            _ if word.trim_start_matches('(').starts_with(|it: char| it.is_ascii_digit()) => {
                "N".to_owned()
            }
            _ => word.to_owned(),
        });
        out += words.collect::<Vec<String>>().join(" ").trim_end();
        out.push('\n');
    }
    out
}

#[test]
fn a_bad_link_is_measured_as_it_is() {
    let (server, entrance, target) = (free_udp(), free_udp(), free_tcp());
    let _answer = Running::answer(&target);
    let _server = Running::server(&server, &target, &["--key", "secret"]);
    let _link = Running::link(&entrance, &server, "delay=40ms,loss=6%,mtu=1401,rate=40mbit");
    let (status, text) = doctor(&["-r", &entrance, "--key", "secret", "--seconds", "2"]);
    assert_eq!(status, Some(0), "{text}");
    // Twice the delay, and the server's hold; more on a busy machine.
    let least = number(&finding(&text, "round trip"), "round trip ");
    assert!((80.0..200.0).contains(&least), "{text}");
    let loss = finding(&text, "loss");
    assert!(loss.starts_with("warn") && (1.0..20.0).contains(&number(&loss, "up ")), "{text}");
    assert!((1.0..20.0).contains(&number(&loss, "down ")), "{text}");
    let mtu = finding(&text, "path mtu");
    assert!(mtu.starts_with("ok    path mtu        1401 bytes"), "{text}");
    assert!(finding(&text, "target").contains("doctor --answer"), "{text}");
    assert!(number(&finding(&text, "throughput"), "down ") > 0.5, "{text}");
    assert!(text.contains("--datashard 10 --parityshard") && text.contains("--rcvwnd"), "{text}");
    assert!(text.ends_with("usable, with warnings\n"), "{text}");
}

#[test]
fn packets_that_are_too_long_are_found_out() {
    let (server, entrance) = (free_udp(), free_udp());
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = target.local_addr().unwrap().to_string();
    let _server = Running::server(&server, &target, &["--nocomp", "--key", "secret"]);
    let _link = Running::link(&entrance, &server, "mtu=1237");
    let (status, text) = doctor(&["-r", &entrance, "--nocomp", "--key", "secret", "--quick"]);
    assert_eq!(status, Some(1), "{text}");
    let mtu = finding(&text, "path mtu");
    assert!(mtu.starts_with("FAIL") && mtu.contains("1237 bytes"), "{text}");
    assert!(text.contains("set at both ends    --mtu 1237"), "{text}");
}

#[test]
fn what_differs_is_named() {
    let server = free_udp();
    let _server = Running::server(&server, "127.0.0.1:9", &["--crypt", "salsa20", "--key", "k"]);
    for (flags, named) in [
        (&["--crypt", "aes", "--key", "k"][..], "answers to --crypt salsa20"),
        (&["--crypt", "salsa20", "--key", "k", "--nocomp"], "answers without --nocomp"),
        (&["--crypt", "salsa20", "--key", "k", "--smuxver", "2"], "--smuxver 1"),
    ] {
        let (status, text) = doctor(&[&["-r", &server, "--quick"], flags].concat());
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains(named), "{named}: {text}");
    }
    let (status, text) =
        doctor(&["-r", &server, "--quick", "--crypt", "salsa20", "--key", "other"]);
    assert_eq!(status, Some(1), "{text}");
    assert_snapshot("doctor-silent", &form(&text));
}

#[test]
fn a_target_that_refuses_is_told_from_a_server_that_does() {
    let (server, target) = (free_udp(), free_tcp());
    let (status, text) = doctor(&["-r", &server, "--quick", "--key", "k"]);
    assert_eq!(status, Some(1), "{text}");
    assert_snapshot("doctor-refused", &form(&text));
    let _server = Running::server(&server, &target, &["--key", "k"]);
    let (status, text) = doctor(&["-r", &server, "--quick", "--key", "k"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(finding(&text, "target").starts_with("FAIL"), "{text}");
    assert!(finding(&text, "settings").starts_with("ok"), "{text}");
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    for (arguments, named) in [
        (&["--seconds", "0"][..], "--seconds"),
        (&["--keepalive", "99", "--smuxver", "3"], "--smuxver 3"),
        (&["--pprof", "--seconds", "0"], "--seconds"),
        (&["--answer", "127.0.0.1:0", "--nocomp"], "--answer"),
        (&["--answer", "192.0.2.1:7007"], "--answer"),
    ] {
        let (status, text) = doctor(arguments);
        assert_eq!(status, Some(2), "{text}");
        assert!(text.lines().all(|line| line.starts_with("kcptun doctor: ")), "{text}");
        assert!(text.contains(named), "{text}");
    }
}
