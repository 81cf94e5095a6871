//! Whose turn it is to send.

use crate::list::{Kind, List};
use crate::slot::Slot;

/// Round robin over the streams that want to send and may, one frame a turn (as smux does from
/// 1.5.36 on). Streams without window are not in the list, so a turn costs the same however many
/// streams wait.
#[derive(Debug)]
pub(crate) struct Scheduler {
    turns: List,
}

impl Scheduler {
    pub(crate) const fn new() -> Self {
        Self { turns: List::new(Kind::Turns) }
    }

    /// Lets a stream take part if it wants to send and may, and leave if not. To be called when
    /// either has changed.
    pub(crate) fn refresh(&mut self, slots: &mut [Slot], at: u32, may_send: bool) {
        if may_send && slots[at as usize].wants {
            self.turns.push(slots, at);
        } else {
            self.turns.remove(slots, at);
        }
    }

    /// The stream whose turn it is; it goes to the end of the line.
    pub(crate) fn next(&mut self, slots: &mut [Slot]) -> Option<u32> {
        let at = self.turns.pop(slots)?;
        self.turns.push(slots, at);
        Some(at)
    }

    /// Whether a stream wants to send and may.
    pub(crate) const fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// Streams that take part all the while get the same number of turns, give or take one,
        /// whatever the others do.
        #[test]
        fn turns_are_fair(
            steps in prop::collection::vec((0u32..10, any::<bool>(), any::<bool>()), 1..300),
        ) {
            let mut slots: Vec<Slot> = (0..15).map(|_| Slot::new()).collect();
            let mut scheduler = Scheduler::new();
            for at in 10..15 {
                slots[at as usize].wants = true;
                scheduler.refresh(&mut slots, at, true);
            }
            let mut turns = [0; 15];
            for (at, wants, may) in steps {
                slots[at as usize].wants = wants;
                scheduler.refresh(&mut slots, at, may);
                let next = scheduler.next(&mut slots).unwrap();
                prop_assert!(slots[next as usize].wants);
                prop_assert!(next != at || may);
                turns[next as usize] += 1;
            }
            let steady = &turns[10..];
            let (least, most) = (steady.iter().min().unwrap(), steady.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{turns:?}");
        }
    }

    #[test]
    fn nobody_wants_to_send() {
        assert!(Scheduler::new().is_empty());
        assert_eq!(Scheduler::new().next(&mut []), None);
    }
}
