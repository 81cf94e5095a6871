//! The binaries as a user meets them: help, refusals, start, and the end by a signal.

mod support;

use std::process::{Command, Output};

use support::assert_snapshot;

const CLIENT: &str = env!("CARGO_BIN_EXE_kcptun-client");
const SERVER: &str = env!("CARGO_BIN_EXE_kcptun-server");
const TOOLBOX: &str = env!("CARGO_BIN_EXE_kcptun");

fn run(binary: &str, arguments: &[&str]) -> Output {
    Command::new(binary)
        .args(arguments)
        .env_remove("KCPTUN_KEY")
        .env_remove("KCPTUN_LOG")
        .output()
        .unwrap()
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

/// A program that runs, with the lines of its log that came so far.
#[cfg(unix)]
struct Running {
    child: std::process::Child,
    output: std::io::Lines<std::io::BufReader<std::process::ChildStderr>>,
    lines: Vec<String>,
}

#[cfg(unix)]
impl Running {
    /// Starts `binary` and reads its log to the line that contains `last`.
    fn start(binary: &str, arguments: &[&str], last: &str) -> Self {
        use std::io::BufRead as _;

        let mut command = Command::new(binary);
        command.args(arguments).env_remove("KCPTUN_KEY").env_remove("KCPTUN_LOG");
        let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        let mut running = Self { child, output, lines: Vec::new() };
        while !running.lines.last().is_some_and(|line| line.contains(last)) {
            let line = running.output.next().expect("the log ended").unwrap();
            running.lines.push(line[20..].to_owned());
        }
        running
    }

    #[track_caller]
    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// The next line of the log.
    fn next_line(&mut self) -> String {
        self.output.next().expect("the log ended").unwrap()[20..].to_owned()
    }

    /// Sends a signal, which has to end the program with status 0; the rest of the log.
    #[track_caller]
    fn stop(mut self, signal: &str) -> Vec<String> {
        self.signal(signal);
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{signal}");
        self.output.by_ref().map(|line| line.unwrap()[20..].to_owned()).collect()
    }
}

#[cfg(unix)]
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text behind `front` of the line that begins with it.
#[cfg(unix)]
#[track_caller]
fn value<'l>(lines: &'l [String], front: &str) -> &'l str {
    lines.iter().find_map(|line| line.strip_prefix(front)).expect(front)
}

#[cfg(unix)]
#[test]
fn a_client_starts_without_a_server_and_ends_by_a_signal() {
    for (local, signal) in [("127.0.0.1:0", "INT"), (":0", "TERM")] {
        let arguments = ["-l", local, "-r", "127.0.0.1:9", "-key", "k"];
        let client = Running::start(CLIENT, &arguments, "key derivation done");
        assert_eq!(client.lines[0], format!("version: {}", env!("CARGO_PKG_VERSION")));
        assert_eq!(client.lines.len(), 28, "{:?}", client.lines);
        // The address as bound: with the port that the system chose.
        let bound = value(&client.lines, "listening on: ").to_owned();
        let port = bound.rsplit(':').next().unwrap().parse::<u16>().unwrap();
        assert_ne!(port, 0);
        assert!(bound.starts_with("127.0.0.1:") || local == ":0", "{bound}");
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let rest = client.stop(signal);
        let [.., stopping, totals] = rest.as_slice() else { panic!("{rest:?}") };
        assert!(stopping.ends_with(": stopping"), "{rest:?}");
        assert!(totals.starts_with("ran for ") && totals.contains(" streams, "), "{rest:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_client_listens_at_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.sock");
    let path = path.to_str().unwrap();
    let arguments = ["-l", path, "-r", "127.0.0.1:9", "-key", "k"];
    let client = Running::start(CLIENT, &arguments, "key derivation done");
    assert_eq!(value(&client.lines, "listening on: "), path);
    std::os::unix::net::UnixStream::connect(path).unwrap();
    client.stop("TERM");
    assert!(!std::path::Path::new(path).exists(), "its file goes with it");
}

#[cfg(unix)]
#[test]
fn a_server_starts_and_ends_by_a_signal() {
    for signal in ["INT", "TERM"] {
        // A port that was free a moment ago.
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let server = Running::start(SERVER, &["-l", &listen, "-key", "k"], "Listening on: ");
        assert_eq!(value(&server.lines, "listening on: "), listen);
        assert_eq!(value(&server.lines, "Listening on: "), format!("{listen}/udp"));
        assert_eq!(server.lines[24], "key derivation done");
        assert_eq!(server.lines.len(), 26, "{:?}", server.lines);
        server.stop(signal);
    }
}

/// The start-up line has the address as given, as the original's; the next one that of the socket.
#[cfg(unix)]
#[test]
fn a_server_tells_the_port_that_the_system_chose() {
    let server = Running::start(SERVER, &["-l", "127.0.0.1:0", "-key", "k"], "Listening on: ");
    assert_eq!(value(&server.lines, "listening on: "), "127.0.0.1:0");
    let bound = value(&server.lines, "Listening on: ");
    let port = bound.strip_prefix("127.0.0.1:").and_then(|rest| rest.strip_suffix("/udp"));
    assert_ne!(port.expect(bound).parse::<u16>().expect(bound), 0);
    server.stop("TERM");
}

#[cfg(unix)]
#[test]
fn the_log_file_gets_what_happens_after_the_start_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let arguments = ["-l", "127.0.0.1:0", "-r", "127.0.0.1:9", "-log", path.to_str().unwrap()];
    let mut child = Command::new(CLIENT).args(arguments).spawn().unwrap();
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    while !read().contains("key derivation done\n") {
        assert_eq!(child.try_wait().unwrap(), None, "{}", read());
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = read();
    let [.., stopping, totals] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(stopping.ends_with(" terminated: stopping"), "{text}");
    assert!(totals[20..].starts_with("ran for "), "{text}");
}

/// A server on a free port.
#[cfg(unix)]
fn server(more: &[&str]) -> Running {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let arguments = [&["-l", &listen, "-key", "k"], more].concat();
    Running::start(SERVER, &arguments, "Listening on: ")
}

#[cfg(unix)]
#[test]
fn counters_are_logged_when_asked_for_and_lost_pipes_are_nothing() {
    let names = kcptun::snmp::CsvHeader.to_string();
    for mut program in [
        server(&["-quiet"]),
        Running::start(
            CLIENT,
            &["-l", "127.0.0.1:0", "-r", "127.0.0.1:9", "-key", "k"],
            "key derivation done",
        ),
    ] {
        program.signal("PIPE");
        for _ in 0..2 {
            program.signal("USR1");
            let line = program.next_line();
            assert!(
                line.starts_with("KCP SNMP:&{BytesSent:0 BytesReceived:0 MaxConn:0 "),
                "{line}"
            );
            assert!(
                line.ends_with(" FECRecovered:0 FECErrs:0 FECParityShards:0 FECShortShards:0}")
            );
            for name in names.split(',').skip(1) {
                assert!(line.contains(&format!("{name}:0")), "{name} {line}");
            }
        }
        program.stop("TERM");
    }
}

// By GNU's `env`: these tests may themselves have been started with the signal ignored.
#[cfg(target_os = "linux")]
#[test]
fn a_hang_up_ends_what_logs_to_the_terminal_unless_it_is_shielded() {
    use std::os::unix::process::ExitStatusExt as _;

    let arguments = ["--default-signal=HUP", CLIENT, "-l", "127.0.0.1:0", "-r", "127.0.0.1:9"];
    let mut program = Running::start("env", &arguments, "key derivation done");
    program.signal("HUP");
    assert_eq!(program.child.wait().unwrap().signal(), Some(1));
    // As `nohup` does.
    let script = r#"trap "" HUP; exec "$0" "$@""#;
    let arguments = ["-c", script, CLIENT, "-l", "127.0.0.1:0", "-r", "127.0.0.1:9"];
    let program = Running::start("sh", &arguments, "key derivation done");
    program.signal("HUP");
    program.stop("TERM");
}

#[cfg(unix)]
#[test]
fn a_log_file_is_opened_again_on_a_hang_up() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let arguments = ["-l", "127.0.0.1:0", "-r", "127.0.0.1:9", "-log", path.to_str().unwrap()];
    let mut child = Command::new(CLIENT).args(arguments).spawn().unwrap();
    let wait_for = |path: &std::path::Path, text: &str| {
        while !read(path).contains(text) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    wait_for(&path, "key derivation done\n");
    std::fs::rename(&path, &old).unwrap();
    let pid = child.id().to_string();
    let signal = |name: &str| {
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    signal("USR1");
    wait_for(&old, "KCP SNMP:&{");
    signal("HUP");
    wait_for(&path, "the log file was opened again\n");
    signal("TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(read(&path).contains(" ran for ") && !read(&old).contains(" ran for "));
}

#[cfg(unix)]
#[test]
fn a_log_file_that_cannot_be_opened_again_is_not_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("logs");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("log");
    let arguments = ["-l", "127.0.0.1:0", "-r", "127.0.0.1:9", "-log", path.to_str().unwrap()];
    let mut child = Command::new(CLIENT).args(arguments).spawn().unwrap();
    let wait_for = |path: &std::path::Path, text: &str| loop {
        let log = std::fs::read_to_string(path).unwrap_or_default();
        if log.contains(text) {
            return log;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    wait_for(&path, "key derivation done\n");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(&inner, &elsewhere).unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "HUP", &pid]).status().unwrap().success());
    let log = wait_for(&elsewhere.join("log"), "hangup: the log file cannot be opened again");
    assert!(!log.contains("was opened again"), "{log}");
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Ports beside each other that are free at the moment.
#[cfg(target_os = "linux")]
fn free_ports(count: u16) -> (u16, u16) {
    loop {
        let first = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let Some(last) = first.checked_add(count - 1) else { continue };
        let is_free = |port| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if (first..=last).all(is_free) {
            return (first, last);
        }
    }
}

// Root may pass the hard limit, unless it has given that right away.
#[cfg(target_os = "linux")]
#[test]
fn a_range_of_ports_passes_the_soft_limit_of_files_and_names_the_hard_one() {
    const SCRIPT: &str = r#"
limit="$1"; shift
if [ "$(id -u)" = 0 ]; then set -- setpriv --bounding-set -sys_resource "$@"; fi
ulimit $limit 60
exec "$@"
"#;
    let start = |limit: &str| -> (String, Vec<String>) {
        let (first, last) = free_ports(50);
        let listen = format!("127.0.0.1:{first}-{last}");
        let words = ["-c", SCRIPT, "sh", limit, SERVER, "-key", "k", "-l", &listen];
        (listen.clone(), words.map(str::to_owned).to_vec())
    };
    let (_, words) = start("-Sn");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Running::start("sh", &words, "Listening on: ").stop("TERM");
    let (listen, words) = start("-n");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let text = refused("sh", &words);
    let named = format!("error: --listen {listen}: ");
    assert!(text.contains(&named) && text.contains("164 open files"), "{text}");
    assert!(text.contains("60 are allowed: raise `ulimit -n`"), "{text}");
}

#[test]
fn a_range_with_a_port_in_use_starts_nothing() {
    // Two ports beside each other, of which the second is taken.
    let (taken, first) = loop {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        if std::net::UdpSocket::bind(("127.0.0.1", port - 1)).is_ok() {
            break (taken, port - 1);
        }
    };
    let second = taken.local_addr().unwrap();
    let listen = format!("127.0.0.1:{first}-{}", second.port());
    let text = refused(SERVER, &["-l", &listen]);
    let expected = format!(
        "error: --listen {listen}: cannot listen on {second}/udp: port in use by another program"
    );
    assert_eq!(text.lines().map(|line| &line[20..]).collect::<Vec<_>>(), [expected]);
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
    assert_eq!(
        log.lines().map(|line| &line[20..]).collect::<Vec<_>>(),
        [format!(
            "error: --localaddr {address}: cannot listen on {address}/tcp: \
             port in use by another program"
        )]
    );
}
