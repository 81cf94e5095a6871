//! The connections of an endpoint, and who of them has something to do.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use kcp_proto::ConvId;
use proto_base::Instant;
use smux_proto::Role;

use crate::config::{Config, ConfigError};
use crate::connection::{Connection, Start};
use crate::crowd::Crowd;
use crate::crypt::Random;
use crate::event::{CloseReason, Event};
use crate::memory::{ConnectionMemory, ensure_available};
use crate::shard::Shard;
use crate::stats::{ConnectionStats, EndpointStats};
use crate::timer::TimerWheel;

/// Free pages of the pool with which those go on who wait for memory: KCP keeps two in reserve
/// (kcp-proto, receiver.rs, `RESERVED_PAGES`), and one is to be had.
const ROOM: usize = 3;

/// Silence after which a connection whose peer has proved nothing may have to make room. A client
/// that is at work is heard more often, and most have proved themselves by then.
const SILENT: Duration = Duration::from_millis(250);

/// With reserved memory: connections that may have been evicted without that having been told yet.
const UNTOLD: usize = 16;

/// How often deadlines of those are looked at who wait to send.
const QUEUE_LOOK: Duration = Duration::from_secs(1);

/// Time for which most of the pool's memory must have been free before some of it is given back.
const SLACK: Duration = Duration::from_secs(5);

/// Wholly free slabs of the pool (256 KiB each) that are kept, and the most that are given back at
/// once. Linux takes 30 to 90 µs for each; a gigabyte takes twenty minutes.
const KEPT_SLABS: usize = 4;
const SLABS_AT_ONCE: usize = 16;

/// A connection of an [`Endpoint`](crate::Endpoint). A key of a connection that is gone is never
/// mistaken for that of a later one. The order of keys means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey {
    index: u32,
    generation: u32,
}

/// All connections, found by key and by address, with the queues of those that are due.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) config: Config,
    pub(crate) shard: Shard,
    pub(crate) now: Instant,
    pub(crate) stats: EndpointStats,
    /// Counters of connections that are gone.
    pub(crate) past: ConnectionStats,
    random: Random,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    by_address: HashMap<SocketAddr, u32, FixedState>,
    senders: VecDeque<u32>,
    /// When nobody waited to send, or their deadlines were looked at.
    queue_seen_at: Instant,
    speakers: VecDeque<u32>,
    /// One of the speakers may have something to say.
    pub(crate) has_news: bool,
    /// Connections that wait for memory.
    hungry: VecDeque<u32>,
    timers: TimerWheel,
    /// Connections whose peers have not shown that they receive, in the order in which they were
    /// heard last: when all places are taken the first goes.
    unproven: Crowd,
    /// When at least half of the pool's memory was last in use, or some of it was given back.
    full_at: Instant,
    /// Connections that are gone although their last event was not told yet.
    untold: usize,
    /// With reserved memory: connections that are over, or never were, for the next ones.
    #[expect(clippy::vec_box, reason = "they move to a slot and back without a copy")]
    spares: Vec<Box<Connection>>,
    is_reserved: bool,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    remote: SocketAddr,
    connection: Option<Box<Connection>>,
    /// What is still to be told of a connection that is gone: why it ended, and whether its peer had
    /// proved itself. The place is taken until then.
    last_words: Option<(CloseReason, bool)>,
    is_sender: bool,
    is_speaker: bool,
    is_hungry: bool,
}

impl Table {
    pub(crate) fn new(config: Config, mut random: Random) -> Result<Self, ConfigError> {
        let hasher = FixedState::with_seed(random.next_u64());
        let shard = Shard::new(config.memory).map_err(ConfigError::Memory)?;
        Ok(Self {
            config,
            shard,
            now: Instant::ZERO,
            stats: EndpointStats::default(),
            past: ConnectionStats::default(),
            random,
            slots: Vec::new(),
            vacant: Vec::new(),
            by_address: HashMap::with_hasher(hasher),
            senders: VecDeque::new(),
            queue_seen_at: Instant::ZERO,
            speakers: VecDeque::new(),
            has_news: false,
            hungry: VecDeque::new(),
            timers: TimerWheel::new(),
            unproven: Crowd::new(),
            full_at: Instant::ZERO,
            untold: 0,
            spares: Vec::new(),
            is_reserved: false,
        })
    }

    /// Takes all memory that `max_connections` connections can ever need.
    pub(crate) fn reserve(&mut self) -> Result<(), ConfigError> {
        let count = self.config.max_connections;
        let index = count.saturating_mul(ConnectionMemory::size(&self.config));
        ensure_available(self.config.memory.saturating_add(index))?;
        self.shard = Shard::reserved(self.config.memory).map_err(ConfigError::Memory)?;
        let places = count + UNTOLD;
        self.slots.reserve_exact(places);
        self.vacant.reserve_exact(places);
        // A map that is never more than half full cleans itself up in place.
        self.by_address.reserve(2 * count + 1);
        for queue in [&mut self.senders, &mut self.speakers, &mut self.hungry] {
            queue.reserve_exact(places);
        }
        self.timers.reserve(places);
        self.unproven.reserve(places);
        self.spares.reserve_exact(count);
        for _ in 0..count {
            let memory = ConnectionMemory::reserved(&self.config);
            let start = Start {
                role: Role::Client,
                conv: ConvId(0),
                clock_offset: 0,
                seed: 0,
                now: self.now,
            };
            let spare = Connection::with_memory(&self.config, &start, memory)?;
            self.spares.push(Box::new(spare));
        }
        self.is_reserved = true;
        Ok(())
    }

    /// Begins a connection; `None` when as many as allowed are open and none of them has to go.
    ///
    /// A datagram that was recorded and is sent again from many addresses begins connections like
    /// any other, and must not keep out who comes after them. So of a server's connections whose
    /// peers have not shown that they receive, the one that has been silent the longest makes room.
    pub(crate) fn begin(&mut self, remote: SocketAddr, conv: ConvId, role: Role) -> Option<u32> {
        if self.len() >= self.config.max_connections {
            self.make_room(role);
        }
        if self.len() >= self.config.max_connections || !self.has_place() {
            self.stats.refused_connections += 1;
            return None;
        }
        let start = Start {
            role,
            conv,
            clock_offset: self.random.next_u32(),
            seed: self.random.next_u64(),
            now: self.now,
        };
        let connection = if self.is_reserved {
            let mut spare = self.spares.pop()?;
            spare.restart(&self.config, &start, &mut self.shard).ok()?;
            spare
        } else {
            Box::new(Connection::new(&self.config, &start).ok()?)
        };
        let index = match self.vacant.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot {
                    generation: 0,
                    remote,
                    connection: None,
                    last_words: None,
                    is_sender: false,
                    is_speaker: false,
                    is_hungry: false,
                });
                index
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.remote = remote;
        slot.connection = Some(connection);
        self.by_address.insert(remote, index);
        let open = self.len() as u64;
        self.stats.most_connections = self.stats.most_connections.max(open);
        if role == Role::Server {
            self.unproven.push(index);
        }
        self.touch(index);
        Some(index)
    }

    /// Notes that the peer of a server's connection was heard, which may have proved that it receives.
    pub(crate) fn note_heard(&mut self, index: u32) {
        let Some((connection, _)) = self.get(index) else { return };
        if connection.closed.is_none() && !connection.kcp.is_proven() {
            self.unproven.push(index);
        } else {
            self.unproven.remove(index);
        }
    }

    /// A random conversation id.
    pub(crate) fn new_conv(&mut self) -> ConvId {
        ConvId(self.random.next_u32())
    }

    /// Ends a connection and forgets its address at once. Its last event is still reported.
    pub(crate) fn close(&mut self, index: u32, reason: CloseReason) {
        let slot = &mut self.slots[index as usize];
        if let Some(connection) = &mut slot.connection {
            connection.close(reason);
        }
        self.touch(index);
    }

    /// Notes what a connection has to do after anything happened to it, and what others have to do
    /// if that set memory free.
    pub(crate) fn touch(&mut self, index: u32) {
        self.note(index);
        if !self.hungry.is_empty() {
            self.feed_hungry();
        }
    }

    fn note(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let Some(connection) = &mut slot.connection else { return };
        if connection.closed.is_some() && self.by_address.get(&slot.remote) == Some(&index) {
            self.by_address.remove(&slot.remote);
        }
        if connection.has_output() && !slot.is_sender {
            slot.is_sender = true;
            self.senders.push_back(index);
        }
        if !slot.is_speaker {
            slot.is_speaker = true;
            self.speakers.push_back(index);
        }
        self.has_news |= connection.has_news();
        // A connection in the queue of senders gets its deadline when it has sent.
        match connection.poll_timeout() {
            Some(at) if !slot.is_sender => self.timers.schedule(index, at),
            _ => self.timers.cancel(index),
        }
        if connection.wants_memory() && !slot.is_hungry {
            slot.is_hungry = true;
            self.hungry.push_back(index);
        }
    }

    /// Memory may have become free: lets those go on who wait for it, longest first. Who finds none
    /// left waits again.
    fn feed_hungry(&mut self) {
        // Those that begin to wait meanwhile come after these.
        for _ in 0..self.hungry.len() {
            if self.shard.pool.spare_pages() < ROOM {
                return;
            }
            let Some(index) = self.hungry.pop_front() else { return };
            let slot = &mut self.slots[index as usize];
            slot.is_hungry = false;
            if let Some(connection) = &mut slot.connection {
                connection.now = connection.now.max(self.now);
                connection.handle_room(&mut self.shard);
                self.note(index);
            }
        }
    }

    /// The connection that is to send next. It keeps its turn until [`Self::has_sent`].
    pub(crate) fn next_sender(&mut self) -> Option<(u32, SocketAddr)> {
        let index = *self.senders.front()?;
        Some((index, self.slots[index as usize].remote))
    }

    /// The turn of a sender is over; if it has more it queues again.
    pub(crate) fn has_sent(&mut self, index: u32) {
        self.senders.pop_front();
        self.slots[index as usize].is_sender = false;
        self.touch(index);
    }

    /// Lets the next connection that has something to say say it.
    pub(crate) fn poll_event(&mut self) -> Option<(ConnectionKey, Event)> {
        loop {
            let Some(&index) = self.speakers.front() else {
                self.has_news = false;
                return None;
            };
            let key = self.key(index);
            let slot = &mut self.slots[index as usize];
            let remote = slot.remote;
            if let Some((reason, is_proven)) = slot.last_words.take() {
                self.stats.closed.count(reason);
                self.untold -= 1;
                self.vacant.push(index);
                return Some((key, Event::Closed { reason, remote, is_proven }));
            }
            let connection = slot.connection.as_mut();
            match connection.and_then(|connection| connection.poll_event(remote)) {
                Some(event @ Event::Closed { reason, .. }) => {
                    self.stats.closed.count(reason);
                    self.vacant.push(index);
                    self.release(index);
                    return Some((key, event));
                }
                Some(event) => return Some((key, event)),
                None => {
                    slot.is_speaker = false;
                    self.speakers.pop_front();
                }
            }
        }
    }

    /// Wakes connections whose deadline has passed.
    pub(crate) fn handle_timeout(&mut self) {
        while let Some(index) = self.timers.pop_due(self.now) {
            if let Some(connection) = &mut self.slots[index as usize].connection {
                connection.handle_timeout(self.now, &mut self.shard);
                self.touch(index);
            }
        }
        self.handle_queue();
        self.handle_slack();
    }

    /// Who waits to send has no deadline in the wheel. With a socket that takes nothing that may last,
    /// and must not keep a dead peer alive.
    fn handle_queue(&mut self) {
        if self.senders.is_empty() {
            self.queue_seen_at = self.now;
        } else if self.now - self.queue_seen_at >= QUEUE_LOOK {
            self.queue_seen_at = self.now;
            for at in 0..self.senders.len() {
                let index = self.senders[at];
                if let Some(connection) = &mut self.slots[index as usize].connection {
                    connection.handle_timeout(self.now, &mut self.shard);
                    self.touch(index);
                }
            }
        }
    }

    /// Memory that a crowd or a slow reader needed goes back although others live on. Calls come far
    /// more often than that, so this is a comparison for most of them.
    fn handle_slack(&mut self) {
        let pool = &mut self.shard.pool;
        if pool.held_pages() <= 2 * pool.used_pages() {
            self.full_at = self.now;
        } else if self.now - self.full_at >= SLACK {
            self.full_at = self.now;
            pool.trim(KEPT_SLABS, SLABS_AT_ONCE);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.senders.is_empty() { self.timers.next() } else { Some(self.now) }
    }

    pub(crate) fn find(&self, remote: &SocketAddr) -> Option<u32> {
        self.by_address.get(remote).copied()
    }

    pub(crate) fn key(&self, index: u32) -> ConnectionKey {
        ConnectionKey { index, generation: self.slots[index as usize].generation }
    }

    pub(crate) fn index(&self, key: ConnectionKey) -> Option<u32> {
        let slot = self.slots.get(key.index as usize)?;
        (slot.generation == key.generation && slot.connection.is_some()).then_some(key.index)
    }

    /// A connection and the memory it works in.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<(&mut Connection, &mut Shard)> {
        let connection = self.slots.get_mut(index as usize)?.connection.as_mut()?;
        Some((connection, &mut self.shard))
    }

    pub(crate) fn get(&self, index: u32) -> Option<(&Connection, SocketAddr)> {
        let slot = self.slots.get(index as usize)?;
        Some((slot.connection.as_deref()?, slot.remote))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = ConnectionKey> {
        (0..u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
            .filter(|&index| self.slots[index as usize].connection.is_some())
            .map(|index| self.key(index))
    }

    /// Connections that are open.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.vacant.len() - self.untold
    }

    /// Lets the connection that may have to go, go.
    fn make_room(&mut self, role: Role) {
        let Some(index) = self.unproven.first().filter(|_| role == Role::Server) else { return };
        let Some((connection, _)) = self.get(index) else { return };
        let is_silent = self.now - connection.kcp.last_heard() >= SILENT;
        if is_silent || connection.closed.is_some() {
            self.evict(index);
        }
    }

    /// Whether a connection that begins has a place, as far as memory may be taken for it.
    fn has_place(&self) -> bool {
        let most = self.config.max_connections + UNTOLD;
        !self.vacant.is_empty() || !self.is_reserved || self.slots.len() < most
    }

    /// Ends a connection at once, as its memory is needed; only its last event is kept.
    fn evict(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let Some(connection) = &slot.connection else { return };
        let reason = connection.closed.unwrap_or(CloseReason::Evicted);
        slot.last_words = Some((reason, connection.kcp.is_proven()));
        self.untold += 1;
        self.has_news = true;
        if !slot.is_speaker {
            slot.is_speaker = true;
            self.speakers.push_back(index);
        }
        self.release(index);
    }

    /// Frees the memory of a connection that is over. Its place in the queues is left to run out.
    fn release(&mut self, index: u32) {
        self.unproven.remove(index);
        let slot = &mut self.slots[index as usize];
        let Some(mut connection) = slot.connection.take() else { return };
        let mut last = connection.stats();
        // Its streams are over, too.
        (last.mux.streams, last.mux.unread) = (0, 0);
        self.past += last;
        connection.release(&mut self.shard);
        if self.is_reserved {
            self.spares.push(connection);
        }
        self.timers.cancel(index);
        if self.by_address.get(&slot.remote) == Some(&index) {
            self.by_address.remove(&slot.remote);
        }
        if self.len() == 0 {
            // Nobody is kept waiting, and nobody may wake us for the rest.
            self.shard.pool.trim(1, usize::MAX);
        }
        self.feed_hungry();
    }
}
