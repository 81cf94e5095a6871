//! What both roles do: datagrams to and from the endpoint, bytes between streams and connections.

use std::io;
use std::time::Duration;

use kcptun_tunnel::policy::SessionId;
use kcptun_tunnel::relay::{Action, Direction};
use kcptun_tunnel::report::{Level, Report, Reporter};
use kcptun_tunnel::{ConnectionKey, Endpoint, Event, Side, StreamError, StreamId};
use proto_base::Instant;

use crate::clock::now;
use crate::pairs::{Pair, Pairs, Phase, TunnelStream};
use crate::plan::Plan;
use crate::poller::Poller;
use crate::sockets::{Sockets, untag};
use crate::tcp::Tcp;

/// Bytes read from TCP at once: what one frame takes.
const PIECE: usize = 16_384;
/// Pieces moved in each direction of a pair before others get their turn.
const TURN: usize = 8;

/// How pairs are treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// `--closewait`
    pub(crate) close_wait: Duration,
    /// Whether streams have windows (smux 2).
    pub(crate) windows: bool,
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
    pub(crate) manner: Manner,
    side: Side,
    reporter: Reporter,
    /// Sessions that have one stream less, for the client's policy.
    pub(crate) released: Vec<SessionId>,
    /// When to look at half-closed pairs.
    half_closed_at: Option<Instant>,
}

impl Core {
    pub(crate) fn new(
        endpoint: Endpoint,
        side: Side,
        sockets: usize,
        plan: &Plan,
        manner: Manner,
    ) -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            endpoint,
            sockets: Sockets::new(sockets),
            pairs: Pairs::new(plan.pairs),
            manner,
            side,
            reporter: Reporter::new(side),
            released: Vec::with_capacity(plan.pairs),
            half_closed_at: None,
        })
    }

    /// Lets deadlines pass.
    pub(crate) fn handle_timeout(&mut self) {
        let now = now();
        self.endpoint.handle_timeout(now);
        if self.half_closed_at.is_some_and(|at| at <= now) {
            self.half_closed_at = None;
            for at in self.pairs.numbers() {
                let Some(pair) = self.pairs.get(at) else { continue };
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
                Event::Closed(_) => {
                    self.wake_all_of(key);
                    return Some((key, event));
                }
                _ => return Some((key, event)),
            }
        }
        if let Some(report) = self.reporter.check(now(), &self.endpoint) {
            write(&report);
        }
        None
    }

    /// Writes the line that an event deserves.
    pub(crate) fn report(
        &mut self,
        key: ConnectionKey,
        remote: std::net::SocketAddr,
        event: &Event,
    ) {
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

    /// Gives a pair its stream; bytes pass as soon as it is in [`Phase::Joined`].
    pub(crate) fn announce(&mut self, at: u32) {
        if self.manner.quiet {
            return;
        }
        let side = self.side;
        if let Some(pair) = self.pairs.get(at) {
            log_stream(side, pair, "opened", None);
        }
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
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let endpoint = if self.sockets.is_full() { None } else { self.endpoint.poll_timeout() };
        [endpoint, self.sockets.poll_timeout(), self.half_closed_at]
            .into_iter()
            .fold(None, Instant::earliest)
    }

    fn serve_pair(&mut self, at: u32) {
        let Some(pair) = self.pairs.get(at) else { return };
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
                    if !self.manner.quiet {
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

/// TCP to the stream. `true`: there may be more.
fn outward(endpoint: &mut Endpoint, pair: &mut Pair) -> io::Result<bool> {
    let (Some(tcp), Some(TunnelStream { key, id, .. })) = (&mut pair.tcp, pair.stream) else {
        return Ok(false);
    };
    for _ in 0..TURN {
        let is_open = pair.rules.is_open(Direction::TcpToStream);
        if !is_open || !pair.tcp_readable || !pair.stream_writable {
            return Ok(false);
        }
        let read = endpoint.write_with(now(), key, id, PIECE, |slot| match tcp.read(slot) {
            Ok(count) => (count, Ok(count)),
            Err(error) => (0, Err(error)),
        });
        match read {
            Ok(Ok(0)) => pair.rules.handle_end(now(), Direction::TcpToStream),
            Ok(Ok(_)) => pair.rules.handle_progress(now(), Direction::TcpToStream),
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::WouldBlock => pair.tcp_readable = false,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
            Err(StreamError::Blocked) => pair.stream_writable = false,
            Err(_) if pair.has_ended => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
    Ok(true)
}

/// The stream to TCP. `true`: there may be more.
fn inward(endpoint: &mut Endpoint, pair: &mut Pair) -> io::Result<bool> {
    let (Some(tcp), Some(TunnelStream { key, id, .. })) = (&mut pair.tcp, pair.stream) else {
        return Ok(false);
    };
    for _ in 0..TURN {
        let is_open = pair.rules.is_open(Direction::StreamToTcp);
        if !is_open || !pair.tcp_writable || !pair.stream_readable {
            return Ok(false);
        }
        let written = endpoint.read_with(now(), key, id, |bytes| match tcp.write(bytes) {
            Ok(count) => (count, Ok(())),
            Err(error) => (0, Err(error)),
        });
        match written {
            Ok(Ok(())) => pair.rules.handle_progress(now(), Direction::StreamToTcp),
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::WouldBlock => pair.tcp_writable = false,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
            Err(StreamError::Blocked) => pair.stream_readable = false,
            Err(StreamError::Finished) => pair.rules.handle_end(now(), Direction::StreamToTcp),
            Err(_) if pair.has_ended => pair.rules.handle_end(now(), Direction::StreamToTcp),
            Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
    Ok(true)
}

/// The lines of the original about single streams.
fn log_stream(side: Side, pair: &Pair, what: &str, failure: Option<&io::Error>) {
    let (Some(tcp), Some(stream)) = (&pair.tcp, &pair.stream) else { return };
    let (tcp, remote, number) = (tcp.peer(), stream.remote, stream.id.wire());
    match side {
        Side::Client => {
            if let Some(error) = failure {
                tracing::info!("pipe: {error} in: {tcp} out: {remote}({number})");
            }
            tracing::info!("stream {what} in: {tcp} out: {remote}({number})");
        }
        Side::Server => {
            if let Some(error) = failure {
                tracing::info!("pipe: {error} in: {remote}({number}) out: {tcp}");
            }
            tracing::info!("stream {what} in: {remote}({number}) out: {tcp}");
        }
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
