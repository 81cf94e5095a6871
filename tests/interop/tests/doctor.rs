//! `kcptun doctor` looks at Debian's server.

use std::process::{Command, Output};

use kcptun_interop::{Maker, Process, Role, flags, free_port};

/// What our doctor says of a server of Debian's with `server_flags`.
fn doctor(server_flags: &str, target: &str, client_flags: &str) -> (Option<i32>, String) {
    let port = free_port();
    let arguments = flags(&format!("--listen :{port} --target {target} {server_flags}"));
    let mut server = Process::start("server", &Maker::Debian.binary(Role::Server), &arguments);
    server.wait_udp(port);
    let toolbox = Maker::Ours.binary(Role::Client).with_file_name("kcptun");
    let arguments = flags(&format!("doctor --quick -r 127.0.0.1:{port} {client_flags}"));
    let Output { status, stdout, stderr } =
        Command::new(toolbox).args(arguments).output().expect("the toolbox runs");
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).expect("it prints text"))
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn a_server_in_order_is_found_so() {
    let target = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let target = target.local_addr().expect("it is bound").to_string();
    for settings in ["--key k", "--key k --nocomp --smuxver 2 --crypt salsa20", "--key k --ds 0"] {
        let (status, text) = doctor(settings, &target, settings);
        assert_eq!(status, Some(0), "{settings}: {text}");
        assert!(text.contains("it waits to be spoken to"), "{settings}: {text}");
        assert!(text.contains("--nocomp and --smuxver are the server's"), "{settings}: {text}");
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn what_differs_is_named() {
    for (client, named) in [
        ("--key k --crypt none", "answers to --crypt aes"),
        ("--key k --nocomp", "without --nocomp"),
        ("--key k --smuxver 2", "--smuxver 1"),
        ("--key k", "cannot connect to its --target"),
    ] {
        let (status, text) = doctor("--key k", "127.0.0.1:1", client);
        assert_eq!(status, Some(1), "{client}: {text}");
        assert!(text.contains(named), "{client}: {text}");
    }
}
