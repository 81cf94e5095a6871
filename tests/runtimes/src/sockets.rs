//! UDP sockets in a reactor.

use std::future::poll_fn;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use kcptun_async::runtime::{Runtime, Udp as _};
use kcptun_async::{Offload, SocketConfig};
use kcptun_net::{ReceiveBuffers, Received};

use crate::support::within;

/// Many datagrams arrive before anybody looks, more than one call takes: all are received, though
/// the reactor tells of the change only once.
pub async fn datagrams_that_came_at_once_are_all_received<R: Runtime>(runtime: R) {
    const COUNT: usize = 20;

    for offload in [Offload::Segments, Offload::Batches, Offload::Single] {
        let config = SocketConfig { offload, ..SocketConfig::default() };
        let socket = kcptun_net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into(), &config);
        let socket = socket.expect("a free port");
        let to = socket.local_addr().expect("an address");
        let mut udp = runtime.udp(socket).expect("a reactor");
        let mut buffers = ReceiveBuffers::new(ReceiveBuffers::DEFAULT_MESSAGES);
        for round in 0..3 {
            for _ in 0..COUNT {
                // Each by a socket of its own, so that the kernel joins none of them.
                let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
                sender.send_to(b"datagram", to).expect("loopback takes it");
            }
            let mut count = 0;
            while count < COUNT {
                let receiving = poll_fn(|cx| udp.poll_recv(cx, &mut buffers));
                let received = within(&runtime, Duration::from_secs(5), receiving).await;
                let received = received.unwrap_or_else(|| {
                    panic!("{offload:?}, round {round}: {count} of {COUNT}, the others are left")
                });
                match received.expect("the socket works") {
                    Received::Messages(more) => count += more,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
