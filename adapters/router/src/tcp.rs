//! TCP connections and unix streams, without waiting.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use kcptun_net::tcp::{Listener, tune_stream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A connection of either kind.
#[derive(Debug)]
pub(crate) enum Tcp {
    /// With the other side's address, which the system does not tell any more once it is gone.
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Tcp {
    /// The next connection of a listener; `WouldBlock` when none waits.
    pub(crate) fn accept(listener: &Listener) -> io::Result<Self> {
        let tcp = match listener {
            Listener::Tcp(listener) => {
                let (tcp, peer) = listener.accept()?;
                tcp.set_nonblocking(true)?;
                // A connection that is gone already shows that when it is used.
                let _ = tune_stream(&tcp);
                Self::Tcp(tcp, peer)
            }
            Listener::Unix(listener) => {
                let (unix, _) = listener.accept()?;
                unix.set_nonblocking(true)?;
                Self::Unix(unix)
            }
        };
        Ok(tcp)
    }

    /// Begins to connect. It stands, or has failed, when it becomes writable.
    pub(crate) fn begin_connect(to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => Err(error),
            _ => Ok(Self::Tcp(socket.into(), to)),
        }
    }

    /// Whether a connection that was begun stands.
    pub(crate) fn end_connect(&self) -> io::Result<()> {
        let Self::Tcp(tcp, _) = self else { return Ok(()) };
        tcp.take_error()?.map_or(Ok(()), Err)?;
        let _ = tune_stream(tcp);
        Ok(())
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp, _) => tcp.read(buffer),
            Self::Unix(unix) => unix.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp, _) => tcp.write(data),
            Self::Unix(unix) => unix.write(data),
        }
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp, _) => tcp.shutdown(Shutdown::Write),
            Self::Unix(unix) => unix.shutdown(Shutdown::Write),
        }
    }

    /// Makes the coming close a reset.
    pub(crate) fn reset_on_drop(&self) {
        if let Self::Tcp(tcp, _) = self {
            // Without it the close is an orderly one, the second best.
            let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        }
    }

    /// What broke the connection, told once.
    pub(crate) fn error(&self) -> Option<io::Error> {
        match self {
            Self::Tcp(tcp, _) => tcp.take_error().ok().flatten(),
            Self::Unix(unix) => unix.take_error().ok().flatten(),
        }
    }

    /// The other side, for logs.
    pub(crate) fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, peer) => Peer(Some(*peer)),
            Self::Unix(_) => Peer(None),
        }
    }
}

impl AsFd for Tcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp, _) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

/// An address, or that of a unix socket, which has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unix socket"),
        }
    }
}

const IN_PROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
