//! Lists that run through the slots of the streams: O(1) at both ends and in the middle, no memory
//! of their own.

use crate::slot::Slot;

/// No neighbour: the end of a list.
const END: u32 = u32::MAX;
/// Not in the list at all.
const OUT: u32 = u32::MAX - 1;

/// Which list; each slot has a link for each.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Streams with control frames to send.
    Control,
    /// Streams with events to report.
    News,
    /// Streams of the peer that were not accepted yet.
    Backlog,
    /// Streams that want to send and may.
    Turns,
}

/// Number of lists.
pub(crate) const KINDS: usize = 4;

/// Place of a slot in one list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    prev: u32,
    next: u32,
}

impl Link {
    /// In no list.
    pub(crate) const OUT: Self = Self { prev: OUT, next: OUT };
}

/// A first-in first-out list of slots.
#[derive(Debug)]
pub(crate) struct List {
    kind: Kind,
    head: u32,
    tail: u32,
    len: usize,
}

impl List {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, head: END, tail: END, len: 0 }
    }

    /// Puts a slot at the end; one that is in the list stays where it is.
    pub(crate) fn push(&mut self, slots: &mut [Slot], at: u32) {
        if self.link(slots, at).next != OUT {
            return;
        }
        *self.link(slots, at) = Link { prev: self.tail, next: END };
        match self.tail {
            END => self.head = at,
            tail => self.link(slots, tail).next = at,
        }
        self.tail = at;
        self.len += 1;
    }

    /// Takes a slot out, wherever it is; one that is not in the list is left alone.
    pub(crate) fn remove(&mut self, slots: &mut [Slot], at: u32) {
        let Link { prev, next } = core::mem::replace(self.link(slots, at), Link::OUT);
        if next == OUT {
            return;
        }
        match prev {
            END => self.head = next,
            prev => self.link(slots, prev).next = next,
        }
        match next {
            END => self.tail = prev,
            next => self.link(slots, next).prev = prev,
        }
        self.len -= 1;
    }

    /// Takes the first slot out.
    pub(crate) fn pop(&mut self, slots: &mut [Slot]) -> Option<u32> {
        let head = (self.head != END).then_some(self.head)?;
        self.remove(slots, head);
        Some(head)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == END
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn link<'a>(&self, slots: &'a mut [Slot], at: u32) -> &'a mut Link {
        &mut slots[at as usize].links[self.kind as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn equals_a_plain_queue(steps in prop::collection::vec((0u8..4, 0u32..12), 0..200)) {
            let mut slots: Vec<Slot> = (0..12).map(|_| Slot::new()).collect();
            let (mut list, mut other) = (List::new(Kind::News), List::new(Kind::Turns));
            let mut model: VecDeque<u32> = VecDeque::new();
            for (step, at) in steps {
                other.push(&mut slots, at);
                match step {
                    0 | 1 => {
                        list.push(&mut slots, at);
                        if !model.contains(&at) {
                            model.push_back(at);
                        }
                    }
                    2 => {
                        list.remove(&mut slots, at);
                        model.retain(|&entry| entry != at);
                    }
                    _ => prop_assert_eq!(list.pop(&mut slots), model.pop_front()),
                }
                prop_assert_eq!(list.len(), model.len());
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
