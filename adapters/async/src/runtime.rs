//! What a runtime must offer: sockets with readiness, a timer, and tasks.
//!
//! Everything else is written once, in this crate. See `kcptun-tokio` for an implementation.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use kcptun_net::{ReceiveBuffers, Received, SendOutcome, TargetAddress, UdpSocket};
use proto_base::Instant;

/// An async runtime.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A UDP socket registered with it.
    type Udp: Udp;
    /// Its timer.
    type Timer: Timer;
    /// A TCP connection or unix stream.
    type Bytes: Bytes;
    /// A listener for those.
    type Listener: Listener<Bytes = Self::Bytes>;

    /// Registers a UDP socket.
    ///
    /// # Errors
    /// When the runtime's reactor refuses it.
    fn udp(&self, socket: UdpSocket) -> io::Result<Self::Udp>;

    /// A timer that is not set.
    fn timer(&self) -> Self::Timer;

    /// Registers a bound listener.
    ///
    /// # Errors
    /// When the runtime's reactor refuses it.
    fn listener(&self, listener: kcptun_net::tcp::Listener) -> io::Result<Self::Listener>;

    /// Connects to a server's target.
    ///
    /// # Errors
    /// Why it cannot be reached.
    fn connect(
        &self,
        target: TargetAddress,
    ) -> impl Future<Output = io::Result<Self::Bytes>> + Send;

    /// Runs a task to its end.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Runs work that blocks (name resolution) where it does no harm.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;
}

/// A UDP socket that tells its readiness.
pub trait Udp: Send + Unpin + 'static {
    /// Receives, or waits until something can be received.
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut ReceiveBuffers,
    ) -> Poll<io::Result<Received>>;

    /// Sends datagrams of `stride` bytes, or waits until at least one can be sent.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        stride: usize,
        to: SocketAddr,
    ) -> Poll<io::Result<SendOutcome>>;

    /// The socket itself, for its addresses.
    fn socket(&self) -> &UdpSocket;
}

/// A timer that can be set again.
pub trait Timer: Send + Unpin + 'static {
    /// Ready once `deadline` of [`now`](crate::now) has passed; wakes the task then. `None` never
    /// is.
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()>;
}

/// A stream of bytes of the operating system.
pub trait Bytes: Send + Unpin + 'static {
    /// Reads into `buffer`; 0 is the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes a part of `data`.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

    /// Whether the other side may still send, found out without reading; see
    /// [`kcptun_net::tcp::is_sending`].
    ///
    /// # Errors
    /// What broke the connection.
    fn is_sending(&mut self) -> io::Result<bool>;

    /// Sends the end (FIN); reading goes on.
    ///
    /// # Errors
    /// Those of the system.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the coming drop a reset instead of an orderly end, so that the other side does not
    /// take bytes that were cut short for the whole.
    fn reset_on_drop(&mut self);

    /// The other side, for logs.
    fn peer(&self) -> String;
}

/// A listener for streams of bytes.
pub trait Listener: Send + Sync + 'static {
    /// What it accepts.
    type Bytes: Bytes;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Bytes>> + Send;

    /// Where it listens, for logs.
    fn local(&self) -> String;
}
