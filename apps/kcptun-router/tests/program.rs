//! The program as its users meet it: what it calls itself, what it says, and where.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kcptun_interop::{Job, Process, Signal, Target, flags, free_port};

const LIMIT: Duration = Duration::from_secs(20);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kcptun-router"))
}

/// The program under another name.
fn named(folder: &Path, name: &str) -> PathBuf {
    let link = folder.join(name);
    std::os::unix::fs::symlink(binary(), &link).expect("a free name");
    link
}

fn output(program: &Path, arguments: &str) -> Output {
    Command::new(program).args(flags(arguments)).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn start(role: &str, arguments: &str) -> Process {
    Process::start(role, binary(), &flags(&format!("{role} {arguments}")))
}

#[test]
fn it_speaks_under_the_name_it_was_called_by() {
    for word in ["-h", "--help", "help"] {
        let page = output(binary(), word);
        assert!(page.status.success() && page.stderr.is_empty(), "{word}");
        for role in ["kcptun-router client [OPTIONS]", "kcptun-router server [OPTIONS]"] {
            assert!(text(&page.stdout).contains(role), "{word}");
        }
    }
    for word in ["-v", "--version", "version", "client -v"] {
        let line = output(binary(), word);
        let expected = format!("kcptun version {}\n", env!("CARGO_PKG_VERSION"));
        assert!(line.status.success() && text(&line.stdout) == expected, "{word}");
    }
    for (words, why) in [
        ("", "say client or server"),
        ("clinet", "clinet: no such command"),
        ("-l :1", "-l: say client or server first"),
    ] {
        let page = output(binary(), words);
        assert!(!page.status.success() && page.stdout.is_empty(), "{words}");
        let said = text(&page.stderr);
        assert!(said.starts_with(&format!("kcptun-router: {why}\n\n")), "{said}");
        assert!(said.contains("Usage: kcptun-router client"), "{said}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    for (name, call) in [("kcptun-client", "kcptun-client"), ("router", "kcptun-router client")] {
        let program = named(folder.path(), name);
        let role = if name == call { "" } else { "client" };
        let page = output(&program, &format!("{role} -h"));
        let page = text(&page.stdout);
        assert!(page.contains(&format!("Usage: {call} [OPTIONS]\n")), "{page}");
        assert!(page.contains("--mem <SIZE>"), "{page}");
        for missing in ["--pprof", "--status", "--shards"] {
            assert!(!page.contains(missing), "{missing} is not in this program: {page}");
        }
        let refused = output(&program, &format!("{role} --zzz --mem 1"));
        let problems = text(&refused.stderr);
        let expected = format!("{call}: --zzz: no such option; {call} -h lists them\n");
        assert!(!refused.status.success() && problems.starts_with(&expected), "{problems}");
    }
}

/// Command lines of the other programs go on working: what is not there is warned of.
#[test]
fn options_that_it_lacks_are_read_all_the_same() {
    let options = format!("-l 127.0.0.1:{} -t 127.0.0.1:9 --pprof --shards 2", free_port());
    let server = start("server", &options);
    for warning in ["warning: --pprof, --status: not in", "warning: --shards: this program has one"]
    {
        assert!(server.wait_line(LIMIT, |line| line.contains(warning)).is_some(), "{warning}");
    }
    let log = server.log();
    assert!(!log.contains(" pprof: ") && !log.contains(" shards: "), "{log}");
}

/// What is wrong with the memory is said in the words of who gave it.
#[test]
fn memory_that_will_not_do_is_named() {
    let refusal = |arguments: &str| {
        let ended = output(binary(), arguments);
        assert_eq!(ended.status.code(), Some(1), "{arguments}");
        text(&ended.stderr)
    };
    let client = "client -l 127.0.0.1:0 -r 127.0.0.1:9";
    let said = refusal(&format!("{client} -mem 100k"));
    assert!(said.contains("error: --mem 100k: too small for these settings; at least "), "{said}");
    assert!(said.ends_with(" KB\n"), "{said}");
    let said = refusal(&format!("{client} -conn 2000"));
    assert!(said.contains(" --mem 8M (the default): too small for these settings; at "), "{said}");
    assert!(said.ends_with(" MB with --conn 2000\n"), "{said}");
    let server = format!("server -l 127.0.0.1:{} -t 127.0.0.1:9", free_port());
    let said = refusal(&format!("{server} -mem 900G"));
    assert!(said.contains(" --mem 900G: a pool can address 128 GiB at the most\n"), "{said}");
}

/// A machine, or a limit, that has less than `--mem`.
#[test]
fn memory_that_is_not_to_be_had_is_named() {
    let addresses = format!("-l 127.0.0.1:{}", free_port());
    for role in ["client -r 127.0.0.1:9", "server -t 127.0.0.1:9"] {
        let role = format!("{role} {addresses}");
        let limited = format!("ulimit -v 500000; exec {} {role} -mem 1G", binary().display());
        let ended = Command::new("sh").args(["-c", &limited]).output().expect("a shell");
        assert_eq!(ended.status.code(), Some(1), "{role}: {}", text(&ended.stderr));
        let expected = " error: --mem 1G: the system does not give so much memory\n";
        assert!(text(&ended.stderr).ends_with(expected), "{}", text(&ended.stderr));
    }
}

/// Whoever rotates logs looks into the file, whoever started it by hand at the terminal.
#[test]
fn why_it_ended_stands_in_the_log_file_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address");
    let options = |listen| format!("-l {listen} -r 127.0.0.1:9 --log {}", log.display());
    let ended = output(binary(), &format!("client {}", options(taken)));
    assert!(!ended.status.success());
    let problem = format!("--localaddr {taken}: ");
    let said = text(&ended.stderr);
    assert!(said.starts_with(&format!("kcptun-router client: {problem}")), "{said}");
    let lines = std::fs::read_to_string(&log).expect("a log");
    assert!(lines.contains(&format!("error: {problem}")), "{lines}");

    // Without a file it is said once.
    let ended = output(binary(), &format!("client -l {taken} -r 127.0.0.1:9"));
    assert_eq!(text(&ended.stderr).matches(&problem).count(), 1, "{}", text(&ended.stderr));

    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut client = start("client", &options(local));
    client.wait_tcp(local.port());
    client.signal(Signal::TERM);
    assert!(client.wait_exit(LIMIT).is_some_and(|status| status.success()));
    let lines = std::fs::read_to_string(&log).expect("a log");
    let (stopping, totals) = (lines.find("terminated: stopping"), lines.find("ran for 0s: 0 ses"));
    let totals = totals.or(lines.find("s: 0 sessions, 0 streams, 0 bytes sent, "));
    assert!(stopping.is_some() && stopping < totals, "{lines}");
}

/// Lines that users of the original look for, as it has them.
#[test]
fn sessions_are_told_of_as_the_original_does() {
    let (target, port, entrance) = (Target::start(), free_port(), free_port());
    let both = "--crypt null --nocomp --datashard 0 --parityshard 0";
    let options = format!("-l 127.0.0.1:{port} -t {} {both}", target.address());
    let mut server = start("server", &options);
    server.wait_udp(port);
    let remote = format!("127.0.0.1:{port}");
    let options = format!("-l 127.0.0.1:{entrance} -r {remote} --autoexpire 1 --scavengettl 1");
    let mut client = start("client", &format!("{options} {both}"));
    client.wait_tcp(entrance);
    Job::small().run((Ipv4Addr::LOCALHOST, entrance).into()).expect("it carries");

    // The address of the session's socket, here and there.
    let line = client.wait_line(LIMIT, |line| line.contains("smux version: 1 on connection: "));
    let line = line.expect("it is announced");
    let (_, addresses) = line.split_once("connection: ").expect("seen");
    let (local, to) = addresses.split_once(" -> ").expect("two addresses");
    assert_eq!(to, remote);
    let closed = client.wait_line(LIMIT, |line| line.contains("scavenger: session"));
    let closed = closed.unwrap_or_else(|| panic!("{}", client.log()));
    assert!(closed.ends_with(&format!(": {local}")), "{closed}, and not {local}");
    assert!(
        server.wait_line(LIMIT, |line| line.contains(&format!("{remote} -> {local}"))).is_some()
    );

    // A session that ends with its first datagram: one segment of KCP with something in it that is
    // not smux.
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut segment = [9; 32];
    segment[4..24].fill(0);
    (segment[4], segment[20]) = (81, 8);
    stranger.send_to(&segment, &remote).expect("it is sent");
    let stranger = stranger.local_addr().expect("an address").to_string();
    let ended = server.wait_line(LIMIT, |line| line.contains("invalid protocol"));
    let ended = ended.unwrap_or_else(|| panic!("{}", server.log()));
    assert!(ended.contains(&stranger), "{ended}, and not {stranger}");
}

#[test]
fn a_name_that_nobody_knows_is_named() {
    let entrance = free_port();
    let mut client =
        start("client", &format!("-l 127.0.0.1:{entrance} -r nobody.invalid:1 --mem 2M"));
    client.wait_tcp(entrance);
    let _asking = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, entrance)).expect("room");
    let line = client.wait_line(LIMIT, |line| line.contains("re-connecting: "));
    let line = line.unwrap_or_else(|| panic!("{}", client.log()));
    assert!(line.contains(" re-connecting: ") && line.contains("nobody.invalid"), "{line}");
    assert!(!line.contains("warning"), "the original's line is bare: {line}");
}
