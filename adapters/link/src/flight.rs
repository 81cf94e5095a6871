//! Datagrams on their way, in the order in which they will arrive.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// Datagrams up to this length keep their buffer for reuse, in bytes.
const REUSED: usize = 2048;
/// The most memory that datagrams on their way may take, in bytes; each counts at least 2048.
/// With 1400-byte datagrams that is 7 s of 200 Mbit/s.
pub const MAX_HELD_BYTES: usize = 256 << 20;

/// One datagram on its way; ordered by arrival, then by the order of sending.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Arrival {
    due: u64,
    order: u64,
    slot: usize,
    tag: u64,
}

/// Timer heap and buffers. Buffers are reused: in steady state nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    arrivals: BinaryHeap<Reverse<Arrival>>,
    buffers: Vec<Vec<u8>>,
    free: Vec<usize>,
    /// The buffer that was lent to the caller by the last `take`.
    lent: Option<usize>,
    held_bytes: usize,
    order: u64,
}

impl Flight {
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.held_bytes + cost(len) <= MAX_HELD_BYTES
    }

    /// Puts a datagram on its way. The caller has asked [`Flight::has_room`].
    pub(crate) fn put(&mut self, due: u64, tag: u64, bytes: &[u8]) -> &mut [u8] {
        self.reclaim();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.buffers.push(Vec::new());
            self.buffers.len() - 1
        });
        self.held_bytes += cost(bytes.len());
        self.arrivals.push(Reverse(Arrival { due, order: self.order, slot, tag }));
        self.order += 1;
        let buffer = &mut self.buffers[slot];
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// The next datagram that is due at `now`, lent until the next call of `put` or `take`.
    pub(crate) fn take(&mut self, now: u64) -> Option<(u64, &mut [u8])> {
        self.reclaim();
        if self.next_due()? > now {
            return None;
        }
        let Reverse(arrival) = self.arrivals.pop()?;
        let buffer = &mut self.buffers[arrival.slot];
        self.held_bytes -= cost(buffer.len());
        self.lent = Some(arrival.slot);
        Some((arrival.tag, buffer))
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        self.arrivals.peek().map(|Reverse(arrival)| arrival.due)
    }

    pub(crate) fn len(&self) -> usize {
        self.arrivals.len()
    }

    fn reclaim(&mut self) {
        if let Some(slot) = self.lent.take() {
            let buffer = &mut self.buffers[slot];
            buffer.clear();
            buffer.shrink_to(REUSED);
            self.free.push(slot);
        }
    }
}

fn cost(len: usize) -> usize {
    len.max(REUSED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_come_by_time_then_by_order() {
        let mut flight = Flight::default();
        for (due, byte) in [(5, 1u8), (3, 2), (5, 3), (4, 4)] {
            flight.put(due, 0, &[byte]);
        }
        let mut seen = Vec::new();
        for now in 0..10 {
            while let Some((_, bytes)) = flight.take(now) {
                seen.push((now, bytes[0]));
            }
        }
        assert_eq!(seen, [(3, 2), (4, 4), (5, 1), (5, 3)]);
    }

    #[test]
    fn buffers_are_reused() {
        let mut flight = Flight::default();
        for round in 0..1000u64 {
            flight.put(round, 0, &[0; 1400]);
            flight.put(round, 0, &[0; 60_000]);
            assert!(flight.take(round).is_some());
            assert!(flight.take(round).is_some());
        }
        assert!(flight.take(2000).is_none());
        assert_eq!(flight.buffers.len(), 2);
        assert_eq!(flight.held_bytes, 0);
        assert!(flight.buffers.iter().all(|buffer| buffer.capacity() <= REUSED));
    }
}
