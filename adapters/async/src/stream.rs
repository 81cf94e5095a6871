//! A stream of a tunnel.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use kcptun_tunnel::{ConnectionKey, StreamError, StreamId};
use proto_base::Instant;

use crate::now;
use crate::shared::Shared;

/// One stream through the tunnel: a pipe of bytes in each direction, as reliable as TCP.
///
/// `Send` and `'static`. The adapters give it their runtime's `AsyncRead` and `AsyncWrite`; the
/// methods here are what those are made of. Dropping it ends both directions: what was written is
/// still delivered, what was not read is gone.
pub struct Stream {
    shared: Shared,
    key: ConnectionKey,
    id: StreamId,
    remote: SocketAddr,
    /// Told when the stream goes.
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl Stream {
    pub(crate) fn new(
        shared: Shared,
        key: ConnectionKey,
        id: StreamId,
        remote: SocketAddr,
        on_drop: Option<Box<dyn FnOnce() + Send>>,
    ) -> Self {
        Self { shared, key, id, remote, on_drop }
    }

    /// Reads into `buffer`; 0 is the end of the peer's direction.
    ///
    /// # Errors
    /// `ConnectionReset` when the connection is gone.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let copied = self.poll_read_with(cx, now(), |bytes| {
            let count = bytes.len().min(buffer.len());
            buffer[..count].copy_from_slice(&bytes[..count]);
            (count, count)
        });
        copied.map_ok(|count| count.unwrap_or(0))
    }

    /// Reads by lending: `take` is shown the first bytes that are there and tells how many of them
    /// it took. `None` is the end of the peer's direction.
    ///
    /// `take` runs under the lock of the session, so it must use no stream.
    ///
    /// # Errors
    /// `ConnectionReset` when the connection is gone.
    pub(crate) fn poll_read_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        take: impl FnOnce(&[u8]) -> (usize, T),
    ) -> Poll<io::Result<Option<T>>> {
        let mut state = self.shared.lock();
        let result = state.endpoint.read_with(now, self.key, self.id, take);
        // Windows may have opened, which the peer has to hear of; and what smux had no room for may
        // have come to other streams, or ended the session.
        state.wake_driver_if_due(now);
        match result {
            Ok(result) => Poll::Ready(Ok(Some(result))),
            Err(StreamError::Blocked) => {
                state.wait_read(self.key, self.id, cx);
                Poll::Pending
            }
            Err(StreamError::Finished) => Poll::Ready(Ok(None)),
            Err(_) if state.has_ended(self.key, self.id) => Poll::Ready(Ok(None)),
            Err(_) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// Writes a part of `data`; at least one byte.
    ///
    /// # Errors
    /// `ConnectionReset` when the connection is gone, `BrokenPipe` after [`finish`](Self::finish).
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.poll_write_with(cx, now(), data.len(), |slot| {
            let count = slot.len().min(data.len());
            slot[..count].copy_from_slice(&data[..count]);
            (count, count)
        })
    }

    /// Writes by lending: `fill` gets up to `wanted` bytes of the memory from which they will be
    /// sent and tells how many of them it filled. It may fill none.
    ///
    /// `fill` runs under the lock of the session, so it must use no stream.
    ///
    /// # Errors
    /// As [`poll_write`](Self::poll_write).
    pub(crate) fn poll_write_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        wanted: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, T),
    ) -> Poll<io::Result<T>> {
        let mut state = self.shared.lock();
        let mut filled = 0;
        let result = state.endpoint.write_with(now, self.key, self.id, wanted, |slot| {
            let (count, result) = fill(slot);
            filled = count;
            (count, result)
        });
        if filled > 0 {
            state.wake_driver();
        } else {
            state.wake_driver_if_due(now);
        }
        match result {
            Ok(result) => Poll::Ready(Ok(result)),
            Err(StreamError::Blocked) => {
                state.wait_write(self.key, self.id, cx);
                Poll::Pending
            }
            Err(StreamError::Closed) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Err(_) if state.has_ended(self.key, self.id) => {
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
            Err(_) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// Ends this direction behind what was written; reading goes on.
    pub fn finish(&mut self) {
        let mut state = self.shared.lock();
        state.endpoint.finish(now(), self.key, self.id);
        state.wake_driver();
    }

    /// Whether the peer, which may have ended its direction, has said that it still reads this one.
    pub(crate) fn peer_reads(&self) -> bool {
        self.shared.lock().endpoint.peer_reads(self.key, self.id)
    }

    /// Address of the peer's end of the tunnel.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Number of the stream in its connection, as logs name it.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.id.wire()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.forget(self.key, self.id);
            state.endpoint.abort(now(), self.key, self.id);
            state.wake_driver();
        }
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("number", &self.number())
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}
