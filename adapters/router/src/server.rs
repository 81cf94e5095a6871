//! The accepting end: streams in, connections to the target out.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kcptun_net::{BindAddress, SocketConfig, TargetAddress, UdpSocket, bind_first, tcp};
use kcptun_tunnel::crypt::PacketCipher;
use kcptun_tunnel::sorted::SortedSet;
use kcptun_tunnel::{Config, ConnectionKey, Event, Side, TunnelStats};
use proto_base::Instant;

use crate::clock::now;
use crate::core::{Core, Settings};
use crate::error::StartError;
use crate::names::{Names, unknown};
use crate::pairs::{Pair, Phase, TunnelStream};
use crate::plan::{Demand, Plan};
use crate::poller::Token;
use crate::sockets::untag;
use crate::tcp::Tcp;

/// Rounds of work before the poller is asked again.
const ROUNDS: usize = 8;
/// How long a stream waits for its target's name to be looked up before the addresses found last
/// are used.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before a unix target whose queue was full is tried again, and how often it is.
const QUEUE_PAUSE: Duration = Duration::from_millis(50);
const QUEUE_TRIES: u8 = 100;

/// What a server is told.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where to receive datagrams.
    pub listen: BindAddress,
    /// Where to hand streams on. A name is looked up for each of them.
    pub target: TargetAddress,
    /// Cipher and key.
    pub cipher: PacketCipher,
    /// The layers above; windows and buffers are cut to what fits into `memory`.
    pub tunnel: Config,
    /// UDP socket options.
    pub socket: SocketConfig,
    /// How long the rest of a half-closed pair may go without a sign of life; 0: ten minutes.
    pub close_wait: Duration,
    /// No lines about single streams.
    pub quiet: bool,
    /// All memory that may be used, in bytes.
    pub memory: usize,
}

/// A server that stands in the memory it began with. Call [`turn`](Self::turn) for ever.
pub struct Server {
    core: Core,
    target: TargetAddress,
    names: Option<Names>,
    locals: Vec<SocketAddr>,
    /// Sessions that the log has told of.
    told: SortedSet<ConnectionKey>,
    /// Sessions with streams that were not taken yet.
    incoming: VecDeque<ConnectionKey>,
    /// The earliest time at which somebody has waited long enough: for the target's name, or for room
    /// in its queue.
    names_at: Option<Instant>,
}

impl Server {
    /// Binds the ports, and takes all memory.
    ///
    /// # Errors
    /// When an address cannot be bound, a setting cannot work, or the memory is not enough.
    pub fn new(settings: ServerSettings) -> Result<Self, StartError> {
        let plan = Plan::fit(settings.memory, &settings.tunnel, Demand::Server)?;
        let sockets = bind_all(&settings).map_err(StartError::Listen)?;
        let count = plan.config.max_connections;
        let ServerSettings { cipher, socket, close_wait, quiet, .. } = settings;
        let core = Settings { plan, cipher, socket, close_wait, quiet };
        let mut core = Core::new(Side::Server, core, sockets.len())?;
        let mut locals = Vec::with_capacity(sockets.len());
        for socket in sockets {
            let Some(at) = core.sockets.vacancy() else { break };
            locals.push(socket.local_addr()?);
            core.poller.add(socket.as_std(), Token::Udp(at))?;
            core.sockets.insert(at, socket);
        }
        let names = match &settings.target {
            TargetAddress::Tcp(target) => {
                let asked = target.clone();
                let look_up = Box::new(move || asked.resolve_to_dial());
                Some(Names::new(target.host(), look_up).map_err(StartError::Remote)?)
            }
            TargetAddress::Unix(_) => None,
        };
        if let Some(source) = names.as_ref().and_then(Names::source) {
            core.poller.add(source, Token::Names)?;
        }
        // A few more than there are may be over without that having been told.
        let mut told = SortedSet::new();
        told.reserve(count + 64);
        Ok(Self {
            core,
            target: settings.target,
            names,
            locals,
            told,
            incoming: VecDeque::with_capacity(count + 64),
            names_at: None,
        })
    }

    /// What was fitted into the memory.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.core.plan
    }

    /// Where datagrams are received.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.locals
    }

    /// Counters so far.
    #[must_use]
    pub fn stats(&self) -> TunnelStats {
        TunnelStats::of(&self.core.endpoint)
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
            self.hear_names();
            let (names, target) = (&self.names, &self.target);
            self.core.serve(|core, at| go_on_connecting(core, names.as_ref(), target, at));
            self.core.sockets.send(&mut self.core.endpoint);
            self.handle_events();
            if !received && self.core.pairs.waiting() == 0 {
                break;
            }
        }
        Ok(())
    }

    fn wait(&mut self, longest: Duration) -> io::Result<()> {
        let is_work = !self.incoming.is_empty() && self.core.pairs.has_room();
        self.core.wait(longest, self.names_at, is_work)?;
        Ok(())
    }

    fn handle_events(&mut self) {
        while let Some((key, event)) = self.core.poll_event() {
            let remote = match event {
                Event::Closed { remote, .. } => Some(remote),
                _ => self.core.endpoint.remote(key),
            };
            if let Some(tagged) = remote {
                if self.told.get(&key).is_none() && self.core.admits(key) {
                    self.told.insert(key, ());
                    self.announce(tagged);
                }
                self.core.report(key, tagged, &event);
            }
            match event {
                Event::Incoming if !self.incoming.contains(&key) => self.incoming.push_back(key),
                Event::Closed { .. } => {
                    self.told.remove(&key);
                    self.incoming.retain(|&other| other != key);
                }
                _ => {}
            }
        }
    }

    /// Writes the lines about a session that a peer began.
    fn announce(&self, tagged: SocketAddr) {
        let (at, remote) = untag(tagged);
        tracing::info!("remote address: {remote}");
        if let Some(local) = self.core.sockets.local_addr(at) {
            self.core.announce_session(local, remote);
        }
    }

    /// Takes streams while there is room for them, of each session one in turn; the others wait in
    /// their sessions.
    fn accept(&mut self) {
        while self.core.pairs.has_room() {
            let Some(key) = self.incoming.pop_front() else { return };
            let Some(id) = self.core.endpoint.accept(key) else { continue };
            self.incoming.push_back(key);
            let pair = Pair::new(Phase::AwaitsTarget, None, self.core.rules());
            let remote =
                self.core.endpoint.remote(key).map_or(([0; 4], 0).into(), |it| untag(it).1);
            let Some(at) = self.core.pairs.insert(pair) else { return };
            self.core.pairs.join(at, TunnelStream { key, id, remote, session: None });
            match &mut self.names {
                Some(names) if !names.is_literal() => {
                    names.ask();
                    self.names_at.get_or_insert(now() + PATIENCE);
                }
                _ => self.connect(at),
            }
        }
    }

    /// Lets those go on who wait for the target: for its name, when that has come or has taken too
    /// long, or for room in its queue.
    fn hear_names(&mut self) {
        let answer = self.names.as_mut().and_then(Names::poll);
        let is_late = self.names_at.is_some_and(|at| at <= now());
        if let Some(Err(error)) = &answer {
            tracing::warn!("{error}");
        }
        if answer.is_none() && !is_late {
            return;
        }
        self.names_at = None;
        for at in self.core.pairs.numbers() {
            if self.awaits_target(at) {
                self.connect(at);
            }
        }
    }

    /// Begins to connect a pair to the target.
    fn connect(&mut self, at: u32) {
        begin_connect(&mut self.core, self.names.as_ref(), &self.target, at, 0);
        if self.awaits_target(at) {
            self.names_at.get_or_insert(now() + QUEUE_PAUSE);
        }
    }

    fn awaits_target(&mut self, at: u32) -> bool {
        self.core.pairs.get(at).is_some_and(|pair| pair.phase == Phase::AwaitsTarget)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("plan", &self.core.plan).finish_non_exhaustive()
    }
}

/// A socket for each port of the range, or none, on the first of the host's addresses that this
/// machine has.
fn bind_all(settings: &ServerSettings) -> io::Result<Vec<UdpSocket>> {
    let ports = settings.listen.ports();
    let addresses = settings.listen.resolve(ports.first())?;
    let bind = |port| {
        let candidates = addresses.iter().map(|address| SocketAddr::new(address.ip(), port));
        bind_first(candidates, |address| UdpSocket::bind(address, &settings.socket))
    };
    ports.iter().map(bind).collect()
}

/// Begins to connect a pair to the target's address number `first`, or one behind it. A unix target
/// whose queue is full leaves the pair as it was, to be tried again.
fn begin_connect(
    core: &mut Core,
    names: Option<&Names>,
    target: &TargetAddress,
    at: u32,
    first: usize,
) {
    let mut last = None;
    match target {
        TargetAddress::Unix(path) => match tcp::connect_unix(path) {
            Ok(unix) => return adopt(core, at, Tcp::Unix(unix), Phase::Joined),
            Err(error) => {
                if error.kind() == io::ErrorKind::WouldBlock
                    && let Some(pair) = core.pairs.get(at)
                    && pair.attempts < QUEUE_TRIES
                {
                    pair.attempts += 1;
                    return;
                }
                last = Some(error);
            }
        },
        TargetAddress::Tcp(target) => {
            let Some(names) = names else { return };
            for (number, &address) in names.known().as_slice().iter().enumerate().skip(first) {
                match Tcp::begin_connect(address) {
                    Ok(tcp) => return adopt(core, at, tcp, Phase::Connecting(number)),
                    Err(error) => last = Some(error),
                }
            }
            last = last.or_else(|| Some(unknown(target.host())));
        }
    }
    if let Some(error) = last {
        refuse(core, target, at, &error);
    }
}

/// Gives a pair its connection.
fn adopt(core: &mut Core, at: u32, tcp: Tcp, phase: Phase) {
    if core.poller.add(&tcp, Token::Pair(at)).is_err() {
        core.end(at, true);
        return;
    }
    let Some(pair) = core.pairs.get(at) else { return };
    pair.tcp = Some(tcp);
    pair.phase = phase;
    if phase == Phase::Joined {
        core.join(at);
    } else {
        // The system tells when it stands or has failed.
        pair.tcp_writable = false;
        (pair.is_hung_up, pair.ended_at) = (false, None);
    }
}

/// Looks whether a connection that was begun stands.
fn go_on_connecting(core: &mut Core, names: Option<&Names>, target: &TargetAddress, at: u32) {
    let Some(pair) = core.pairs.get(at) else { return };
    let Phase::Connecting(number) = pair.phase else { return };
    if !pair.tcp_writable {
        return;
    }
    match pair.tcp.as_ref().map(Tcp::end_connect) {
        Some(Ok(())) => core.join(at),
        Some(Err(error)) => {
            pair.tcp = None;
            let has_more = names.is_some_and(|names| names.known().as_slice().len() > number + 1);
            if has_more {
                begin_connect(core, names, target, at, number + 1);
            } else {
                refuse(core, target, at, &error);
            }
        }
        None => {}
    }
}

fn refuse(core: &mut Core, target: &TargetAddress, at: u32, error: &io::Error) {
    if let Some(stream) = core.pairs.get(at).and_then(|pair| pair.stream) {
        let (remote, number) = (stream.remote, stream.id.wire());
        tracing::error!("{error} in: {remote}({number}) out: {target}");
    }
    core.end(at, true);
}
