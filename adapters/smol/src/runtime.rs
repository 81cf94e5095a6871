//! smol's sockets, timer and tasks.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kcptun_async::runtime::{Bytes, Listener, Runtime, Timer, Udp};
use kcptun_async::target::addresses_to_dial;
#[cfg(unix)]
use kcptun_net::tcp::SocketFile;
use kcptun_net::tcp::{local_name, peer_name};
use kcptun_net::{ReceiveBuffers, Received, SendOutcome, TargetAddress, UdpSocket};
use proto_base::Instant;
use smol::{Async, Executor};
use socket2::{SockRef, Socket};

/// smol, and the executor that runs the tasks of a tunnel.
///
/// | made by | tasks run on |
/// |---|---|
/// | [`Smol::default`] | smol's global executor (`smol::spawn`): a thread of its own, more with `SMOL_THREADS` |
/// | [`Smol::on`] | an executor of yours |
///
/// An executor that one thread runs keeps a tunnel and what uses it on that thread, so that no lock
/// of the data path is ever contended:
///
/// ```
/// use std::sync::Arc;
///
/// let executor = Arc::new(smol::Executor::new());
/// let runtime = kcptun_smol::Smol::on(&executor);
/// smol::block_on(executor.run(async {
///     // Clients and servers `on` this runtime.
/// #   drop(runtime);
/// }));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Smol {
    /// `None` is the global one. Weak, as the tasks keep runtimes: an executor that its own tasks
    /// kept would never go.
    executor: Option<Weak<Executor<'static>>>,
}

impl Smol {
    /// Tasks run on `executor`, which somebody has to run. They end when it is dropped: streams
    /// are reset then, and what is begun later ends at once.
    #[must_use]
    pub fn on(executor: &Arc<Executor<'static>>) -> Self {
        Self { executor: Some(Arc::downgrade(executor)) }
    }
}

impl Runtime for Smol {
    type Udp = SmolUdp;
    type Timer = SmolTimer;
    type Bytes = SmolBytes;
    type Listener = SmolListener;

    fn udp(&self, socket: UdpSocket) -> io::Result<SmolUdp> {
        Ok(SmolUdp { io: Async::new_nonblocking(socket)?, is_drained: false })
    }

    fn timer(&self) -> SmolTimer {
        SmolTimer { timer: smol::Timer::never(), set_to: None }
    }

    fn listener(&self, listener: kcptun_net::tcp::Listener) -> io::Result<SmolListener> {
        match listener {
            kcptun_net::tcp::Listener::Tcp(listener) => SmolListener::new(listener.into()),
            #[cfg(unix)]
            kcptun_net::tcp::Listener::Unix(listener) => {
                let (file, listener) = listener.into_parts();
                let listener = SmolListener::new(std::os::fd::OwnedFd::from(listener).into())?;
                Ok(SmolListener { _file: Some(file), ..listener })
            }
        }
    }

    async fn connect(&self, target: TargetAddress) -> io::Result<SmolBytes> {
        match target {
            TargetAddress::Tcp(target) => {
                let addresses = addresses_to_dial(self, target).await?;
                SmolBytes::new(connect_first(&addresses).await?.into())
            }
            #[cfg(unix)]
            TargetAddress::Unix(path) => {
                let stream = kcptun_async::target::connect_unix(self, &path).await?;
                SmolBytes::new(std::os::fd::OwnedFd::from(stream).into())
            }
            #[cfg(not(unix))]
            TargetAddress::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.executor {
            None => smol::spawn(task).detach(),
            Some(executor) => {
                if let Some(executor) = executor.upgrade() {
                    executor.spawn(task).detach();
                }
            }
        }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        smol::unblock(work).await
    }
}

/// A connection to the first address that answers.
async fn connect_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for &address in addresses {
        match Async::<TcpStream>::connect(address).await {
            Ok(stream) => return stream.into_inner(),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A UDP socket in smol's reactor.
#[derive(Debug)]
pub struct SmolUdp {
    io: Async<UdpSocket>,
    /// Nothing was left by the last call: the reactor is asked before the socket.
    is_drained: bool,
}

impl Udp for SmolUdp {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut ReceiveBuffers,
    ) -> Poll<io::Result<Received>> {
        loop {
            if self.is_drained {
                ready!(self.io.poll_readable(cx))?;
                self.is_drained = false;
            }
            let received = self.io.get_ref().recv_batch(buffers)?;
            self.is_drained = received == Received::Blocked || buffers.is_drained();
            if received != Received::Blocked {
                return Poll::Ready(Ok(received));
            }
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        stride: usize,
        to: SocketAddr,
    ) -> Poll<io::Result<SendOutcome>> {
        loop {
            let outcome = self.io.get_ref().send_batch(bytes, stride, to)?;
            if !outcome.blocked || outcome.done() > 0 || outcome.refused {
                return Poll::Ready(Ok(outcome));
            }
            ready!(self.io.poll_writable(cx))?;
        }
    }

    fn socket(&self) -> &UdpSocket {
        self.io.get_ref()
    }
}

/// One timer of smol's reactor.
///
/// A deadline that moves away leaves it as it is, to be set again when it fires: setting wakes the
/// reactor, a system call or two, and a connection in full flight moves its deadline with each
/// packet.
#[derive(Debug)]
pub struct SmolTimer {
    timer: smol::Timer,
    /// The deadline at which `timer` fires.
    set_to: Option<Instant>,
}

impl Timer for SmolTimer {
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            let now = kcptun_async::now();
            if deadline <= now {
                return Poll::Ready(());
            }
            if self.set_to.is_none_or(|set_to| deadline < set_to) {
                self.timer.set_after(deadline - now);
                self.set_to = Some(deadline);
            }
            ready!(Pin::new(&mut self.timer).poll(cx));
            self.set_to = None;
        }
    }
}

/// A TCP connection or a unix stream.
#[derive(Debug)]
pub struct SmolBytes {
    io: Async<Socket>,
    /// As in [`SmolUdp`].
    is_drained: bool,
}

impl SmolBytes {
    /// A connected, non-blocking socket; TCP is told to send small pieces at once.
    fn new(socket: Socket) -> io::Result<Self> {
        if socket.local_addr().is_ok_and(|address| address.as_socket().is_some()) {
            // A connection that cannot be tuned still works.
            let _ = kcptun_net::tcp::tune_stream(&socket);
        }
        Ok(Self { io: Async::new_nonblocking(socket)?, is_drained: false })
    }
}

impl Bytes for SmolBytes {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            if self.is_drained {
                ready!(self.io.poll_readable(cx))?;
                self.is_drained = false;
            }
            match self.io.get_ref().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_drained = true,
                result => {
                    // Behind a part of a buffer nothing is left, but perhaps the end.
                    self.is_drained =
                        result.as_ref().is_ok_and(|&count| 0 < count && count < buffer.len());
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.io.get_ref().write(data) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.io.poll_writable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn is_sending(&mut self) -> io::Result<bool> {
        kcptun_net::tcp::is_sending(self.io.get_ref())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.io.get_ref().shutdown(Shutdown::Write)
    }

    fn reset_on_drop(&mut self) {
        // Unix streams know no reset.
        let _ = SockRef::from(self.io.get_ref()).set_linger(Some(Duration::ZERO));
    }

    fn peer(&self) -> String {
        peer_name(self.io.get_ref())
    }
}

/// A TCP or unix listener.
#[derive(Debug)]
pub struct SmolListener {
    /// That of a unix socket, which goes before it.
    #[cfg(unix)]
    _file: Option<SocketFile>,
    io: Async<Socket>,
}

impl SmolListener {
    fn new(socket: Socket) -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            _file: None,
            io: Async::new_nonblocking(socket)?,
        })
    }
}

impl Listener for SmolListener {
    type Bytes = SmolBytes;

    async fn accept(&self) -> io::Result<SmolBytes> {
        let (socket, _) = self.io.read_with(Socket::accept).await?;
        socket.set_nonblocking(true)?;
        SmolBytes::new(socket)
    }

    fn local(&self) -> String {
        local_name(self.io.get_ref())
    }
}
