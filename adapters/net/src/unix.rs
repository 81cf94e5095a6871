//! Unix sockets, and the files by which they are found.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::explain;
use crate::tcp::BACKLOG;

/// A listener on a unix socket, whose file goes with it.
#[derive(Debug)]
pub struct UnixListener {
    // Goes first: while somebody listens nobody takes the file for one that was left behind and
    // puts another in its place.
    file: SocketFile,
    listener: std::os::unix::net::UnixListener,
}

impl UnixListener {
    /// For a runtime: the listener, and what is to be kept as long and dropped before it.
    #[must_use]
    pub fn into_parts(self) -> (SocketFile, std::os::unix::net::UnixListener) {
        (self.file, self.listener)
    }
}

impl Deref for UnixListener {
    type Target = std::os::unix::net::UnixListener;

    fn deref(&self) -> &Self::Target {
        &self.listener
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// The file of a unix socket. Dropping it removes the file, if it is still the one that was made: a
/// file that somebody else has put in its place stays. An abstract name has none. A path that is not
/// absolute is found as long as the process stays in its directory.
#[derive(Debug)]
pub struct SocketFile(Option<(PathBuf, Identity)>);

/// Device and inode.
type Identity = (u64, u64);

impl SocketFile {
    /// The file that was made at `path` just now.
    fn made_at(path: &Path) -> Self {
        Self(identity(path).map(|identity| (path.to_owned(), identity)))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some((path, made)) = &self.0
            && identity(path) == Some(*made)
        {
            // Not being allowed to any more, as after a change of user, harms nobody.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens on a unix socket. A file left behind by a process that was killed is replaced (the
/// original fails to bind); one that somebody listens at is not. On Linux a path that begins with
/// `@` is an abstract name, without a file.
///
/// The file goes with the listener; see [`SocketFile`].
///
/// # Errors
/// When the path is in use, too long, or cannot be created; the text names it.
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
pub fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(kernel_path(path))?)?;
        Ok(UnixStream::from(OwnedFd::from(socket)))
    };
    connect().map_err(|e| explain("connect to", &path.display(), &e))
}

fn bind_path(path: &Path) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(kernel_path(path))?;
    socket.bind(&address)?;
    let file = match address.as_pathname() {
        Some(path) => SocketFile::made_at(path),
        None => SocketFile(None),
    };
    socket.listen(BACKLOG)?;
    Ok(UnixListener { file, listener: OwnedFd::from(socket).into() })
}

/// Which socket file is at `path`.
fn identity(path: &Path) -> Option<Identity> {
    let file = path.symlink_metadata().ok()?;
    file.file_type().is_socket().then(|| (file.dev(), file.ino()))
}

/// Whether `path` is a socket file that nobody listens at.
fn is_stale(path: &Path) -> bool {
    let refused =
        || connect_unix(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    identity(path).is_some() && refused()
}

/// Go's spelling of Linux's abstract names, `@name`, as the kernel has it.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn kernel_path(path: &Path) -> std::borrow::Cow<'_, Path> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => {
            let name = [b"\0", name].concat();
            PathBuf::from(std::ffi::OsString::from_vec(name)).into()
        }
        _ => path.into(),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn kernel_path(path: &Path) -> &Path {
    path
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::tcp::{Listener, listen, local_name, peer_name};

    #[test]
    fn a_socket_file_left_behind_is_replaced_but_not_a_live_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kcptun.sock");
        // The library's own leaves its file, as a process that is killed does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = bind_unix(&path).unwrap();
        let error = bind_unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("kcptun.sock"), "{error}");

        // That looked whether anybody listens.
        first.accept().unwrap();
        let mut client = connect_unix(&path).unwrap();
        drop(first.accept().unwrap());
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn the_file_goes_with_its_listener() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kcptun.sock");
        let listener = bind_unix(&path).unwrap();
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists());

        let (file, listener) = bind_unix(&path).unwrap().into_parts();
        drop(file);
        assert!(!path.exists());
        drop(listener);
    }

    #[test]
    fn a_file_that_somebody_else_put_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kcptun.sock");
        let listener = bind_unix(&path).unwrap();
        // Beside it, so that the inode is another one.
        let other = dir.path().join("other.sock");
        let _other = std::os::unix::net::UnixListener::bind(&other).unwrap();
        std::fs::rename(&other, &path).unwrap();
        drop(listener);
        connect_unix(&path).unwrap();

        std::fs::remove_file(&path).unwrap();
        let listener = bind_unix(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "text").unwrap();
        drop(listener);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
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

    #[test]
    fn names_are_paths() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kcptun.sock");
        let listener = bind_unix(&path).unwrap();
        let client = connect_unix(&path).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let path = path.display().to_string();
        assert_eq!((local_name(&listener), peer_name(&client)), (path.clone(), path));
        assert_eq!(peer_name(&accepted), "@");
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn abstract_names() {
        let name = format!("@kcptun-net-{}", std::process::id());
        let listener = listen(&name.parse().unwrap()).unwrap();
        let Listener::Unix(listener) = listener else { panic!("{name}") };
        let client = connect_unix(Path::new(&name)).unwrap();
        listener.accept().unwrap();
        assert_eq!(peer_name(&client), name);
        assert!(!Path::new(&name).exists());
    }
}
