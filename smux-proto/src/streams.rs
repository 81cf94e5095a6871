//! The streams of a session, found by handle or by wire id.

use core::ops::{Index, IndexMut};

use proto_base::Storage;

use crate::slot::{Local, Slot, StreamId};

/// An odd factor with its bits well mixed (from SplitMix64).
const SPREAD: u64 = 0xbf58_476d_1ce4_e5b9;
/// Streams an owned session makes room for at its first stream.
const FIRST_SLOTS: usize = 8;

/// Memory of a session for its streams. It holds no payload, that is the pool's.
#[derive(Debug)]
pub struct MuxStorage<'s> {
    pub(crate) slots: Storage<'s, Slot>,
    pub(crate) buckets: Storage<'s, u32>,
}

impl<'s> MuxStorage<'s> {
    /// Owned memory: nothing at first, doubled when streams need it, up to `max_streams`.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub const fn owned() -> Self {
        Self { slots: Storage::owned(), buckets: Storage::owned() }
    }

    /// Borrowed memory: at most `slots.len()` streams. `buckets` serves to find them by wire id; as
    /// many as slots, rounded up to a power of two, is the right size.
    pub fn borrowed(slots: &'s mut [Slot], buckets: &'s mut [u32]) -> Self {
        Self { slots: slots.into(), buckets: buckets.into() }
    }
}

/// Slots, and a hash table of chains over them.
///
/// The peer chooses ids, so the hash is keyed, or a peer could put all its streams into one chain.
/// A single multiplication by the key would do against chance meetings of two ids, but leaves long
/// chains for regular ids under unlucky keys; hence the second round.
#[derive(Debug)]
pub(crate) struct Streams<'s> {
    slots: Storage<'s, Slot>,
    /// First slot of each chain; one more than its number, 0 for none.
    buckets: Storage<'s, u32>,
    factor: u64,
    mask: usize,
    limit: usize,
    /// Slots from here on were never used.
    fresh: usize,
    /// First free slot among those that were; one more than its number, 0 for none.
    free: u32,
    count: usize,
    /// What the generations of slots begin with.
    first_generation: u32,
}

impl<'s> Streams<'s> {
    pub(crate) fn new(storage: MuxStorage<'s>, max_streams: usize, seed: u64) -> Self {
        let MuxStorage { slots, buckets } = storage;
        let factor = mix(seed) | 1;
        let mut streams = Self {
            slots,
            buckets,
            factor,
            mask: 0,
            limit: max_streams,
            fresh: 0,
            free: 0,
            count: 0,
            first_generation: 0,
        };
        for slot in &mut *streams.slots {
            *slot = Slot { generation: slot.generation.wrapping_add(1), ..Slot::new() };
        }
        streams.rehash();
        streams
    }

    pub(crate) fn into_storage(self) -> MuxStorage<'s> {
        MuxStorage { slots: self.slots, buckets: self.buckets }
    }

    /// Makes a stream. `None`: no slot is left.
    pub(crate) fn insert(&mut self, wire: u32) -> Option<u32> {
        if self.count >= self.limit {
            return None;
        }
        let at = self.take_slot()?;
        let generation = self[at].generation;
        self[at] = Slot { generation, wire, local: Local::Open, mapped: true, ..Slot::new() };
        self.link(at);
        self.count += 1;
        Some(at)
    }

    /// Forgets a stream. It must be in no list, and its queue empty.
    pub(crate) fn free(&mut self, at: u32) {
        self.unmap(at);
        self.invalidate(at);
        let slot = &mut self.slots[at as usize];
        slot.local = Local::Vacant;
        slot.chain = self.free;
        self.free = at + 1;
        self.count -= 1;
    }

    /// Makes all handles of a stream stale.
    pub(crate) fn invalidate(&mut self, at: u32) {
        let slot = &mut self[at];
        slot.generation = slot.generation.wrapping_add(1);
    }

    /// Takes a stream out of the table of wire ids.
    pub(crate) fn unmap(&mut self, at: u32) {
        if !core::mem::take(&mut self[at].mapped) {
            return;
        }
        let bucket = self.bucket(self[at].wire);
        let after = self[at].chain;
        let mut entry = self.buckets[bucket];
        if entry == at + 1 {
            self.buckets[bucket] = after;
            return;
        }
        while entry != 0 {
            let slot = &mut self.slots[entry as usize - 1];
            if slot.chain == at + 1 {
                slot.chain = after;
                return;
            }
            entry = slot.chain;
        }
    }

    /// The stream with this wire id.
    #[inline]
    pub(crate) fn find(&self, wire: u32) -> Option<u32> {
        let mut entry = *self.buckets.get(self.bucket(wire))?;
        while entry != 0 {
            let slot = &self.slots[entry as usize - 1];
            if slot.wire == wire {
                return Some(entry - 1);
            }
            entry = slot.chain;
        }
        None
    }

    /// The slot of a handle, unless it is stale.
    #[inline]
    pub(crate) fn get(&self, id: StreamId) -> Option<u32> {
        let slot = self.slots.get(id.slot as usize)?;
        (slot.generation == id.generation && slot.local != Local::Vacant).then_some(id.slot)
    }

    /// The handle of a slot.
    #[inline]
    pub(crate) fn id(&self, at: u32) -> StreamId {
        let Slot { generation, wire, .. } = self[at];
        StreamId { slot: at, generation, wire }
    }

    pub(crate) fn slots(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    /// Gives memory for many streams back while there is none.
    pub(crate) fn shrink(&mut self) {
        if self.count > 0 || !self.slots.is_growable() || self.slots.len() <= FIRST_SLOTS {
            return;
        }
        // Handles of the slots that go must stay stale.
        let used = self.slots[..self.fresh].iter().map(|slot| slot.generation);
        self.first_generation = used.max().map_or(0, |latest| latest.wrapping_add(1));
        self.slots.shrink_above(0);
        self.buckets.shrink_above(0);
        (self.fresh, self.free) = (0, 0);
        self.rehash();
    }

    /// Number of streams.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Number of slots that were ever used.
    pub(crate) const fn fresh(&self) -> usize {
        self.fresh
    }

    fn take_slot(&mut self) -> Option<u32> {
        if self.free != 0 {
            let at = self.free - 1;
            self.free = self[at].chain;
            return Some(at);
        }
        if self.fresh >= self.slots.len() && !self.grow() {
            return None;
        }
        let at = u32::try_from(self.fresh).ok()?;
        let generation = self[at].generation.wrapping_add(self.first_generation);
        self[at].generation = generation;
        self.fresh += 1;
        Some(at)
    }

    #[cold]
    fn grow(&mut self) -> bool {
        let len = self.slots.len();
        let wanted = (len * 2).max(FIRST_SLOTS).min(self.limit);
        if len >= wanted || !self.slots.is_growable() {
            return false;
        }
        // Buckets first: a slot that can be taken must have one.
        if !self.buckets.grow(wanted.next_power_of_two()) || !self.slots.grow(wanted) {
            return false;
        }
        self.rehash();
        true
    }

    /// Builds the chains anew, over all buckets there are.
    fn rehash(&mut self) {
        match self.buckets.len() {
            0 => self.limit = if self.slots.is_growable() { self.limit } else { 0 },
            len => self.mask = (1 << len.ilog2()) - 1,
        }
        self.buckets.fill(0);
        for at in 0..u32::try_from(self.fresh).unwrap_or(0) {
            if self[at].mapped {
                self.link(at);
            }
        }
    }

    fn link(&mut self, at: u32) {
        let bucket = self.bucket(self[at].wire);
        self[at].chain = core::mem::replace(&mut self.buckets[bucket], at + 1);
    }

    #[inline]
    const fn bucket(&self, wire: u32) -> usize {
        let keyed = (wire as u64).wrapping_mul(self.factor);
        let spread = (keyed ^ (keyed >> 29)).wrapping_mul(SPREAD);
        ((spread >> 32) as usize) & self.mask
    }
}

impl Index<u32> for Streams<'_> {
    type Output = Slot;

    #[inline]
    fn index(&self, at: u32) -> &Slot {
        &self.slots[at as usize]
    }
}

impl IndexMut<u32> for Streams<'_> {
    #[inline]
    fn index_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.slots[at as usize]
    }
}

/// Spreads the bits of the seed (the finalizer of SplitMix64), so that small seeds do as well.
const fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(SPREAD);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::vec;
    use std::vec::Vec;

    fn exercise(mut streams: Streams<'_>, steps: &[(u8, u32)]) -> Result<(), TestCaseError> {
        let mut live: HashMap<u32, StreamId> = HashMap::new();
        let mut stale: Vec<StreamId> = Vec::new();
        for &(step, wire) in steps {
            match live.get(&wire).copied() {
                None if step < 3 => match streams.insert(wire) {
                    Some(at) => {
                        live.insert(wire, streams.id(at));
                    }
                    None => prop_assert_eq!(live.len(), 20),
                },
                Some(id) if step > 0 => {
                    streams.free(id.slot);
                    live.remove(&wire);
                    stale.push(id);
                }
                _ => streams.shrink(),
            }
            prop_assert_eq!(streams.count(), live.len());
            for (&wire, &id) in &live {
                prop_assert_eq!(streams.find(wire), Some(id.slot));
                prop_assert_eq!(streams.get(id), Some(id.slot));
            }
            prop_assert!(stale.iter().all(|&id| streams.get(id).is_none()));
            prop_assert_eq!(streams.find(wire).is_some(), live.contains_key(&wire));
        }
        prop_assert!(streams.fresh() <= 20);
        Ok(())
    }

    proptest! {
        /// Behaves like a map in both kinds of memory, and handles go stale.
        #[test]
        fn equals_a_map(steps in prop::collection::vec((0u8..4, 0u32..40), 0..300), seed: u64) {
            exercise(Streams::new(MuxStorage::owned(), 20, seed), &steps)?;
            let mut slots: Vec<Slot> = (0..20).map(|_| Slot::new()).collect();
            let mut buckets = vec![7; 19];
            exercise(Streams::new(MuxStorage::borrowed(&mut slots, &mut buckets), 99, seed), &steps)?;
        }
    }

    #[test]
    fn no_memory_means_no_streams() {
        assert_eq!(Streams::new(MuxStorage::borrowed(&mut [], &mut [0; 4]), 9, 0).insert(3), None);
        let mut slots = [Slot::new()];
        let mut streams = Streams::new(MuxStorage::borrowed(&mut slots, &mut []), 9, 0);
        assert_eq!((streams.insert(3), streams.find(3)), (None, None));
        // Owned slots for which there are no buckets, as when the allocator has no more.
        let buckets = Storage::Borrowed(&mut [][..]);
        let mut streams = Streams::new(MuxStorage { slots: Storage::owned(), buckets }, 9, 0);
        for _ in 0..3 {
            assert_eq!((streams.insert(3), streams.find(3)), (None, None));
        }
    }

    #[test]
    fn regular_ids_spread_over_the_buckets() {
        for seed in 0..50 {
            for step in [1, 2, 4096, 1 << 16] {
                let mut streams = Streams::new(MuxStorage::owned(), 4096, seed);
                for number in 0..4096u32 {
                    assert!(streams.insert(number.wrapping_mul(step)).is_some());
                }
                let longest = (0..4096).map(|bucket| {
                    let (mut entry, mut len) = (streams.buckets[bucket], 0);
                    while entry != 0 {
                        len += 1;
                        entry = streams.slots[entry as usize - 1].chain;
                    }
                    len
                });
                assert!(longest.max() < Some(16), "seed {seed}, step {step}");
            }
        }
    }
}
