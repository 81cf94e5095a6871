//! One end of a KCP conversation.

use core::time::Duration;

use proto_base::{Instant, Pool, Storage};

use crate::acks::{Ack, AckList};
use crate::config::{Config, ConfigError};
use crate::congestion::Congestion;
use crate::error::{RecvError, SendError};
use crate::event::{Event, Events};
use crate::flight::Flight;
use crate::flush::Flush;
use crate::pacer::Pacer;
use crate::probe::Probe;
use crate::receiver::{Receiver, RxSegment};
use crate::rhythm::Rhythm;
use crate::rtt::Rtt;
use crate::sender::{Allowance, Chunk, Sender};
use crate::stats::Stats;
use crate::tx_segment::TxSegment;
#[cfg(test)]
use crate::wire::Sn;
use crate::wire::{ConvId, WireMs};

/// Window that a peer is assumed to have before it tells (kcp-go 5.6.1, `IKCP_WND_RCV`).
const ASSUMED_WINDOW: u32 = 32;
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
    pub(crate) conv: ConvId,
    pub(crate) config: Config,
    pub(crate) clock_offset: u32,
    pub(crate) now: Instant,

    pub(crate) sender: Sender<'s>,
    pub(crate) receiver: Receiver<'s>,
    pub(crate) acks: AckList<'s>,
    pub(crate) rhythm: Rhythm,
    pub(crate) rtt: Rtt,
    pub(crate) congestion: Congestion,
    pub(crate) flight: Flight,
    pub(crate) pacer: Pacer,
    pub(crate) probe: Probe,
    pub(crate) flush: Flush,

    pub(crate) remote_window: u32,
    pub(crate) last_heard: Instant,
    /// When a datagram last came in, or the first segment left, with something in flight since.
    pub(crate) waiting_since: Option<Instant>,
    pub(crate) is_suspect: bool,
    pub(crate) started: Instant,
    /// The peer echoed a transmission of ours.
    pub(crate) is_proven: bool,
    /// When una left 0, at the start or after a wrap: acks of later transmissions that say una 0
    /// come from a peer that started over.
    pub(crate) settled_at: Option<Instant>,
    pub(crate) events: Events,
    pub(crate) stats: Stats,
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
        let receiver = Receiver::new(rings.received, config.receive_window, config.mode);
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
            rhythm: Rhythm::default(),
            rtt: Rtt::new(config.nodelay, config.interval),
            congestion: Congestion::new(config.mss()),
            pacer: Pacer::new(),
            flight: Flight::new(u32::from(config.send_window)),
            probe: Probe::default(),
            flush: Flush::new(told),
            remote_window: ASSUMED_WINDOW,
            last_heard: now,
            waiting_since: None,
            is_suspect: false,
            started: now,
            is_proven: false,
            settled_at: None,
            events: Events::default(),
            stats: Stats::default(),
            config,
        })
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
    /// Write to it and [`commit`](Self::commit) what was written, 0 as well: until then nothing is
    /// queued and the memory is held. Other verbs may come in between; one that queues bytes itself
    /// ends the loan, and nothing can be committed to it any more.
    ///
    /// In message mode each segment so written is a message.
    ///
    /// # Errors
    /// When the window or the memory has less than `least` bytes. [`Event::Writable`] tells when the
    /// window has opened or this conversation has freed memory; memory that others of the same pool
    /// free is theirs to tell. `least` above a page of the pool can never be had.
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

    /// Queues the first `written` bytes of the slot lent last, which ends the loan. More than was lent
    /// count as all of it.
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
            self.paced_until(),
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

    /// Segments that may be in flight now: the least of both windows, and what the congestion
    /// window or (without congestion control) the search for the smallest good flight allows.
    pub fn flight_limit(&self) -> u32 {
        let allowed = self.allowance();
        allowed.window.min(allowed.flight)
    }

    /// The configured send window, in segments.
    pub const fn send_window(&self) -> u16 {
        self.config.send_window
    }

    /// Free slots of the receive window, as the peer is told.
    pub fn receive_window(&self) -> u16 {
        self.receiver.free()
    }

    /// Whether the peer owes acks and has been silent for long.
    pub const fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// Whether the peer echoed our wire clock, so that its address receives.
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

    /// Gives the index memory of empty windows back (owned rings), but for a few slots that signs
    /// of life need. For sessions that have been idle for a while; the next traffic takes it again.
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

    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.pacer.advance(self.now);
    }

    pub(crate) fn has_output(&self) -> bool {
        self.sender.has_resend()
            || self.sender.has_new(self.allowance())
            || self.flush.is_due()
            || (self.flush.acks_due && self.acks.len() > 0)
            || (self.flush.is_early_armed() && self.sender.is_overtaken(self.now))
    }

    /// When a new segment may leave that waits for nothing but its time.
    fn paced_until(&self) -> Option<Instant> {
        let allowed = self.allowance();
        let waits = !allowed.is_now && self.sender.has_new(Allowance { is_now: true, ..allowed });
        waits.then(|| self.pacer.ready_at())
    }

    fn suspect_at(&self) -> Option<Instant> {
        let since = self.waiting_since.filter(|_| !self.is_suspect)?;
        Some(since.max(self.last_heard) + (self.rtt.rto() * SUSPECT_RTOS).max(SUSPECT_SILENCE))
    }
}

/// The wire clock at `at`.
pub(crate) fn wire_ms(at: Instant, offset: u32) -> WireMs {
    // The low 32 bits are what the wire carries; they wrap every 49.7 days.
    WireMs::new((at.as_millis() as u32).wrapping_add(offset))
}
