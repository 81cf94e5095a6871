//! What an owned pool takes from the allocator, and gives back: slabs of pages.

#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec};

use super::Pool;
#[cfg(feature = "alloc")]
use super::{Arena, FREE, NIL};

/// Pages that an owned pool takes from the allocator at once.
#[cfg(feature = "alloc")]
pub(super) const PAGES_PER_SLAB: usize = 16;

impl Pool<'_> {
    /// Gives slabs that are wholly free back to the allocator: all but the first `keep` of them, and
    /// `most` at the most, from the end. Returns how many. What is taken from then on lies as far to
    /// the front as it can, so that slabs at the end come free.
    ///
    /// Owned pools only. It looks at the state of each page and is meant for quiet moments; `most`
    /// bounds what the operating system has to do.
    pub fn trim(&mut self, keep: usize, most: usize) -> usize {
        #[cfg(feature = "alloc")]
        if let Arena::Owned(slabs) = &mut self.arena {
            let is_free = |number: usize, slab: &[u8]| {
                let first = number * PAGES_PER_SLAB;
                let states = &self.pages[first..first + PAGES_PER_SLAB];
                !slab.is_empty() && states.iter().all(|page| page.class == FREE)
            };
            let numbered = || slabs.iter().enumerate();
            let free = numbered().filter(|(number, slab)| is_free(*number, slab)).count();
            let dropped = free.saturating_sub(keep).min(most);
            let places = slabs.iter_mut().enumerate().rev();
            for (_, slab) in places.filter(|(number, slab)| is_free(*number, slab)).take(dropped) {
                *slab = Box::default();
            }
            while slabs.pop_if(|slab| slab.is_empty()).is_some() {}
            self.page_count -= dropped * PAGES_PER_SLAB;
            self.relink_free_pages();
            return dropped;
        }
        let _ = (keep, most);
        0
    }

    /// Takes another slab from the allocator, if this pool is owned and below its cap. It comes to
    /// the first place that is empty.
    #[cold]
    pub(super) fn grow(&mut self) {
        #[cfg(feature = "alloc")]
        if let Arena::Owned(slabs) = &mut self.arena {
            if self.page_count >= self.page_limit {
                return;
            }
            let place = slabs.iter().position(|slab| slab.is_empty()).unwrap_or(slabs.len());
            let first = place * PAGES_PER_SLAB;
            // States and place first: a slab without them would be lost.
            if !self.pages.grow(first + PAGES_PER_SLAB) || slabs.try_reserve(1).is_err() {
                return;
            }
            // Unlike memory that is reserved and then filled, this is not touched.
            let slab = vec![0; PAGES_PER_SLAB << self.page_shift].into_boxed_slice();
            match slabs.get_mut(place) {
                Some(empty) => *empty = slab,
                None => slabs.push(slab),
            }
            self.add_pages(first, PAGES_PER_SLAB);
        }
    }

    /// Puts the free pages in order, the first of them on top.
    #[cfg(feature = "alloc")]
    fn relink_free_pages(&mut self) {
        self.free_pages = NIL;
        self.free_count = 0;
        let Arena::Owned(slabs) = &self.arena else { return };
        for slab in (0..slabs.len()).rev().filter(|&slab| !slabs[slab].is_empty()) {
            let first = slab * PAGES_PER_SLAB;
            for page in (first..first + PAGES_PER_SLAB).rev() {
                if self.pages[page].class == FREE {
                    self.pages[page].next = self.free_pages;
                    self.free_pages = u32::try_from(page).unwrap_or(NIL);
                    self.free_count += 1;
                }
            }
        }
    }
}
