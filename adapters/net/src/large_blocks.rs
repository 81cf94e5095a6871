//! Large blocks of memory straight from the system: pages that nobody touched cost nothing, and
//! what is given back is free.
//!
//! Payload memory comes in large zeroed blocks. Most C libraries hand out fresh pages for those, but
//! the one that zig 0.16 and later link writes every byte (a router with `--mem 8M` had 8.5 MB
//! resident instead of 1.3 before the first connection). And glibc takes a block that was given back
//! as a sign that more of its size should come from its heap, of which nothing goes back to the
//! system (a server that had used 1 GiB a second time kept all of it).

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// Blocks of so many bytes, or more, are mapped one by one: enough that rounding up to pages
/// wastes little.
const LARGE: usize = 128 << 10;
/// The smallest page that any system has; mappings are aligned at least to it.
const PAGE: usize = 4 << 10;

/// An allocator for programs: the system's for small blocks, the system itself for large ones.
///
/// ```
/// use kcptun_net::LargeBlocks;
///
/// #[global_allocator]
/// static ALLOCATOR: LargeBlocks = LargeBlocks;
///
/// let megabytes = vec![0u8; 64 << 20]; // takes no memory until it is written
/// # assert_eq!(megabytes[5], 0);
/// ```
#[derive(Debug)]
pub struct LargeBlocks;

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE && layout.align() <= PAGE
}

/// A mapping of `size` bytes, all zero; null when there is no memory.
fn map(size: usize) -> *mut u8 {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: an anonymous mapping at a place of the system's choice touches nothing that exists.
    let block = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    if block == libc::MAP_FAILED { ptr::null_mut() } else { block.cast() }
}

// SAFETY: blocks are of the system's allocator or mappings of their own, which never overlap
// others, are as long as asked for and aligned to pages. Who made a block follows from its layout,
// which callers repeat when they give it back.
#[allow(unsafe_code, reason = "an allocator")]
unsafe impl GlobalAlloc for LargeBlocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            map(layout.size())
        } else {
            // SAFETY: the caller's promises, passed on.
            unsafe { System.alloc(layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            map(layout.size())
        } else {
            // SAFETY: the caller's promises, passed on.
            unsafe { System.alloc_zeroed(layout) }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: a mapping of this size begins there, and the caller is done with it.
            unsafe { libc::munmap(block.cast(), layout.size()) };
        } else {
            // SAFETY: the caller's promises, passed on.
            unsafe { System.dealloc(block, layout) };
        }
    }

    // Growing a block, here and there, is left to the provided function: a new one, and a copy.
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of this process that are in memory.
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn a_large_block_costs_what_is_touched_and_goes_back() {
        let before = resident();
        let mut block = vec![0u8; 64 << 20];
        assert!(resident() < before + (1 << 20) / PAGE, "{before} to {}", resident());
        block[5 << 20..13 << 20].fill(1);
        assert!(resident() >= before + (8 << 20) / 65_536);
        drop(block);
        assert!(resident() < before + (1 << 20) / PAGE, "{before} to {}", resident());
    }

    #[test]
    fn blocks_grow_across_the_border() {
        let mut bytes = Vec::new();
        for number in 0..100_000u32 {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.shrink_to_fit();
        bytes.truncate(40_000);
        bytes.shrink_to_fit();
        for (number, part) in (0u32..).zip(bytes.chunks(4)) {
            assert_eq!(part, number.to_le_bytes());
        }
    }
}
