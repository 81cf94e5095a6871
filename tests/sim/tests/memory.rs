//! What connections cost: idle, busy, and afterwards.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use core::time::Duration;

use kcptun_sim::{Flow, Setup, World, is_inside_machine};
use kcptun_tunnel::{Endpoint, Side};
use proto_base::Instant;
use smux_proto::Version;

thread_local! {
    /// Allocations inside of endpoints.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes in use by this thread, of whatever kind.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    if bytes > 0 && is_inside_machine() {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
    }
    BYTES.with(|count| count.set(count.get() + bytes));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_in_the_steady_state() {
    for compression in [false, true] {
        for version in [Version::V1, Version::V2] {
            let mut setup = Setup::default();
            setup.config.compression = compression;
            setup.config.smux.version = version;
            setup.config.kcp.nodelay = true;
            setup.config.kcp.interval = Duration::from_millis(10);
            let path = "delay=20ms,loss=10%,reorder=5%,rate=30mbit".parse().expect("a path");
            let mut world = World::new(&setup, &setup, path, 5);
            let client = world.add_client();
            // Both windows are always full, and streams come and go.
            world.open(client, Flow::transfer(1 << 40, 1 << 40));
            let churn = |world: &mut World| {
                for _ in 0..20 {
                    for _ in 0..10 {
                        world.open(client, Flow::transfer(5_000, 9_000));
                    }
                    world.run_for(Duration::from_millis(500));
                }
            };
            (0..4).for_each(|_| churn(&mut world));
            let before = ALLOCATIONS.with(Cell::get);
            let recovered = world.server.total_stats().decoder.recovered;
            churn(&mut world);
            let stats = world.server.total_stats();
            let allocated = ALLOCATIONS.with(Cell::get) - before;
            assert!(stats.decoder.recovered > recovered && stats.mux.incoming > 300, "{stats:?}");
            assert_eq!(allocated, 0, "compression {compression}, {version:?}");
        }
    }
}

#[test]
fn what_is_idle_holds_no_payload_memory() {
    for compression in [false, true] {
        let mut setup = Setup::default();
        setup.config.compression = compression;
        let mut world =
            World::new(&setup, &setup, "delay=20ms,loss=10%".parse().expect("a path"), 5);
        for _ in 0..5 {
            let client = world.add_client();
            for _ in 0..10 {
                world.open(client, Flow::transfer(100_000, 300_000));
            }
        }
        world.run_for(Duration::from_millis(300));
        assert!(world.server.memory_in_use() > 100_000);
        world.run_until_done(Duration::from_secs(60));
        let held = |world: &World| {
            let clients = world.clients.iter().map(|client| client.endpoint.memory_in_use());
            world.server.memory_in_use() + clients.sum::<usize>()
        };
        // Signs of life, each 10 s, take a page for the moments that they need.
        let is_free = world.run_until(Duration::from_secs(10), |world| held(world) == 0);
        assert!(is_free, "{} bytes", held(&world));
    }
}

/// A server with a thousand connections that have all been used once.
#[test]
fn a_thousand_idle_connections() {
    let setup = Setup::default();
    let mut world = World::new(&setup, &setup, "delay=20ms".parse().expect("a path"), 5);
    for number in 0..1_000 {
        let client = world.add_client();
        let mut flow = Flow::transfer(20_000, 20_000);
        flow.opens_after = Duration::from_millis(number);
        world.open(client, flow);
    }
    world.run_until_done(Duration::from_secs(60));
    world.run_for(Duration::from_secs(7));
    assert_eq!(world.server.connections().count(), 1_000);
    assert_eq!(world.server.memory_in_use(), 0);
    let before = BYTES.with(Cell::get);
    let server = core::mem::replace(&mut world.server, setup.endpoint(Side::Server, 1));
    let fresh = BYTES.with(Cell::get) - before;
    drop(server);
    let held = before + fresh - BYTES.with(Cell::get);
    println!("{} bytes for each of 1000 idle connections", held / 1_000);
    // Measured: 16.5 KB each.
    assert!(held < 1_000 * 20_000, "{held} bytes");
}

/// An endpoint that nobody has used.
#[test]
fn an_empty_endpoint() {
    let setup = Setup::default();
    let before = BYTES.with(Cell::get);
    let endpoint: Endpoint = setup.endpoint(Side::Client, 1);
    let held = BYTES.with(Cell::get) - before;
    assert!(endpoint.poll_timeout().is_none_or(|at| at > Instant::ZERO));
    println!("{held} bytes for an empty endpoint");
    assert!(held < 100_000, "{held} bytes");
}
