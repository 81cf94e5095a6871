//! The dialling end: streams on sessions that come and go.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use kcptun_net::{RemoteAddress, SocketConfig, bind_for_first};
use kcptun_tunnel::crypt::PacketCipher;
use kcptun_tunnel::policy::{PolicyConfig, Request, Scavenge, ScavengeReason, SessionId};
use kcptun_tunnel::{Config, Endpoint, Side, TunnelStats};

use crate::clock::seed;
use crate::driver::Driver;
use crate::lookup::{Names, Resolve, SystemResolver};
use crate::manager::{Manager, RunningDial, Session, Waiting, lock, observer};
use crate::now;
use crate::report;
use crate::runtime::{Runtime, Timer};
use crate::shared::Shared;
use crate::stats::{SessionLimits, Sessions};
use crate::stream::Stream;
use crate::watch::Watch;

/// Sessions tried for one stream before it is given up.
const ATTEMPTS: usize = 4;

/// What a client is told.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Where the server is. Resolved again for each session; of a port range each session draws a
    /// port.
    pub remote: RemoteAddress,
    /// Cipher and key.
    pub cipher: PacketCipher,
    /// The layers above.
    pub tunnel: Config,
    /// UDP socket options.
    pub socket: SocketConfig,
    /// Sessions: how many, and how long they live.
    pub policy: PolicyConfig,
}

/// The dialling end of a tunnel. Sessions are dialled when a stream needs one, each on its own UDP
/// socket, and replaced when they fall silent or die; see
/// [`ClientPolicy`](kcptun_tunnel::policy::ClientPolicy).
///
/// Cloning is cheap, all clones are one client. Sessions live until the last clone and the last
/// stream are gone.
pub struct Client<R: Runtime> {
    inner: Arc<Inner<R>>,
}

struct Inner<R: Runtime> {
    runtime: R,
    settings: ClientSettings,
    names: Names,
    manager: Arc<Mutex<Manager>>,
}

impl<R: Runtime> Client<R> {
    /// A client. Nothing is dialled before the first stream is opened.
    pub fn new(runtime: R, settings: ClientSettings) -> Self {
        Self::with_resolver(runtime, settings, Arc::new(SystemResolver))
    }

    /// A client that asks `resolver` for its server's addresses.
    pub fn with_resolver(runtime: R, settings: ClientSettings, resolver: Arc<dyn Resolve>) -> Self {
        let manager = Arc::new(Mutex::new(Manager::new(settings.policy)));
        let inner = Arc::new(Inner {
            runtime: runtime.clone(),
            settings,
            names: Names::new(resolver),
            manager: Arc::clone(&manager),
        });
        let weak = Arc::downgrade(&inner);
        runtime.spawn(Keeper { inner: weak, manager, timer: runtime.timer() });
        Self { inner }
    }

    /// Opens a stream to the server's target. Waits while the network or the server's name is not
    /// there; it does not wait for the server, which is silent until it has something to say.
    ///
    /// # Errors
    /// When several sessions in a row died before a stream could be opened, and when the client's
    /// runtime has ended.
    pub async fn open(&self) -> io::Result<Stream> {
        for _ in 0..ATTEMPTS {
            let request = {
                let mut manager = self.inner.lock();
                manager.wake_keeper();
                manager.policy.handle_request(now())
            };
            let id = match request {
                Request::Use(session) => session,
                Request::Wait(slot) => Waiting::new(&self.inner.manager, slot).await?,
            };
            if let Some(stream) = self.open_on(id) {
                return Ok(stream);
            }
        }
        Err(io::Error::new(io::ErrorKind::NotConnected, "no session could be kept open"))
    }

    /// As [`open`](Self::open), for the bytes of `tcp`: does not wait for ever on behalf of a
    /// connection that is gone. While there is no session, an application that gives up and tries
    /// again would otherwise leave a socket behind each time.
    ///
    /// One whose other side has ended its direction may still want an answer, and waits for ten
    /// seconds.
    ///
    /// # Errors
    /// As [`open`](Self::open); and what became of the connection.
    pub async fn open_for(&self, tcp: &mut R::Bytes) -> io::Result<Stream> {
        let mut opening = pin!(self.open());
        let mut watch = Watch::new(&self.inner.runtime, tcp);
        poll_fn(|cx| match opening.as_mut().poll(cx) {
            Poll::Pending => watch.poll(cx).map(Err),
            ready => ready,
        })
        .await
    }

    /// Counters of all sessions since the client was made. Costs a look at each live session.
    #[must_use]
    pub fn stats(&self) -> TunnelStats {
        // Not both locks at once: see `Manager`.
        let (mut total, endpoints) = {
            let manager = self.inner.lock();
            (manager.past, manager.endpoints.values().cloned().collect::<Vec<_>>())
        };
        for shared in endpoints {
            total += TunnelStats::of(&shared.lock().endpoint);
        }
        total
    }

    /// The sessions that live, those included that take no streams any more, as many as `limits`
    /// allow.
    #[must_use]
    pub fn sessions(&self, limits: SessionLimits) -> Sessions {
        let endpoints: Vec<Shared> = self.inner.lock().endpoints.values().cloned().collect();
        let mut sessions = Sessions::default();
        for shared in endpoints {
            sessions.add(&shared.lock(), limits);
        }
        sessions.listed.sort_by_key(|session| session.figures.started);
        sessions
    }

    /// A stream on a session that the policy gave us.
    fn open_on(&self, id: SessionId) -> Option<Stream> {
        let session = self.inner.lock().sessions.get(&id).cloned();
        let release = {
            let manager = Arc::clone(&self.inner.manager);
            move || {
                let mut manager = lock(&manager);
                manager.policy.release(now(), id);
                manager.wake_keeper();
            }
        };
        let opened = session.and_then(|session| {
            let mut state = session.shared.lock();
            let is_fresh = state.endpoint.check_fresh(now(), session.key);
            let stream = if is_fresh { state.endpoint.open(now(), session.key).ok() } else { None };
            state.wake_driver();
            drop(state);
            Some((session, stream?))
        });
        let Some((session, stream)) = opened else {
            // The next one shall not meet it again, even if its driver has yet to tell.
            self.inner.lock().policy.handle_suspect(id);
            release();
            return None;
        };
        let Session { shared, key, remote, .. } = session;
        Some(Stream::new(shared, key, stream, remote, Some(Box::new(release))))
    }
}

impl<R: Runtime> Clone for Client<R> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<R: Runtime> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("remote", &self.inner.settings.remote)
            .finish_non_exhaustive()
    }
}

impl<R: Runtime> Inner<R> {
    fn lock(&self) -> MutexGuard<'_, Manager> {
        lock(&self.manager)
    }

    /// Makes a session and starts its driver.
    async fn dial(self: Arc<Self>, mut running: RunningDial) {
        let id = running.dial.session;
        match Arc::clone(&self).connect(id).await {
            Ok(session) => {
                running.is_over = true;
                let mut manager = self.lock();
                manager.past.dials_fail_since = None;
                manager.sessions.insert(id, session.clone());
                let is_wanted = manager.policy.handle_dialed(now(), id);
                if !is_wanted {
                    manager.sessions.remove(&id);
                }
                manager.wake_all();
                drop(manager);
                if !is_wanted {
                    session.shared.lock().close();
                }
            }
            Err(error) => {
                // The line of the original, which it repeats each second. The policy is told at the
                // end of `running`.
                if self.lock().is_first_failure(now()) {
                    tracing::info!("re-connecting: {error}");
                } else {
                    tracing::debug!("re-connecting: {error}");
                }
            }
        }
    }

    async fn connect(self: Arc<Self>, id: SessionId) -> io::Result<Session> {
        let settings = &self.settings;
        let seed = seed()?;
        let random = u32::from_le_bytes([seed[0], seed[7], seed[13], seed[29]]);
        let port = settings.remote.ports().pick(random);
        let resolved = self.names.look_up(&self.runtime, &settings.remote, port).await?;
        let (socket, remote) = bind_for_first(resolved, &settings.socket)?;
        let local = socket.local_addr()?;
        self.runtime.spawn(report::small_buffers(settings.socket, socket.buffer_sizes()));
        let udp = self.runtime.udp(socket)?;
        let fresh_seed = crate::clock::seed()?;
        let endpoint = Endpoint::new(
            settings.tunnel.clone(),
            settings.cipher.clone(),
            Side::Client,
            fresh_seed,
        );
        let mut endpoint = endpoint.map_err(io::Error::other)?;
        let key = endpoint.connect(now(), remote).map_err(io::Error::other)?;
        let version = settings.tunnel.smux.version.number();
        tracing::info!("smux version: {version} on connection: {local} -> {remote}");
        let shared = Shared::new(endpoint);
        shared.lock().local = Some(local);
        let observer = observer(Arc::clone(&self.manager), id, remote);
        self.lock().add(id, shared.clone());
        let driver = Driver::new(&self.runtime, udp, shared.clone(), true, observer);
        self.runtime.spawn(driver);
        Ok(Session { shared, key, local, remote })
    }
}

/// The task that dials what the policy wants dialled, and closes what it wants closed.
struct Keeper<R: Runtime> {
    inner: std::sync::Weak<Inner<R>>,
    manager: Arc<Mutex<Manager>>,
    timer: R::Timer,
}

impl<R: Runtime> Future for Keeper<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(inner) = this.inner.upgrade() else { return Poll::Ready(()) };
        loop {
            let mut manager = inner.lock();
            if manager.is_closed {
                return Poll::Ready(());
            }
            manager.keeper = Some(cx.waker().clone());
            let dial = manager.policy.poll_dial(now());
            let close = manager.policy.poll_scavenge(now());
            let closing = close.and_then(|close| {
                manager.sessions.remove(&close.session).map(|session| (close, session))
            });
            let deadline = manager.policy.poll_timeout();
            drop(manager);
            if let Some(dial) = dial {
                let manager = Arc::clone(&inner.manager);
                let running = RunningDial { manager, dial, is_over: false };
                inner.runtime.spawn(Arc::clone(&inner).dial(running));
            }
            if let Some((Scavenge { reason, .. }, session)) = closing {
                let end = match reason {
                    ScavengeReason::Ttl => "closed due to ttl",
                    _ => "normally closed",
                };
                tracing::info!("scavenger: session {end}: {}", session.local);
                let mut state = session.shared.lock();
                state.endpoint.close(session.key);
                state.wake_driver();
            }
            if dial.is_none() && close.is_none() && this.timer.poll_until(cx, deadline).is_pending()
            {
                return Poll::Pending;
            }
        }
    }
}

impl<R: Runtime> Drop for Keeper<R> {
    /// Its runtime has ended, if the client has not: nobody dials any more.
    fn drop(&mut self) {
        let mut manager = lock(&self.manager);
        manager.is_closed = true;
        manager.wake_all();
    }
}

impl<R: Runtime> Drop for Inner<R> {
    /// No stream can be opened any more; each session ends with its last stream.
    fn drop(&mut self) {
        let mut manager = self.lock();
        manager.is_closed = true;
        manager.wake_keeper();
        let endpoints: Vec<Shared> = manager.endpoints.values().cloned().collect();
        drop(manager);
        for shared in endpoints {
            let mut state = shared.lock();
            state.is_orphan = true;
            state.wake_driver();
        }
    }
}
