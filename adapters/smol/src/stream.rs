//! The public names, with smol's traits.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use kcptun_async::{ClientSettings, ServerSettings};
use smol::io::{AsyncRead, AsyncWrite};

use crate::runtime::Smol;

kcptun_async::public_names!(Smol);

impl Client {
    /// As [`new`](Self::new), with its tasks on `runtime`.
    #[must_use]
    pub fn on(runtime: &Smol, settings: ClientSettings) -> Self {
        Self(kcptun_async::Client::new(runtime.clone(), settings))
    }
}

impl Server {
    /// As [`bind`](Self::bind), with its tasks on `runtime`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_on(runtime: &Smol, settings: ServerSettings) -> io::Result<Self> {
        kcptun_async::Server::bind(runtime, settings).map(Self)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
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

    /// Ends this direction only; reading goes on.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.finish();
        Poll::Ready(Ok(()))
    }
}
