//! An allocator that refuses makes owned memory wait, and nothing is lost by it.
#![cfg(feature = "alloc")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proto_base::{Buf, Pool};

thread_local! {
    static REFUSES: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, which refuses when it is told to. Zeroed memory, which cannot be refused
/// (see [`Pool`]), it always gives.
struct Refusing;

// SAFETY: every call that is not refused goes to the system's allocator unchanged, and null says no.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if REFUSES.get() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if REFUSES.get() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// Takes all pages, each marked with its number, and gives them back.
fn fill_and_free(pool: &mut Pool<'_>) {
    let mut pages: Vec<Buf> = Vec::new();
    while let Some(page) = pool.alloc(2048) {
        pool.bytes_mut(&page).fill(pages.len() as u8);
        pages.push(page);
    }
    assert_eq!((pages.len(), pool.spare_pages()), (pool.page_limit(), 0));
    for (number, page) in pages.into_iter().enumerate() {
        assert!(pool.bytes(&page).iter().all(|&byte| byte == number as u8));
        pool.release(page);
    }
}

#[test]
fn a_pool_that_was_refused_memory_loses_none() {
    let mut pool = Pool::owned(64 * 2048, 2048).unwrap();
    let mut pages: Vec<Buf> = Vec::with_capacity(64);
    for slabs in 0..4 {
        REFUSES.set(true);
        let refused = pool.alloc(2048);
        let state = (pool.held_pages(), pool.spare_pages());
        REFUSES.set(false);
        assert_eq!((refused, state), (None, (16 * slabs, 64 - 16 * slabs)));
        pages.extend((0..16).map(|_| pool.alloc(2048).unwrap()));
    }
    pages.into_iter().for_each(|page| pool.release(page));
    fill_and_free(&mut pool);
    pool.trim(0, usize::MAX);
    fill_and_free(&mut pool);
}
