//! Acks that wait to be written.

use proto_base::{SeqRing, Storage};

use crate::wire::{Sn, WireMs};

/// Most acks that wait. A batch of datagrams asks for fewer; when more wait, the driver is not
/// draining output, and the oldest go (una or a repetition covers them).
pub(crate) const MAX_PENDING: usize = 512;

/// Acks that may wait in the ordinary course: those of a batch of datagrams on top of those that
/// were about to leave. Taken at once when more than a few wait, so that no later peak asks for
/// memory.
pub(crate) const USUAL_PENDING: usize = 128;

/// One ack to be written: number and clock of the push it answers.
#[derive(Debug, Default, Clone, Copy)]
pub struct Ack {
    sn: Sn,
    ts: WireMs,
}

/// Acks in the order of the pushes that asked for them (kcp-go 5.6.1, kcp.go, `acklist`).
#[derive(Debug)]
pub(crate) struct AckList<'s> {
    ring: SeqRing<'s, Ack>,
    first: u32,
    count: u32,
}

impl<'s> AckList<'s> {
    pub(crate) fn new(storage: Storage<'s, Ack>) -> Self {
        Self { ring: SeqRing::new(storage, MAX_PENDING), first: 0, count: 0 }
    }

    /// Acks that can wait; more push out the oldest.
    pub(crate) fn limit(&self) -> usize {
        self.ring.limit()
    }

    pub(crate) fn push(&mut self, sn: Sn, ts: WireMs) {
        let need = self.count as usize + 1;
        if need > self.ring.capacity() && self.count > 0 {
            self.ring.reserve(self.first, need.max(USUAL_PENDING));
        }
        if !self.ring.reserve(self.first, need) {
            self.first = self.first.wrapping_add(1);
            self.count -= 1;
        }
        self.ring[self.first.wrapping_add(self.count)] = Ack { sn, ts };
        self.count += 1;
    }

    /// Takes the next ack that has to be written, given the first number not yet received. An ack
    /// below it is covered by una and left out, unless it is the last: that one carries the clock.
    pub(crate) fn pop(&mut self, rcv_nxt: Sn) -> Option<(Sn, WireMs)> {
        while self.count > 0 {
            let ack = self.ring[self.first];
            self.first = self.first.wrapping_add(1);
            self.count -= 1;
            if self.count == 0 || !ack.sn.is_before(rcv_nxt) {
                return Some((ack.sn, ack.ts));
            }
        }
        None
    }

    pub(crate) const fn len(&self) -> usize {
        self.count as usize
    }

    pub(crate) fn shrink(&mut self) {
        if self.count == 0 {
            self.ring.shrink();
        }
    }

    pub(crate) fn into_storage(self) -> Storage<'s, Ack> {
        self.ring.into_storage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covered_acks_are_left_out_but_the_last_is_written() {
        let mut memory = [Ack::default(); 4];
        let mut acks = AckList::new(memory.as_mut_slice().into());
        for sn in 0..3 {
            acks.push(Sn::new(sn), WireMs::new(sn + 10));
        }
        assert_eq!(acks.pop(Sn::new(3)), Some((Sn::new(2), WireMs::new(12))));
        assert_eq!(acks.pop(Sn::new(3)), None);
        for sn in [3, 7, 4] {
            acks.push(Sn::new(sn), WireMs::new(0));
        }
        let written: std::vec::Vec<u32> =
            core::iter::from_fn(|| acks.pop(Sn::new(5))).map(|(sn, _)| sn.get()).collect();
        assert_eq!(written, [7, 4]);
    }

    #[test]
    fn a_full_list_forgets_the_oldest() {
        let mut memory = [Ack::default(); 2];
        let mut acks = AckList::new(memory.as_mut_slice().into());
        for sn in 5..9 {
            acks.push(Sn::new(sn), WireMs::new(0));
        }
        assert_eq!(acks.len(), 2);
        assert_eq!(acks.pop(Sn::new(0)).unwrap().0, Sn::new(7));
    }
}
