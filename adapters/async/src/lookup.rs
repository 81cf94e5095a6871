//! Names: looked up anew for each session, and not waited for longer than it is worth.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcptun_net::RemoteAddress;

use crate::runtime::Runtime;
use crate::wait::within;

/// How long a session waits for its lookup. A resolver that was asked while the network was down
/// may wait for 5 to 30 seconds, and answers nobody sooner for the network being back; whoever asks
/// anew gets an answer at once.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lookups that may be waiting for the resolver at a time, each of which holds a thread.
const MOST_LOOKUPS: usize = 16;

/// Finds the addresses of a server. The default is the system's; another one can ask a cache, a
/// fixed list, or a name service of your own.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `remote`, each with `port`, the preferred one first. Called for each new
    /// session on a thread where it may block.
    ///
    /// # Errors
    /// When there are none. The addresses found last are used then, if there are any.
    fn resolve(&self, remote: &RemoteAddress, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver: `/etc/hosts`, the name service, and what else it is told to ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, remote: &RemoteAddress, port: u16) -> io::Result<Vec<SocketAddr>> {
        remote.resolve(port)
    }
}

/// Looks up one remote for all sessions of a client, and remembers where it was.
#[derive(Clone)]
pub(crate) struct Names {
    resolver: Arc<dyn Resolve>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// What the last lookup that succeeded has found.
    addresses: Vec<SocketAddr>,
    /// Lookups that have not come back.
    running: usize,
}

impl Names {
    pub(crate) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, known: Arc::default() }
    }

    /// The addresses of `remote` at present. When the resolver fails, or is silent for
    /// [`PATIENCE`], those of the last time: a server that can be reached must not be lost because a
    /// name service cannot, least of all one that is asked through the tunnel.
    ///
    /// # Errors
    /// When nothing was ever found.
    pub(crate) async fn look_up<R: Runtime>(
        &self,
        runtime: &R,
        remote: &RemoteAddress,
        port: u16,
    ) -> io::Result<Vec<SocketAddr>> {
        let answer = match self.begin(remote, port) {
            Some(lookup) => within(runtime, PATIENCE, runtime.blocking(lookup)).await,
            None => None,
        };
        let error = match answer {
            Some(Ok(addresses)) => return Ok(addresses),
            Some(Err(error)) => error,
            None => {
                let text = format!("cannot resolve {}: no answer yet", remote.host());
                io::Error::new(io::ErrorKind::TimedOut, text)
            }
        };
        let mut addresses = lock(&self.known).addresses.clone();
        if addresses.is_empty() {
            return Err(error);
        }
        tracing::warn!("{error}; going to its last address, {}", addresses[0].ip());
        addresses.iter_mut().for_each(|address| address.set_port(port));
        Ok(addresses)
    }

    /// The work of a lookup, to be done where it may block; `None` when too many wait already. What
    /// it finds is remembered even if nobody waits for it any more.
    fn begin(
        &self,
        remote: &RemoteAddress,
        port: u16,
    ) -> Option<impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static> {
        let mut known = lock(&self.known);
        if known.running == MOST_LOOKUPS {
            return None;
        }
        known.running += 1;
        let running = Running(Arc::clone(&self.known));
        let (resolver, remote) = (Arc::clone(&self.resolver), remote.clone());
        Some(move || {
            let found = resolver.resolve(&remote, port)?;
            lock(&running.0).addresses.clone_from(&found);
            Ok(found)
        })
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("known", &self.known).finish_non_exhaustive()
    }
}

/// Counts a lookup, however it goes.
struct Running(Arc<Mutex<Known>>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut known = lock(&self.0);
        known.running = known.running.saturating_sub(1);
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
