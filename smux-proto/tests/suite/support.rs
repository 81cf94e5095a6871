//! An end of a session with its memory and the bytes it has written.

use std::collections::VecDeque;
use std::time::Duration;

use proto_base::{Instant, PageState, Pool};
use smux_proto::{Config, Event, Mux, MuxStorage, Role, Slot, Step, StreamId, Version};

/// Which kind of memory an end works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    Owned,
    Borrowed,
}

pub(crate) const MEMORIES: [Memory; 2] = [Memory::Owned, Memory::Borrowed];

/// Streams that fit the borrowed memory.
pub(crate) const BORROWED_STREAMS: usize = 300;

const PAGE: usize = 4_096;
/// Bytes of a pool, more than a test has unread. Borrowed memory is leaked, twice for each case of
/// a property, and a 32-bit MIPS process has 2 GB of addresses.
const POOL: usize = 2 << 20;

/// Small buffers, so that tests reach the bounds.
pub(crate) fn config(version: Version) -> Config {
    Config {
        version,
        keepalive: Duration::from_secs(10),
        max_frame: 1_000,
        max_streams: BORROWED_STREAMS,
        ..Config::default()
    }
}

pub(crate) struct End {
    pub(crate) mux: Mux<'static>,
    pub(crate) pool: Pool<'static>,
    pub(crate) now: Instant,
    /// Bytes written, not yet at the peer.
    pub(crate) outbox: VecDeque<u8>,
    pub(crate) events: Vec<Event>,
}

impl End {
    pub(crate) fn new(role: Role, config: Config, memory: Memory) -> Self {
        Self::with_pool(role, config, memory, POOL)
    }

    pub(crate) fn with_pool(role: Role, config: Config, memory: Memory, bytes: usize) -> Self {
        let (storage, pool) = match memory {
            Memory::Owned => (MuxStorage::owned(), Pool::owned(bytes, PAGE)),
            Memory::Borrowed => {
                let slots: Vec<Slot> = (0..BORROWED_STREAMS).map(|_| Slot::new()).collect();
                let pages = vec![PageState::new(); bytes / PAGE];
                let storage = MuxStorage::borrowed(slots.leak(), vec![9; BORROWED_STREAMS].leak());
                (storage, Pool::fixed(vec![0; bytes].leak(), pages.leak(), PAGE))
            }
        };
        Self {
            mux: Mux::new(role, config, storage, 77, Instant::ZERO).unwrap(),
            pool: pool.unwrap(),
            now: Instant::ZERO,
            outbox: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// Writes the control frames that are due.
    pub(crate) fn control(&mut self) {
        while let Some(frame) = self.mux.poll_control(self.now) {
            self.outbox.extend(frame.as_bytes());
        }
    }

    /// Opens a stream and writes its SYN.
    pub(crate) fn open(&mut self) -> StreamId {
        let id = self.mux.open().unwrap();
        self.control();
        id
    }

    /// Writes `data` in frames as long as the window allows; returns how much.
    pub(crate) fn write(&mut self, id: StreamId, data: &[u8]) -> usize {
        let mut rest = data;
        while !rest.is_empty() {
            let len = rest.len().min(self.mux.send_window(id));
            let Ok(header) = self.mux.begin_frame(id, len) else { break };
            self.outbox.extend(header);
            self.outbox.extend(&rest[..len]);
            rest = &rest[len..];
        }
        data.len() - rest.len()
    }

    pub(crate) fn read(&mut self, id: StreamId, most: usize) -> Vec<u8> {
        let mut out = vec![0; most];
        let count = self.mux.read(id, &mut self.pool, &mut out).unwrap_or(0);
        out.truncate(count);
        out
    }

    /// Gives all that `peer` has written, in pieces of `piece` bytes, as far as this end takes it.
    pub(crate) fn take_from(&mut self, peer: &mut Self, piece: usize) {
        peer.control();
        let bytes = peer.outbox.make_contiguous();
        let (mut taken, mut end) = (0, 0);
        while end < bytes.len() {
            end = (end + piece).min(bytes.len());
            let count =
                self.mux.handle_bytes(self.now, &mut self.pool, &bytes[taken..end]).unwrap();
            taken += count;
            if taken < end {
                break;
            }
        }
        peer.outbox.drain(..taken);
    }

    /// Takes up to `most` bytes that `peer` has written; of each body, `socket` accepts as much as
    /// it says directly, and the rest is stored.
    pub(crate) fn take_directly(
        &mut self,
        peer: &mut Self,
        most: usize,
        mut socket: impl FnMut(StreamId, &[u8]) -> usize,
    ) {
        let bytes = peer.outbox.make_contiguous();
        let bytes = &bytes[..most.min(bytes.len())];
        let mut at = 0;
        loop {
            match self.mux.next_step(self.now, &bytes[at..]).unwrap() {
                Step::NeedMore { taken } => {
                    assert_eq!(at + taken, bytes.len());
                    at += taken;
                    break;
                }
                Step::Blocked { taken, .. } => {
                    at += taken;
                    break;
                }
                Step::Body { taken, stream, len, direct } => {
                    let body = &bytes[at + taken..at + taken + len];
                    let written = if direct { socket(stream, body) } else { 0 };
                    assert_eq!(self.mux.deliver(stream, written), written);
                    let stored = self.mux.store(stream, &mut self.pool, &body[written..]);
                    at += taken + written + stored;
                    if written + stored < len {
                        break;
                    }
                }
            }
        }
        peer.outbox.drain(..at);
    }

    /// All events there are, also kept in `events`.
    pub(crate) fn poll(&mut self) -> Vec<Event> {
        let mut found = Vec::new();
        while let Some(event) = self.mux.poll_event() {
            found.push(event);
        }
        self.events.extend(&found);
        found
    }

    /// Nothing is left of all streams: no slot, no memory.
    pub(crate) fn assert_clean(&mut self) {
        let stats = self.mux.stats();
        assert_eq!((stats.streams, stats.unread), (0, 0));
        assert_eq!(self.pool.used_pages(), 0);
    }
}

/// A client and a server.
pub(crate) fn pair(config: &Config, memory: Memory) -> (End, End) {
    (End::new(Role::Client, config.clone(), memory), End::new(Role::Server, config.clone(), memory))
}
