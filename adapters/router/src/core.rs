//! What both roles do: waiting, deadlines, events, and each pair's turn.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kcptun_net::SocketConfig;
use kcptun_tunnel::crypt::PacketCipher;
use kcptun_tunnel::policy::SessionId;
use kcptun_tunnel::relay::{Action, Direction, Relay};
use kcptun_tunnel::report::{Level, Report, Reporter};
use kcptun_tunnel::{ConnectionKey, Endpoint, Event, Side, StreamId};
use proto_base::Instant;
use smux_proto::Version;

use crate::clock::now;
use crate::error::StartError;
use crate::pairs::{Pair, Pairs, Phase, TunnelStream};
use crate::plan::Plan;
use crate::poller::{Poller, Token};
use crate::pump::{inward, log_stream, outward};
use crate::seed;
use crate::sockets::{Sockets, untag};
use crate::tcp::Tcp;

/// What both roles are told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) plan: Plan,
    pub(crate) cipher: PacketCipher,
    /// UDP socket options.
    pub(crate) socket: SocketConfig,
    /// `--closewait`
    pub(crate) close_wait: Duration,
    /// No lines about single streams.
    pub(crate) quiet: bool,
}

/// Everything but the role.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) poller: Poller,
    pub(crate) endpoint: Endpoint,
    pub(crate) sockets: Sockets,
    pub(crate) pairs: Pairs,
    pub(crate) plan: Plan,
    side: Side,
    version: Version,
    close_wait: Duration,
    quiet: bool,
    reporter: Reporter,
    /// Sessions that have one stream less, for the client's policy.
    pub(crate) released: Vec<SessionId>,
    /// When to look at half-closed pairs.
    half_closed_at: Option<Instant>,
}

impl Core {
    /// Takes all memory. `sockets`: how many there may be at a time.
    pub(crate) fn new(side: Side, settings: Settings, sockets: usize) -> Result<Self, StartError> {
        let Settings { plan, cipher, socket, close_wait, quiet } = settings;
        Ok(Self {
            poller: Poller::new()?,
            endpoint: Endpoint::reserved(plan.config.clone(), cipher, side, seed()?)?,
            sockets: Sockets::new(sockets, socket),
            pairs: Pairs::new(plan.pairs),
            side,
            version: plan.config.smux.version,
            close_wait,
            quiet,
            reporter: Reporter::new(side),
            released: Vec::with_capacity(plan.pairs),
            half_closed_at: None,
            plan,
        })
    }

    /// Waits until something changes, at most `longest` and until something is `due`; not at all
    /// when there `is_work` already. `true`: connections may have come.
    pub(crate) fn wait(
        &mut self,
        longest: Duration,
        due: Option<Instant>,
        is_work: bool,
    ) -> io::Result<bool> {
        let now = now();
        let due = Instant::earliest(self.poll_timeout(), due);
        let pause = due.map_or(longest, |at| at.since(now).min(longest));
        let is_busy = is_work || self.pairs.waiting() > 0;
        let micros = if is_busy { 0 } else { u64::try_from(pause.as_micros()).unwrap_or(u64::MAX) };
        let mut has_connections = false;
        let Self { poller, sockets, pairs, .. } = self;
        poller.wait(micros, |token, readiness| match token {
            Token::Listener => has_connections = true,
            Token::Names => {}
            Token::Udp(at) => sockets.wake(at, readiness.readable, readiness.writable),
            Token::Pair(at) => {
                if let Some(pair) = pairs.get(at) {
                    pair.handle_readiness(readiness);
                    pairs.wake(at);
                }
            }
        })?;
        Ok(has_connections)
    }

    /// Lets deadlines pass.
    pub(crate) fn handle_timeout(&mut self) {
        let now = now();
        self.endpoint.handle_timeout(now);
        if self.half_closed_at.is_some_and(|at| at <= now) {
            self.half_closed_at = None;
            for at in self.pairs.numbers() {
                let Some(pair) = self.pairs.get(at) else { continue };
                note_reader(&self.endpoint, pair);
                pair.rules.handle_timeout(now);
                let due = pair.rules.poll_timeout();
                if due.is_some_and(|at| at <= now) {
                    self.pairs.wake(at);
                } else {
                    self.half_closed_at = Instant::earliest(self.half_closed_at, due);
                }
            }
        }
    }

    /// The next event that concerns a whole connection; those of streams wake their pairs.
    pub(crate) fn poll_event(&mut self) -> Option<(ConnectionKey, Event)> {
        while let Some((key, event)) = self.endpoint.poll_event() {
            match event {
                Event::Readable(id) | Event::Finished(id) => self.wake(key, id, true, false),
                Event::Writable(id) => self.wake(key, id, false, true),
                Event::Failed(id) => self.wake(key, id, true, true),
                Event::Ended(id) => {
                    if let Some(at) = self.pairs.find(key, id) {
                        if let Some(pair) = self.pairs.get(at) {
                            pair.has_ended = true;
                        }
                        self.wake(key, id, true, true);
                    }
                }
                Event::Closed { .. } => {
                    self.wake_all_of(key);
                    return Some((key, event));
                }
                _ => return Some((key, event)),
            }
        }
        if let Some(report) = self.reporter.check(now(), &self.endpoint) {
            write(&report);
        }
        self.sockets.report();
        None
    }

    /// Whether a session that a peer began may be told of in the log now.
    pub(crate) fn admits(&mut self, key: ConnectionKey) -> bool {
        self.reporter.admits(now(), &self.endpoint, key)
    }

    /// Writes the line about a new session.
    pub(crate) fn announce_session(&self, local: SocketAddr, remote: SocketAddr) {
        let version = self.version.number();
        tracing::info!("smux version: {version} on connection: {local} -> {remote}");
    }

    /// Writes the line that an event deserves.
    pub(crate) fn report(&mut self, key: ConnectionKey, remote: SocketAddr, event: &Event) {
        let remote = untag(remote).1;
        if let Some(report) = self.reporter.observe(now(), &self.endpoint, key, remote, event) {
            write(&report);
        }
    }

    /// Moves bytes for the pairs that are joined and have something to do, each once. `role` is told
    /// of those that are not joined.
    pub(crate) fn serve(&mut self, mut role: impl FnMut(&mut Self, u32)) {
        for _ in 0..self.pairs.waiting() {
            let Some(at) = self.pairs.next() else { return };
            match self.pairs.get(at).map(|pair| pair.phase) {
                Some(Phase::Joined) => self.serve_pair(at),
                Some(_) => role(self, at),
                None => {}
            }
        }
    }

    /// Rules for a new pair.
    pub(crate) fn rules(&self) -> Relay {
        // In smux 2 streams have windows.
        Relay::new(self.close_wait, self.version == Version::V2)
    }

    /// Lets bytes pass between a pair's connection and its stream.
    pub(crate) fn join(&mut self, at: u32) {
        let Some(pair) = self.pairs.get(at) else { return };
        pair.phase = Phase::Joined;
        if !self.quiet {
            log_stream(self.side, pair, "opened", None);
        }
        self.pairs.wake(at);
    }

    /// Ends a pair. `reset`: the connection is cut off instead of ended in peace.
    pub(crate) fn end(&mut self, at: u32, reset: bool) {
        let Some(pair) = self.pairs.remove(at) else { return };
        if let Some(TunnelStream { key, id, session, .. }) = pair.stream {
            self.endpoint.abort(now(), key, id);
            self.released.extend(session);
        }
        if let Some(tcp) = &pair.tcp
            && reset
        {
            tcp.reset_on_drop();
        }
    }

    /// When something is to be done next.
    fn poll_timeout(&self) -> Option<Instant> {
        let endpoint = if self.sockets.is_full() { None } else { self.endpoint.poll_timeout() };
        [endpoint, self.sockets.poll_timeout(), self.half_closed_at]
            .into_iter()
            .fold(None, Instant::earliest)
    }

    fn serve_pair(&mut self, at: u32) {
        let Some(pair) = self.pairs.get(at) else { return };
        note_reader(&self.endpoint, pair);
        pair.rules.handle_timeout(now());
        let mut again = false;
        // A reset is learnt of even while no byte may be read for want of room to send it.
        let hung_up = std::mem::take(&mut pair.is_hung_up);
        let mut failure = pair.tcp.as_ref().filter(|_| hung_up).and_then(Tcp::error);
        if failure.is_some() {
            pair.rules.handle_error();
        }
        for direction in [Direction::TcpToStream, Direction::StreamToTcp] {
            let Some(pair) = self.pairs.get(at) else { return };
            let moved = match direction {
                Direction::TcpToStream => outward(&mut self.endpoint, pair),
                Direction::StreamToTcp => inward(&mut self.endpoint, pair),
            };
            match moved {
                Ok(has_more) => again |= has_more,
                Err(error) => {
                    pair.rules.handle_error();
                    failure = Some(error);
                }
            }
        }
        if self.obey(at, failure.as_ref()) {
            return;
        }
        if again {
            self.pairs.wake(at);
        }
    }

    /// Does what the rules of a pair ask; `true` when it is over.
    fn obey(&mut self, at: u32, failure: Option<&io::Error>) -> bool {
        loop {
            let Some(pair) = self.pairs.get(at) else { return true };
            match pair.rules.poll_action() {
                Some(Action::FinishStream) => {
                    if let Some(stream) = pair.stream {
                        self.endpoint.finish(now(), stream.key, stream.id);
                    }
                }
                Some(Action::ShutdownTcp) => {
                    if pair.tcp.as_ref().is_some_and(|tcp| tcp.shutdown_write().is_err()) {
                        pair.rules.handle_error();
                    }
                }
                Some(action) => {
                    if !self.quiet {
                        log_stream(self.side, pair, "closed", failure);
                    }
                    self.end(at, action == Action::ResetAll);
                    return true;
                }
                None => {
                    let due = pair.rules.poll_timeout();
                    self.half_closed_at = Instant::earliest(self.half_closed_at, due);
                    return false;
                }
            }
        }
    }

    fn wake(&mut self, key: ConnectionKey, id: StreamId, readable: bool, writable: bool) {
        let Some(at) = self.pairs.find(key, id) else { return };
        if let Some(pair) = self.pairs.get(at) {
            pair.stream_readable |= readable;
            pair.stream_writable |= writable;
        }
        self.pairs.wake(at);
    }

    fn wake_all_of(&mut self, key: ConnectionKey) {
        for at in self.pairs.numbers() {
            let Some(pair) = self.pairs.get(at) else { continue };
            if pair.stream.is_some_and(|stream| stream.key == key) {
                (pair.stream_readable, pair.stream_writable) = (true, true);
                self.pairs.wake(at);
            }
        }
    }
}

/// Tells the rules of a half-closed pair if the peer has said that it still reads.
fn note_reader(endpoint: &Endpoint, pair: &mut Pair) {
    if pair.rules.poll_timeout().is_some()
        && let Some(stream) = pair.stream
        && endpoint.peer_reads(stream.key, stream.id)
    {
        pair.rules.handle_reader();
    }
}

fn write(report: &Report) {
    match report.level() {
        Level::Debug => tracing::debug!("{report}"),
        Level::Info => tracing::info!("{report}"),
        Level::Warn => tracing::warn!("{report}"),
        Level::Error => tracing::error!("{report}"),
    }
}
