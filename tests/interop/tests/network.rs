//! What needs more than loopback sockets: the TOS on the wire, and paths with a small MTU.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use kcptun_interop::{
    BOTH_WAYS, Capture, Case, Job, Maker, Namespace, Pair, Process, Role, Target, flags, free_port,
};

/// Dscp 46, expedited forwarding: 46 << 2 in IPv4.
const TOS_V4: u8 = 184;
/// kcp-go 5.6.1 sets the traffic class to the value as it is.
const CLASS_V6: u8 = 46;

/// What our client sends, seen in front of a server that never answers.
fn tos_of_client(server: &str) -> (u8, bool) {
    let sink = UdpSocket::bind(server).unwrap_or_else(|error| {
        panic!("no UDP socket on {server}, has this machine IPv6? {error}")
    });
    let remote = sink.local_addr().expect("bound");
    let capture = Capture::start(remote.port());
    let entrance = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let args = flags(&format!("-l {entrance} -r {remote} --dscp 46"));
    let mut client = Process::start("client", &Maker::Ours.binary(Role::Client), &args);
    client.wait_tcp(entrance.port());
    // A connection makes the client send; a connected UDP socket alone would not.
    let _stream = TcpStream::connect(entrance).expect("the client listens");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let packet = capture.next(Duration::from_secs(10)).expect("the client sends");
        assert_eq!(packet.to, remote.port());
        seen.push((packet.tos, packet.is_ipv6));
    }
    assert!(seen.iter().all(|each| *each == seen[0]), "{seen:?}");
    seen[0]
}

#[test]
#[ignore = "needs the release binaries and root; run by cargo xtask test"]
fn the_client_s_dscp_is_on_the_wire() {
    assert_eq!(tos_of_client("127.0.0.1:0"), (TOS_V4, false));
    assert_eq!(tos_of_client("[::1]:0"), (CLASS_V6, true));
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn the_server_s_dscp_is_on_the_wire() {
    let pair = Pair { client: Maker::Debian, server: Maker::Ours };
    let tunnel = Case::new("dscp").server("--dscp 46").link("").start(pair);
    let relay = tunnel.relay.as_ref().expect("asked for").address();
    // The server's port is the one that is not the relay's; its datagrams carry the TOS.
    let server = tunnel.server_port();
    let capture = Capture::start(server);
    tunnel.run(&Job::small()).unwrap();
    assert_ne!(relay.port(), server);
    let mut replies = 0;
    while let Some(packet) = capture.next(Duration::from_millis(300)) {
        if packet.from == server {
            assert_eq!(packet.tos, TOS_V4);
            replies += 1;
        }
    }
    assert!(replies > 0, "the server answered");
}

/// Client and server in network namespaces of their own; all that differs is how these are
/// joined. Everything declared later is dropped earlier, so the namespaces go last.
fn carries_traffic(pair: Pair, near: &Namespace, far: &Namespace, far_address: &str) {
    let job = Job { connections: 2, up: 512 << 10, down: 512 << 10, ..Job::default() };
    let target = far.run(Target::start);
    let port = free_port();
    let args = flags(&format!("--listen :{port} --target {} --mtu 1350", target.address()));
    let mut server =
        Process::spawn("server", far.command(&pair.server.binary(Role::Server), &args));
    server.wait_udp(port);
    let entrance = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let args = flags(&format!("-l {entrance} -r {far_address}:{port} --mtu 1350"));
    let mut client =
        Process::spawn("client", near.command(&pair.client.binary(Role::Client), &args));
    client.wait_tcp(entrance.port());
    let outcome = near.run(|| job.run(entrance));
    // Its listener can be woken only from inside.
    far.run(|| drop(target));
    outcome.unwrap_or_else(|error| panic!("{pair:?}: {error}"));
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn a_path_of_mtu_1280_carries_mtu_1350() {
    for pair in BOTH_WAYS {
        let (near, far) = (Namespace::create("near"), Namespace::create("far"));
        near.join("10.77.1.1/24", &far, "10.77.1.2/24", "veth", 1280);
        carries_traffic(pair, &near, &far, "10.77.1.2");
    }
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn a_router_with_mtu_1280_further_on_carries_mtu_1350() {
    for pair in BOTH_WAYS {
        let (near, far) = (Namespace::create("home"), Namespace::create("away"));
        let router = Namespace::create("router");
        near.join("10.77.2.1/24", &router, "10.77.2.2/24", "inside", 1500);
        router.join("10.77.3.1/24", &far, "10.77.3.2/24", "outside", 1280);
        near.route_all_by("10.77.2.2");
        far.route_all_by("10.77.3.1");
        router.forward();
        carries_traffic(pair, &near, &far, "10.77.3.2");
    }
}

#[test]
#[ignore = "needs root; run by cargo xtask test"]
fn a_failing_test_leaves_no_namespace_behind() {
    let count = || {
        std::fs::read_dir("/run/netns")
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .ends_with(&format!("-{}-doomed", std::process::id()))
            })
            .count()
    };
    let outcome = std::panic::catch_unwind(|| {
        let namespace = Namespace::create("doomed");
        assert_eq!(count(), 1);
        namespace.run(|| panic!("as a failing test would"));
    });
    assert!(outcome.is_err());
    assert_eq!(count(), 0);
}
