//! Two ends against the simplest model there is: what was written comes out, once and in order.
//!
//! Between the ends lies a heap of datagrams; any of them may be delivered next, twice, or never.
//! Garbage goes to the ends themselves; damaged copies go to a third end, as KCP has no checksum
//! and would take some of them for the truth. All of it in owned and in fixed memory.

mod common;

use core::time::Duration;
use std::collections::VecDeque;

use common::{Memory, Shape, pattern};
use kcp_proto::{Config, ConvId, Event, Kcp, Mode, RecvError, Via};
use proptest::prelude::*;
use proto_base::{Instant, Pool};

const CONV: ConvId = ConvId(0x1234_5678);

#[derive(Debug, Clone)]
enum Op {
    /// Bytes as a multiple of a 16th of a segment.
    Write(usize, usize),
    /// Ask for a slot and commit a part (of 16) of it.
    Slot {
        end: usize,
        least: usize,
        wanted: usize,
        part: usize,
    },
    /// Read up to so many bytes by `peek`, and `consume`.
    Consume(usize, usize),
    /// Read all pieces by `readable`.
    ReadAll(usize),
    Recv(usize),
    Advance(u64),
    /// Polls so many datagrams.
    Poll(usize, usize),
    Deliver(usize, usize),
    Recovered(usize, usize),
    Duplicate(usize, usize),
    Drop(usize, usize),
    Corrupt {
        way: usize,
        pick: usize,
        at: usize,
        flip: u8,
    },
    Garbage(usize, Vec<u8>),
    Shrink(usize),
}

fn any_op() -> impl Strategy<Value = Op> {
    let (end, pick) = (0usize..2, 0usize..1000);
    prop_oneof![
        6 => (end.clone(), 0usize..320).prop_map(|(end, size)| Op::Write(end, size)),
        3 => (end.clone(), 0usize..3000, 0usize..6000, 0usize..=16)
            .prop_map(|(end, least, wanted, part)| Op::Slot { end, least, wanted, part }),
        3 => (end.clone(), 0usize..9000).prop_map(|(end, size)| Op::Consume(end, size)),
        2 => end.clone().prop_map(Op::ReadAll),
        2 => end.clone().prop_map(Op::Recv),
        6 => (0u64..300).prop_map(Op::Advance),
        8 => (end.clone(), 1usize..40).prop_map(|(end, count)| Op::Poll(end, count)),
        12 => (end.clone(), pick.clone()).prop_map(|(end, pick)| Op::Deliver(end, pick)),
        1 => (end.clone(), pick.clone()).prop_map(|(end, pick)| Op::Recovered(end, pick)),
        2 => (end.clone(), pick.clone()).prop_map(|(end, pick)| Op::Duplicate(end, pick)),
        3 => (end.clone(), pick.clone()).prop_map(|(end, pick)| Op::Drop(end, pick)),
        1 => (end.clone(), pick, 0usize..64, 1u8..)
            .prop_map(|(way, pick, at, flip)| Op::Corrupt { way, pick, at, flip }),
        1 => (end.clone(), prop::collection::vec(any::<u8>(), 0..120))
            .prop_map(|(end, bytes)| Op::Garbage(end, bytes)),
        1 => end.prop_map(Op::Shrink),
    ]
}

fn any_window() -> impl Strategy<Value = u16> {
    prop_oneof![2 => 1u16..=4, 2 => 5u16..=300, 1 => 1u16.., 1 => Just(u16::MAX)]
}

fn any_config() -> impl Strategy<Value = Config> {
    (
        prop_oneof![1 => 25usize..60, 3 => 60usize..=1500],
        (any::<bool>(), any::<bool>(), any::<bool>()),
        prop_oneof![Just(1u64), 2u64..=100, Just(5000)],
        prop_oneof![4 => 0u32..=5, 1 => any::<u32>()],
        (any_window(), any_window()),
    )
        .prop_map(|(datagram_len, flags, interval, resend, windows)| Config {
            datagram_len,
            mode: Mode::Stream,
            nodelay: flags.0,
            congestion_control: flags.1,
            ack_no_delay: flags.2,
            interval: Duration::from_millis(interval),
            resend,
            send_window: windows.0,
            receive_window: windows.1,
        })
}

fn any_clock() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), any::<u32>(), (0u32..3000).prop_map(|before| u32::MAX - before)]
}

#[derive(Debug, Clone)]
struct Scenario {
    configs: [Config; 2],
    clocks: [u32; 2],
    ops: Vec<Op>,
    /// Bytes that each end still writes in the end, when the path is clean.
    more: usize,
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    (
        any_config(),
        any_config(),
        any::<bool>(),
        [any_clock(), any_clock()],
        prop::collection::vec(any_op(), 0..150),
        0usize..30_000,
    )
        .prop_map(|(mut a, mut b, messages, clocks, ops, more)| {
            if messages {
                (a.mode, b.mode) = (Mode::Message, Mode::Message);
            }
            Scenario { configs: [a, b], clocks, ops, more }
        })
}

fn any_fixed() -> impl Strategy<Value = Shape> {
    let slots = || prop_oneof![2 => 1usize..=5, 1 => 6usize..200];
    let pages = prop_oneof![2 => 2usize..=4, 2 => 5usize..40, 1 => Just(300)];
    (slots(), slots(), slots(), slots(), pages, 11u32..=14).prop_map(
        |(sent, chunks, received, acks, pages, shift)| Shape::Fixed {
            sent,
            chunks,
            received,
            acks,
            pages,
            page: 1 << shift,
        },
    )
}

struct End<'s> {
    kcp: Kcp<'s>,
    pool: Pool<'s>,
    config: Config,
    /// Fragments a message may have: more would not fit a window or a pool.
    fragments: usize,
    written: u64,
    read: u64,
    /// Lengths of the messages under way to this end.
    messages: VecDeque<usize>,
    /// The last write took all, or `Writable` came since.
    writable: bool,
}

struct World<'s> {
    now: Instant,
    ends: [End<'s>; 2],
    /// Damaged datagrams end here.
    victim: Kcp<'static>,
    victim_pool: Pool<'static>,
    air: [Vec<Vec<u8>>; 2],
}

/// Slots of a ring of `len` within a window.
fn effective(window: u16, len: usize) -> usize {
    usize::from(window).min(1 << len.ilog2())
}

/// Fragments that a message from an end of shape `from` to one of shape `to` may have.
fn fragments(configs: [Config; 2], from: Shape, to: Shape) -> usize {
    let (mut sent, mut received) =
        (usize::from(configs[0].send_window), usize::from(configs[1].receive_window));
    for (shape, way) in [(from, 0), (to, 1)] {
        if let Shape::Fixed { sent: s, chunks, received: r, pages, .. } = shape {
            if way == 0 {
                sent = effective(configs[0].send_window, s.min(chunks)).min(1 << chunks.ilog2());
            } else {
                received = effective(configs[1].receive_window, r);
            }
            // The pool takes a whole message only if it can hold both windows.
            let own = effective(configs[way].send_window, s);
            let peers = effective(configs[way].receive_window, r);
            if pages < 2 * (own + peers) + 2 {
                return 1;
            }
        }
    }
    sent.min(received).min(255)
}

impl<'s> World<'s> {
    fn new(scenario: &Scenario, memories: &'s mut [Memory; 2], shapes: [Shape; 2]) -> Self {
        let configs = scenario.configs;
        let mut way = 0;
        let ends = memories.each_mut().map(|memory| {
            let (rings, pool) = memory.lend();
            let (own, other) = (configs[way], configs[1 - way]);
            let kcp = Kcp::new(CONV, scenario.clocks[way], own, rings, Instant::ZERO).unwrap();
            let fragments = fragments([own, other], shapes[way], shapes[1 - way]);
            way += 1;
            let (messages, writable) = (VecDeque::new(), true);
            End { kcp, pool, config: own, fragments, written: 0, read: 0, messages, writable }
        });
        let rings = kcp_proto::Rings::owned();
        let victim = Kcp::new(CONV, scenario.clocks[0], configs[0], rings, Instant::ZERO).unwrap();
        let victim_pool = Pool::owned(1 << 20, 2048).unwrap();
        Self { now: Instant::ZERO, ends, victim, victim_pool, air: [Vec::new(), Vec::new()] }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Write(end, size) => {
                let len = (self.ends[end].config.mss() * size).div_ceil(16);
                self.write(end, len.min(20_000));
            }
            Op::Slot { end, least, wanted, part } => self.write_slot(end, least, wanted, part),
            Op::Consume(end, size) => self.consume(end, size),
            Op::ReadAll(end) => self.read_all(end),
            Op::Recv(end) => self.recv(end),
            Op::Advance(ms) => self.advance(self.now + Duration::from_millis(ms)),
            Op::Poll(end, count) => {
                (0..count).for_each(|_| _ = self.poll(end));
            }
            Op::Deliver(way, pick) => {
                if let Some(datagram) = self.pick(way, pick) {
                    self.deliver(way, &datagram, Via::Direct);
                }
            }
            Op::Recovered(way, pick) => {
                if let Some(datagram) = self.pick(way, pick) {
                    self.deliver(way, &datagram, Via::Recovered);
                }
            }
            Op::Duplicate(way, pick) => {
                if let Some(datagram) = self.pick(way, pick) {
                    self.deliver(way, &datagram, Via::Direct);
                    self.air[way].push(datagram);
                }
            }
            Op::Drop(way, pick) => drop(self.pick(way, pick)),
            Op::Corrupt { way, pick, at, flip } => self.corrupt(way, pick, at, flip),
            Op::Garbage(end, ref bytes) => {
                let before = self.ends[end].kcp.stats().bad_packets;
                let end = &mut self.ends[end];
                let result = end.kcp.handle_packet(self.now, &mut end.pool, bytes, Via::Direct);
                assert_eq!(end.kcp.stats().bad_packets - before, u64::from(result.is_err()));
            }
            Op::Shrink(end) => self.ends[end].kcp.shrink(),
        }
    }

    fn write(&mut self, from: usize, len: usize) {
        let end = &mut self.ends[from];
        let len = match end.config.mode {
            Mode::Stream => len,
            Mode::Message => len.min(end.fragments * end.config.mss()),
        };
        let data: Vec<u8> = (0..len).map(|at| pattern(from, end.written + at as u64)).collect();
        let room = end.kcp.send_capacity();
        let taken = end.kcp.send(&mut end.pool, &data).unwrap_or(0);
        end.writable = taken == len;
        end.written += taken as u64;
        let is_message = end.config.mode == Mode::Message;
        assert!(taken <= room + end.config.mss() && (!is_message || [0, len].contains(&taken)));
        if is_message && taken > 0 {
            self.ends[1 - from].messages.push_back(taken);
        }
    }

    fn write_slot(&mut self, from: usize, least: usize, wanted: usize, part: usize) {
        let end = &mut self.ends[from];
        if end.config.mode == Mode::Message {
            return;
        }
        // With small segments that is enough for minutes, at an ack for each.
        let wanted = wanted.min(64 * end.config.mss());
        let Ok(slot) = end.kcp.send_slot(&mut end.pool, least, wanted) else {
            // More than a segment may be more than the window or a page can ever give.
            end.writable &= least > end.config.mss();
            return;
        };
        assert!(slot.len() >= least.max(1) && slot.len() <= wanted.max(least).max(1));
        let count = slot.len() * part / 16;
        slot.fill(0xee);
        for (at, byte) in slot[..count].iter_mut().enumerate() {
            *byte = pattern(from, end.written + at as u64);
        }
        end.kcp.commit(&mut end.pool, count);
        end.written += count as u64;
    }

    fn consume(&mut self, to: usize, size: usize) {
        let end = &mut self.ends[to];
        if end.config.mode == Mode::Message {
            return;
        }
        let before = end.kcp.readable_bytes();
        let Some(bytes) = end.kcp.peek(&end.pool) else {
            assert_eq!(before, 0);
            return;
        };
        let count = bytes.len().min(size);
        end.read = check(1 - to, end.read, &bytes[..count]);
        end.kcp.consume(&mut end.pool, count);
        assert_eq!(end.kcp.readable_bytes(), before - count);
    }

    fn read_all(&mut self, to: usize) {
        let end = &mut self.ends[to];
        if end.config.mode == Mode::Message {
            return;
        }
        let mut total = 0;
        for bytes in end.kcp.readable(&end.pool) {
            end.read = check(1 - to, end.read, bytes);
            total += bytes.len();
        }
        assert_eq!(end.kcp.readable_bytes(), total);
        end.kcp.consume(&mut end.pool, total);
        assert_eq!(end.kcp.readable_bytes(), 0);
    }

    fn recv(&mut self, to: usize) {
        let end = &mut self.ends[to];
        let mut out = vec![0; 255 * 1500];
        let expected = end.kcp.message_len();
        if let Some(short) = expected.and_then(|len| len.checked_sub(1)) {
            let result = end.kcp.recv(&mut end.pool, &mut out[..short]);
            assert_eq!(result, Err(RecvError::BufferTooSmall { need: short + 1 }));
        }
        let len = end.kcp.recv(&mut end.pool, &mut out).ok();
        assert_eq!(len, expected);
        let Some(len) = len else { return };
        end.read = check(1 - to, end.read, &out[..len]);
        if end.config.mode == Mode::Message {
            assert_eq!(end.messages.pop_front(), Some(len), "a message keeps its length");
        }
    }

    fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        self.ends.iter_mut().for_each(|end| end.kcp.handle_timeout(self.now));
    }

    fn poll(&mut self, from: usize) -> bool {
        let mut out = [0; 1500];
        let end = &mut self.ends[from];
        // A slice that is too short takes nothing.
        if let Err(short) = end.kcp.poll_transmit(self.now, &end.pool, &mut []) {
            assert!(short.need <= end.config.datagram_len);
            assert_eq!(end.kcp.poll_timeout(), Some(self.now));
        }
        let Some(len) = end.kcp.poll_transmit(self.now, &end.pool, &mut out).unwrap() else {
            assert_eq!(end.kcp.poll_transmit(self.now, &end.pool, &mut out), Ok(None));
            end.kcp.handle_timeout(self.now);
            if end.kcp.poll_transmit(self.now, &end.pool, &mut []) == Ok(None) {
                assert!(end.kcp.poll_timeout().is_none_or(|at| at > self.now), "no rest");
            }
            return false;
        };
        assert!(len <= end.config.datagram_len);
        self.air[from].push(out[..len].to_vec());
        true
    }

    fn pick(&mut self, way: usize, pick: usize) -> Option<Vec<u8>> {
        let count = self.air[way].len();
        (count > 0).then(|| self.air[way].swap_remove(pick % count))
    }

    fn deliver(&mut self, way: usize, datagram: &[u8], via: Via) {
        let end = &mut self.ends[1 - way];
        end.kcp.handle_packet(self.now, &mut end.pool, datagram, via).unwrap();
    }

    /// A damaged copy goes to the victim, which must keep its feet.
    fn corrupt(&mut self, way: usize, pick: usize, at: usize, flip: u8) {
        let Some(good) = self.air[way].get(pick % self.air[way].len().max(1)) else { return };
        let mut bad = good.clone();
        let at = at % bad.len();
        bad[at] ^= flip;
        let (kcp, pool) = (&mut self.victim, &mut self.victim_pool);
        _ = kcp.send(pool, good);
        for datagram in [good, &bad] {
            _ = kcp.handle_packet(self.now, pool, datagram, Via::Direct);
            kcp.handle_timeout(self.now);
        }
        let mut out = [0; 1500];
        for _ in 0..100_000 {
            match kcp.poll_transmit(self.now, pool, &mut out).unwrap() {
                Some(_) => {}
                None => break,
            }
        }
        assert_eq!(kcp.poll_transmit(self.now, pool, &mut out), Ok(None), "it goes on sending");
        while kcp.poll_event().is_some() {}
        let count = kcp.peek(pool).map_or(0, <[u8]>::len);
        kcp.consume(pool, count);
    }

    fn read_what_is_there(&mut self, to: usize) -> bool {
        let before = self.ends[to].read;
        match self.ends[to].config.mode {
            Mode::Stream => self.read_all(to),
            Mode::Message => {
                while self.ends[to].kcp.message_len().is_some() {
                    self.recv(to);
                }
            }
        }
        self.ends[to].read > before
    }

    /// The path is clean from now on, the readers read, the writers write when they are told:
    /// everything arrives.
    fn finish(&mut self, more: usize) {
        // What still lies in the air arrives the wrong way round.
        self.air.iter_mut().for_each(|way| way.reverse());
        let mut left = self.ends.each_ref().map(|end| more.min(40 * end.config.mss()));
        let limit = self.now + Duration::from_secs(4 * 3600);
        let mut way_in = [true; 2];
        loop {
            let mut moved = false;
            for from in 0..2 {
                for datagram in core::mem::take(&mut self.air[from]) {
                    self.deliver(from, &datagram, Via::Direct);
                    moved = true;
                }
            }
            for at in 0..2 {
                while let Some(event) = self.ends[at].kcp.poll_event() {
                    self.ends[at].writable |= event == Event::Writable;
                    assert_ne!(event, Event::PeerRestarted);
                    way_in[at] |= event == Event::Readable;
                }
                // Nobody reads without having been told.
                if core::mem::take(&mut way_in[at]) {
                    moved |= self.read_what_is_there(at);
                }
                while left[at] > 0 && self.ends[at].writable {
                    let before = self.ends[at].written;
                    self.write(at, left[at].min(2_000));
                    left[at] -= (self.ends[at].written - before) as usize;
                    moved = true;
                }
                while self.poll(at) {
                    moved = true;
                }
            }
            let is_done = left == [0, 0]
                && (0..2).all(|at| self.ends[at].kcp.pending_segments() == 0)
                && (0..2).all(|at| self.ends[at].written == self.ends[1 - at].read);
            if is_done {
                return;
            }
            if !moved {
                let deadlines = self.ends.each_ref().map(|end| end.kcp.poll_timeout());
                let next = deadlines.into_iter().fold(None, Instant::earliest);
                let next =
                    next.unwrap_or_else(|| panic!("asleep for good, {left:?}: {}", self.state()));
                assert!(next < limit, "too late, {left:?}: {}", self.state());
                self.advance(next);
            }
        }
    }

    fn state(&self) -> String {
        self.ends
            .each_ref()
            .map(|end| {
                format!(
                    "\npending {} written {} read {} spare {} writable {} {:?}",
                    end.kcp.pending_segments(),
                    end.written,
                    end.read,
                    end.pool.spare_pages(),
                    end.writable,
                    end.kcp.stats()
                )
            })
            .concat()
    }
}

fn check(way: usize, from: u64, bytes: &[u8]) -> u64 {
    let wrong = (from..).zip(bytes).find(|&(at, &byte)| byte != pattern(way, at));
    assert_eq!(wrong.map(|(at, _)| at), None, "wrong byte");
    from + bytes.len() as u64
}

/// The suite: any operations, then a clean path; all arrives and all memory comes back.
fn suite(scenario: &Scenario, shapes: [Shape; 2]) {
    let mut memories = shapes.map(Memory::new);
    let mut world = World::new(scenario, &mut memories, shapes);
    for op in &scenario.ops {
        world.apply(op);
        for at in 0..2 {
            let (read, written) = (world.ends[at].read, world.ends[1 - at].written);
            assert!(read <= written, "read {read} of {written}");
        }
    }
    world.finish(scenario.more);
    for mut end in world.ends {
        end.kcp.release(&mut end.pool);
        assert_eq!(end.pool.used_pages(), 0, "memory is lost");
    }
    world.victim.release(&mut world.victim_pool);
    assert_eq!(world.victim_pool.used_pages(), 0, "memory is lost at the victim");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_arrives_in_owned_memory(scenario in any_scenario()) {
        suite(&scenario, [Shape::Owned { pool: 1 << 24 }; 2]);
    }

    #[test]
    fn what_is_written_arrives_in_fixed_memory(
        scenario in any_scenario(),
        shapes in [any_fixed(), any_fixed()],
    ) {
        suite(&scenario, shapes);
    }
}
