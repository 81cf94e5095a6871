//! A socket to the server, and waiting for what comes.

use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use kcptun_async::runtime::{Runtime as _, Timer as _, Udp as _};
use kcptun_net::{BufferSizes, Message, ReceiveBuffers, Received, SocketConfig, UdpSocket};
use kcptun_tokio::{Tokio, TokioTimer, TokioUdp};
use proto_base::Instant;

/// A UDP socket that talks to one server.
pub(super) struct Line {
    udp: TokioUdp,
    timer: TokioTimer,
    buffers: ReceiveBuffers,
    remote: SocketAddr,
    granted: Option<BufferSizes>,
}

/// What waiting brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Datagrams: [`Line::messages`].
    Datagrams,
    /// The server's host says that nothing listens there.
    Refused,
    /// The time has come.
    Time,
}

impl Line {
    /// A socket on a free port.
    ///
    /// # Errors
    /// When there is no route to the server.
    pub(super) fn open(remote: SocketAddr, config: &SocketConfig) -> io::Result<Self> {
        let socket = UdpSocket::bind_for(remote, config)?;
        let granted = socket.buffer_sizes().ok();
        Ok(Self {
            udp: Tokio.udp(socket)?,
            timer: Tokio.timer(),
            buffers: ReceiveBuffers::new(ReceiveBuffers::DEFAULT_MESSAGES),
            remote,
            granted,
        })
    }

    /// Forbids the network to cut datagrams into fragments. `false`: this system cannot.
    pub(super) fn forbid_fragments(&self) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            use rustix::net::sockopt;
            let socket = self.udp.socket();
            match self.remote {
                SocketAddr::V4(_) => {
                    let probe = sockopt::Ipv4PathMtuDiscovery::PROBE;
                    sockopt::set_ip_mtu_discover(socket, probe).is_ok()
                }
                SocketAddr::V6(_) => {
                    let probe = sockopt::Ipv6PathMtuDiscovery::PROBE;
                    sockopt::set_ipv6_mtu_discover(socket, probe).is_ok()
                }
            }
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        false
    }

    /// What the system granted of the socket buffers.
    pub(super) fn granted(&self) -> Option<BufferSizes> {
        self.granted
    }

    /// Sends datagrams of `stride` bytes. What the system does not take is lost, as on the way.
    /// Whether the server's host says that nothing listens there.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub(super) fn send(&self, bytes: &[u8], stride: usize) -> io::Result<bool> {
        Ok(self.udp.socket().send_batch(bytes, stride, self.remote)?.refused)
    }

    /// Waits for datagrams, until `until` at the longest.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub(super) async fn receive(&mut self, until: Instant) -> io::Result<Arrival> {
        let Self { udp, timer, buffers, .. } = self;
        std::future::poll_fn(|cx| {
            loop {
                match udp.poll_recv(cx, buffers) {
                    Poll::Ready(Ok(Received::Messages(0) | Received::Blocked)) => {}
                    Poll::Ready(Ok(Received::Messages(_))) => {
                        return Poll::Ready(Ok(Arrival::Datagrams));
                    }
                    Poll::Ready(Ok(Received::Refused)) => return Poll::Ready(Ok(Arrival::Refused)),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        return timer.poll_until(cx, Some(until)).map(|()| Ok(Arrival::Time));
                    }
                }
            }
        })
        .await
    }

    /// What the last [`receive`](Self::receive) brought.
    pub(super) fn messages(&mut self) -> impl Iterator<Item = Message<'_>> {
        self.buffers.messages()
    }
}
