//! Listeners for the TCP side of the tunnel, TCP and unix, and the options of its connections.
//!
//! Everything made here is non-blocking and is handed to a runtime, for instance with tokio's
//! `TcpListener::from_std`. Connecting is left to the runtime; give the new connection to
//! [`tune_stream`].

use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::fd::AsFd as AsHandle;
#[cfg(windows)]
use std::os::windows::io::AsSocket as AsHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::address::{HostPort, ListenAddress};
use crate::udp::open_any;
#[cfg(unix)]
pub use crate::unix::{SocketFile, UnixListener, bind_unix, connect_unix};
use crate::{bind_first, explain};

/// A bound listener of either kind.
#[derive(Debug)]
pub enum Listener {
    /// On a TCP port.
    Tcp(TcpListener),
    /// On a unix socket.
    #[cfg(unix)]
    Unix(UnixListener),
}

/// Listens at `address`. Blocks while a host name is looked up.
///
/// # Errors
/// As [`bind_tcp`] and [`bind_unix`]; `Unsupported` for a path on a system without unix sockets.
pub fn listen(address: &ListenAddress) -> io::Result<Listener> {
    match address {
        ListenAddress::Tcp(address) => bind_tcp(address).map(Listener::Tcp),
        #[cfg(unix)]
        ListenAddress::Unix(path) => bind_unix(path).map(Listener::Unix),
        #[cfg(not(unix))]
        ListenAddress::Unix(path) => {
            let reason = "unix sockets do not exist on this system, write host:port";
            let text = format!("cannot listen on {}: {reason}", path.display());
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}

/// Listens on a TCP port: of both families where the address leaves it open (`:12948`), else at
/// the first of the host's addresses that this machine has. Blocks while a name is looked up.
///
/// # Errors
/// When the name is unknown or the address cannot be bound; the text names the address.
pub fn bind_tcp(address: &HostPort) -> io::Result<TcpListener> {
    bind_first(address.resolve_to_bind()?, |candidate| {
        open_any(candidate, open_listener)
            .map_err(|e| explain("listen on", &format_args!("{candidate}/tcp"), &e))
    })
}

/// Options of every TCP connection, accepted or dialed, as Go sets them for the original: no delay
/// for small writes, and probes after 15 s of silence so that a vanished host is noticed.
///
/// # Errors
/// When the system refuses, as it does for a connection that is already gone.
pub fn tune_stream<S: AsHandle>(stream: &S) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let probes = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    socket.set_tcp_keepalive(&probes)
}

/// Whether the other side of a connection may still send: `false` once it has ended its direction
/// or is gone in peace, also while bytes that came before have not been read (where the system can
/// tell: not on Windows). Reads nothing.
///
/// # Errors
/// What broke the connection: a reset, mostly. It is told once. What the system only suspects, such
/// as a neighbour that does not answer at the moment, breaks nothing.
#[cfg(unix)]
pub fn is_sending<S: AsHandle>(stream: &S) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    const IS_LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    // Linux answers the question for errors with its suspicions, too (net/core/sock.c, SO_ERROR:
    // sk_err_soft), and tells by POLLERR which are none; the others tell of an error by POLLHUP.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let (asked, end) = (PollFlags::RDHUP, PollFlags::RDHUP.union(PollFlags::HUP));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let (asked, end) = (PollFlags::IN, PollFlags::HUP);
    let broken = if IS_LINUX { PollFlags::ERR } else { PollFlags::ERR.union(PollFlags::HUP) };
    let mut polled = [PollFd::new(stream, asked)];
    if poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
        // What a signal interrupts is told the next time.
        return Ok(true);
    }
    let told = polled[0].revents();
    if told.intersects(broken)
        && let Some(error) = SockRef::from(stream).take_error()?
    {
        return Err(error);
    }
    Ok(!told.intersects(end))
}

/// Whether the other side of a connection may still send; see the documentation on unix.
///
/// # Errors
/// What broke the connection.
#[cfg(not(unix))]
pub fn is_sending<S: AsHandle>(stream: &S) -> io::Result<bool> {
    let socket = SockRef::from(stream);
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peek(&mut [std::mem::MaybeUninit::uninit()]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        other => other.map(|count| count > 0),
    }
}

/// The other side of a connection, as logs have it: an address, the path of a unix socket, `@name`
/// for an abstract one, `@` for one without a name, `?` when the system does not tell any more.
pub fn peer_name<S: AsHandle>(stream: &S) -> String {
    SockRef::from(stream).peer_addr().map_or_else(|_| "?".into(), |address| name(&address))
}

/// Where a socket is bound, as logs have it; see [`peer_name`].
pub fn local_name<S: AsHandle>(socket: &S) -> String {
    SockRef::from(socket).local_addr().map_or_else(|_| "?".into(), |address| name(&address))
}

fn name(address: &SockAddr) -> String {
    if let Some(address) = address.as_socket() {
        return address.to_string();
    }
    #[cfg(unix)]
    if let Some(path) = address.as_pathname() {
        return path.display().to_string();
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_namespace() {
        return format!("@{}", String::from_utf8_lossy(name));
    }
    "@".into()
}

fn open_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // An IPv6 literal means that address; the unspecified one means both families.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // On Windows this option would let another program take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: i32 = 1024;
/// Go's default (net, `defaultTCPKeepAlive`).
const KEEPALIVE: Duration = Duration::from_secs(15);

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::net::TcpStream;

    use super::*;

    fn tcp(text: &str) -> io::Result<TcpListener> {
        bind_tcp(&text.parse().unwrap())
    }

    #[test]
    fn no_host_takes_both_families() {
        let listener = tcp(":0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _v4 = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let _v6 = TcpStream::connect(("::1", port)).unwrap();
        for _ in 0..2 {
            let (accepted, _) = listener.accept().unwrap();
            tune_stream(&accepted).unwrap();
            assert!(accepted.nodelay().unwrap());
        }
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_literal_takes_its_own_family() {
        let listener = tcp("[::1]:0").unwrap();
        assert!(listener.local_addr().unwrap().is_ipv6());
        let listener = tcp("127.0.0.1:0").unwrap();
        assert!(listener.local_addr().unwrap().is_ipv4());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = tcp("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let error = tcp(&address.to_string()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(
            error.to_string(),
            format!("cannot listen on {address}/tcp: port in use by another program")
        );
        let foreign = tcp("192.0.2.1:0").unwrap_err();
        assert!(foreign.to_string().contains("192.0.2.1"), "{foreign}");
    }

    /// Both ends of a TCP connection.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    /// Waits, as loopback takes its time, until `is_sending` says something else than `true`.
    fn farewell(near: &TcpStream) -> io::Result<bool> {
        for _ in 0..1000 {
            match is_sending(near) {
                Ok(true) => std::thread::sleep(Duration::from_millis(5)),
                other => return other,
            }
        }
        Ok(true)
    }

    #[test]
    fn an_end_is_seen_behind_bytes_that_nobody_reads() {
        use std::io::Write;
        for says in [&b""[..], b"a question"] {
            let (mut near, mut far) = pair();
            far.write_all(says).unwrap();
            assert!(is_sending(&near).unwrap());
            drop(far);
            assert!(!farewell(&near).unwrap(), "{} bytes", says.len());
            let mut heard = Vec::new();
            near.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, says, "nothing was read before");
        }
    }

    #[test]
    fn a_reset_is_an_error() {
        use std::io::Write;
        let (near, mut far) = pair();
        far.write_all(b"a question").unwrap();
        SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let error = farewell(&near).unwrap_err();
        // Emulators hand the number of their host on, which means something else on MIPS.
        if cfg!(not(target_arch = "mips")) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }
}
