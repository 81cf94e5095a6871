//! Two ends and the paths between them, on a virtual clock. Shared by the tests of this folder and
//! by the crate's own.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::vec::Vec;
use std::{format, vec};

use kcp_proto::{Ack, Chunk, Event, Kcp, Rings, RxSegment, TxSegment, Via};
use proto_base::{Instant, PageState, Pool};

/// A small seeded generator (splitmix64).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }
}

/// The byte at `offset` of direction `way`; no two places of a stream look alike for long.
pub fn pattern(way: usize, offset: u64) -> u8 {
    let mixed = (offset + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ (way as u64) << 7);
    (mixed >> 32) as u8
}

/// Memory of one end: owned, or slices of these sizes.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Owned { pool: usize },
    Fixed { sent: usize, chunks: usize, received: usize, acks: usize, pages: usize, page: usize },
}

/// What a shape is lent from.
pub struct Memory {
    shape: Shape,
    sent: Vec<TxSegment>,
    chunks: Vec<Chunk>,
    received: Vec<RxSegment>,
    acks: Vec<Ack>,
    arena: Vec<u8>,
    states: Vec<PageState>,
}

fn defaults<T: Default>(count: usize) -> Vec<T> {
    (0..count).map(|_| T::default()).collect()
}

impl Memory {
    pub fn new(shape: Shape) -> Self {
        let (sent, chunks, received, acks, pages, page) = match shape {
            Shape::Owned { .. } => (0, 0, 0, 0, 0, 0),
            Shape::Fixed { sent, chunks, received, acks, pages, page } => {
                (sent, chunks, received, acks, pages, page)
            }
        };
        Self {
            shape,
            sent: defaults(sent),
            chunks: defaults(chunks),
            received: defaults(received),
            acks: defaults(acks),
            arena: vec![0; pages * page],
            states: defaults(pages),
        }
    }

    pub fn lend(&mut self) -> (Rings<'_>, Pool<'_>) {
        match self.shape {
            Shape::Owned { pool } => (Rings::owned(), Pool::owned(pool, 4096).unwrap()),
            Shape::Fixed { page, .. } => {
                let rings = Rings {
                    sent: self.sent.as_mut_slice().into(),
                    chunks: self.chunks.as_mut_slice().into(),
                    received: self.received.as_mut_slice().into(),
                    acks: self.acks.as_mut_slice().into(),
                };
                (rings, Pool::fixed(&mut self.arena, &mut self.states, page).unwrap())
            }
        }
    }
}

/// One end with the application on it: it writes a pattern and checks what it reads.
pub struct End<'s> {
    pub kcp: Kcp<'s>,
    pub pool: Pool<'s>,
    way: usize,
    /// Bytes still to be written; the application writes when told that it can.
    pub to_write: u64,
    pub written: u64,
    pub read: u64,
    writable: bool,
    /// Whether the application reads.
    pub reads: bool,
    pub events: Vec<(Instant, Event)>,
    piece: Vec<u8>,
}

impl<'s> End<'s> {
    pub fn new(way: usize, kcp: Kcp<'s>, pool: Pool<'s>) -> Self {
        Self {
            kcp,
            pool,
            way,
            to_write: 0,
            written: 0,
            read: 0,
            writable: true,
            reads: true,
            events: Vec::new(),
            piece: Vec::new(),
        }
    }

    /// Takes events, reads all, writes while there is room.
    pub fn run_application(&mut self, now: Instant) {
        loop {
            while let Some(event) = self.kcp.poll_event() {
                match event {
                    Event::Readable => {}
                    Event::Writable => self.writable = true,
                    _ => self.events.push((now, event)),
                }
            }
            while self.reads {
                let Some(bytes) = self.kcp.peek(&self.pool) else { break };
                for &byte in bytes {
                    assert_eq!(byte, pattern(1 - self.way, self.read), "at byte {}", self.read);
                    self.read += 1;
                }
                let count = bytes.len();
                self.kcp.consume(&mut self.pool, count);
            }
            if self.to_write == 0 || !self.writable {
                return;
            }
            let count = self.to_write.min(9_000);
            self.piece.clear();
            self.piece.extend((self.written..self.written + count).map(|at| pattern(self.way, at)));
            let taken = self.kcp.send(&mut self.pool, &self.piece).unwrap_or(0) as u64;
            self.written += taken;
            self.to_write -= taken;
            self.writable = taken == count;
        }
    }

    pub fn count(&self, event: Event) -> usize {
        self.events.iter().filter(|&&(_, other)| other == event).count()
    }
}

/// One direction of a path. Rates in per mille.
#[derive(Debug, Clone, Copy)]
pub struct Path {
    pub delay: Duration,
    /// Up to this much more delay for each datagram, at random.
    pub jitter: Duration,
    pub loss: u32,
    pub duplicates: u32,
    /// Bytes a second; 0 for no limit.
    pub rate: u64,
    /// Bytes that wait for a limited rate at the most.
    pub queue: u64,
}

impl Path {
    pub fn clean(delay_ms: u64) -> Self {
        Self {
            delay: Duration::from_millis(delay_ms),
            jitter: Duration::ZERO,
            loss: 0,
            duplicates: 0,
            rate: 0,
            queue: u64::MAX,
        }
    }
}

/// Two ends and the paths from each to the other.
pub struct Sim<'s> {
    pub now: Instant,
    pub ends: [End<'s>; 2],
    pub paths: [Path; 2],
    /// When the last byte of what a limited path has taken will have left.
    busy_until: [Instant; 2],
    air: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    rng: Rng,
}

impl<'s> Sim<'s> {
    pub fn new(ends: [End<'s>; 2], paths: [Path; 2], seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            ends,
            paths,
            busy_until: [Instant::ZERO; 2],
            air: BTreeMap::new(),
            sent: 0,
            rng: Rng(seed),
        }
    }

    /// Runs until everything written was read and acknowledged; panics when that takes longer than
    /// `limit`. Tells how long it took.
    pub fn finish_within(&mut self, limit: Duration) -> Duration {
        let start = self.now;
        self.run_while(start + limit, |ends| !is_done(ends));
        assert!(
            is_done(&self.ends),
            "after {limit:?}: {:?}",
            self.ends.each_ref().map(|end| {
                let kcp = &end.kcp;
                let state = (kcp.pending_segments(), kcp.in_flight(), kcp.remote_window());
                format!("to write {} {state:?} {:?}", end.to_write, kcp.stats())
            })
        );
        self.now - start
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_while(self.now + time, |_| true);
        self.now = self.now.max(self.now + time);
    }

    /// Runs to `end`, or while `wanted`.
    pub fn run_while(&mut self, end: Instant, wanted: impl Fn(&[End<'s>; 2]) -> bool) {
        let mut stuck = 0;
        loop {
            for way in 0..2 {
                self.settle(way);
            }
            if !wanted(&self.ends) {
                return;
            }
            let arrival = self.air.first_key_value().map(|(&(at, _), _)| at);
            let timers = self.ends.each_ref().map(|end| end.kcp.poll_timeout());
            let next = timers.into_iter().fold(arrival, Instant::earliest);
            let Some(next) = next.filter(|&at| at <= end) else {
                self.now = self.now.max(end);
                return;
            };
            stuck = if next <= self.now { stuck + 1 } else { 0 };
            assert!(stuck < 100_000, "time stands still at {next:?}");
            self.now = self.now.max(next);
            if arrival == Some(next) {
                if let Some((_, (way, datagram))) = self.air.pop_first() {
                    let end = &mut self.ends[1 - way];
                    end.kcp.handle_packet(self.now, &mut end.pool, &datagram, Via::Direct).unwrap();
                }
            } else {
                self.ends.iter_mut().for_each(|end| end.kcp.handle_timeout(self.now));
            }
        }
    }

    /// Lets the application and the transmitter of one end run until neither has anything to do.
    fn settle(&mut self, way: usize) {
        let mut out = [0; 1500];
        self.ends[way].run_application(self.now);
        loop {
            let end = &mut self.ends[way];
            let Some(len) = end.kcp.poll_transmit(self.now, &end.pool, &mut out).unwrap() else {
                let again = end.kcp.poll_transmit(self.now, &end.pool, &mut out);
                assert_eq!(again, Ok(None), "output had ended");
                return;
            };
            self.transmit(way, &out[..len]);
        }
    }

    fn transmit(&mut self, way: usize, datagram: &[u8]) {
        let path = self.paths[way];
        let mut leaves = self.now;
        if path.rate > 0 {
            let start = self.busy_until[way].max(self.now);
            let waiting = (start - self.now).as_micros() as u64 * path.rate / 1_000_000;
            if waiting > path.queue {
                return;
            }
            leaves = start + Duration::from_micros(datagram.len() as u64 * 1_000_000 / path.rate);
            self.busy_until[way] = leaves;
        }
        let copies = 1 + u32::from(self.rng.chance(path.duplicates));
        for _ in 0..copies {
            let jitter = self.rng.below(path.jitter.as_micros() as u64 + 1);
            if !self.rng.chance(path.loss) {
                self.sent += 1;
                let at = leaves + path.delay + Duration::from_micros(jitter);
                self.air.insert((at, self.sent), (way, datagram.to_vec()));
            }
        }
    }
}

fn is_done(ends: &[End<'_>; 2]) -> bool {
    ends.iter().all(|end| end.to_write == 0 && end.kcp.pending_segments() == 0)
        && ends[0].written == ends[1].read
        && ends[1].written == ends[0].read
}

/// Memory that lives as long as the test program; for tests that make few conversations.
pub fn leak(shape: Shape) -> (Rings<'static>, Pool<'static>) {
    Box::leak(Box::new(Memory::new(shape))).lend()
}
