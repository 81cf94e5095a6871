//! The binaries as a user meets them, up to the point where they would start.

mod support;

use std::process::{Command, Output};

use support::assert_snapshot;

const CLIENT: &str = env!("CARGO_BIN_EXE_kcptun-client");
const SERVER: &str = env!("CARGO_BIN_EXE_kcptun-server");
const TOOLBOX: &str = env!("CARGO_BIN_EXE_kcptun");

fn run(binary: &str, arguments: &[&str]) -> Output {
    Command::new(binary).args(arguments).env_remove("KCPTUN_KEY").output().unwrap()
}

/// What a successful run prints on standard output; nothing else is printed.
#[track_caller]
fn printed(binary: &str, arguments: &[&str]) -> String {
    let output = run(binary, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a refused run prints on standard error; nothing else is printed, and the status is 1.
#[track_caller]
fn refused(binary: &str, arguments: &[&str]) -> String {
    let output = run(binary, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn help_pages() {
    assert_snapshot("help-client", &printed(CLIENT, &["-h"]));
    assert_snapshot("help-server", &printed(SERVER, &["--help"]));
    assert_snapshot("help-toolbox", &printed(TOOLBOX, &["help"]));
    assert_eq!(printed(TOOLBOX, &["client", "-h"]), printed(CLIENT, &["-mtu", "x", "-h"]));
    assert_eq!(printed(TOOLBOX, &["server", "help"]), printed(SERVER, &["h"]));
}

#[test]
fn version_lines() {
    let line = format!("kcptun version {}\n", env!("CARGO_PKG_VERSION"));
    for binary in [CLIENT, SERVER, TOOLBOX] {
        assert_eq!(printed(binary, &["-v"]), line);
        assert_eq!(printed(binary, &["--version"]), line);
    }
}

#[test]
fn bad_values_start_nothing() {
    let text = refused(CLIENT, &["-smuxver", "3", "--keepalive=45", "-r", "nowhere", "-quite"]);
    assert_snapshot("refused-client", &text);
    let text = refused(SERVER, &["-l", "29900", "-conn", "2", "-mtu", "1k", "-snmplog", "x"]);
    assert_snapshot("refused-server", &text);
    assert_eq!(
        refused(TOOLBOX, &["tunnel"]),
        "kcptun: tunnel: no such command; `kcptun help` lists them\n"
    );
}

#[test]
fn a_log_that_cannot_be_opened_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("log");
    let path = path.to_str().unwrap();
    for binary in [CLIENT, SERVER] {
        let text = refused(binary, &["-log", path]);
        assert!(text.contains(&format!(": --log {path}: cannot be opened: ")), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}

#[test]
fn a_port_in_use_is_named_in_the_log_and_on_the_terminal() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let text = refused(CLIENT, &["-l", &address, "-log", path.to_str().unwrap()]);
    assert!(text.contains(&address), "{text}");
    assert_eq!(text.lines().count(), 1);
    let log = std::fs::read_to_string(&path).unwrap();
    let last = log.lines().last().unwrap();
    assert!(last[20..].starts_with("error: ") && last.contains(&address), "{last}");
}
