//! Memory of a machine: borrowed and fixed, or owned and growing to a bound.

use core::ops::{Deref, DerefMut, Index, IndexMut};

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// A slice that a machine works in: lent by the caller for good, or owned.
#[derive(Debug)]
pub enum Storage<'s, T> {
    /// Lent by the caller; never grows.
    Borrowed(&'s mut [T]),
    /// Owned by the machine; grows in steps up to the bound its user states.
    #[cfg(feature = "alloc")]
    Owned(Vec<T>),
}

impl<T> Storage<'_, T> {
    /// Empty owned storage: takes no memory until it is needed.
    #[cfg(feature = "alloc")]
    pub const fn owned() -> Self {
        Self::Owned(Vec::new())
    }

    /// Whether this storage can grow.
    pub const fn is_growable(&self) -> bool {
        match self {
            Self::Borrowed(_) => false,
            #[cfg(feature = "alloc")]
            Self::Owned(_) => true,
        }
    }

    /// Makes the slice at least `len` long if it is owned; tells whether it is that long now. When
    /// the allocator has no memory left it stays as it was.
    pub fn grow(&mut self, len: usize) -> bool
    where
        T: Default,
    {
        match self {
            Self::Borrowed(slice) => slice.len() >= len,
            #[cfg(feature = "alloc")]
            Self::Owned(vec) => {
                if vec.len() < len {
                    if vec.try_reserve_exact(len - vec.len()).is_err() {
                        return false;
                    }
                    vec.resize_with(len, T::default);
                }
                true
            }
        }
    }
}

impl<T> Storage<'_, T> {
    /// Gives owned memory back if it is more than `kept` bytes. What an idle connection's signs of
    /// life need had better stay, or each of them takes and returns it.
    pub fn shrink_above(&mut self, kept: usize) {
        #[cfg(feature = "alloc")]
        if let Self::Owned(vec) = self
            && size_of_val(vec.as_slice()) > kept
        {
            *vec = Vec::new();
        }
        #[cfg(not(feature = "alloc"))]
        let _ = kept;
    }
}

impl<T> Deref for Storage<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::Borrowed(slice) => slice,
            #[cfg(feature = "alloc")]
            Self::Owned(vec) => vec,
        }
    }
}

impl<T> DerefMut for Storage<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Borrowed(slice) => slice,
            #[cfg(feature = "alloc")]
            Self::Owned(vec) => vec,
        }
    }
}

impl<'s, T> From<&'s mut [T]> for Storage<'s, T> {
    fn from(slice: &'s mut [T]) -> Self {
        Self::Borrowed(slice)
    }
}

/// A ring of slots addressed by a wrapping 32-bit number.
///
/// The slot of number `n` is `n` modulo the capacity. The capacity is a power of two, so slots keep
/// their place when the numbers wrap. The ring knows nothing of which numbers are live: its user
/// keeps a window `first..first + count` and asks for room with [`SeqRing::reserve`].
///
/// ```
/// use proto_base::SeqRing;
///
/// let mut memory = [0u8; 5];
/// let mut ring = SeqRing::new(memory.as_mut_slice().into(), 8);
/// assert_eq!(ring.capacity(), 4); // fixed memory: the power of two that fits
/// let first = u32::MAX;
/// assert!(ring.reserve(first, 4) && !ring.reserve(first, 5));
/// ring[first] = 1;
/// ring[first.wrapping_add(1)] = 2;
/// assert_eq!((ring[u32::MAX], ring[0]), (1, 2));
/// ```
#[derive(Debug)]
pub struct SeqRing<'s, T> {
    slots: Storage<'s, T>,
    /// Capacity minus one; kept when the ring is empty, too.
    mask: u32,
    limit: usize,
}

/// Smallest capacity that an owned ring takes when it first grows.
const SMALLEST_RING: usize = 8;

impl<'s, T: Default> SeqRing<'s, T> {
    /// A ring in `storage` that never holds more than `limit` slots (rounded up to a power of two).
    pub fn new(storage: Storage<'s, T>, limit: usize) -> Self {
        let mut ring = Self { slots: storage, mask: 0, limit: limit.next_power_of_two() };
        ring.measure();
        ring
    }

    /// Number of slots now.
    pub fn capacity(&self) -> usize {
        if self.slots.is_empty() { 0 } else { self.mask as usize + 1 }
    }

    /// Number of slots that the ring may grow to.
    pub fn limit(&self) -> usize {
        if self.slots.is_growable() { self.limit } else { self.capacity() }
    }

    /// Makes room for the window `first..first + count`, keeping what stands in it.
    ///
    /// Owned rings double until the window fits or the limit is reached. `false`: no room, or the
    /// allocator has none; what stood in the ring still does.
    #[inline]
    pub fn reserve(&mut self, first: u32, count: usize) -> bool {
        count <= self.capacity() || self.grow(first, count)
    }

    /// Gives back the memory of an owned ring; for windows that are empty.
    pub fn release(&mut self) {
        #[cfg(feature = "alloc")]
        if let Storage::Owned(vec) = &mut self.slots {
            *vec = Vec::new();
        }
        self.measure();
    }

    /// Gives back the memory of an owned ring that has ever held more than a few; for windows that
    /// are empty. What little traffic an idle connection has fits what is kept, so it does not take
    /// and return memory for each sign of life.
    pub fn shrink(&mut self) {
        if self.capacity() > SMALLEST_RING {
            self.release();
        }
    }

    /// Takes the ring apart and gives its storage back.
    pub fn into_storage(self) -> Storage<'s, T> {
        self.slots
    }

    #[cold]
    fn grow(&mut self, first: u32, count: usize) -> bool {
        let old = self.capacity();
        if count > self.limit || !self.slots.is_growable() {
            return false;
        }
        let new = count.next_power_of_two().max(SMALLEST_RING).min(self.limit);
        if !self.slots.grow(new) {
            return false;
        }
        let old_mask = self.mask;
        self.measure();
        // Numbers whose slot lies in the upper part now move there; each move is to a fresh slot,
        // or to one whose content has just been moved away.
        for step in 0..u32::try_from(old).unwrap_or(0) {
            let number = first.wrapping_add(step);
            let (from, to) = ((number & old_mask) as usize, (number & self.mask) as usize);
            if from != to {
                self.slots.swap(from, to);
            }
        }
        true
    }

    /// Takes the mask from the storage: the largest power of two that fits it and the limit.
    fn measure(&mut self) {
        let len = self.slots.len().min(self.limit).min(1 << 31);
        let capacity = if len == 0 { 1 } else { 1 << len.ilog2() };
        self.mask = u32::try_from(capacity - 1usize).unwrap_or(u32::MAX);
    }
}

impl<T> Index<u32> for SeqRing<'_, T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        &self.slots[(number & self.mask) as usize]
    }
}

impl<T> IndexMut<u32> for SeqRing<'_, T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        let at = (number & self.mask) as usize;
        &mut self.slots[at]
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A window of any place and size keeps its content while the ring grows under it.
        #[test]
        fn growing_keeps_the_window(first: u32, sizes in prop::collection::vec(1usize..300, 1..6)) {
            let mut ring = SeqRing::new(Storage::owned(), 300);
            let mut filled = 0;
            for size in sizes {
                prop_assert!(ring.reserve(first, size));
                while filled < size {
                    ring[first.wrapping_add(filled as u32)] = filled + 1;
                    filled += 1;
                }
                for at in 0..filled {
                    prop_assert_eq!(ring[first.wrapping_add(at as u32)], at + 1);
                }
            }
            prop_assert!(!ring.reserve(first, 513));
        }
    }

    #[test]
    fn memory_that_is_not_there_is_an_answer() {
        let mut storage = Storage::owned();
        assert!(storage.grow(3));
        storage[2] = 7u64;
        // More bytes than an address space has, and more than an allocation can have.
        for len in [isize::MAX as usize / size_of::<u64>(), usize::MAX] {
            assert!(!storage.grow(len));
            assert_eq!(*storage, [0, 0, 7]);
        }
        let mut ring: SeqRing<'_, u64> = SeqRing::new(Storage::owned(), usize::MAX / 2);
        assert!(ring.reserve(5, 2));
        ring[6] = 9;
        assert!(!ring.reserve(5, isize::MAX as usize / size_of::<u64>() / 2));
        assert!(ring.reserve(5, 2) && ring[6] == 9);
    }

    #[test]
    fn empty_ring_is_safe_to_ask() {
        let mut ring: SeqRing<'_, u8> = SeqRing::new(Storage::Borrowed(&mut []), 4);
        assert_eq!((ring.capacity(), ring.limit()), (0, 0));
        assert!(!ring.reserve(0, 1));
        assert!(ring.reserve(0, 0));
    }
}
