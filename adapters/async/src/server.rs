//! The accepting end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use kcptun_net::{SocketConfig, UdpSocket};
use kcptun_tunnel::crypt::PacketCipher;
use kcptun_tunnel::{Config, Endpoint, Side, TunnelStats};

use crate::clock::seed;
use crate::driver::Driver;
use crate::report;
use crate::runtime::Runtime;
use crate::shared::Shared;
use crate::stats::{SessionLimits, Sessions};
use crate::stream::Stream;

/// What a server is told.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Cipher and key.
    pub cipher: PacketCipher,
    /// The layers above.
    pub tunnel: Config,
    /// UDP socket options.
    pub socket: SocketConfig,
}

/// The accepting end of a tunnel: one UDP socket, any number of clients, each with any number of
/// streams. Dropping it ends all of them.
pub struct Server {
    shared: Shared,
    local: SocketAddr,
}

impl Server {
    /// Binds the socket and starts its driver.
    ///
    /// # Errors
    /// When the address cannot be bound, or a setting cannot work.
    pub fn bind<R: Runtime>(runtime: &R, settings: ServerSettings) -> io::Result<Self> {
        let socket = UdpSocket::bind(settings.listen, &settings.socket)?;
        Self::on_socket(runtime, socket, settings)
    }

    /// As [`bind`](Self::bind), on a socket that was bound before with these settings.
    ///
    /// # Errors
    /// When the runtime refuses the socket, or a setting cannot work.
    pub fn on_socket<R: Runtime>(
        runtime: &R,
        socket: UdpSocket,
        settings: ServerSettings,
    ) -> io::Result<Self> {
        let ServerSettings { cipher, tunnel, socket: asked, .. } = settings;
        let (local, granted) = (socket.local_addr()?, socket.buffer_sizes());
        let udp = runtime.udp(socket)?;
        let version = tunnel.smux.version.number();
        let endpoint = Endpoint::new(tunnel, cipher, Side::Server, seed()?);
        let shared = Shared::new(endpoint.map_err(io::Error::other)?);
        shared.lock().local = Some(local);
        let observer = report::server_observer(local, version);
        runtime.spawn(report::small_buffers(asked, granted));
        runtime.spawn(Driver::new(runtime, udp, shared.clone(), false, observer));
        Ok(Self { shared, local })
    }

    /// The next stream that a client opened. A socket that fails is tried again for ever.
    ///
    /// # Errors
    /// When the runtime that the server was bound on has ended.
    pub async fn accept(&self) -> io::Result<Stream> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`accept`](Self::accept).
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let mut state = self.shared.lock();
        match state.poll_accept(cx) {
            Poll::Ready(Some((key, id))) => {
                let remote = state.endpoint.remote(key).unwrap_or(self.local);
                drop(state);
                Poll::Ready(Ok(Stream::new(self.shared.clone(), key, id, remote, None)))
            }
            Poll::Ready(None) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Where the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Counters of all sessions since the server was bound. Costs a look at each live session.
    #[must_use]
    pub fn stats(&self) -> TunnelStats {
        TunnelStats::of(&self.shared.lock().endpoint)
    }

    /// The sessions that live, as many as `limits` allow.
    #[must_use]
    pub fn sessions(&self, limits: SessionLimits) -> Sessions {
        let mut sessions = Sessions::default();
        sessions.add(&self.shared.lock(), limits);
        sessions
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.lock().close();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("local", &self.local).finish_non_exhaustive()
    }
}
