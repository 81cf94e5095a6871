//! Listeners for the TCP side of the tunnel, TCP and unix, and the options of its connections.
//!
//! Everything made here is non-blocking and is handed to a runtime, for instance with tokio's
//! `TcpListener::from_std`. Connecting is left to the runtime; give the new connection to
//! [`tune_stream`].

use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::fd::AsFd as AsHandle;
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
#[cfg(windows)]
use std::os::windows::io::AsSocket as AsHandle;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::address::{HostPort, ListenAddress};
use crate::udp::open_any;
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

/// Listens on a unix socket. A file left behind by a process that was killed is replaced (the
/// original fails to bind); one that somebody listens at is not. On Linux a path that begins with
/// `@` is an abstract name, without a file.
///
/// The file stays when the listener is dropped.
///
/// # Errors
/// When the path is in use, too long, or cannot be created; the text names it.
#[cfg(unix)]
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let bound = match bind_path(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path).and_then(|()| bind_path(path))
        }
        other => other,
    };
    bound
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|e| explain("listen on", &path.display(), &e))
}

/// Connects to a unix socket without waiting: succeeds, is refused, or (`WouldBlock`) the other
/// side's queue is full and the caller tries again. `@` as for [`bind_unix`].
///
/// # Errors
/// What the system says; the text names the path.
#[cfg(unix)]
pub fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&socket2::SockAddr::unix(kernel_path(path))?)?;
        Ok(UnixStream::from(std::os::fd::OwnedFd::from(socket)))
    };
    connect().map_err(|e| explain("connect to", &path.display(), &e))
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
/// What broke the connection: a reset, mostly. It is told once.
pub fn is_sending<S: AsHandle>(stream: &S) -> io::Result<bool> {
    if let Some(error) = SockRef::from(stream).take_error()? {
        return Err(error);
    }
    #[cfg(unix)]
    {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let (asked, end) = (PollFlags::RDHUP, PollFlags::RDHUP.union(PollFlags::HUP));
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let (asked, end) = (PollFlags::IN, PollFlags::HUP);
        let mut polled = [PollFd::new(stream, asked)];
        // What a signal interrupts is told the next time.
        let has_news = poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok();
        Ok(!has_news || !polled[0].revents().intersects(end))
    }
    #[cfg(not(unix))]
    match SockRef::from(stream).peek(&mut [std::mem::MaybeUninit::uninit()]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        other => other.map(|count| count > 0),
    }
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

#[cfg(unix)]
fn bind_path(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(kernel_path(path))?)?;
    socket.listen(BACKLOG)?;
    Ok(std::os::fd::OwnedFd::from(socket).into())
}

/// Whether `path` is a socket file that nobody listens at.
#[cfg(unix)]
fn is_stale(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = path.symlink_metadata().is_ok_and(|m| m.file_type().is_socket());
    let refused =
        || connect_unix(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refused()
}

/// Go's spelling of Linux's abstract names, `@name`, as the kernel has it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn kernel_path(path: &Path) -> std::borrow::Cow<'_, Path> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => {
            let name = [b"\0", name].concat();
            std::path::PathBuf::from(std::ffi::OsString::from_vec(name)).into()
        }
        _ => path.into(),
    }
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn kernel_path(path: &Path) -> &Path {
    path
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
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

    #[test]
    fn a_socket_file_left_behind_is_replaced_but_not_a_live_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kcptun.sock");
        let first = bind_unix(&path).unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("kcptun.sock"), "{error}");
        drop(first);
        let second = bind_unix(&path).unwrap();

        let mut client = connect_unix(&path).unwrap();
        let (accepted, _) = second.accept().unwrap();
        drop(accepted);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
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

    #[test]
    fn other_files_are_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        assert!(connect_unix(&path.join("none")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn abstract_names() {
        let name = format!("@kcptun-net-{}", std::process::id());
        let listener = listen(&name.parse().unwrap()).unwrap();
        let Listener::Unix(listener) = listener else { panic!("{name}") };
        let _client = connect_unix(Path::new(&name)).unwrap();
        listener.accept().unwrap();
        assert!(!Path::new(&name).exists());
    }
}
