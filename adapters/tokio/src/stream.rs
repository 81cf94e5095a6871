//! The public names, with tokio's traits.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use kcptun_async::{ClientSettings, ServerSettings};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::runtime::Tokio;

/// The dialling end of a tunnel: see [`kcptun_async::Client`].
#[derive(Debug, Clone)]
pub struct Client(kcptun_async::Client<Tokio>);

impl Client {
    /// A client. Nothing is dialled before the first stream is opened. Call it inside a runtime.
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        Self(kcptun_async::Client::new(Tokio, settings))
    }

    /// Opens a stream to the server; see [`kcptun_async::Client::open`].
    ///
    /// # Errors
    /// When several sessions in a row died before a stream could be opened.
    pub async fn open(&self) -> io::Result<Stream> {
        self.0.open().await.map(Stream)
    }
}

/// The accepting end of a tunnel: see [`kcptun_async::Server`].
#[derive(Debug)]
pub struct Server(kcptun_async::Server);

impl Server {
    /// Binds the socket and starts its driver. Call it inside a runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, or a setting cannot work.
    pub fn bind(settings: ServerSettings) -> io::Result<Self> {
        kcptun_async::Server::bind(&Tokio, settings).map(Self)
    }

    /// The next stream that a client opened.
    ///
    /// # Errors
    /// When the socket failed; the reason was logged.
    pub async fn accept(&self) -> io::Result<Stream> {
        self.0.accept().await.map(Stream)
    }

    /// Where the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }
}

/// One stream through the tunnel; see [`kcptun_async::Stream`]. `shutdown` ends this direction only.
#[derive(Debug)]
pub struct Stream(kcptun_async::Stream);

impl Stream {
    /// Address of the peer's end of the tunnel.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.0.remote()
    }

    /// Number of the stream in its connection.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0.number()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = ready!(self.0.poll_read(cx, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, data)
    }

    /// Nothing to do: what was written is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.finish();
        Poll::Ready(Ok(()))
    }
}
