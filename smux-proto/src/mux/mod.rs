//! The session: streams of two ends over one byte stream.

mod events;
mod input;
mod reading;
mod sending;
mod stream_stats;

pub use events::Event;
pub use input::{Block, Step};
pub use stream_stats::StreamStats;

use proto_base::{Instant, Pool};

use crate::config::{Config, ConfigError, Role};
use crate::error::{OpenError, Reason, SendError};
use crate::keepalive::Keepalive;
use crate::list::{Kind, List};
use crate::parser::Parser;
use crate::scheduler::Scheduler;
use crate::slot::{Local, StreamId, due, news};
use crate::streams::{MuxStorage, Streams};
use crate::wire::{INITIAL_WINDOW, Version};

/// Streams of the peer that may wait for [`Mux::accept`] (smux, `defaultAcceptBacklog`).
pub const ACCEPT_BACKLOG: usize = 1_024;

/// One smux session.
///
/// | kind | verbs |
/// |---|---|
/// | input | [`next_step`](Self::next_step) with [`deliver`](Self::deliver) and [`store`](Self::store), or [`handle_bytes`](Self::handle_bytes); [`handle_timeout`](Self::handle_timeout) |
/// | output | [`poll_control`](Self::poll_control), then [`next_sender`](Self::next_sender) and [`begin_frame`](Self::begin_frame); [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout) |
/// | streams | [`open`](Self::open), [`accept`](Self::accept), [`finish`](Self::finish), [`abort`](Self::abort) |
/// | reading | [`read`](Self::read), or [`peek`](Self::peek) and [`consume`](Self::consume) |
///
/// `poll_control` can have something new after any other verb; `next_sender` after `want_send`,
/// input and `poll_control`; `poll_event` after input, `accept`, `abort`, `poll_control` and the
/// reading verbs.
///
/// Unread bytes lie in the pool: call [`release`](Self::release) before dropping a session whose
/// pool lives on.
#[derive(Debug)]
pub struct Mux<'s> {
    config: Config,
    role: Role,
    streams: Streams<'s>,
    control: List,
    news: List,
    backlog: List,
    scheduler: Scheduler,
    refusals: Refusals,
    parser: Parser,
    /// The body that comes next in the byte stream.
    body: Option<Body>,
    /// A SYN that waits for room in the session buffer.
    held_syn: Option<u32>,
    /// Why reading stands still.
    block: Option<Block>,
    /// Unread bytes of all streams.
    unread: usize,
    clock: Keepalive,
    /// Id of the next stream of ours; `None`: they are used up.
    next_wire: Option<u32>,
    death: Option<Reason>,
    /// Events of the session as a whole.
    death_news: bool,
    incoming: bool,
    unblocked: bool,
    stats: Stats,
}

/// The rest of a PSH body.
#[derive(Debug, Clone, Copy)]
struct Body {
    /// `None`: nobody wants it.
    stream: Option<StreamId>,
    left: usize,
}

/// What a session has done so far. All counts are totals but `streams` and `unread`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Streams now.
    pub streams: usize,
    /// Unread bytes held now.
    pub unread: usize,
    /// Streams opened here.
    pub opened: u64,
    /// Streams opened by the peer.
    pub incoming: u64,
    /// Streams of the peer that were refused: too many, or an id that is not the peer's to use.
    pub refused: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Frames sent, control frames included.
    pub frames_out: u64,
    /// Bytes of bodies received for living streams.
    pub bytes_in: u64,
    /// Bytes of bodies sent.
    pub bytes_out: u64,
    /// Bytes of bodies for streams that nobody reads any more.
    pub dropped: u64,
    /// Times that reading stood still for want of room.
    pub blocked: u64,
}

impl core::ops::AddAssign for Stats {
    /// Adds up counters, as of several connections.
    fn add_assign(&mut self, other: Self) {
        let Self {
            streams,
            unread,
            opened,
            incoming,
            refused,
            frames_in,
            frames_out,
            bytes_in,
            bytes_out,
            dropped,
            blocked,
        } = other;
        self.streams += streams;
        self.unread += unread;
        self.opened += opened;
        self.incoming += incoming;
        self.refused += refused;
        self.frames_in += frames_in;
        self.frames_out += frames_out;
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
        self.dropped += dropped;
        self.blocked += blocked;
    }
}

impl<'s> Mux<'s> {
    /// A session that begins at `now`. `seed` keys the table of stream ids and should be
    /// unpredictable for the peer; it changes nothing that can be seen.
    ///
    /// # Errors
    /// When a field of `config` is out of its range.
    pub fn new(
        role: Role,
        config: Config,
        storage: MuxStorage<'s>,
        seed: u64,
        now: Instant,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            streams: Streams::new(storage, config.max_streams, seed),
            control: List::new(Kind::Control),
            news: List::new(Kind::News),
            backlog: List::new(Kind::Backlog),
            scheduler: Scheduler::new(),
            refusals: Refusals::default(),
            parser: Parser::new(config.version),
            body: None,
            held_syn: None,
            block: None,
            unread: 0,
            clock: Keepalive::new(role, config.keepalive, config.timeout, now),
            next_wire: Some(match role {
                Role::Client => 3,
                Role::Server => 2,
            }),
            death: None,
            death_news: false,
            incoming: false,
            unblocked: false,
            stats: Stats::default(),
            config,
            role,
        })
    }

    /// Gives up a peer that was silent for too long. Does nothing before its time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.clock.see(now);
        if self.dead_at().is_some_and(|at| at <= self.clock.now()) {
            self.die(Reason::Timeout);
        }
    }

    /// Opens a stream. Its SYN is the first thing sent: frames of data can follow once
    /// [`poll_control`](Self::poll_control) has given it.
    ///
    /// # Errors
    /// When the session is over, holds as many streams as it may, or has used up its ids.
    pub fn open(&mut self) -> Result<StreamId, OpenError> {
        if self.death.is_some() {
            return Err(OpenError::Dead);
        }
        let wire = self.next_wire.ok_or(OpenError::IdsUsedUp)?;
        let at = self.streams.insert(wire).ok_or(OpenError::TooManyStreams)?;
        self.next_wire = wire.checked_add(2);
        self.streams[at].known = true;
        self.streams[at].opened_at = self.clock.now();
        self.add_due(at, due::SYN);
        self.stats.opened += 1;
        Ok(self.streams.id(at))
    }

    /// The next stream that the peer opened. What has come for it already is reported as events
    /// from now on.
    pub fn accept(&mut self) -> Option<StreamId> {
        let at = self.backlog.pop(self.streams.slots())?;
        self.streams[at].known = true;
        self.retry_refused();
        if self.streams[at].news != 0 {
            self.news.push(self.streams.slots(), at);
        }
        Some(self.streams.id(at))
    }

    /// Ends our direction of a stream: its FIN is sent, and no data after it. The other direction
    /// lives on until the peer's FIN (half close, as smux does from 1.5.54 on). Finishing twice
    /// does nothing.
    ///
    /// To the original, up to 1.5.53, a FIN says that its sender reads no more either. So a NOP with
    /// the id of the stream follows it, which says the opposite to a peer of this kind
    /// ([`peer_reads`](Self::peer_reads)) and nothing to the original, which ignores the id of a NOP.
    ///
    /// # Errors
    /// When there is no such stream.
    pub fn finish(&mut self, id: StreamId) -> Result<(), SendError> {
        let at = self.streams.get(id).ok_or(SendError::UnknownStream)?;
        if self.streams[at].local == Local::Open {
            self.end_sending(at);
            if !self.streams[at].peer_finished {
                self.add_due(at, due::READS);
            }
        }
        Ok(())
    }

    /// Ends both directions of a stream: what is unread is dropped, the FIN is sent if it was not,
    /// and what still comes is thrown away. `id` is stale from now on and no event names it; the
    /// slot is free once all is sent, without waiting for the peer's FIN. `false`: no such stream.
    ///
    /// The protocol has no reset. A second FIN stands for it, unless the peer has sent its own: from
    /// it a peer of this kind learns that nobody reads what it sends. To the original it says no
    /// more than the first.
    pub fn abort(&mut self, id: StreamId, pool: &mut Pool<'_>) -> bool {
        let Some(at) = self.streams.get(id) else { return false };
        let slot = &mut self.streams[at];
        let freed = slot.stored.len();
        slot.stored.clear(pool);
        let mut due = 0;
        if slot.due & due::SYN == 0 {
            due |= if slot.local == Local::Finished { 0 } else { due::FIN };
            due |= if slot.peer_finished { 0 } else { due::GONE };
        }
        slot.local = Local::Aborted;
        slot.due = 0;
        slot.news = 0;
        let slots = self.streams.slots();
        self.news.remove(slots, at);
        self.backlog.remove(slots, at);
        self.refresh_turn(at);
        if due == 0 || self.death.is_some() {
            self.control.remove(self.streams.slots(), at);
            self.streams.free(at);
        } else {
            self.streams.invalidate(at);
            self.add_due(at, due);
        }
        self.give_back(freed);
        true
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_control`](Self::poll_control) want
    /// to be called: the next NOP, or the end of patience with a silent peer. While control frames
    /// are due it is the latest time seen. Who cannot write to the byte stream now sleeps until
    /// [`dead_at`](Self::dead_at) instead.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.death.is_some() {
            None
        } else if self.has_control() {
            Some(self.clock.now())
        } else {
            Instant::earliest(Some(self.clock.nop_at()), self.dead_at())
        }
    }

    /// When the peer is given up if nothing more comes. `None` while reading stands still, as the
    /// peer cannot be heard then (smux, session.go, `keepalive`), and when the session is over.
    #[must_use]
    pub fn dead_at(&self) -> Option<Instant> {
        (self.death.is_none() && self.block.is_none()).then(|| self.clock.dead_at())
    }

    /// Why the session is over, if it is. Nothing is sent or received any more; what had arrived
    /// can still be read.
    #[must_use]
    pub const fn death(&self) -> Option<Reason> {
        self.death
    }

    /// Why reading stands still, if it does.
    #[must_use]
    pub const fn block(&self) -> Option<Block> {
        self.block
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        Stats { streams: self.streams.count(), unread: self.unread, ..self.stats }
    }

    /// Whether a stream is live, that is, whether its handle is not stale.
    #[must_use]
    pub fn is_live(&self, id: StreamId) -> bool {
        self.streams.get(id).is_some()
    }

    /// Whether the peer, whose FIN may have come, has said that it still reads what is sent to it.
    /// A second FIN of it takes that back ([`Event::Failed`]). The original never says so.
    #[must_use]
    pub fn peer_reads(&self, id: StreamId) -> bool {
        self.streams.get(id).is_some_and(|at| self.streams[at].peer_reads)
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Closes the session on this side and gives all pool memory back. The peer is not told:
    /// neither smux nor KCP has a goodbye. All handles are stale from now on.
    pub fn release(&mut self, pool: &mut Pool<'_>) {
        for at in 0..u32::try_from(self.streams.fresh()).unwrap_or(u32::MAX) {
            if self.streams[at].local == Local::Vacant {
                continue;
            }
            self.streams[at].stored.clear(pool);
            let slots = self.streams.slots();
            slots[at as usize].wants = false;
            self.scheduler.refresh(slots, at, false);
            self.control.remove(slots, at);
            self.news.remove(slots, at);
            self.backlog.remove(slots, at);
            self.streams.free(at);
        }
        self.unread = 0;
        self.block = None;
        self.death.get_or_insert(Reason::Released);
    }

    /// Gives owned memory for many streams back while there is none. For sessions that have been idle
    /// for a while.
    pub fn shrink(&mut self) {
        self.streams.shrink();
    }

    /// Takes the session apart and gives its storage back, for the next one. Call
    /// [`release`](Self::release) first.
    pub fn into_storage(self) -> MuxStorage<'s> {
        self.streams.into_storage()
    }

    fn die(&mut self, reason: Reason) {
        self.death = Some(reason);
        self.death_news = true;
    }

    /// Makes control frames of a stream due.
    fn add_due(&mut self, at: u32, bits: u8) {
        self.streams[at].due |= bits;
        self.control.push(self.streams.slots(), at);
    }

    /// Notes events of a stream; they are reported once the application knows of it.
    fn add_news(&mut self, at: u32, bits: u8) {
        let slot = &mut self.streams[at];
        slot.news |= bits;
        if slot.known {
            self.news.push(self.streams.slots(), at);
        }
    }

    /// Our direction of an open stream is over: its FIN is due.
    fn end_sending(&mut self, at: u32) {
        self.streams[at].local = Local::Finishing;
        self.streams[at].wants = false;
        self.refresh_turn(at);
        self.add_due(at, due::FIN);
    }

    /// Forgets a stream's wire id once both directions are over and all was read.
    fn check_end(&mut self, at: u32) {
        if self.streams[at].has_ended() {
            self.streams.unmap(at);
            self.add_news(at, news::ENDED);
        }
    }

    /// Unread bytes are no more, or a stream is gone: reading may be able to go on.
    fn give_back(&mut self, count: usize) {
        self.unread -= count.min(self.unread);
        let body_is_unwanted = self
            .body
            .is_some_and(|body| body.stream.is_none_or(|id| self.streams.get(id).is_none()));
        let lifted = match self.block {
            None => return,
            Some(Block::Refusals) => return self.retry_refused(),
            // The stream that had no room was aborted, perhaps without anything stored.
            Some(_) if body_is_unwanted => true,
            Some(Block::Memory) => count > 0,
            Some(Block::Session) if self.held_syn.is_some() => self.fits_a_window(),
            Some(Block::Session) => self.unread < self.config.session_buffer,
            Some(Block::Stream(id)) => self.streams.get(id).is_none_or(|at| self.room(at) > 0),
        };
        if lifted {
            self.resume();
            // The input may end with that SYN: it must not wait for more.
            if let Some(wire) = self.held_syn {
                self.admit(wire);
            }
            self.unblocked = true;
        }
    }

    /// Reading goes on after a block.
    fn resume(&mut self) {
        if self.block.take().is_some() {
            self.clock.resume();
        }
        self.unblocked = false;
    }

    fn stand_still(&mut self, reason: Block) {
        if self.block.replace(reason).is_none() {
            self.stats.blocked += 1;
        }
        self.unblocked = false;
    }

    /// Unread bytes that may be added to a stream now, apart from what the pool has.
    fn room(&self, at: u32) -> usize {
        let session = self.config.session_buffer - self.unread.min(self.config.session_buffer);
        match self.config.version {
            Version::V1 => session,
            Version::V2 => {
                // A peer that knows no window yet may send the initial one.
                let bound = self.config.stream_buffer.max(INITIAL_WINDOW) as usize;
                session.min(bound.saturating_sub(self.streams[at].stored.len()))
            }
        }
    }

    /// Whether the initial window of one more stream (or half the budget, if that is smaller) fits
    /// what is left of the session buffer.
    fn fits_a_window(&self) -> bool {
        let wanted = (INITIAL_WINDOW as usize).min(self.config.session_buffer / 2);
        self.config.version == Version::V1 || self.unread + wanted <= self.config.session_buffer
    }
}

/// Ids of streams that were refused and are answered with a FIN. When it is full, reading stands
/// still.
#[derive(Debug, Default)]
struct Refusals {
    ids: [u32; 16],
    first: usize,
    len: usize,
}

impl Refusals {
    fn is_full(&self) -> bool {
        self.len == self.ids.len()
    }

    fn push(&mut self, wire: u32) {
        if !self.is_full() {
            self.ids[(self.first + self.len) % self.ids.len()] = wire;
            self.len += 1;
        }
    }

    fn pop(&mut self) -> Option<u32> {
        self.len = self.len.checked_sub(1)?;
        let wire = self.ids[self.first];
        self.first = (self.first + 1) % self.ids.len();
        Some(wire)
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;

    fn mux(role: Role) -> Mux<'static> {
        Mux::new(role, Config::default(), MuxStorage::owned(), 1, Instant::ZERO).unwrap()
    }

    #[test]
    fn ids_never_wrap() {
        for (role, last) in [(Role::Client, u32::MAX), (Role::Server, u32::MAX - 1)] {
            let mut mux = mux(role);
            mux.next_wire = Some(last - 2);
            assert_eq!(mux.open().map(StreamId::wire), Ok(last - 2));
            assert_eq!(mux.open().map(StreamId::wire), Ok(last));
            assert_eq!(mux.open(), Err(OpenError::IdsUsedUp));
            assert_eq!(mux.open(), Err(OpenError::IdsUsedUp));
            assert_eq!(mux.stats().opened, 2);
        }
    }

    #[test]
    fn refusals_are_answered_in_order_and_bounded() {
        let mut refusals = Refusals::default();
        for round in 0..5 {
            (0..40).for_each(|wire| refusals.push(wire + round));
            for wire in 0..16 {
                assert_eq!(refusals.pop(), Some(wire + round));
            }
            assert_eq!(refusals.pop(), None);
        }
    }

    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<Mux<'_>>() <= 640, "{}", size_of::<Mux<'_>>());
        assert!(size_of::<crate::Slot>() <= 192, "{}", size_of::<crate::Slot>());
        assert_eq!(mux(Role::Server).into_storage().slots.len(), 0);
    }
}
