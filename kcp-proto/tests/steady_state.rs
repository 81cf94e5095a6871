//! Owned memory: once a conversation has seen its load, it allocates nothing more.

use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use kcp_proto::{Config, ConvId, Kcp, Rings, Via};
use proto_base::{Instant, Pool};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Datagrams under way at the most; more are lost.
const AIR: usize = 128;

/// A path in fixed memory: a datagram goes to a slot at random and leaves it some steps later, so
/// order is lost, and so is what a newer datagram overwrites.
struct Path {
    slots: Vec<(usize, [u8; 1500])>,
}

struct End {
    kcp: Kcp<'static>,
    pool: Pool<'static>,
    written: usize,
    read: usize,
}

struct World {
    now: Instant,
    ends: [End; 2],
    paths: [Path; 2],
    seed: u32,
}

impl World {
    fn new(config: Config) -> Self {
        let end = || End {
            kcp: Kcp::new(ConvId(1), 0, config, Rings::owned(), Instant::ZERO).unwrap(),
            pool: Pool::owned(1 << 22, 4096).unwrap(),
            written: 0,
            read: 0,
        };
        let path = || Path { slots: vec![(0, [0; 1500]); AIR] };
        Self { now: Instant::ZERO, ends: [end(), end()], paths: [path(), path()], seed: 1 }
    }

    fn random(&mut self, bound: usize) -> usize {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) as usize % bound
    }

    /// A millisecond: both ends write, send, receive and read.
    fn step(&mut self, reads: bool) {
        self.now += Duration::from_millis(1);
        for way in 0..2 {
            let end = &mut self.ends[way];
            let data = [end.written as u8; 3000];
            end.written += end.kcp.send(&mut end.pool, &data).unwrap_or(0);
            end.kcp.handle_timeout(self.now);
            loop {
                let slot = self.random(AIR);
                let (len, out) = &mut self.paths[way].slots[slot];
                let end = &mut self.ends[way];
                match end.kcp.poll_transmit(self.now, &end.pool, out).unwrap() {
                    Some(sent) => *len = sent,
                    None => break,
                }
            }
            for _ in 0..16 {
                let slot = self.random(AIR);
                let (len, data) = &mut self.paths[way].slots[slot];
                let end = &mut self.ends[1 - way];
                if *len > 0 {
                    let packet = &data[..*len];
                    end.kcp.handle_packet(self.now, &mut end.pool, packet, Via::Direct).unwrap();
                    *len = 0;
                }
            }
            let end = &mut self.ends[1 - way];
            while reads && let Some(bytes) = end.kcp.peek(&end.pool) {
                let count = bytes.len();
                end.kcp.consume(&mut end.pool, count);
                end.read += count;
            }
            while end.kcp.poll_event().is_some() {}
        }
    }
}

#[test]
fn a_warm_conversation_allocates_nothing() {
    let config = Config { nodelay: true, receive_window: 256, ..Config::default() };
    let mut world = World::new(config);
    // A stalled reader fills both windows; then the usual load.
    (0..3_000).for_each(|_| world.step(false));
    (0..20_000).for_each(|_| world.step(true));
    let before = world.ends.each_ref().map(|end| (end.read, end.kcp.stats()));
    let allocations = ALLOCATIONS.get();
    (0..20_000).for_each(|_| world.step(true));
    assert_eq!(ALLOCATIONS.get() - allocations, 0);
    for (end, (read, stats)) in world.ends.iter().zip(before) {
        let now = end.kcp.stats();
        assert!(end.read > read + 1_000_000, "it was at work: {} bytes", end.read - read);
        assert!(now.fast_retransmits > stats.fast_retransmits + 100, "there was loss: {now:?}");
        assert!(now.repeated > stats.repeated, "{now:?}");
    }
}
