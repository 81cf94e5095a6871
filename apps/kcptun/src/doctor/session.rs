//! A real session with real streams: whether the server understands what is said in it, what its
//! target does, and how much passes.

use std::io;
use std::time::Duration;

use kcptun_async::now;
use kcptun_tunnel::{
    CloseReason, ConnectionKey, Endpoint, Event, Side, StreamError, StreamId, TransmitBatch,
};
use proto_base::Instant;

use super::Subject;
use super::answer::{Command, GREETING, REPORT};
use super::line::{Arrival, Line};

/// Time between signs of life: a server that has given the session up shows it by them.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// Time between looks whether the server has said anything.
const LOOK: Duration = Duration::from_millis(250);
/// Share of a measurement that is left out: windows have to open first.
const RUN_UP: f64 = 0.25;

/// A session on a socket of its own.
pub(super) struct Session {
    endpoint: Endpoint,
    key: ConnectionKey,
    line: Line,
    batch: TransmitBatch,
    closed: Option<CloseReason>,
}

/// What the server's target does when it is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// It speaks first: these bytes, or the first of them.
    Speaks(Vec<u8>),
    /// It waits to be spoken to.
    Waits,
    /// The stream ended at once.
    Ends,
}

/// What streams have shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Understanding {
    /// The server speaks smux as we do; its target.
    Agrees(Target),
    /// It acknowledges, but says nothing we understand, or gives up.
    Differs(Option<&'static str>),
    /// It did not say anything within the time.
    Unknown,
}

/// Throughput through the tunnel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Throughput {
    /// Bytes per second that the stream carried.
    pub(super) rate: f64,
    /// Longest smoothed round trip meanwhile.
    pub(super) round_trip: Option<Duration>,
    /// Packets that the client's end sent again, of all that it sent; meaningful upward.
    pub(super) resent: [u64; 2],
}

impl Session {
    /// A session that is not used yet.
    ///
    /// # Errors
    /// When there is no route to the server, or no randomness.
    pub(super) fn dial(subject: &Subject) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut config = subject.tunnel.clone();
        config.smux.keepalive = KEEPALIVE;
        let endpoint = Endpoint::new(config, subject.cipher.clone(), Side::Client, seed);
        let mut endpoint = endpoint.map_err(io::Error::other)?;
        let key = endpoint.connect(now(), subject.remote).map_err(io::Error::other)?;
        let line = Line::open(subject.remote, &subject.socket)?;
        Ok(Self { endpoint, key, line, batch: TransmitBatch::new(), closed: None })
    }

    /// Opens a stream and looks what comes of it, without writing to it.
    ///
    /// A target that waits says nothing at all, but within the server's keepalive (10 s unless it
    /// was set) the server itself does.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub(super) async fn understand(&mut self, time: Duration) -> io::Result<Understanding> {
        let (start, end) = (now(), now() + time);
        let Some(stream) = self.open() else { return Ok(Understanding::Unknown) };
        let understanding = loop {
            match self.next((now() + LOOK).min(end)).await? {
                Some(Event::Readable(id)) if id == stream => {
                    let mut bytes = Vec::new();
                    self.read_until(stream, &mut bytes, GREETING.len(), now() + KEEPALIVE).await?;
                    break Understanding::Agrees(Target::Speaks(bytes));
                }
                Some(Event::Finished(id) | Event::Failed(id) | Event::Ended(id))
                    if id == stream =>
                {
                    break Understanding::Agrees(Target::Ends);
                }
                Some(Event::Closed { reason, .. }) => break Understanding::Differs(reason.hint()),
                Some(_) => {}
                // Something of the server's came, and nothing of the target's with it.
                None if self.frames_in() > 0 && now() - start > KEEPALIVE * 3 => {
                    break Understanding::Agrees(Target::Waits);
                }
                None if now() >= end => break Understanding::Unknown,
                None => {}
            }
        };
        self.endpoint.abort(now(), self.key, stream);
        Ok(understanding)
    }

    /// Round trips through the tunnel to the measuring target and back.
    ///
    /// # Errors
    /// When the socket is unusable, or the target is not what it was.
    pub(super) async fn pings(&mut self, count: u64) -> io::Result<Vec<Duration>> {
        let stream = self.greet().await?;
        let mut trips = Vec::new();
        for number in 0..count {
            let (start, command) = (now(), Command::Ping(number).emit());
            self.write_all(stream, &command).await?;
            let mut answer = Vec::new();
            let until = start + Duration::from_secs(5);
            self.read_until(stream, &mut answer, command.len(), until).await?;
            if answer != command {
                break;
            }
            trips.push(now() - start);
            // The next one shall not ride with what this one has left behind.
            self.rest(now() + Duration::from_millis(20)).await?;
        }
        self.endpoint.abort(now(), self.key, stream);
        trips.sort_unstable();
        Ok(trips)
    }

    /// Takes what the measuring target gives, for a time.
    ///
    /// # Errors
    /// When the socket is unusable, or the target is not what it was.
    pub(super) async fn download(&mut self, time: Duration) -> io::Result<Throughput> {
        let stream = self.greet().await?;
        let command = Command::Give(millis(time));
        self.write_all(stream, &command.emit()).await?;
        let mut meter = Meter::new(time);
        while !meter.is_over() {
            let event = self.next(meter.end).await?;
            let mut count = 0;
            while let Ok(taken) =
                self.endpoint.read_with(now(), self.key, stream, |bytes| (bytes.len(), bytes.len()))
            {
                count += taken;
            }
            meter.add(count as u64);
            meter.note(self.round_trip());
            if matches!(event, Some(Event::Closed { .. } | Event::Finished(_) | Event::Ended(_))) {
                break;
            }
        }
        self.endpoint.abort(now(), self.key, stream);
        Ok(meter.result([0; 2]))
    }

    /// Gives to the measuring target for a time, as fast as it goes; the target tells how much came.
    ///
    /// # Errors
    /// When the socket is unusable, or the target is not what it was.
    pub(super) async fn upload(&mut self, time: Duration) -> io::Result<Throughput> {
        let stream = self.greet().await?;
        let command = Command::Take(millis(time + REPORT * 5));
        self.write_all(stream, &command.emit()).await?;
        let mut random = vec![0; 64 << 10];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let before = self.sent();
        let (mut meter, mut reports, mut told) = (Meter::new(time), Vec::new(), 0);
        while !meter.is_over() {
            while let Ok(()) =
                self.endpoint.write_with(now(), self.key, stream, random.len(), |slot| {
                    let count = slot.len().min(random.len());
                    slot[..count].copy_from_slice(&random[..count]);
                    (count, ())
                })
            {}
            let event = self.next(meter.end).await?;
            self.read_into(stream, &mut reports);
            while let Some(report) = reports.first_chunk::<8>() {
                let total = u64::from_le_bytes(*report);
                reports.drain(..8);
                meter.add(total.saturating_sub(told));
                told = told.max(total);
            }
            meter.note(self.round_trip());
            if matches!(event, Some(Event::Closed { .. } | Event::Finished(_) | Event::Ended(_))) {
                break;
            }
        }
        self.endpoint.abort(now(), self.key, stream);
        let after = self.sent();
        Ok(meter.result([after[0] - before[0], after[1] - before[1]]))
    }

    /// A stream whose target has greeted us.
    async fn greet(&mut self) -> io::Result<StreamId> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the session is gone");
        let stream = self.open().ok_or_else(gone)?;
        let mut greeting = Vec::new();
        let until = now() + Duration::from_secs(10);
        self.read_until(stream, &mut greeting, GREETING.len(), until).await?;
        if greeting != GREETING {
            let text = "the server's target does not answer as `kcptun doctor --answer`";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(stream)
    }

    fn open(&mut self) -> Option<StreamId> {
        self.endpoint.open(now(), self.key).ok()
    }

    /// Reads until `len` bytes are there, or the time has come, or the end.
    async fn read_until(
        &mut self,
        stream: StreamId,
        bytes: &mut Vec<u8>,
        len: usize,
        until: Instant,
    ) -> io::Result<()> {
        loop {
            let is_open = self.read_into(stream, bytes);
            if bytes.len() >= len || !is_open || self.next(until).await?.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads what is there. `false`: no more will come.
    fn read_into(&mut self, stream: StreamId, bytes: &mut Vec<u8>) -> bool {
        loop {
            let read = self.endpoint.read_with(now(), self.key, stream, |part| {
                bytes.extend_from_slice(part);
                (part.len(), ())
            });
            match read {
                Ok(()) => {}
                Err(StreamError::Blocked) => return true,
                Err(_) => return false,
            }
        }
    }

    async fn write_all(&mut self, stream: StreamId, data: &[u8]) -> io::Result<()> {
        let mut rest = data;
        while !rest.is_empty() {
            let written = self.endpoint.write_with(now(), self.key, stream, rest.len(), |slot| {
                let count = slot.len().min(rest.len());
                slot[..count].copy_from_slice(&rest[..count]);
                (count, count)
            });
            match written {
                Ok(count) => rest = &rest[count..],
                Err(StreamError::Blocked) => {
                    self.next(now() + KEEPALIVE).await?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(())
    }

    /// Lets things move until `until`.
    async fn rest(&mut self, until: Instant) -> io::Result<()> {
        while self.next(until).await?.is_some() {}
        Ok(())
    }

    /// Lets things move until something happens; `None` when the time has come first, or the
    /// session is over and that has been told.
    async fn next(&mut self, until: Instant) -> io::Result<Option<Event>> {
        loop {
            self.endpoint.handle_timeout(now());
            if let Some((_, event)) = self.endpoint.poll_event() {
                if let Event::Closed { reason, .. } = event {
                    self.closed = Some(reason);
                }
                return Ok(Some(event));
            }
            if self.closed.is_some() {
                return Ok(None);
            }
            while self.endpoint.poll_transmit(now(), &mut self.batch).is_some() {
                if self.line.send(self.batch.bytes(), self.batch.stride())? {
                    self.refused();
                }
            }
            if now() >= until {
                return Ok(None);
            }
            let deadline = self.endpoint.poll_timeout().map_or(until, |at| at.min(until));
            match self.line.receive(deadline).await? {
                Arrival::Time => {}
                Arrival::Refused => self.refused(),
                Arrival::Datagrams => {
                    for message in self.line.messages() {
                        let (from, stride) = (message.from, message.stride);
                        self.endpoint.handle_batch(now(), from, message.bytes, stride);
                    }
                }
            }
        }
    }

    fn refused(&mut self) {
        if let Some(remote) = self.endpoint.remote(self.key) {
            self.endpoint.handle_refused(now(), remote);
        }
    }

    fn frames_in(&self) -> u64 {
        self.endpoint.total_stats().mux.frames_in
    }

    fn round_trip(&self) -> Option<Duration> {
        self.endpoint.connection_stats(self.key)?.rtt
    }

    /// Packets sent again (less those that had arrived), and all segments sent.
    fn sent(&self) -> [u64; 2] {
        let kcp = self.endpoint.total_stats().kcp;
        let again = kcp.fast_retransmits + kcp.early_retransmits + kcp.timeout_retransmits;
        [again.saturating_sub(kcp.spurious_retransmits), kcp.segments_out]
    }
}

/// Counts bytes over a time, without its beginning.
struct Meter {
    start: Instant,
    from: Instant,
    end: Instant,
    total: u64,
    /// When bytes last came, and how many before the run-up was over.
    last: Instant,
    before: u64,
    round_trip: Option<Duration>,
}

impl Meter {
    fn new(time: Duration) -> Self {
        let start = now();
        let from = start + time.mul_f64(RUN_UP);
        let (total, before, round_trip) = (0, 0, None);
        Self { start, from, end: start + time, total, last: start, before, round_trip }
    }

    fn add(&mut self, count: u64) {
        self.last = now();
        self.total += count;
        if self.last < self.from {
            self.before = self.total;
        }
    }

    fn note(&mut self, round_trip: Option<Duration>) {
        self.round_trip = self.round_trip.max(round_trip);
    }

    fn is_over(&self) -> bool {
        now() >= self.end
    }

    fn result(&self, resent: [u64; 2]) -> Throughput {
        let (bytes, time) = if self.total > self.before && self.last > self.from {
            (self.total - self.before, self.last - self.from)
        } else {
            (self.total, self.last - self.start)
        };
        let rate = bytes as f64 / time.as_secs_f64().max(1e-3);
        Throughput { rate, round_trip: self.round_trip, resent }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
