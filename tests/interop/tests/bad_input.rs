//! What a user, an operating system or a stranger may do wrong to our binaries.
//!
//! What the original (kcptun 20210922) accepted keeps its effect, with a warning. What made it
//! exit or crash is refused in one line before anything starts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kcptun_interop::{
    Case, Job, Maker, OURS_ALONE, Process, Role, Signal, Target, Tunnel, flags, free_port,
    wait_until,
};

const LIMIT: Duration = Duration::from_secs(10);
/// How long a process may take to end after a signal.
const END_LIMIT: Duration = Duration::from_secs(2);

fn ours(role: Role, args: &str) -> Process {
    Process::start(&format!("{role:?}"), &Maker::Ours.binary(role), &flags(args))
}

/// The process refuses to start: status 1 and one line that holds all of `words`.
#[track_caller]
fn refused(role: Role, args: &str, words: &[&str]) {
    let mut process = ours(role, args);
    let status = process.wait_exit(LIMIT).unwrap_or_else(|| panic!("{role:?} {args} goes on"));
    let log = process.log();
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(status.code(), Some(1), "{role:?} {args}: {log}");
    assert_eq!(lines.len(), 1, "{role:?} {args}: {log}");
    for word in words {
        assert!(lines[0].contains(word), "{role:?} {args}: \"{word}\" is not in: {log}");
    }
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn what_made_the_original_exit_or_crash_is_refused() {
    for role in [Role::Client, Role::Server] {
        refused(role, "--bogus", &["bogus"]);
        refused(role, "--mtu large", &["mtu", "large"]);
        refused(role, "--keepalive 10s", &["keepalive", "10s"]);
        refused(role, "--nocomp=perhaps", &["nocomp", "perhaps"]);
        refused(role, "--smuxver 3", &["smuxver", "3", "1", "2"]);
        refused(role, "--smuxver 0", &["smuxver", "0", "1", "2"]);
        refused(role, "--smuxver=-1", &["smuxver", "-1", "1", "2"]);
        refused(role, "--keepalive 0", &["keepalive", "0", "30"]);
        refused(role, "--keepalive 31", &["keepalive", "31", "30"]);
        refused(role, "--keepalive=-5", &["keepalive", "-5", "30"]);
        refused(role, "--smuxbuf 0", &["smuxbuf", "0"]);
        refused(role, "--smuxbuf 65536 --streambuf 131072", &["streambuf", "131072"]);
        refused(role, "--log /no/such/directory/log", &["log", "/no/such/directory/log"]);
    }
    refused(Role::Client, "--conn 0", &["conn", "0", "1"]);
    refused(Role::Client, "--conn 65536", &["conn", "65536", "1"]);
    refused(Role::Client, "-l 127.0.0.1:70000", &["localaddr", "70000"]);
    refused(Role::Server, "-l 127.0.0.1:70000", &["listen", "70000"]);
    refused(Role::Server, "-l nonsense", &["listen", "nonsense"]);
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn what_the_original_accepted_works_with_a_warning() {
    for (flag, value) in [
        ("crypt", "rot13"),
        ("mode", "fastest"),
        ("mtu", "1501"),
        ("mtu", "49"),
        ("mtu", "0"),
        ("sndwnd", "0"),
        ("sndwnd", "-7"),
        ("rcvwnd", "0"),
        ("datashard", "300"),
        ("datashard", "-1"),
        ("dscp", "64"),
    ] {
        warned(flag, value, &format!("--{flag}={value}"));
    }
    for (flag, value) in [("interval", "5"), ("interval", "9000"), ("resend", "-1"), ("nc", "-1")] {
        warned(flag, value, &format!("--mode manual --{flag}={value}"));
    }
}

/// The flags work at the client, against a server with default flags, and both the flag and the
/// value stand in one line of warning.
fn warned(flag: &str, value: &str, args: &str) {
    let tunnel = Case::new(args).client(args).start(OURS_ALONE);
    tunnel.run(&Job::small()).unwrap_or_else(|error| panic!("{args}: {error}"));
    let named =
        |line: &str| line.contains("warning") && line.contains(flag) && line.contains(value);
    assert!(tunnel.client.wait_line(LIMIT, named).is_some(), "{args}: no warning");
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn a_port_in_use_is_named() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    refused(Role::Client, &format!("-l 127.0.0.1:{port} -r 127.0.0.1:9"), &[&port.to_string()]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    refused(Role::Server, &format!("-l 127.0.0.1:{port} -t 127.0.0.1:9"), &[&port.to_string()]);
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn a_flood_of_garbage_at_the_server_does_not_stop_a_transfer() {
    let mut tunnel = Case::new("flood").start(OURS_ALONE);
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, tunnel.server_port()));
    let stop = AtomicBool::new(false);
    let (sent, outcome) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood(server, &stop));
        let outcome = tunnel.run(&Job { connections: 2, ..Job::default() });
        stop.store(true, Ordering::Relaxed);
        (flood.join().unwrap(), outcome)
    });
    outcome.unwrap();
    assert!(sent > 100, "only {sent} garbage datagrams were sent");
    assert!(tunnel.server.is_running() && tunnel.client.is_running());
    tunnel.run(&Job::small()).expect("the tunnel works after the flood");
}

/// Random bytes of every length from several addresses, some 10,000 a second.
fn flood(server: SocketAddr, stop: &AtomicBool) -> u64 {
    let sockets: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut noise = vec![0; 64 << 10];
    let mut state = 1u64;
    for byte in &mut noise {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        for socket in &sockets {
            let (at, len) = ((sent as usize * 997) % 60_000, (sent as usize * 31) % 1500);
            // A full socket buffer only means that the flood is fast enough.
            let _ = socket.send_to(&noise[at..at + len], server);
            sent += 1;
        }
        std::thread::sleep(Duration::from_micros(700));
    }
    sent
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn an_unreachable_target_closes_the_stream_and_not_the_tunnel() {
    let port = free_port();
    let (server, entrance) = (free_port(), free_port());
    let mut server_process =
        ours(Role::Server, &format!("-l 127.0.0.1:{server} -t 127.0.0.1:{port}"));
    server_process.wait_udp(server);
    let mut client = ours(Role::Client, &format!("-l 127.0.0.1:{entrance} -r 127.0.0.1:{server}"));
    client.wait_tcp(entrance);
    let entrance = SocketAddr::from((Ipv4Addr::LOCALHOST, entrance));
    for _ in 0..3 {
        let start = Instant::now();
        let error = Job::small().run(entrance).expect_err("there is no target");
        // Closed, rather than left to wait for the job's patience of ten seconds.
        assert!(start.elapsed() < Duration::from_secs(8), "{error}");
    }
    let target = Target::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Job::small().run(entrance).expect("the same tunnel carries traffic once there is a target");
    assert!(target.complaints().is_empty());
    assert!(server_process.is_running() && client.is_running());
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn a_client_started_before_its_server_works_once_there_is_one() {
    let (target, server, entrance) = (Target::start(), free_port(), free_port());
    let mut client = ours(Role::Client, &format!("-l 127.0.0.1:{entrance} -r 127.0.0.1:{server}"));
    client.wait_tcp(entrance);
    let entrance = SocketAddr::from((Ipv4Addr::LOCALHOST, entrance));
    let brief = Job { patience: Duration::from_secs(1), ..Job::small() };
    brief.run(entrance).expect_err("there is no server");
    assert!(client.is_running());
    let mut process = ours(Role::Server, &format!("-l 127.0.0.1:{server} -t {}", target.address()));
    process.wait_udp(server);
    let works = wait_until(Duration::from_secs(15), || brief.run(entrance).is_ok());
    assert!(works, "no new connection works");
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn a_client_without_a_network_or_a_name_keeps_listening() {
    for remote in ["192.0.2.1:29900", "no-such-host.invalid:29900"] {
        let entrance = free_port();
        let mut client = ours(Role::Client, &format!("-l 127.0.0.1:{entrance} -r {remote}"));
        client.wait_tcp(entrance);
        let job = Job { patience: Duration::from_secs(1), ..Job::small() };
        job.run(SocketAddr::from((Ipv4Addr::LOCALHOST, entrance))).expect_err("nobody is there");
        assert!(client.is_running(), "{remote}");
        client.signal(Signal::TERM);
        assert_eq!(
            client.wait_exit(END_LIMIT).and_then(|status| status.code()),
            Some(0),
            "{remote}"
        );
    }
}

/// A tunnel with a transfer going on that will not end by itself.
fn with_busy_tunnel(work: impl FnOnce(&mut Tunnel)) {
    let mut tunnel = Case::new("busy").link("delay=5ms,rate=5mbit").start(OURS_ALONE);
    let entrance = tunnel.entrance();
    let endless = Job { connections: 2, up: 1 << 40, down: 1 << 40, patience: LIMIT };
    let job = std::thread::spawn(move || endless.run(entrance));
    let relay = tunnel.relay.as_ref().expect("asked for");
    let flows = wait_until(LIMIT, || relay.stats().1.datagrams_out > 100);
    assert!(flows, "the transfer does not begin");
    work(&mut tunnel);
    drop(tunnel);
    job.join().unwrap().expect_err("the tunnel is gone");
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn signals_end_both_in_two_seconds_idle_or_busy() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut idle = Case::new("idle").start(OURS_ALONE);
        for process in [&mut idle.client, &mut idle.server] {
            process.signal(signal);
            let status = process.wait_exit(END_LIMIT).expect("ends in time");
            assert_eq!(status.code(), Some(0), "{signal:?}: {}", process.log());
        }
        with_busy_tunnel(|tunnel| {
            for process in [&mut tunnel.client, &mut tunnel.server] {
                process.signal(signal);
                let status = process.wait_exit(END_LIMIT).expect("ends in time");
                assert_eq!(status.code(), Some(0), "{signal:?}: {}", process.log());
            }
        });
    }
}
