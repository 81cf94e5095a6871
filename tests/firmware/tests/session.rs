//! The firmware's session on this machine, with an allocator that fails on any call.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr;
use std::sync::Mutex;

use kcptun_firmware::{Memory, Report, Session, Work};
use smux_proto::Version;

thread_local! {
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Gives nothing to a thread that forbade itself to ask, and counts how often it did.
struct Failing;

impl Failing {
    fn refuses() -> bool {
        let refuses = FORBIDDEN.get();
        if refuses {
            CALLS.set(CALLS.get() + 1);
        }
        refuses
    }
}

// SAFETY: every call goes to the system's allocator unchanged, or answers that memory is out.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::refuses() {
            return ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        Self::refuses();
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

static MEMORY: Mutex<Memory> = Mutex::new(Memory::new());

/// A session in static memory; how it went, and how often the allocator was called meanwhile.
fn run(work: &Work) -> (Report, usize) {
    let mut memory = MEMORY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    CALLS.set(0);
    FORBIDDEN.set(true);
    let outcome = Session::new(&mut memory, work).and_then(Session::run);
    FORBIDDEN.set(false);
    let report = outcome.unwrap_or_else(|failure| panic!("{work:?}: {failure}"));
    (report, CALLS.get())
}

#[test]
fn a_session_runs_to_its_end_without_an_allocator() {
    for (version, with_fec) in
        [(Version::V1, true), (Version::V2, true), (Version::V1, false), (Version::V2, false)]
    {
        for seed in 1..=20 {
            let work = Work { with_fec, version, seed, ..Work::default() };
            let (report, calls) = run(&work);
            assert_eq!(report.echoed, 400_000, "{work:?}");
            assert_eq!(report.leaked_pages, 0, "{work:?}");
            assert_eq!(calls, 0, "{work:?}");
            assert!(report.frames.1 > 10, "frames were lost: {report:?}");
            assert!(report.sent_again > 0, "{report:?}");
            assert_eq!(report.rebuilt > 0, with_fec, "{report:?}");
        }
    }
}

#[test]
fn the_allocator_does_refuse() {
    CALLS.set(0);
    FORBIDDEN.set(true);
    let mut list: Vec<u8> = Vec::new();
    let refused = list.try_reserve(100).is_err();
    FORBIDDEN.set(false);
    assert!(refused);
    assert_eq!(CALLS.get(), 1);
}
