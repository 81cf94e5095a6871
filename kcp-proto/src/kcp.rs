//! One end of a KCP conversation.

use core::time::Duration;

use proto_base::{Instant, Pool, Storage};

use crate::acks::{Ack, AckList};
use crate::config::{Config, ConfigError};
use crate::congestion::Congestion;
use crate::error::{PacketError, RecvError, SendError, TooSmall};
use crate::event::{Event, Events};
use crate::flight::Flight;
use crate::flush::{Datagram, Flush};
use crate::probe::Probe;
use crate::receiver::{Insert, Receiver, RxSegment};
use crate::rtt::Rtt;
use crate::sender::{Allowance, Cause, Chunk, Sender, TxSegment};
use crate::stats::Stats;
use crate::wire::{Command, ConvId, Header, Segments, Sn, WireMs};

/// Window that a peer is assumed to have before it tells (kcp-go 5.6.1, `IKCP_WND_RCV`).
const ASSUMED_WINDOW: u32 = 32;
/// Acks that wait at most before they leave at once.
const ACK_BATCH: usize = 32;
/// Silence, in RTOs and at least in time, after which a peer that owes acks is suspect.
const SUSPECT_RTOS: u32 = 3;
const SUSPECT_SILENCE: Duration = Duration::from_secs(1);

/// How a datagram got here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// It arrived.
    Direct,
    /// FEC rebuilt it: its time of arrival and its window say nothing.
    Recovered,
}

/// Index memory of a conversation.
///
/// Fixed: lend slices; the windows work within what they hold (the power of two that fits). Owned:
/// [`Rings::owned`] starts empty and grows to the configured windows.
#[derive(Debug)]
pub struct Rings<'s> {
    /// Segments queued and in flight.
    pub sent: Storage<'s, TxSegment>,
    /// Chunks of data behind them; as many as segments at the most, plus one.
    pub chunks: Storage<'s, Chunk>,
    /// Segments received.
    pub received: Storage<'s, RxSegment>,
    /// Acks to be written.
    pub acks: Storage<'s, Ack>,
}

#[cfg(feature = "alloc")]
impl Rings<'_> {
    /// Owned rings that take memory as they need it.
    pub const fn owned() -> Self {
        Self {
            sent: Storage::owned(),
            chunks: Storage::owned(),
            received: Storage::owned(),
            acks: Storage::owned(),
        }
    }
}

/// One end of a KCP conversation.
///
/// Driven as [`proto_base`] describes: [`handle_packet`](Self::handle_packet) and
/// [`handle_timeout`](Self::handle_timeout) are inputs; [`poll_transmit`](Self::poll_transmit),
/// [`poll_event`](Self::poll_event) and [`poll_timeout`](Self::poll_timeout) outputs; any input or
/// application verb may change all three outputs.
///
/// Every verb that touches payload takes the same [`Pool`]. Call [`release`](Self::release) before
/// dropping a conversation, or its buffers are lost to the pool.
///
/// The last free page of the pool is kept for the received segment that is next in order, so that
/// two ends that both have much to send cannot lock each other up. Hence a pool of less than two
/// pages sends nothing; and in message mode it must have room for whole messages besides what is
/// sent, as a part of one cannot be read.
#[derive(Debug)]
pub struct Kcp<'s> {
    conv: ConvId,
    config: Config,
    clock_offset: u32,
    now: Instant,

    sender: Sender<'s>,
    receiver: Receiver<'s>,
    acks: AckList<'s>,
    rtt: Rtt,
    congestion: Congestion,
    flight: Flight,
    probe: Probe,
    flush: Flush,

    remote_window: u32,
    last_heard: Instant,
    /// Since when something has been in flight without pause.
    waiting_since: Option<Instant>,
    is_suspect: bool,
    /// The peer echoed a transmission of ours.
    is_proven: bool,
    /// When una left 0, at the start or after a wrap: acks of later transmissions that say una 0
    /// come from a peer that started over.
    settled_at: Option<Instant>,
    events: Events,
    stats: Stats,
}

impl<'s> Kcp<'s> {
    /// A conversation that starts now.
    ///
    /// `clock_offset` is added to the milliseconds in each segment. Drawn at random, it lets
    /// [`is_proven`](Self::is_proven) tell a peer that receives from one that guesses.
    ///
    /// # Errors
    /// When a setting is out of range or fixed rings hold nothing.
    pub fn new(
        conv: ConvId,
        clock_offset: u32,
        config: Config,
        rings: Rings<'s>,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        let config = config.validate()?;
        let sender = Sender::new(rings.sent, rings.chunks, &config);
        let receiver = Receiver::new(rings.received, config.receive_window);
        let acks = AckList::new(rings.acks);
        if sender.free() == 0 || receiver.window() == 0 || acks.limit() == 0 {
            return Err(ConfigError::NoRings);
        }
        let told = receiver.free();
        Ok(Self {
            conv,
            clock_offset,
            now,
            sender,
            receiver,
            acks,
            rtt: Rtt::new(config.nodelay, config.interval),
            congestion: Congestion::new(config.mss()),
            flight: Flight::new(u32::from(config.send_window)),
            probe: Probe::default(),
            flush: Flush::new(told),
            remote_window: ASSUMED_WINDOW,
            last_heard: now,
            waiting_since: None,
            is_suspect: false,
            is_proven: false,
            settled_at: None,
            events: Events::default(),
            stats: Stats::default(),
            config,
        })
    }

    /// Takes a datagram of segments. It is checked whole before anything of it is applied.
    ///
    /// # Errors
    /// Says why the datagram was refused; it is counted and the conversation goes on.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        pool: &mut Pool<'_>,
        packet: &[u8],
        via: Via,
    ) -> Result<(), PacketError> {
        self.advance(now);
        let segments = Segments::parse(self.conv, packet).inspect_err(|_| {
            self.stats.bad_packets += 1;
        })?;
        self.last_heard = self.now;
        self.is_suspect = false;
        let (in_order, acknowledged) = (self.receiver.next(), self.sender.una());
        let could_send = self.sender.free() > 0;
        let mut input = Input::default();
        for (header, data) in segments {
            self.handle_segment(pool, header, data, via, &mut input);
        }
        if self.settled_at.is_none() || self.sender.una().get() < acknowledged.get() {
            self.settled_at = (input.freed > 0).then_some(self.now);
        }
        self.conclude(via, input);
        if self.receiver.next() != in_order {
            self.events.set(Event::Readable);
        }
        if input.freed > 0 && (!could_send || self.flush.writer_waits) {
            self.flush.writer_waits = false;
            self.events.set(Event::Writable);
        }
        Ok(())
    }

    /// Tells that time has passed; before the time of [`poll_timeout`](Self::poll_timeout) this
    /// does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.sender.handle_timeout(self.now, &self.rtt);
        self.flush.handle_timeout(self.now);
        if self.probe.take_due(self.now) {
            self.flush.ask_window = true;
        }
        if !self.is_suspect && self.suspect_at().is_some_and(|at| at <= self.now) {
            self.is_suspect = true;
            self.events.set(Event::Suspect);
        }
    }

    /// Lends memory for the next bytes to send: from `least` to `wanted` bytes that lie together.
    /// Write to it and [`commit`](Self::commit) what was written; until then nothing is queued.
    ///
    /// # Errors
    /// When the window or the memory has less than `least` bytes; [`Event::Writable`] tells when to
    /// try again. `least` above a page of the pool can never be had.
    pub fn send_slot<'p>(
        &mut self,
        pool: &'p mut Pool<'_>,
        least: usize,
        wanted: usize,
    ) -> Result<&'p mut [u8], SendError> {
        let slot = self.sender.slot(pool, least, wanted);
        if slot.is_err() {
            self.flush.writer_waits = true;
        }
        slot
    }

    /// Queues the first `written` bytes of the slot lent last.
    pub fn commit(&mut self, pool: &mut Pool<'_>, written: usize) {
        self.sender.commit(pool, written);
    }

    /// Queues `data`: in stream mode as much as fits, in message mode as one message.
    ///
    /// # Errors
    /// When nothing can be queued now, or a message never can.
    pub fn send(&mut self, pool: &mut Pool<'_>, data: &[u8]) -> Result<usize, SendError> {
        if self.config.mode == crate::Mode::Message {
            return match self.sender.message(pool, data) {
                Ok(()) => Ok(data.len()),
                Err(error) => {
                    self.flush.writer_waits = true;
                    Err(error)
                }
            };
        }
        let mut taken = 0;
        while taken < data.len() {
            match self.send_slot(pool, 1, data.len() - taken) {
                Ok(slot) => {
                    let count = slot.len();
                    slot.copy_from_slice(&data[taken..taken + count]);
                    self.commit(pool, count);
                    taken += count;
                }
                Err(error) if taken == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(taken)
    }

    /// The first received bytes that lie together, in order; `None` when there are none.
    pub fn peek<'p>(&self, pool: &'p Pool<'_>) -> Option<&'p [u8]> {
        self.receiver.peek(pool)
    }

    /// All received bytes that are in order, piece by piece.
    pub fn readable<'p>(&self, pool: &'p Pool<'_>) -> impl Iterator<Item = &'p [u8]> {
        self.receiver.readable(pool)
    }

    /// Frees the first `read` bytes of what [`peek`](Self::peek) lends.
    pub fn consume(&mut self, pool: &mut Pool<'_>, read: usize) {
        self.receiver.consume(pool, read);
        self.on_read();
    }

    /// Copies the next message (in stream mode: the next segment) to `out`, and tells its length.
    ///
    /// # Errors
    /// When no whole message is there, or `out` is too small for it; the message stays.
    pub fn recv(&mut self, pool: &mut Pool<'_>, out: &mut [u8]) -> Result<usize, RecvError> {
        let len = self.receiver.recv(pool, out)?;
        self.on_read();
        Ok(len)
    }

    /// Writes the next datagram to `out` and tells its length; `None` when nothing is to be sent.
    ///
    /// Repetitions come first, then new data, then probes and acks, so that full datagrams follow
    /// each other and a batch keeps one size. A datagram counts as sent at `now`.
    ///
    /// # Errors
    /// When `out` cannot take the datagram; `out` of [`Config::datagram_len`] always can.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        pool: &Pool<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, TooSmall> {
        self.advance(now);
        loop {
            let mut datagram = Datagram::new(&mut *out, self.config.datagram_len);
            self.write_data(pool, &mut datagram)?;
            self.write_probes(&mut datagram)?;
            self.write_acks(&mut datagram)?;
            let len = datagram.finish();
            if len > 0 {
                self.flush.told_window = self.receiver.free();
                return Ok(Some(len));
            }
            // The end of a flush may widen the congestion window.
            if !self.end_flush() || !self.has_output() {
                return Ok(None);
            }
        }
    }

    /// Writes a datagram that only tells the window, wanted or not, and tells its length. Legal at
    /// any time and otherwise without effect.
    ///
    /// # Errors
    /// When `out` cannot take a header.
    pub fn window_update(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, TooSmall> {
        self.advance(now);
        let mut datagram = Datagram::new(out, self.config.datagram_len);
        datagram.push(self.header(Command::TellWindow), &[])?;
        self.stats.segments_out += 1;
        self.flush.tell_window = false;
        self.flush.told_window = self.receiver.free();
        Ok(datagram.finish())
    }

    /// The next thing that changed.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.take()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); while datagrams wait to be polled,
    /// the latest time seen.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.has_output() {
            return Some(self.now);
        }
        [
            self.sender.deadline(&self.rtt),
            self.flush.deadline(),
            self.probe.deadline(),
            self.suspect_at(),
        ]
        .into_iter()
        .fold(None, Instant::earliest)
    }

    /// The conversation's id.
    pub const fn conv(&self) -> ConvId {
        self.conv
    }

    /// Bytes that can be queued now in full segments.
    pub fn send_capacity(&self) -> usize {
        self.sender.free() as usize * self.sender.mss()
    }

    /// Received bytes that are in order and unread.
    pub const fn readable_bytes(&self) -> usize {
        self.receiver.ready_bytes()
    }

    /// Length of the next whole message, in bytes.
    pub fn message_len(&self) -> Option<usize> {
        self.receiver.message_len()
    }

    /// Segments queued or in flight.
    pub fn pending_segments(&self) -> u32 {
        self.sender.pending()
    }

    /// Segments sent and not yet passed by the peer's una.
    pub fn in_flight(&self) -> u32 {
        self.sender.in_flight()
    }

    /// Retransmission timeout of a segment sent now.
    pub fn rto(&self) -> Duration {
        self.rtt.rto()
    }

    /// Smoothed round trip; `None` before the first sample.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    /// Segments that the peer can take, as it said last.
    pub const fn remote_window(&self) -> u32 {
        self.remote_window
    }

    /// Whether the peer echoed a number and clock that we sent, so that its address receives.
    pub const fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Whether nothing is queued, in flight, unread or owed.
    pub fn is_idle(&self) -> bool {
        self.sender.pending() == 0 && self.receiver.ready_bytes() == 0 && self.acks.len() == 0
    }

    /// When a valid datagram last came in; the start before the first.
    pub const fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// Counters so far.
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Gives all buffers back to the pool; what was unsent or unread is gone.
    pub fn release(&mut self, pool: &mut Pool<'_>) {
        self.sender.release(pool);
        self.receiver.release(pool);
    }

    /// Gives the index memory of empty windows back (owned rings). For sessions that have been
    /// idle for a while; the next traffic takes it again.
    pub fn shrink(&mut self) {
        self.sender.shrink();
        self.receiver.shrink();
        self.acks.shrink();
    }

    /// Takes the conversation apart and gives its rings back. Call [`release`](Self::release)
    /// before.
    pub fn into_rings(self) -> Rings<'s> {
        let (sent, chunks) = self.sender.into_storage();
        let received = self.receiver.into_storage();
        Rings { sent, chunks, received, acks: self.acks.into_storage() }
    }

    /// As if both ends had sent this many segments before; for tests of the wrap.
    #[cfg(all(test, feature = "alloc"))]
    pub(crate) fn start_at(&mut self, sn: Sn) {
        self.sender.start_at(sn);
        self.receiver.start_at(sn);
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn handle_segment(
        &mut self,
        pool: &mut Pool<'_>,
        header: Header,
        data: &[u8],
        via: Via,
        input: &mut Input,
    ) {
        self.stats.segments_in += 1;
        if via == Via::Direct {
            self.remote_window = u32::from(header.window);
        }
        if header.command == Command::Ack {
            // Before una frees the segment: which transmission arrived is evidence.
            let (now, offset) = (self.now, self.clock_offset);
            let is_latest = self.sender.handle_ack(
                header.sn,
                header.ts,
                |at| wire_ms(at, offset),
                now,
                &self.rtt,
                &mut self.stats,
            );
            self.is_proven |= is_latest;
            input.last_ack = Some(header.ts);
        }
        input.freed +=
            self.sender.handle_una(pool, header.una, self.now, &self.rtt, &mut self.stats);
        match header.command {
            Command::Push => self.handle_push(pool, header, data, via),
            Command::Ack => self.note_restart(header),
            Command::AskWindow => self.flush.tell_window = true,
            Command::TellWindow => {}
        }
    }

    fn handle_push(&mut self, pool: &mut Pool<'_>, header: Header, data: &[u8], via: Via) {
        let result = self.receiver.insert(pool, header.sn, header.fragment, data);
        match result {
            Insert::New | Insert::Repeated => {
                self.acks.push(header.sn, header.ts);
                let batch = ACK_BATCH
                    .min(self.config.datagram_len / Header::LEN)
                    .min((self.receiver.window() as usize).div_ceil(2))
                    .min(self.acks.limit());
                let at_once = self.config.ack_no_delay || self.acks.len() >= batch;
                self.flush.want_acks(self.now, self.config.interval, at_once);
            }
            // The original says nothing (kcp-go 5.6.1, kcp.go, `Input`). When nothing at all has
            // come in order, the peer probably speaks to one that we replace: an ack of the number
            // before the first, which nobody waits for, tells it that we start from 0.
            Insert::OutOfWindow if self.receiver.next() == Sn::new(0) => {
                self.acks.push(Sn::new(u32::MAX), header.ts);
                self.flush.want_acks(self.now, self.config.interval, self.config.ack_no_delay);
            }
            Insert::OutOfWindow => {}
            Insert::NoMemory => self.stats.no_memory += 1,
        }
        if via == Via::Direct && matches!(result, Insert::Repeated | Insert::OutOfWindow) {
            self.stats.repeated += 1;
        }
    }

    /// The reader freed slots and memory.
    fn on_read(&mut self) {
        self.flush.on_window(&self.receiver);
        // A writer may wait for this memory; one that waits for the window does not.
        if self.flush.writer_waits && self.sender.free() > 0 {
            self.flush.writer_waits = false;
            self.events.set(Event::Writable);
        }
    }

    /// After all segments of a datagram.
    fn conclude(&mut self, via: Via, input: Input) {
        self.probe.on_window(self.remote_window, self.now);
        if let (Some(ts), Via::Direct) = (input.last_ack, via) {
            let rtt = wire_ms(self.now, self.clock_offset).ahead_of(ts);
            self.rtt.sample(rtt);
        }
        if input.freed > 0 {
            self.congestion.on_progress(self.remote_window);
        }
        let delivered = self.sender.take_delivered();
        self.flight.on_delivered(self.now, delivered, self.rtt.smoothed());
        self.waiting_since = (self.sender.in_flight() > 0).then_some(self.now);
        self.sender.detect_losses(self.now);
        if input.freed > 0 {
            self.flush.arm_early();
        } else if input.last_ack.is_some() && self.sender.is_overtaken(self.now) {
            self.flush.arm_early_within(self.now, self.config.interval);
        }
    }

    /// A receiver's una never goes back. An ack of a recent transmission that says una 0 after it
    /// had been more is proof that the peer started over.
    fn note_restart(&mut self, ack: Header) {
        let Some(settled) = self.settled_at else { return };
        let age = wire_ms(self.now, self.clock_offset).ahead_of(ack.ts);
        let is_recent = u64::try_from(age)
            .is_ok_and(|age| self.now - settled > Duration::from_millis(age.saturating_add(1)));
        if ack.una == Sn::new(0) && self.sender.una() != Sn::new(0) && is_recent {
            self.events.set(Event::PeerRestarted);
        }
    }

    fn write_data(&mut self, pool: &Pool<'_>, datagram: &mut Datagram<'_>) -> Result<(), TooSmall> {
        loop {
            let Some(segment) = self.sender.next_outgoing(pool, self.allowance()) else {
                if !self.flush.take_early() {
                    if self.sender.has_queued() {
                        self.flight.on_full();
                    }
                    return Ok(());
                }
                self.sender.detect_early_losses(self.now);
                continue;
            };
            let header = Header {
                sn: segment.sn,
                fragment: segment.fragment,
                ts: wire_ms(self.now, self.clock_offset),
                len: u32::try_from(segment.data.len()).unwrap_or(0),
                ..self.header(Command::Push)
            };
            let sn = segment.sn;
            if !datagram.push(header, segment.data)? {
                return Ok(());
            }
            self.stats.segments_out += 1;
            self.waiting_since.get_or_insert(self.now);
            let cause = self.sender.mark_sent(sn, self.now, &mut self.stats);
            self.flight.on_sent(cause.is_some(), self.sender.flying());
            match cause {
                None => self.flush.on_new_data(),
                Some(Cause::Fast) => {
                    self.stats.fast_retransmits += 1;
                    self.flush.losses.fast = true;
                }
                Some(Cause::Early) => {
                    self.stats.early_retransmits += 1;
                    self.flush.losses.fast = true;
                }
                Some(Cause::Timeout) => {
                    self.stats.timeout_retransmits += 1;
                    self.flush.losses.timeout = true;
                }
            }
            self.flush.is_open = true;
        }
    }

    fn write_probes(&mut self, datagram: &mut Datagram<'_>) -> Result<(), TooSmall> {
        if self.flush.ask_window && datagram.push(self.header(Command::AskWindow), &[])? {
            self.flush.ask_window = false;
            self.stats.segments_out += 1;
        }
        if self.flush.tell_window && datagram.push(self.header(Command::TellWindow), &[])? {
            self.flush.tell_window = false;
            self.stats.segments_out += 1;
        }
        Ok(())
    }

    /// Writes acks that are due; others ride along when there is room behind other segments.
    fn write_acks(&mut self, datagram: &mut Datagram<'_>) -> Result<(), TooSmall> {
        if !self.flush.acks_due && datagram.is_empty() {
            return Ok(());
        }
        while self.acks.len() > 0 && datagram.has_room(Header::LEN)? {
            if let Some((sn, ts)) = self.acks.pop(self.receiver.next()) {
                datagram.push(Header { sn, ts, ..self.header(Command::Ack) }, &[])?;
                self.stats.segments_out += 1;
            }
        }
        if self.acks.len() == 0 {
            self.flush.on_acks_written();
        }
        Ok(())
    }

    /// All that could leave has left: the congestion window learns what this took. Tells whether
    /// anything had left since the last flush ended.
    fn end_flush(&mut self) -> bool {
        if !core::mem::take(&mut self.flush.is_open) {
            return false;
        }
        let losses = core::mem::take(&mut self.flush.losses);
        let limit = self.allowance().window;
        self.congestion.on_flush(losses, self.sender.in_flight(), limit, self.config.resend);
        true
    }

    fn header(&self, command: Command) -> Header {
        Header {
            conv: self.conv,
            command,
            fragment: 0,
            window: self.receiver.free(),
            ts: WireMs::new(0),
            sn: Sn::new(0),
            una: self.receiver.next(),
            len: 0,
        }
    }

    /// Segments that may be in flight.
    fn allowance(&self) -> Allowance {
        let window = self.remote_window.min(u32::from(self.config.send_window));
        if self.config.congestion_control {
            Allowance { window: window.min(self.congestion.window()), flight: u32::MAX }
        } else {
            Allowance { window, flight: self.flight.limit() }
        }
    }

    fn has_output(&self) -> bool {
        self.sender.has_resend()
            || self.sender.has_new(self.allowance())
            || self.flush.is_due()
            || (self.flush.acks_due && self.acks.len() > 0)
            || (self.flush.is_early_armed() && self.sender.is_overtaken(self.now))
    }

    fn suspect_at(&self) -> Option<Instant> {
        let since = self.waiting_since.filter(|_| !self.is_suspect)?;
        Some(since.max(self.last_heard) + (self.rtt.rto() * SUSPECT_RTOS).max(SUSPECT_SILENCE))
    }
}

/// What the segments of one datagram amounted to.
#[derive(Debug, Default, Clone, Copy)]
struct Input {
    /// Segments that una passed.
    freed: u32,
    /// Clock echoed by the last ack.
    last_ack: Option<WireMs>,
}

/// The wire clock at `at`.
fn wire_ms(at: Instant, offset: u32) -> WireMs {
    // The low 32 bits are what the wire carries; they wrap every 49.7 days.
    WireMs::new((at.as_millis() as u32).wrapping_add(offset))
}
