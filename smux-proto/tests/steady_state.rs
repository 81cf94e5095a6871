//! Owned memory: once a session has seen its load, it allocates nothing more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proto_base::{Instant, Pool};
use smux_proto::{Config, Mux, MuxStorage, Role, Version};

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

struct End {
    mux: Mux<'static>,
    pool: Pool<'static>,
}

/// Fifty streams at a time are opened, used both ways, and closed.
fn round(client: &mut End, server: &mut End, wire: &mut Vec<u8>, now: Instant) {
    let mut ids = [None; 50];
    for id in &mut ids {
        *id = client.mux.open().ok();
    }
    pass(client, server, wire, now);
    while let Some(id) = server.mux.accept() {
        send(&mut server.mux, id, wire);
        let _ = server.mux.finish(id);
        client.mux.handle_bytes(now, &mut client.pool, wire).unwrap();
        wire.clear();
    }
    pass(server, client, wire, now);
    for id in ids.into_iter().flatten() {
        let mut out = [0; 700];
        while client.mux.read(id, &mut client.pool, &mut out).is_ok() {}
        client.mux.finish(id).unwrap();
    }
    pass(client, server, wire, now);
    while client.mux.poll_event().is_some() || server.mux.poll_event().is_some() {}
    assert_eq!((client.mux.stats().streams, server.mux.stats().streams), (0, 0));
}

fn send(mux: &mut Mux<'_>, id: smux_proto::StreamId, wire: &mut Vec<u8>) {
    for len in [100, 5_000, 1] {
        wire.extend_from_slice(&mux.begin_frame(id, len).unwrap());
        wire.resize(wire.len() + len, 7);
    }
}

fn pass(from: &mut End, to: &mut End, wire: &mut Vec<u8>, now: Instant) {
    while let Some(frame) = from.mux.poll_control(now) {
        wire.extend_from_slice(frame.as_bytes());
    }
    let taken = to.mux.handle_bytes(now, &mut to.pool, wire).unwrap();
    assert_eq!(taken, wire.len());
    wire.clear();
}

#[test]
fn nothing_is_allocated_in_the_steady_state() {
    for version in [Version::V1, Version::V2] {
        let [mut client, mut server] = [Role::Client, Role::Server].map(|role| End {
            mux: Mux::new(
                role,
                Config { version, ..Config::default() },
                MuxStorage::owned(),
                5,
                Instant::ZERO,
            )
            .unwrap(),
            pool: Pool::owned(8 << 20, 4_096).unwrap(),
        });
        let mut wire = Vec::with_capacity(1 << 20);
        for warm_up in 0..3 {
            round(&mut client, &mut server, &mut wire, Instant::from_millis(warm_up));
        }
        let before = ALLOCATIONS.with(Cell::get);
        for later in 0..1_000 {
            round(&mut client, &mut server, &mut wire, Instant::from_millis(later * 100));
        }
        assert_eq!(ALLOCATIONS.with(Cell::get), before);
    }
}
