//! Shards of a server (`--shards`): for each port several sockets, each set with a thread of its
//! own.
//!
//! The sockets of a port share it (SO_REUSEPORT). Linux picks among them by a hash of both
//! addresses and ports, so all packets of a client reach the same shard for as long as the number of
//! sockets stays the same. Therefore all are bound before any is read, and what came in while they
//! were being bound is thrown away: it may lie in the wrong one, and its sender repeats it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use kcptun_async::{Config, PacketCipher, Runtime, Server, ServerSettings, SocketConfig};
use kcptun_net::{
    BindAddress, ReceiveBuffers, Received, TooFewFiles, UdpSocket, allow_files, bind_first,
};

use crate::config::ServerConfig;
use crate::forward::{RelayPlan, poll_accept};
use crate::host::{Host, Notice, race};
use crate::{RunError, settings};

/// A socket, and the runtime's own handle of it.
const FILES_PER_SOCKET: u64 = 2;
/// Files that a server needs beside its sockets to start: log, reactors, the first connections.
const OTHER_FILES: u64 = 64;
/// Receive calls, of a socket that is emptied before it is used, after which it is left as it is:
/// a flood must not keep the server from starting.
const MOST_EMPTYING_CALLS: usize = 4096;

/// Binds each port once for each shard. One list of sockets per shard.
///
/// # Errors
/// When the host has no address, or a port cannot be had; it names `--listen`.
pub(crate) async fn bind_all<R: Runtime>(
    runtime: &R,
    config: &ServerConfig,
    place: &Place,
) -> Result<Vec<Vec<UdpSocket>>, RunError> {
    let (address, ports) = (config.listen.clone(), config.listen.ports());
    let resolved = runtime.blocking(move || address.resolve(ports.first())).await;
    let resolved = resolved.map_err(|error| place.failed(error))?;
    let mut options = settings::socket(&config.common);
    let bind_port = |options, port| {
        let candidates = resolved.iter().map(|address| SocketAddr::new(address.ip(), port));
        bind_first(candidates, |address| UdpSocket::bind(address, &options))
            .map_err(|error| place.failed(error))
    };
    if config.shards < 2 {
        let sockets = ports.iter().map(|port| bind_port(options, port)).collect::<Result<_, _>>();
        return sockets.map(|sockets| vec![sockets]);
    }
    // Shared ports could be shared with another server by mistake: each has to be free first.
    for port in ports.iter() {
        bind_port(options, port)?;
    }
    options.reuse_port = true;
    let shard = || ports.iter().map(|port| bind_port(options, port)).collect();
    let shards = (0..config.shards).map(|_| shard()).collect::<Result<Vec<Vec<_>>, _>>()?;
    shards.iter().flatten().for_each(empty);
    Ok(shards)
}

/// Where the sockets are, for what is said when one cannot be had.
#[derive(Clone)]
pub(crate) struct Place {
    listen: BindAddress,
    /// Whether this process may have as many files as the sockets take.
    files: Result<(), TooFewFiles>,
}

impl Place {
    /// Makes room for the files of all sockets, as far as the system allows.
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let ports = u64::from(config.listen.ports().count());
        let needed = ports * u64::from(config.shards) * FILES_PER_SOCKET + OTHER_FILES;
        Self { listen: config.listen.clone(), files: allow_files(needed) }
    }

    fn failed(&self, error: io::Error) -> RunError {
        use io::ErrorKind::{AddrInUse, AddrNotAvailable, NotFound, PermissionDenied};

        let listen = &self.listen;
        let is_clear =
            matches!(error.kind(), AddrInUse | AddrNotAvailable | NotFound | PermissionDenied);
        match &self.files {
            Err(few) if !is_clear => RunError::new(format!("--listen {listen}: {error}; {few}")),
            _ => RunError::new(format!("--listen {listen}: {error}")),
        }
    }
}

/// Throws away what a socket has received so far.
fn empty(socket: &UdpSocket) {
    let mut buffers = ReceiveBuffers::new(ReceiveBuffers::DEFAULT_MESSAGES);
    for _ in 0..MOST_EMPTYING_CALLS {
        match socket.recv_batch(&mut buffers) {
            Ok(Received::Blocked) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// How the servers of all shards are made.
#[derive(Clone)]
pub(crate) struct Recipe {
    cipher: PacketCipher,
    tunnel: Config,
    socket: SocketConfig,
    place: Place,
}

impl Recipe {
    pub(crate) fn new(config: &ServerConfig, place: Place) -> Result<Self, RunError> {
        let (cipher, tunnel) =
            (settings::cipher(&config.common)?, settings::tunnel(&config.common));
        Ok(Self { cipher, tunnel, socket: settings::socket(&config.common), place })
    }

    /// A server on each of the sockets; to be called where the runtime runs.
    pub(crate) fn serve_on<R: Runtime>(
        &self,
        runtime: &R,
        sockets: Vec<UdpSocket>,
    ) -> Result<Vec<Arc<Server>>, RunError> {
        let serve = |socket: UdpSocket| -> io::Result<Arc<Server>> {
            let settings = ServerSettings {
                listen: socket.local_addr()?,
                cipher: self.cipher.clone(),
                tunnel: self.tunnel.clone(),
                socket: self.socket,
            };
            Server::on_socket(runtime, socket, settings).map(Arc::new)
        };
        let servers = sockets.into_iter().map(serve).collect::<io::Result<_>>();
        servers.map_err(|error| self.place.failed(error))
    }
}

/// The threads of all shards but the first. Dropping it ends them and waits for that.
pub(crate) struct Workers {
    stop: Notice<()>,
    failure: Notice<RunError>,
    servers: Vec<Arc<Server>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// A thread for each list of sockets; returns when all of them serve.
    ///
    /// # Errors
    /// When a thread or a server cannot be made.
    pub(crate) fn start<H: Host>(
        shards: impl Iterator<Item = Vec<UdpSocket>>,
        recipe: &Recipe,
        relay: &RelayPlan,
    ) -> Result<Self, RunError> {
        let (stop, failure) = (Notice::new(), Notice::new());
        let mut workers = Self { stop, failure, servers: Vec::new(), threads: Vec::new() };
        for (number, sockets) in (2..).zip(shards) {
            let (made, wait) = mpsc::channel();
            let worker = Worker {
                recipe: recipe.clone(),
                relay: relay.clone(),
                stop: workers.stop.clone(),
                failure: workers.failure.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("shard {number}"));
            let thread = thread
                .spawn(move || worker.run::<H>(sockets, &made))
                .map_err(|error| RunError::new(format!("--shards: no thread: {error}")))?;
            workers.threads.push(thread);
            match wait.recv() {
                Ok(servers) => workers.servers.extend(servers),
                Err(_) => {
                    let unknown = || RunError::new("--shards: a thread ended at its start");
                    return Err(workers.failure.get().unwrap_or_else(unknown));
                }
            }
        }
        Ok(workers)
    }

    /// The servers of these shards.
    pub(crate) fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// Why a shard ended, when one did.
    pub(crate) fn poll_failure(&self, cx: &Context<'_>) -> Result<(), RunError> {
        match self.failure.poll(cx) {
            Poll::Ready(error) => Err(error),
            Poll::Pending => Ok(()),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.set(());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a thread needs to run its shard.
struct Worker {
    recipe: Recipe,
    relay: RelayPlan,
    stop: Notice<()>,
    failure: Notice<RunError>,
}

impl Worker {
    /// Tells of its servers, and runs them until it is stopped or one fails.
    fn run<H: Host>(self, sockets: Vec<UdpSocket>, made: &mpsc::Sender<Vec<Arc<Server>>>) {
        let Self { recipe, relay, stop, failure } = &self;
        let result = H::run(|runtime| async move {
            let servers = recipe.serve_on(&runtime, sockets)?;
            // Nobody listens only if the program is about to end.
            let _ = made.send(servers.clone());
            let stopped = poll_fn(|cx| stop.poll(cx).map(Ok));
            race(poll_fn(|cx| poll_accept(cx, &runtime, &servers, relay)), stopped).await
        });
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failure.set(error),
            Err(error) => failure.set(RunError::new(format!("--shards: no runtime: {error}"))),
        }
    }
}
