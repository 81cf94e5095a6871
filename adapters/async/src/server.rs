//! The accepting end.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use kcptun_net::{SocketConfig, UdpSocket};
use kcptun_tunnel::crypt::PacketCipher;
use kcptun_tunnel::{Config, Endpoint, Side, TunnelStats};

use crate::clock::seed;
use crate::driver::Driver;
use crate::report;
use crate::runtime::Runtime;
use crate::shared::{Acceptor, Shared, State};
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

    /// The next stream that a client opened, from each session in turn. Any number of tasks may
    /// wait at once, and any of them may give up. A socket that fails is tried again for ever.
    ///
    /// # Errors
    /// When the runtime that the server was bound on has ended.
    pub async fn accept(&self) -> io::Result<Stream> {
        let mut waiting = Waiting { server: self, number: None };
        poll_fn(|cx| waiting.poll(cx)).await
    }

    /// As [`accept`](Self::accept), for one task: of several, only the one that called last is
    /// woken.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        self.poll(cx, &mut self.shared.lock(), Acceptor::default())
    }

    fn poll(&self, cx: &Context<'_>, state: &mut State, who: Acceptor) -> Poll<io::Result<Stream>> {
        let Some((key, id)) = ready!(state.poll_accept(cx, who)) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let remote = state.endpoint.remote(key).unwrap_or(self.local);
        Poll::Ready(Ok(Stream::new(self.shared.clone(), key, id, remote, None)))
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

/// A task that waits for a stream.
struct Waiting<'s> {
    server: &'s Server,
    /// By which it is known; `None` before it has asked.
    number: Option<Acceptor>,
}

impl Waiting<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<Stream>> {
        let mut state = self.server.shared.lock();
        let number = *self.number.get_or_insert_with(|| state.new_acceptor());
        self.server.poll(cx, &mut state, number)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.server.shared.lock().dismiss(number);
        }
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
