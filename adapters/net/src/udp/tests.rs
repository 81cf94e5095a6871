//! One suite for every backend on either side: whatever cuts and joins the datagrams, the same
//! datagrams arrive.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const OFFLOADS: [Offload; 3] = [Offload::Segments, Offload::Batches, Offload::Single];
/// Where the receiver is bound and what the sender calls it.
const FAMILIES: [(&str, &str); 3] =
    [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")];

fn config(offload: Offload) -> SocketConfig {
    SocketConfig { offload, ..SocketConfig::default() }
}

fn bound(address: &str, offload: Offload) -> UdpSocket {
    UdpSocket::bind(address.parse().unwrap(), &config(offload)).unwrap()
}

/// `count` datagrams, waited for at most ten seconds, each with its sender.
fn collect(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut buffers = ReceiveBuffers::new(3);
    let mut datagrams = Vec::new();
    let start = Instant::now();
    while datagrams.len() < count {
        assert!(start.elapsed() < Duration::from_secs(10), "{} of {count}", datagrams.len());
        match socket.recv_batch(&mut buffers).unwrap() {
            Received::Messages(received) => {
                assert_eq!(received, buffers.len());
                for message in buffers.messages() {
                    let parts = message.bytes.chunks(message.stride);
                    datagrams.extend(parts.map(|part| (message.from, part.to_vec())));
                }
            }
            Received::Blocked => std::thread::sleep(Duration::from_micros(50)),
            Received::Refused => panic!("nobody is connected"),
        }
    }
    datagrams
}

/// Sends all of it, waiting where the socket is full.
fn send_all(socket: &UdpSocket, mut bytes: &[u8], stride: usize, to: SocketAddr) {
    while !bytes.is_empty() {
        let outcome = socket.send_batch(bytes, stride, to).unwrap();
        assert_eq!(outcome.lost, 0, "{:?}", outcome.error);
        bytes = bytes.get(outcome.done() * stride..).unwrap_or_default();
        if outcome.blocked {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 251 + n) as u8).collect()
}

fn expect_datagrams(
    sender: &UdpSocket,
    receiver: &UdpSocket,
    host: &str,
    bytes: &[u8],
    stride: usize,
) {
    let to = SocketAddr::new(host.parse().unwrap(), receiver.local_addr().unwrap().port());
    send_all(sender, bytes, stride, to);
    let received = collect(receiver, bytes.len().div_ceil(stride));
    let from = SocketAddr::new(to.ip(), sender.local_addr().unwrap().port());
    assert!(received.iter().all(|(sent_by, _)| *sent_by == from), "{:?}", received[0].0);
    let received: Vec<_> = received.into_iter().map(|(_, datagram)| datagram).collect();
    assert!(received.iter().eq(bytes.chunks(stride)), "{} bytes by {stride}", bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_backend_carries_the_same_datagrams(
        stride in prop_oneof![1usize..=64, 1usize..=1500],
        datagrams in prop_oneof![1usize..=4, 1usize..=64, 60usize..=130],
        short in any::<prop::sample::Index>(),
    ) {
        let bytes = payload((datagrams - 1) * stride + short.index(stride) + 1);
        for (bind, host) in FAMILIES {
            for receiving in OFFLOADS {
                let receiver = bound(bind, receiving);
                for sending in OFFLOADS {
                    // A socket of the same kind, so that the dual one sends to IPv4 as well.
                    let sender = bound(bind, sending);
                    expect_datagrams(&sender, &receiver, host, &bytes, stride);
                    if bind.starts_with("[::]") {
                        expect_datagrams(&sender, &receiver, "::1", &bytes, stride);
                    }
                }
            }
        }
    }
}

/// Who believes [`ReceiveBuffers::is_drained`] and waits for a change has left nothing unread.
#[test]
fn what_is_drained_holds_nothing_more() {
    for offload in OFFLOADS {
        // Each datagram from a socket of its own, so that none are joined.
        for waiting in [1, 2, 3, 4, 20] {
            let receiver = bound("127.0.0.1:0", offload);
            let to = receiver.local_addr().unwrap();
            let senders: Vec<_> = (0..waiting).map(|_| bound("127.0.0.1:0", offload)).collect();
            senders.iter().for_each(|sender| send_all(sender, b"datagram", 8, to));
            let (mut buffers, mut received) = (ReceiveBuffers::new(3), 0);
            while !buffers.is_drained() {
                match receiver.recv_batch(&mut buffers).unwrap() {
                    Received::Messages(count) => received += count,
                    Received::Blocked => break,
                    Received::Refused => panic!("nobody is connected"),
                }
            }
            assert_eq!(received, waiting, "{offload:?}");
            assert_eq!(receiver.recv_batch(&mut buffers).unwrap(), Received::Blocked);
            assert!(!buffers.is_drained());
        }
    }
}

#[test]
fn connected_sockets_carry_them_too() {
    for offload in OFFLOADS {
        for (bind, host) in FAMILIES {
            let receiver = bound(bind, Offload::Segments);
            let port = receiver.local_addr().unwrap().port();
            let to = SocketAddr::new(host.parse().unwrap(), port);
            let sender = UdpSocket::bind_for(to, &config(offload)).unwrap();
            assert_eq!(sender.peer_addr(), Some(to));
            let bytes = payload(20_001);
            send_all(&sender, &bytes, 1000, to);
            let from = sender.local_addr().unwrap();
            let received = collect(&receiver, 21);
            assert!(received.iter().all(|(sent_by, _)| *sent_by == from));
            assert!(received.iter().map(|(_, d)| d.as_slice()).eq(bytes.chunks(1000)));
            // And back, while datagrams of a stranger stay outside.
            let stranger = bound(if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }, offload);
            stranger.send_batch(&[1; 10], 10, from).unwrap();
            send_all(&receiver, &bytes, 1000, from);
            let received = collect(&sender, 21);
            assert!(received.iter().all(|(sent_by, _)| *sent_by == to));
            assert!(received.iter().map(|(_, d)| d.as_slice()).eq(bytes.chunks(1000)));
        }
    }
}

#[test]
fn an_empty_datagram_is_a_message_without_bytes() {
    for offload in OFFLOADS {
        let receiver = bound("127.0.0.1:0", offload);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(&[], receiver.local_addr().unwrap()).unwrap();
        let mut buffers = ReceiveBuffers::new(1);
        while receiver.recv_batch(&mut buffers).unwrap() == Received::Blocked {}
        let message = buffers.messages().next().unwrap();
        assert_eq!((message.bytes.len(), message.stride), (0, 1));
        assert_eq!(message.from, sender.local_addr().unwrap());
    }
}

#[test]
fn the_largest_datagram_passes_and_a_larger_one_is_lost() {
    for offload in OFFLOADS {
        let receiver = bound("127.0.0.1:0", Offload::Segments);
        let to = receiver.local_addr().unwrap();
        let sender = bound("127.0.0.1:0", offload);
        let bytes = payload(65_507);
        send_all(&sender, &bytes, bytes.len(), to);
        assert_eq!(collect(&receiver, 1)[0].1, bytes);

        // Two too large, then a short one.
        let outcome = sender.send_batch(&[9; 2 * 65_508 + 5], 65_508, to).unwrap();
        assert_eq!((outcome.sent, outcome.lost, outcome.blocked), (1, 2, false));
        assert!(outcome.error.is_some());
        assert_eq!(collect(&receiver, 1)[0].1, [9; 5]);
    }
}

#[test]
fn impossible_peers_lose_datagrams_and_nothing_else() {
    for offload in OFFLOADS {
        let sender = bound("127.0.0.1:0", offload);
        for nowhere in ["127.0.0.1:0", "[2001:db8::1]:9"] {
            let outcome = sender.send_batch(&[1; 300], 100, nowhere.parse().unwrap()).unwrap();
            assert_eq!((outcome.sent, outcome.lost), (0, 3), "{nowhere}");
        }
        let receiver = bound("127.0.0.1:0", offload);
        expect_datagrams(&sender, &receiver, "127.0.0.1", &payload(3000), 1000);
        let plain = bound("127.0.0.1:0", offload);
        assert_eq!(sender.offload(), plain.offload());
    }
}

#[test]
fn misuse_is_refused() {
    let socket = bound("127.0.0.1:0", Offload::Segments);
    let to = socket.local_addr().unwrap();
    let kind = |outcome: io::Result<SendOutcome>| outcome.unwrap_err().kind();
    assert_eq!(kind(socket.send_batch(&[1], 0, to)), io::ErrorKind::InvalidInput);
    let connected = UdpSocket::bind_for(to, &SocketConfig::default()).unwrap();
    let elsewhere = "127.0.0.2:9".parse().unwrap();
    assert_eq!(kind(connected.send_batch(&[1], 1, elsewhere)), io::ErrorKind::InvalidInput);
    assert_eq!(socket.send_batch(&[], 1, to).unwrap(), SendOutcome::default());
}

#[test]
fn refusals_are_reported_in_both_directions_and_harm_nothing() {
    for offload in OFFLOADS {
        for host in ["127.0.0.1", "[::1]"] {
            let gone = bound(&format!("{host}:0"), offload);
            let to = gone.local_addr().unwrap();
            drop(gone);
            let socket = UdpSocket::bind_for(to, &config(offload)).unwrap();
            let mut buffers = ReceiveBuffers::new(1);
            let wait_for = |what: &str, mut seen: Box<dyn FnMut() -> bool + '_>| {
                let start = Instant::now();
                while !seen() {
                    assert!(start.elapsed() < Duration::from_secs(10), "{what} {offload:?} {to}");
                }
            };
            socket.send_batch(&[1; 50], 50, to).unwrap();
            wait_for(
                "receive",
                Box::new(|| socket.recv_batch(&mut buffers).unwrap() == Received::Refused),
            );
            wait_for(
                "send",
                Box::new(|| {
                    let outcome = socket.send_batch(&[1; 50], 50, to).unwrap();
                    assert_eq!((outcome.sent, outcome.lost), (1, 0));
                    outcome.refused
                }),
            );
            // A batch meets refusals on its way and still leaves.
            let outcome = socket.send_batch(&[1; 500], 50, to).unwrap();
            assert_eq!((outcome.sent, outcome.lost, outcome.blocked), (10, 0, false));
            // The peer comes back on its port: the same socket reaches it.
            let back = bound(&to.to_string(), offload);
            send_all(&socket, &payload(500), 50, to);
            assert_eq!(collect(&back, 10).len(), 10);
        }
    }
}

#[test]
fn a_port_in_use_is_named_and_shards_may_share_one() {
    let first = bound("127.0.0.1:0", Offload::Segments);
    let address = first.local_addr().unwrap();
    let error = UdpSocket::bind(address, &SocketConfig::default()).unwrap_err();
    let sentence = format!("cannot listen on {address}/udp: port in use by another program");
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::AddrInUse, sentence));

    #[cfg(unix)]
    {
        let shared = SocketConfig { reuse_port: true, ..SocketConfig::default() };
        let first = UdpSocket::bind("[::]:0".parse().unwrap(), &shared).unwrap();
        UdpSocket::bind(first.local_addr().unwrap(), &shared).unwrap();
    }
}

#[test]
fn ipv6_only_leaves_the_ipv4_port_free() {
    let only = SocketConfig { only_v6: true, ..SocketConfig::default() };
    let v6 = UdpSocket::bind("[::]:0".parse().unwrap(), &only).unwrap();
    let port = v6.local_addr().unwrap().port();
    let v4 = bound(&format!("0.0.0.0:{port}"), Offload::Segments);
    expect_datagrams(&bound("127.0.0.1:0", Offload::Segments), &v4, "127.0.0.1", &[3; 10], 5);
}

#[test]
fn buffer_sizes_are_reported_as_asked() {
    let small =
        SocketConfig { send_buffer: 65_536, receive_buffer: 131_072, ..config(OFFLOADS[0]) };
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &small).unwrap();
    let sizes = socket.buffer_sizes().unwrap();
    assert_eq!(sizes, BufferSizes { send: 65_536, receive: 131_072 });
}

#[cfg(target_os = "linux")]
mod on_linux {
    use super::*;
    use crate::udp::linux::receive_with_class;

    #[test]
    fn traffic_class_at_the_receiver() {
        // dscp, TOS of IPv4 packets, class of IPv6 packets.
        for (dscp, tos, class) in [(0, 0, 0), (46, 184, 46), (63, 252, 63), (8, 32, 8)] {
            for offload in OFFLOADS {
                for (bind, host, expected) in [
                    ("127.0.0.1:0", "127.0.0.1", tos),
                    ("[::]:0", "127.0.0.1", tos),
                    ("[::]:0", "::1", class),
                ] {
                    let receiver = std::net::UdpSocket::bind((host, 0)).unwrap();
                    receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                    let options = SockRef::from(&receiver);
                    if host == "::1" {
                        options.set_recv_tclass_v6(true).unwrap();
                    } else {
                        options.set_recv_tos_v4(true).unwrap();
                    }
                    let config = SocketConfig { dscp, ..config(offload) };
                    let sender = UdpSocket::bind(bind.parse().unwrap(), &config).unwrap();
                    send_all(&sender, &payload(3500), 1000, receiver.local_addr().unwrap());
                    for datagram in payload(3500).chunks(1000) {
                        let (bytes, seen) = receive_with_class(&receiver).unwrap();
                        assert_eq!(bytes, datagram);
                        assert_eq!(seen, Some(expected), "{dscp} {offload:?} {bind} {host}");
                    }
                }
            }
        }
    }

    #[test]
    fn segments_travel_together() {
        let receiver = bound("127.0.0.1:0", Offload::Segments);
        let sender = bound("127.0.0.1:0", Offload::Segments);
        if sender.offload() != Offload::Segments {
            return; // a kernel before 4.18, where the suite above is all there is to say
        }
        send_all(&sender, &payload(40 * 1000), 1000, receiver.local_addr().unwrap());
        let mut buffers = ReceiveBuffers::new(1);
        assert_eq!(receiver.recv_batch(&mut buffers).unwrap(), Received::Messages(1));
        let message = buffers.messages().next().unwrap();
        assert_eq!((message.stride, message.bytes.len()), (1000, 40 * 1000));
    }

    #[test]
    fn a_kernel_that_refuses_segments_is_asked_once() {
        // Without UDP checksums the kernel answers EINVAL to UDP_SEGMENT.
        let sender = bound("127.0.0.1:0", Offload::Segments);
        linux::without_checksums(&sender.io).unwrap();
        let receiver = bound("127.0.0.1:0", Offload::Segments);
        for _ in 0..2 {
            expect_datagrams(&sender, &receiver, "127.0.0.1", &payload(20_001), 1000);
            assert_eq!(sender.offload(), Offload::Batches);
        }
    }

    #[test]
    fn drops_are_counted() {
        let tiny = SocketConfig { receive_buffer: 4096, ..config(Offload::Segments) };
        let receiver = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &tiny).unwrap();
        if receiver.dropped().is_none() && cfg!(not(target_arch = "x86_64")) {
            return; // qemu's user mode keeps the count to itself
        }
        assert_eq!(receiver.dropped(), Some(0));
        let sender = bound("127.0.0.1:0", Offload::Batches);
        sender.send_batch(&[1; 100_000], 1000, receiver.local_addr().unwrap()).unwrap();
        assert!(receiver.dropped().unwrap() > 50);
    }

    #[test]
    fn large_packets_may_be_fragmented() {
        // IP_PMTUDISC_DONT or IP_PMTUDISC_WANT, never one that forbids it.
        let v4 = bound("127.0.0.1:0", Offload::Segments);
        let dual = bound("[::]:0", Offload::Segments);
        assert!(linux::path_mtu_modes(&v4.io)[0].is_some_and(|mode| mode <= 1));
        assert!(linux::path_mtu_modes(&dual.io).iter().all(|mode| mode.is_some_and(|m| m <= 1)));
    }
}
