//! Payload memory in size classes.

mod slabs;

use core::fmt;

use crate::Storage;
#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec::Vec};
#[cfg(feature = "alloc")]
use slabs::PAGES_PER_SLAB;

/// Granule of the pool, in bytes; the smallest buffer.
const UNIT: usize = 128;
/// Capacities of the size classes below the page, in bytes. A KCP payload or an FEC shard of a
/// 1500-byte datagram fits the last.
const CLASS_SIZES: [usize; 3] = [UNIT, 512, 1536];
/// Class number of a whole page.
const PAGE_CLASS: u8 = 3;
/// Class number of a page that is not in use.
const FREE: u8 = 4;
/// End of a list.
const NIL: u32 = u32::MAX;
/// End of a list of cells inside a page.
const NO_CELL: u16 = u16::MAX;

/// A buffer of a [`Pool`]: the right to its bytes.
///
/// Not `Copy`: it is given back by value, once. Dropping it instead loses the buffer until the pool
/// itself goes.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a buffer that is dropped is lost to its pool"]
pub struct Buf(u32);

impl Buf {
    const UNITS: u32 = (1 << 30) - 1;

    fn new(class: u8, unit: usize) -> Self {
        Self(u32::from(class) << 30 | u32::try_from(unit).unwrap_or(0) & Self::UNITS)
    }

    const fn class(&self) -> u8 {
        (self.0 >> 30) as u8
    }

    const fn offset(&self) -> usize {
        (self.0 & Self::UNITS) as usize * UNIT
    }

    const fn capacity(&self, page_size: usize) -> usize {
        match self.class() {
            PAGE_CLASS => page_size,
            class => CLASS_SIZES[class as usize],
        }
    }

    /// The handle as a plain number, for storing it in link fields of this crate.
    pub(crate) const fn to_raw(&self) -> u32 {
        self.0
    }

    /// The handle that [`Self::to_raw`] gave away.
    pub(crate) const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }
}

/// Bookkeeping of one page; fixed pools are given one for each page of their arena.
#[derive(Debug, Clone)]
pub struct PageState {
    /// Neighbours in the list this page stands in: free pages, or pages of a class with room.
    next: u32,
    prev: u32,
    /// First free cell among those that were used before; its first two bytes name the next.
    free_cell: u16,
    /// Cells from here on were never used.
    fresh_cell: u16,
    used: u16,
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "only trim asks"))]
    class: u8,
}

impl PageState {
    /// A page not in use.
    pub const fn new() -> Self {
        Self { next: NIL, prev: NIL, free_cell: NO_CELL, fresh_cell: 0, used: 0, class: FREE }
    }
}

impl Default for PageState {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a pool cannot be made of this memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError {
    /// The page size is not a power of two from 2,048 to 65,536 bytes.
    PageSize,
    /// The arena does not hold a single page, or not one page state was given.
    TooSmall,
    /// More memory than the pool can address (128 GiB).
    TooLarge,
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PageSize => "the page size must be a power of two from 2048 to 65536 bytes",
            Self::TooSmall => "the arena must hold at least one page and one page state",
            Self::TooLarge => "a pool can address 128 GiB at the most",
        })
    }
}

impl core::error::Error for PoolError {}

/// Bytes of the pool: one borrowed arena, or slabs of pages.
#[derive(Debug)]
enum Arena<'s> {
    Borrowed(&'s mut [u8]),
    /// A slab that was given back is an empty box until its place is taken again, so that pages keep
    /// their numbers. The last one is never empty.
    #[cfg(feature = "alloc")]
    Owned(Vec<Box<[u8]>>),
}

/// Payload memory shared by all machines of a shard.
///
/// Memory is divided into pages. A page is free, lent out whole, or cut into cells of one size
/// class (128, 512 or 1,536 bytes), so a small payload does not hold a large buffer and a page goes
/// back to all classes once its cells are free. Taking and giving back are O(1).
///
/// *Fixed*: a borrowed arena; when it is used up, [`Pool::alloc`] answers `None`. *Owned* (feature
/// `alloc`): starts empty, takes slabs of 16 pages from the allocator up to a cap and gives whole
/// slabs back when [`Pool::trim`] is called. Fresh slabs are zeroed lazily by the operating system,
/// so a page costs memory once it is touched. The cap is what answers `None`: should the allocator
/// itself have nothing left for a slab, the process ends, as there is no stable way to ask for
/// zeroed memory that may be refused. Who must survive that gives the pool fixed memory.
#[derive(Debug)]
pub struct Pool<'s> {
    arena: Arena<'s>,
    pages: Storage<'s, PageState>,
    /// Pages that exist now (those of slabs that were given back do not), and that may exist.
    page_count: usize,
    page_limit: usize,
    page_shift: u32,
    free_pages: u32,
    free_count: usize,
    /// For each class, the list of its pages that have a free cell.
    partial: [u32; 3],
}

impl<'s> Pool<'s> {
    /// A pool in fixed memory: `arena` is cut into pages of `page_size` bytes, each with a state
    /// from `pages`; what is left over is not used.
    ///
    /// # Errors
    /// [`PoolError::PageSize`]: the page size is not a power of two from 2,048 to 65,536.
    /// [`PoolError::TooSmall`]: no page fits, or there is no state. [`PoolError::TooLarge`]: the
    /// pages are more than 128 GiB.
    pub fn fixed(
        arena: &'s mut [u8],
        pages: &'s mut [PageState],
        page_size: usize,
    ) -> Result<Self, PoolError> {
        let shift = page_shift(page_size)?;
        let count = (arena.len() >> shift).min(pages.len());
        let mut pool = Self::empty(Arena::Borrowed(arena), pages.into(), shift, count)?;
        pool.add_pages(0, count);
        Ok(pool)
    }

    /// A pool of owned memory that may grow to `limit` bytes (rounded up to whole slabs of 16
    /// pages).
    ///
    /// # Errors
    /// [`PoolError::PageSize`]: the page size is not a power of two from 2,048 to 65,536.
    /// [`PoolError::TooSmall`]: the limit is 0. [`PoolError::TooLarge`]: it is more than 128 GiB.
    #[cfg(feature = "alloc")]
    pub fn owned(limit: usize, page_size: usize) -> Result<Self, PoolError> {
        let shift = page_shift(page_size)?;
        let pages = limit.div_ceil(page_size).next_multiple_of(PAGES_PER_SLAB);
        Self::empty(Arena::Owned(Vec::new()), Storage::owned(), shift, pages)
    }

    fn empty(
        arena: Arena<'s>,
        pages: Storage<'s, PageState>,
        page_shift: u32,
        page_limit: usize,
    ) -> Result<Self, PoolError> {
        if page_limit == 0 {
            return Err(PoolError::TooSmall);
        }
        if page_limit > ((Buf::UNITS as usize) >> page_shift).saturating_mul(UNIT) {
            return Err(PoolError::TooLarge);
        }
        Ok(Self {
            arena,
            pages,
            page_count: 0,
            page_limit,
            page_shift,
            free_pages: NIL,
            free_count: 0,
            partial: [NIL; 3],
        })
    }

    /// Takes a buffer of at least `len` bytes (at most a page), of the smallest class that fits.
    /// Its content is arbitrary. `None`: no memory is left, or `len` is larger than a page.
    pub fn alloc(&mut self, len: usize) -> Option<Buf> {
        match CLASS_SIZES.iter().position(|&size| len <= size) {
            Some(class) => self.alloc_cell(class),
            None if len <= self.page_size() => {
                let page = self.take_page(PAGE_CLASS)?;
                Some(Buf::new(PAGE_CLASS, self.first_unit(page)))
            }
            None => None,
        }
    }

    /// Gives a buffer back.
    pub fn release(&mut self, buf: Buf) {
        let page = buf.offset() >> self.page_shift;
        if buf.class() == PAGE_CLASS {
            self.return_page(page);
            return;
        }
        let class = usize::from(buf.class());
        let inside = buf.offset() & (self.page_size() - 1);
        let cell = u16::try_from(inside / CLASS_SIZES[class]).unwrap_or(NO_CELL);
        let next = self.pages[page].free_cell;
        self.bytes_mut(&buf)[..2].copy_from_slice(&next.to_le_bytes());
        let cells = self.cells_per_page(class);
        let state = &mut self.pages[page];
        state.free_cell = cell;
        let was_full = state.used == cells;
        state.used -= 1;
        if state.used == 0 {
            if !was_full {
                self.unlink(class, page);
            }
            self.return_page(page);
        } else if was_full {
            self.link(class, page);
        }
    }

    /// The bytes of a buffer: all of its class, which may be more than was asked for.
    #[inline]
    #[must_use]
    pub fn bytes(&self, buf: &Buf) -> &[u8] {
        let (offset, len) = (buf.offset(), self.capacity(buf));
        match &self.arena {
            Arena::Borrowed(arena) => &arena[offset..offset + len],
            #[cfg(feature = "alloc")]
            Arena::Owned(slabs) => {
                let shift = self.page_shift + PAGES_PER_SLAB.trailing_zeros();
                let inside = offset & ((1 << shift) - 1);
                &slabs[offset >> shift][inside..inside + len]
            }
        }
    }

    /// The bytes of a buffer, to write to.
    #[inline]
    pub fn bytes_mut(&mut self, buf: &Buf) -> &mut [u8] {
        let (offset, len) = (buf.offset(), self.capacity(buf));
        match &mut self.arena {
            Arena::Borrowed(arena) => &mut arena[offset..offset + len],
            #[cfg(feature = "alloc")]
            Arena::Owned(slabs) => {
                let shift = self.page_shift + PAGES_PER_SLAB.trailing_zeros();
                let inside = offset & ((1 << shift) - 1);
                &mut slabs[offset >> shift][inside..inside + len]
            }
        }
    }

    /// The bytes of several buffers at once, to write to. `None`: they lie in different slabs of an
    /// owned pool (rare), and have to be taken one by one.
    #[inline]
    #[must_use]
    pub fn disjoint_mut<const N: usize>(&mut self, bufs: [&Buf; N]) -> Option<[&mut [u8]; N]> {
        let (arena, start) = match &mut self.arena {
            Arena::Borrowed(arena) => (&mut **arena, 0),
            #[cfg(feature = "alloc")]
            Arena::Owned(slabs) => {
                let shift = self.page_shift + PAGES_PER_SLAB.trailing_zeros();
                let slab = bufs.first()?.offset() >> shift;
                (&mut **slabs.get_mut(slab)?, slab << shift)
            }
        };
        let page_size = 1 << self.page_shift;
        let ranges = bufs.map(|buf| {
            // Before the slab: a range that no slab has.
            let inside = buf.offset().checked_sub(start).unwrap_or(usize::MAX / 2);
            inside..inside + buf.capacity(page_size)
        });
        arena.get_disjoint_mut(ranges).ok()
    }

    /// Copies `len` bytes at `offset` of one buffer to the front of another.
    pub fn copy(&mut self, from: &Buf, offset: usize, to: &Buf, len: usize) {
        if let Some([from, to]) = self.disjoint_mut([from, to]) {
            to[..len].copy_from_slice(&from[offset..offset + len]);
            return;
        }
        // In two slabs they cannot be borrowed at once, so bytes cross over in small steps.
        let mut step = [0; 256];
        let mut done = 0;
        while done < len {
            let count = (len - done).min(step.len());
            step[..count].copy_from_slice(&self.bytes(from)[offset + done..offset + done + count]);
            self.bytes_mut(to)[done..done + count].copy_from_slice(&step[..count]);
            done += count;
        }
    }

    /// Bytes a buffer holds.
    #[inline]
    #[must_use]
    pub fn capacity(&self, buf: &Buf) -> usize {
        buf.capacity(self.page_size())
    }

    /// Size of a page, in bytes: the largest buffer.
    #[must_use]
    pub const fn page_size(&self) -> usize {
        1 << self.page_shift
    }

    /// Pages that are free or may still be taken from the allocator.
    #[must_use]
    pub const fn spare_pages(&self) -> usize {
        self.free_count + (self.page_limit - self.page_count)
    }

    /// Pages that hold at least one buffer.
    #[must_use]
    pub const fn used_pages(&self) -> usize {
        self.page_count - self.free_count
    }

    /// Pages the pool holds memory for, used or free.
    #[must_use]
    pub const fn held_pages(&self) -> usize {
        self.page_count
    }

    /// Pages the pool may have in all.
    #[must_use]
    pub const fn page_limit(&self) -> usize {
        self.page_limit
    }

    fn alloc_cell(&mut self, class: usize) -> Option<Buf> {
        let page = match self.partial[class] {
            NIL => {
                let page = self.take_page(u8::try_from(class).unwrap_or(FREE))?;
                self.link(class, page);
                page
            }
            page => page as usize,
        };
        let cells = self.cells_per_page(class);
        let state = &mut self.pages[page];
        state.used += 1;
        let is_full = state.used == cells;
        let recycled = state.free_cell;
        let cell = if recycled == NO_CELL {
            state.fresh_cell += 1;
            state.fresh_cell - 1
        } else {
            recycled
        };
        let unit = self.first_unit(page) + usize::from(cell) * (CLASS_SIZES[class] / UNIT);
        let buf = Buf::new(u8::try_from(class).unwrap_or(FREE), unit);
        if recycled != NO_CELL {
            let link = self.bytes(&buf);
            let next = u16::from_le_bytes([link[0], link[1]]);
            self.pages[page].free_cell = next;
        }
        if is_full {
            self.unlink(class, page);
        }
        Some(buf)
    }

    fn take_page(&mut self, class: u8) -> Option<usize> {
        if self.free_pages == NIL {
            self.grow();
        }
        if self.free_pages == NIL {
            return None;
        }
        let page = self.free_pages as usize;
        self.free_pages = self.pages[page].next;
        self.free_count -= 1;
        self.pages[page] = PageState { class, ..PageState::new() };
        Some(page)
    }

    fn return_page(&mut self, page: usize) {
        self.pages[page] = PageState { next: self.free_pages, ..PageState::new() };
        self.free_pages = u32::try_from(page).unwrap_or(NIL);
        self.free_count += 1;
    }

    /// Puts `count` new pages on the free list, the first of them on top.
    fn add_pages(&mut self, first: usize, count: usize) {
        self.page_count += count;
        for page in (first..first + count).rev() {
            self.return_page(page);
        }
    }

    fn link(&mut self, class: usize, page: usize) {
        let head = self.partial[class];
        let number = u32::try_from(page).unwrap_or(NIL);
        self.pages[page].next = head;
        self.pages[page].prev = NIL;
        if head != NIL {
            self.pages[head as usize].prev = number;
        }
        self.partial[class] = number;
    }

    fn unlink(&mut self, class: usize, page: usize) {
        let (next, prev) = (self.pages[page].next, self.pages[page].prev);
        if next != NIL {
            self.pages[next as usize].prev = prev;
        }
        if prev == NIL {
            self.partial[class] = next;
        } else {
            self.pages[prev as usize].next = next;
        }
    }

    const fn first_unit(&self, page: usize) -> usize {
        (page << self.page_shift) / UNIT
    }

    fn cells_per_page(&self, class: usize) -> u16 {
        u16::try_from(self.page_size() / CLASS_SIZES[class]).unwrap_or(NO_CELL)
    }
}

fn page_shift(page_size: usize) -> Result<u32, PoolError> {
    if page_size.is_power_of_two() && (2_048..=65_536).contains(&page_size) {
        Ok(page_size.trailing_zeros())
    } else {
        Err(PoolError::PageSize)
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests;
