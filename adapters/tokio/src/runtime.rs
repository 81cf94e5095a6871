//! tokio's sockets, timer and tasks.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kcptun_async::runtime::{Bytes, Listener, Runtime, Timer, Udp};
use kcptun_async::target::addresses_to_dial;
#[cfg(unix)]
use kcptun_net::tcp::SocketFile;
use kcptun_net::tcp::{local_name, peer_name};
use kcptun_net::{ReceiveBuffers, Received, SendOutcome, TargetAddress, UdpSocket};
use proto_base::Instant;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinError;
use tokio::time::Sleep;

/// The tokio runtime that is current where it is used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokio;

impl Runtime for Tokio {
    type Udp = TokioUdp;
    type Timer = TokioTimer;
    type Bytes = TokioBytes;
    type Listener = TokioListener;

    fn udp(&self, socket: UdpSocket) -> io::Result<TokioUdp> {
        let readiness = tokio::net::UdpSocket::from_std(socket.as_std().try_clone()?)?;
        Ok(TokioUdp { readiness, socket })
    }

    fn timer(&self) -> TokioTimer {
        TokioTimer { sleep: None, deadline: None }
    }

    fn listener(&self, listener: kcptun_net::tcp::Listener) -> io::Result<TokioListener> {
        Ok(match listener {
            kcptun_net::tcp::Listener::Tcp(listener) => {
                TokioListener::Tcp(TcpListener::from_std(listener)?)
            }
            #[cfg(unix)]
            kcptun_net::tcp::Listener::Unix(listener) => {
                let (file, listener) = listener.into_parts();
                TokioListener::Unix(file, UnixListener::from_std(listener)?)
            }
        })
    }

    async fn connect(&self, target: TargetAddress) -> io::Result<TokioBytes> {
        Ok(match target {
            TargetAddress::Tcp(target) => {
                let addresses = addresses_to_dial(self, target).await?;
                TokioBytes::tcp(TcpStream::connect(addresses.as_slice()).await?)
            }
            #[cfg(unix)]
            TargetAddress::Unix(path) => {
                let stream = kcptun_async::target::connect_unix(self, &path).await?;
                TokioBytes::Unix(UnixStream::from_std(stream)?)
            }
            #[cfg(not(unix))]
            TargetAddress::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        })
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
            Ok(result) => result,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is going, and with it who waits here.
            Err(Err(_cancelled)) => std::future::pending().await,
        }
    }
}

/// A UDP socket in tokio's reactor.
#[derive(Debug)]
pub struct TokioUdp {
    /// A second handle to the socket, by which the reactor knows it.
    readiness: tokio::net::UdpSocket,
    socket: UdpSocket,
}

impl Udp for TokioUdp {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut ReceiveBuffers,
    ) -> Poll<io::Result<Received>> {
        loop {
            ready!(self.readiness.poll_recv_ready(cx))?;
            let mut last = None;
            let received = self.readiness.try_io(Interest::READABLE, || {
                match self.socket.recv_batch(buffers)? {
                    Received::Blocked => Err(io::ErrorKind::WouldBlock.into()),
                    Received::Messages(count) if buffers.is_drained() => {
                        // The reactor learns it without another system call.
                        last = Some(Received::Messages(count));
                        Err(io::ErrorKind::WouldBlock.into())
                    }
                    received => Ok(received),
                }
            });
            match (received, last) {
                (_, Some(last)) => return Poll::Ready(Ok(last)),
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
                (received, _) => return Poll::Ready(received),
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
            ready!(self.readiness.poll_send_ready(cx))?;
            let mut partly = None;
            let sent = self.readiness.try_io(Interest::WRITABLE, || {
                let outcome = self.socket.send_batch(bytes, stride, to)?;
                if outcome.blocked {
                    // The reactor has to hear of it even when a part went out.
                    partly = Some(outcome);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(outcome)
            });
            match (sent, partly) {
                (_, Some(outcome)) if outcome.done() > 0 || outcome.refused => {
                    return Poll::Ready(Ok(outcome));
                }
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
                (sent, _) => return Poll::Ready(sent),
            }
        }
    }

    fn socket(&self) -> &UdpSocket {
        &self.socket
    }
}

/// One timer of tokio's wheel, made when it is first needed.
#[derive(Debug)]
pub struct TokioTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What `sleep` is set to.
    deadline: Option<Instant>,
}

impl Timer for TokioTimer {
    fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(at) = deadline else { return Poll::Pending };
        let now = kcptun_async::now();
        if at <= now {
            return Poll::Ready(());
        }
        if self.deadline != Some(at) {
            let wake_at = tokio::time::Instant::now() + (at - now);
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(wake_at),
                None => self.sleep = Some(Box::pin(tokio::time::sleep_until(wake_at))),
            }
            self.deadline = Some(at);
        }
        let Some(sleep) = &mut self.sleep else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        self.deadline = None;
        Poll::Ready(())
    }
}

/// A TCP connection or a unix stream.
#[derive(Debug)]
pub enum TokioBytes {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    #[cfg(unix)]
    Unix(UnixStream),
}

impl TokioBytes {
    /// A TCP connection, told to send small pieces at once.
    fn tcp(stream: TcpStream) -> Self {
        // A connection that cannot be tuned still works.
        let _ = kcptun_net::tcp::tune_stream(&stream);
        Self::Tcp(stream)
    }
}

impl Bytes for TokioBytes {
    // By tokio's own traits: after a part of a buffer they know without another system call that
    // nothing is left.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        match self {
            Self::Tcp(stream) => ready!(Pin::new(stream).poll_read(cx, &mut buffer))?,
            #[cfg(unix)]
            Self::Unix(stream) => ready!(Pin::new(stream).poll_read(cx, &mut buffer))?,
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn is_sending(&mut self) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => kcptun_net::tcp::is_sending(stream),
            #[cfg(unix)]
            Self::Unix(stream) => kcptun_net::tcp::is_sending(stream),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                socket2::SockRef::from(&*stream).shutdown(std::net::Shutdown::Write)
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                socket2::SockRef::from(&*stream).shutdown(std::net::Shutdown::Write)
            }
        }
    }

    fn reset_on_drop(&mut self) {
        match self {
            Self::Tcp(stream) => {
                let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            }
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }

    fn peer(&self) -> String {
        match self {
            Self::Tcp(stream) => peer_name(stream),
            #[cfg(unix)]
            Self::Unix(stream) => peer_name(stream),
        }
    }
}

/// A TCP or unix listener.
#[derive(Debug)]
pub enum TokioListener {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, and its file, which goes before it.
    #[cfg(unix)]
    Unix(SocketFile, UnixListener),
}

impl Listener for TokioListener {
    type Bytes = TokioBytes;

    async fn accept(&self) -> io::Result<TokioBytes> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(it, _)| TokioBytes::tcp(it)),
            #[cfg(unix)]
            Self::Unix(_, listener) => listener.accept().await.map(|(it, _)| TokioBytes::Unix(it)),
        }
    }

    fn local(&self) -> String {
        match self {
            Self::Tcp(listener) => local_name(listener),
            #[cfg(unix)]
            Self::Unix(_, listener) => local_name(listener),
        }
    }
}
