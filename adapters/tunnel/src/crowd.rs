//! Who may have to make room for others: connections in the order in which they were heard last.

use alloc::vec::Vec;

/// No one.
const NIL: u32 = u32::MAX;

/// Things named by small numbers (indexes into a slab), in the order in which they last came. Every
/// step is of constant work.
///
/// Memory: 8 bytes per number up to the largest ever used.
#[derive(Debug)]
pub(crate) struct Crowd {
    nodes: Vec<Node>,
    first: u32,
    last: u32,
}

/// The neighbours; one that is not there is its own neighbour.
#[derive(Debug, Clone, Copy)]
struct Node {
    prev: u32,
    next: u32,
}

impl Crowd {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new(), first: NIL, last: NIL }
    }

    /// Takes the memory for `count` numbers now.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.nodes.reserve_exact(count);
    }

    /// Puts `number` behind all others, wherever it stood.
    pub(crate) fn push(&mut self, number: u32) {
        self.remove(number);
        while self.nodes.len() <= number as usize {
            let own = u32::try_from(self.nodes.len()).unwrap_or(NIL);
            self.nodes.push(Node { prev: own, next: own });
        }
        self.nodes[number as usize] = Node { prev: self.last, next: NIL };
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.next = number,
            None => self.first = number,
        }
        self.last = number;
    }

    /// Takes `number` out, if it is there.
    pub(crate) fn remove(&mut self, number: u32) {
        let Some(node) = self.nodes.get_mut(number as usize) else { return };
        let Node { prev, next } = *node;
        if next == number {
            return;
        }
        *node = Node { prev: number, next: number };
        match self.nodes.get_mut(prev as usize) {
            Some(prev) => prev.next = next,
            None => self.first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(next) => next.prev = prev,
            None => self.last = prev,
        }
    }

    /// The one that came the longest ago.
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NIL).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_queue_with_a_way_out(steps in prop::collection::vec((0..3u8, 0..20u32), 0..300)) {
            let (mut crowd, mut model) = (Crowd::new(), VecDeque::new());
            for (step, number) in steps {
                let number = if step == 2 { crowd.first().unwrap_or(number) } else { number };
                model.retain(|&other| other != number);
                if step == 0 {
                    crowd.push(number);
                    model.push_back(number);
                } else {
                    crowd.remove(number);
                }
                prop_assert_eq!(crowd.first(), model.front().copied());
            }
            while let Some(number) = crowd.first() {
                prop_assert_eq!(model.pop_front(), Some(number));
                crowd.remove(number);
            }
            prop_assert!(model.is_empty());
        }
    }
}
