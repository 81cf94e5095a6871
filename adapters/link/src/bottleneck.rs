//! A line of fixed rate with a drop-tail queue.

use crate::config::{Queue, micros};

/// Serialises datagrams one after the other. Exact: what does not make a whole microsecond is
/// carried over to the next datagram, so the rate holds over any number of datagrams.
#[derive(Debug)]
pub(crate) struct Bottleneck {
    /// Bits per second.
    rate: u64,
    queue: Queue,
    /// When the line has sent all it accepted, in microseconds...
    busy_until: u64,
    /// ...and the part of a microsecond beyond that, in units of 1/rate microseconds.
    remainder: u64,
}

impl Bottleneck {
    pub(crate) fn new(rate: u64, queue: Queue) -> Self {
        Self { rate, queue, busy_until: 0, remainder: 0 }
    }

    /// Accepts `len` bytes at `now` and answers when the last of them leaves, in microseconds,
    /// or `None` if the queue is full.
    pub(crate) fn accept(&mut self, now: u64, len: usize) -> Option<u64> {
        if now > self.busy_until || (now == self.busy_until && self.remainder == 0) {
            self.busy_until = now;
            self.remainder = 0;
        } else if !self.has_room(now, len) {
            return None;
        }
        // Bits × 10⁶ stay below 2⁴⁰ and the rate below 2⁴⁰: no overflow.
        let work = len as u64 * 8 * 1_000_000 + self.remainder;
        self.busy_until = self.busy_until.saturating_add(work / self.rate);
        self.remainder = work % self.rate;
        Some(self.busy_until.saturating_add(u64::from(self.remainder > 0)))
    }

    fn has_room(&self, now: u64, len: usize) -> bool {
        let wait = self.busy_until - now;
        match self.queue {
            Queue::Time(limit) => wait <= micros(limit),
            Queue::Bytes(limit) => {
                let bits = u128::from(wait) * u128::from(self.rate) + u128::from(self.remainder);
                // Rounded up: a byte that is partly sent still stands in the queue.
                let waiting = bits.div_ceil(8_000_000);
                waiting + len as u128 <= limit as u128
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;

    #[test]
    fn an_idle_line_always_accepts() {
        let mut line = Bottleneck::new(8_000, Queue::Bytes(0));
        assert_eq!(line.accept(5, 1000), Some(1_000_005));
        assert_eq!(line.accept(1_000_004, 1), None);
        assert_eq!(line.accept(1_000_005, 1), Some(1_001_005));
    }

    #[test]
    fn a_byte_queue_holds_exactly_its_bytes() {
        let mut line = Bottleneck::new(8_000_000, Queue::Bytes(5_000));
        let accepted = (0..100).filter(|_| line.accept(0, 1_000).is_some()).count();
        assert_eq!(accepted, 5);
        assert_eq!(line.accept(999, 1_000), None);
        assert_eq!(line.accept(1_000, 1_000), Some(6_000));
    }

    #[test]
    fn a_time_queue_bounds_the_wait() {
        let mut line = Bottleneck::new(8_000_000, Queue::Time(Duration::from_millis(10)));
        let last = (0..100).filter_map(|_| line.accept(0, 1_000)).last();
        // Waits of up to 10 ms are accepted; the datagram itself takes one more.
        assert_eq!(last, Some(11_000));
    }

    proptest! {
        /// However odd the rate, after any busy period the line is never more than one
        /// microsecond away from bits / rate.
        #[test]
        fn the_rate_is_exact(rate in 1u64..=1_000_000_000_000, lens in prop::collection::vec(0usize..65_536, 1..200)) {
            let mut line = Bottleneck::new(rate, Queue::Bytes(usize::MAX));
            let mut bits = 0u128;
            for len in lens {
                let leaves = line.accept(0, len).unwrap();
                bits += len as u128 * 8;
                prop_assert_eq!(u128::from(leaves), (bits * 1_000_000).div_ceil(u128::from(rate)));
            }
        }
    }
}
