//! Connecting to a server's target: what every [`Runtime::connect`] needs.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::path::Path;
#[cfg(unix)]
use std::time::Duration;

use kcptun_net::HostPort;

use crate::runtime::Runtime;

/// The addresses of a server's target, as [`HostPort::resolve_to_dial`] gives them. Only a name is
/// worth the way to another thread.
///
/// # Errors
/// When the name is not known.
pub async fn addresses_to_dial<R: Runtime>(
    runtime: &R,
    target: HostPort,
) -> io::Result<Vec<SocketAddr>> {
    match target.literal_to_dial() {
        Some(addresses) => Ok(addresses),
        None => runtime.blocking(move || target.resolve_to_dial()).await,
    }
}

/// How long a connection waits for room in the queue of a unix socket's listener.
#[cfg(unix)]
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);

/// Connects to a unix socket. While the queue of its listener is full, which the system says
/// instead of waiting, this tries again, for up to five seconds.
///
/// # Errors
/// What the system says; the text names the path.
#[cfg(unix)]
pub async fn connect_unix<R: Runtime>(runtime: &R, path: &Path) -> io::Result<UnixStream> {
    let (end, mut pause) = (crate::now() + QUEUE_PATIENCE, Duration::from_millis(2));
    loop {
        match kcptun_net::tcp::connect_unix(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && crate::now() < end => {
                crate::wait::sleep(runtime, pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let text = format!("cannot connect to {}: it accepts nobody", path.display());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            other => return other,
        }
    }
}
