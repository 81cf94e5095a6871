//! The dialling end: TCP connections in, streams out.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kcptun_net::tcp::{self, Listener};
use kcptun_net::{ListenAddress, RemoteAddress, SocketConfig, bind_for_first};
use kcptun_tunnel::crypt::PacketCipher;
use kcptun_tunnel::policy::{
    ClientPolicy, PolicyConfig, Request, ScavengeReason, SessionId, SlotId,
};
use kcptun_tunnel::{Config, ConnectionKey, Event, Side, TunnelStats};
use proto_base::Instant;

use crate::clock::now;
use crate::core::{Core, Settings};
use crate::error::StartError;
use crate::names::{Names, unknown};
use crate::pairs::{Pair, Phase, TunnelStream};
use crate::plan::{Demand, Plan};
use crate::poller::Token;
use crate::seed;
use crate::sockets::tag;

/// Sessions tried for one connection before it is given up.
const ATTEMPTS: u8 = 4;
/// How long a session waits for its name to be looked up before the addresses found last are used.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a connection whose other side has ended its direction waits for a session. That side
/// may have asked and wait for the answer; more often, as time goes by, it has given up.
const CLOSED_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted: mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Least time between two complaints about that.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);
/// Rounds of work before the poller is asked again.
const ROUNDS: usize = 8;

/// What a client is told.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Where to accept connections.
    pub listen: ListenAddress,
    /// Where the server is. Looked up again for each session; of a port range each session draws a
    /// port.
    pub remote: RemoteAddress,
    /// Cipher and key.
    pub cipher: PacketCipher,
    /// The layers above; windows and buffers are cut to what fits into `memory`.
    pub tunnel: Config,
    /// UDP socket options.
    pub socket: SocketConfig,
    /// Sessions: how many, and how long they live.
    pub policy: PolicyConfig,
    /// How long the rest of a half-closed pair may go without a sign of life; 0: ten minutes.
    pub close_wait: Duration,
    /// No lines about single streams.
    pub quiet: bool,
    /// All memory that may be used, in bytes.
    pub memory: usize,
}

/// A client that stands in the memory it began with. Call [`turn`](Self::turn) for ever.
pub struct Client {
    core: Core,
    listener: Listener,
    names: Names,
    remote: RemoteAddress,
    /// Whether sessions have an age at which they are closed, of which the log tells.
    scavenges: bool,
    policy: ClientPolicy,
    dial_failures: u64,
    dials_fail_since: Option<Instant>,
    /// By the number of their socket.
    sessions: Vec<Option<Session>>,
    /// Sessions whose name is being looked up.
    dials: Vec<(SessionId, Instant)>,
    listener_ready: bool,
    accept_at: Option<Instant>,
    complain_at: Instant,
    /// Pairs that wait for a session should ask for it.
    claims_due: bool,
    /// When to look at those who wait although their other side says no more.
    let_go_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    id: SessionId,
    key: ConnectionKey,
    local: SocketAddr,
    remote: SocketAddr,
    /// Its peer has been silent for too long.
    is_suspect: bool,
}

/// Why there is no new session.
enum DialError {
    /// There is room for no more, and all carry connections.
    Full,
    System(io::Error),
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Client {
    /// Listens, and takes all memory. Nothing is dialled before the first connection.
    ///
    /// # Errors
    /// When the address cannot be bound, a setting cannot work, or the memory is not enough.
    pub fn new(settings: ClientSettings) -> Result<Self, StartError> {
        let demand = Demand::Client { conn: settings.policy.conn.get() };
        let plan = Plan::fit(settings.memory, &settings.tunnel, demand)?;
        let listener = tcp::listen(&settings.listen).map_err(StartError::Listen)?;
        let count = plan.config.max_connections;
        let ClientSettings { cipher, socket, close_wait, quiet, .. } = settings;
        let core = Settings { plan, cipher, socket, close_wait, quiet };
        let core = Core::new(Side::Client, core, count)?;
        let (remote, ports) = (settings.remote.clone(), settings.remote.ports());
        let look_up = Box::new(move || remote.resolve(ports.first()));
        let names = Names::new(settings.remote.host(), look_up).map_err(StartError::Remote)?;
        match &listener {
            Listener::Tcp(listener) => core.poller.add(listener, Token::Listener)?,
            Listener::Unix(listener) => core.poller.add(listener, Token::Listener)?,
        }
        if let Some(source) = names.source() {
            core.poller.add(source, Token::Names)?;
        }
        let mut policy = ClientPolicy::new(settings.policy);
        policy.reserve(2 * count + 1);
        let mut sessions = Vec::with_capacity(count);
        sessions.resize_with(count, || None);
        Ok(Self {
            core,
            listener,
            names,
            remote: settings.remote,
            scavenges: !settings.policy.autoexpire.is_zero(),
            policy,
            dial_failures: 0,
            dials_fail_since: None,
            sessions,
            dials: Vec::with_capacity(usize::from(settings.policy.conn.get()) + 1),
            listener_ready: true,
            accept_at: None,
            complain_at: Instant::ZERO,
            claims_due: false,
            let_go_at: None,
        })
    }

    /// What was fitted into the memory.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.core.plan
    }

    /// Where connections are accepted; `None` for a unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    /// Counters so far.
    #[must_use]
    pub fn stats(&self) -> TunnelStats {
        let mut stats = TunnelStats::of(&self.core.endpoint);
        stats.dial_failures = self.dial_failures;
        stats.dials_fail_since = self.dials_fail_since;
        stats
    }

    /// Waits until something can be done, at most `longest`, and does it. A signal ends the wait.
    ///
    /// # Errors
    /// When the system cannot wait any more.
    pub fn turn(&mut self, longest: Duration) -> io::Result<()> {
        self.wait(longest)?;
        for _ in 0..ROUNDS {
            let received = self.core.sockets.receive(&mut self.core.endpoint);
            self.core.handle_timeout();
            self.handle_events();
            self.accept();
            self.dial();
            self.wake_ended();
            let (policy, let_go_at) = (&mut self.policy, &mut self.let_go_at);
            self.core.serve(|core, at| give_up_if_gone(policy, let_go_at, core, at));
            self.release();
            self.core.sockets.send(&mut self.core.endpoint);
            self.handle_events();
            if !received && self.core.pairs.waiting() == 0 {
                break;
            }
        }
        Ok(())
    }

    fn wait(&mut self, longest: Duration) -> io::Result<()> {
        let may_accept = self.listener_ready && self.core.pairs.has_room();
        let is_work = self.claims_due || (may_accept && self.accept_at.is_none());
        let dials = self.dials.first().filter(|_| !self.names.is_literal()).map(|&(_, at)| at);
        let accept = self.accept_at.filter(|_| may_accept);
        let due = [self.policy.poll_timeout(), dials, accept, self.let_go_at];
        let due = due.into_iter().fold(None, Instant::earliest);
        self.listener_ready |= self.core.wait(longest, due, is_work)?;
        Ok(())
    }

    fn handle_events(&mut self) {
        while let Some((key, event)) = self.core.poll_event() {
            let found = self
                .sessions
                .iter()
                .position(|session| session.as_ref().is_some_and(|session| session.key == key));
            let Some(at) = found else { continue };
            let Some(session) = &mut self.sessions[at] else { continue };
            match event {
                Event::Suspect => session.is_suspect = true,
                Event::Recovered => session.is_suspect = false,
                _ => {}
            }
            let session = *session;
            self.core.report(key, session.remote, &event);
            match event {
                Event::Suspect => self.policy.handle_suspect(session.id),
                Event::Recovered => self.policy.handle_recovered(session.id),
                Event::Closed { .. } => {
                    if self.scavenges {
                        tracing::info!("scavenger: session normally closed: {}", session.local);
                    }
                    self.forget(found);
                    self.policy.handle_dead(now(), session.id);
                }
                _ => continue,
            }
            self.claims_due = true;
        }
        if let Some(at) = self.core.sockets.poll_lost()
            && let Some(session) = self.sessions.get(at as usize).copied().flatten()
        {
            self.core.endpoint.close(session.key);
        }
    }

    fn forget(&mut self, at: Option<usize>) {
        let Some(at) = at else { return };
        self.sessions[at] = None;
        self.core.sockets.remove(u32::try_from(at).unwrap_or(u32::MAX));
    }

    /// Takes connections while there is room for them; the others wait in the system's queue.
    fn accept(&mut self) {
        if self.accept_at.is_some_and(|at| now() < at) {
            return;
        }
        self.accept_at = None;
        while self.listener_ready && self.core.pairs.has_room() {
            let tcp = match crate::tcp::Tcp::accept(&self.listener) {
                Ok(tcp) => tcp,
                Err(error) => {
                    self.accept_failed(&error);
                    return;
                }
            };
            let rules = self.core.rules();
            let pair = Pair::new(Phase::AwaitsSession(SlotId(0)), Some(tcp), rules);
            if let Some(at) = self.core.pairs.insert(pair) {
                let tcp = self.core.pairs.get(at).and_then(|pair| pair.tcp.as_ref());
                match tcp.map(|tcp| self.core.poller.add(tcp, Token::Pair(at))) {
                    Some(Ok(())) => self.request(at),
                    _ => self.core.end(at, true),
                }
            }
        }
    }

    fn accept_failed(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.listener_ready = false,
            io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
            _ => {
                let now = now();
                self.accept_at = Some(now + ACCEPT_PAUSE);
                if now >= self.complain_at {
                    self.complain_at = now + COMPLAINT_PAUSE;
                    tracing::error!("accept: {error}");
                }
            }
        }
    }

    /// Asks for a session for a new connection, or for another one after a failure.
    fn request(&mut self, at: u32) {
        loop {
            let Some(pair) = self.core.pairs.get(at) else { return };
            if pair.attempts == ATTEMPTS {
                if let Some(tcp) = &pair.tcp {
                    tracing::error!("no session could be kept open in: {}", tcp.peer());
                }
                self.core.end(at, true);
                return;
            }
            pair.attempts += 1;
            match self.policy.handle_request(now()) {
                Request::Use(session) if self.open(at, session) => return,
                Request::Use(_) => {}
                Request::Wait(slot) => {
                    if let Some(pair) = self.core.pairs.get(at) {
                        pair.phase = Phase::AwaitsSession(slot);
                    }
                    return;
                }
            }
        }
    }

    /// Opens a stream on a session that the policy gave us.
    fn open(&mut self, at: u32, id: SessionId) -> bool {
        let session = self.sessions.iter().flatten().find(|session| session.id == id).copied();
        let endpoint = &mut self.core.endpoint;
        let stream = session.and_then(|session| {
            let is_fresh = endpoint.check_fresh(now(), session.key);
            if is_fresh { endpoint.open(now(), session.key).ok() } else { None }
        });
        let (Some(Session { key, remote, .. }), Some(stream)) = (session, stream) else {
            // The next one shall not meet it again, even if its end has yet to be told.
            self.policy.handle_suspect(id);
            self.policy.release(now(), id);
            return false;
        };
        self.core.pairs.join(at, TunnelStream { key, id: stream, remote, session: Some(id) });
        self.core.join(at);
        true
    }

    /// Lets those ask who wait for a session.
    fn claim(&mut self) {
        if !std::mem::take(&mut self.claims_due) {
            return;
        }
        for at in self.core.pairs.numbers() {
            let Some(pair) = self.core.pairs.get(at) else { continue };
            let Phase::AwaitsSession(slot) = pair.phase else { continue };
            if let Some(session) = self.policy.claim(now(), slot)
                && !self.open(at, session)
            {
                self.request(at);
            }
        }
    }

    /// Does what the policy wants: closes, dials, and hands sessions out.
    fn dial(&mut self) {
        while let Some(close) = self.policy.poll_scavenge(now()) {
            let found = self.sessions.iter().position(|session| {
                session.as_ref().is_some_and(|session| session.id == close.session)
            });
            if let Some(session) = found.and_then(|at| self.sessions[at]) {
                let end = match close.reason {
                    ScavengeReason::Ttl => "closed due to ttl",
                    _ => "normally closed",
                };
                tracing::info!("scavenger: session {end}: {}", session.local);
                self.forget(found);
                self.core.endpoint.close(session.key);
            }
        }
        if let Some(Err(error)) = self.names.poll() {
            tracing::warn!("{error}");
            self.connect_all();
        }
        while let Some(dial) = self.policy.poll_dial(now()) {
            self.names.ask();
            self.dials.push((dial.session, now() + PATIENCE));
        }
        let is_known = self.names.is_literal() || self.names.is_answered();
        if is_known || self.dials.first().is_some_and(|&(_, at)| at <= now()) {
            self.connect_all();
        }
        self.claim();
    }

    /// Makes the sessions that wait for their name.
    fn connect_all(&mut self) {
        while let Some((id, _)) = self.dials.pop() {
            match self.connect(id) {
                Ok(session) => {
                    self.dials_fail_since = None;
                    if !self.policy.handle_dialed(now(), id) {
                        self.core.endpoint.close(session.key);
                    }
                }
                Err(error) => {
                    match error {
                        DialError::System(error) => tracing::info!("re-connecting: {error}"),
                        // Which may last, and is no trouble.
                        DialError::Full if self.dials_fail_since.is_some() => {}
                        DialError::Full => tracing::info!(
                            "re-connecting: put off, --mem has room for {} sessions and all carry \
                             connections",
                            self.sessions.len()
                        ),
                    }
                    self.dial_failures += 1;
                    self.dials_fail_since.get_or_insert(now());
                    self.policy.handle_dial_failed(now(), id);
                }
            }
            self.claims_due = true;
        }
    }

    fn connect(&mut self, id: SessionId) -> Result<Session, DialError> {
        if self.core.sockets.vacancy().is_none() {
            self.make_room();
        }
        let at = self.core.sockets.vacancy().ok_or(DialError::Full)?;
        let known = self.names.known();
        let random = seed()?;
        let random = u32::from_le_bytes([random[0], random[7], random[13], random[29]]);
        let port = self.remote.ports().pick(random);
        if known.as_slice().is_empty() {
            return Err(unknown(self.remote.host()).into());
        }
        let remotes = known.as_slice().iter().map(|known| SocketAddr::new(known.ip(), port));
        let (socket, remote) = bind_for_first(remotes, self.core.sockets.config())?;
        let local = socket.local_addr()?;
        self.core.poller.add(socket.as_std(), Token::Udp(at))?;
        let key = self.core.endpoint.connect(now(), tag(remote, at));
        let key = key.map_err(|_| DialError::Full)?;
        self.core.sockets.insert(at, socket);
        self.core.announce_session(local, remote);
        let session = Session { id, key, local, remote, is_suspect: false };
        self.sessions[at as usize] = Some(session);
        Ok(session)
    }

    /// All places for sessions are taken: of those that were replaced the oldest goes that carries
    /// nothing, or else the oldest whose peer is silent; so does one in use that is both. What carries
    /// connections and is well stays: with `--autoexpire` the session at hand serves on meanwhile,
    /// though its time is up.
    fn make_room(&mut self) {
        let Self { core, policy, sessions, .. } = self;
        let rank = |session: &Session| {
            let is_idle = core.endpoint.is_idle(session.key);
            let may_go = match policy.is_current(session.id) {
                true => is_idle && session.is_suspect,
                false => is_idle || session.is_suspect,
            };
            may_go.then_some((!is_idle, session.id, session.key))
        };
        if let Some((_, _, key)) = sessions.iter().flatten().filter_map(rank).min() {
            core.endpoint.close(key);
            // Its end empties its place.
            self.handle_events();
        }
    }

    /// Those who wait for a session although their other side has said all may have to go now.
    fn wake_ended(&mut self) {
        if self.let_go_at.is_none_or(|at| at > now()) {
            return;
        }
        self.let_go_at = None;
        for at in self.core.pairs.numbers() {
            let Some(pair) = self.core.pairs.get(at) else { continue };
            if matches!(pair.phase, Phase::AwaitsSession(_)) && pair.ended_at.is_some() {
                self.core.pairs.wake(at);
            }
        }
    }

    fn release(&mut self) {
        while let Some(session) = self.core.released.pop() {
            self.policy.release(now(), session);
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("plan", &self.core.plan).finish_non_exhaustive()
    }
}

/// A connection that is gone does not wait for a session any more, nor for long one whose other side
/// says no more. `due`: when to look again.
fn give_up_if_gone(policy: &mut ClientPolicy, due: &mut Option<Instant>, core: &mut Core, at: u32) {
    let Some(pair) = core.pairs.get(at) else { return };
    let Phase::AwaitsSession(slot) = pair.phase else { return };
    let until = pair.ended_at.map(|ended_at| ended_at + CLOSED_PATIENCE);
    if pair.is_hung_up || until.is_some_and(|until| until <= now()) {
        policy.abandon(slot);
        core.end(at, true);
    } else {
        *due = Instant::earliest(*due, until);
    }
}
