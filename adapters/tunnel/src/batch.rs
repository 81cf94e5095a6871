//! Batches of datagrams: the unit in which packets are built, ciphered and sent.
//!
//! A batch is one contiguous buffer of datagrams to (or from) one peer. All have the same length,
//! the *stride*, except the last, which may be shorter. That is the shape which UDP segmentation
//! offload sends and receive offload delivers, so a batch crosses the system boundary in one call
//! and the ciphers can step through all its datagrams together.
//!
//! ```
//! use kcptun_tunnel::batch::TransmitBatch;
//!
//! let mut batch = TransmitBatch::new();
//! for payload in [b"four".as_slice(), b"more", b"end"] {
//!     batch.spare()[..payload.len()].copy_from_slice(payload);
//!     batch.push(payload.len()).unwrap();
//! }
//! assert_eq!((batch.count(), batch.stride(), batch.len()), (3, 4, 11));
//! assert!(!batch.accepts(3), "a shorter datagram closed the batch");
//! ```

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::slice::Chunks;

pub use kcptun_crypt::{Datagrams, MAX_DATAGRAM_LEN, MAX_SEGMENTS};

/// Most bytes in one batch: the largest UDP payload over IPv4, which also bounds a segmented send.
pub const MAX_BATCH_LEN: usize = 65_507;

/// Datagrams to one peer, collected for one send.
///
/// The memory is reserved once, in [`new`](Self::new). Write a datagram into
/// [`spare`](Self::spare) and commit it with [`push`](Self::push). The first datagram sets the
/// stride; one shorter than the stride is the last.
pub struct TransmitBatch {
    bytes: Vec<u8>,
    len: usize,
    stride: usize,
    count: usize,
}

impl TransmitBatch {
    /// An empty batch with room for [`MAX_BATCH_LEN`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![0; MAX_BATCH_LEN], len: 0, stride: 0, count: 0 }
    }

    /// Forgets all datagrams; the memory stays.
    pub fn clear(&mut self) {
        (self.len, self.stride, self.count) = (0, 0, 0);
    }

    /// Where the next datagram is written: up to [`MAX_DATAGRAM_LEN`] bytes, fewer when less room
    /// is left, none when the batch is [closed](Self::is_closed). The contents are unspecified.
    ///
    /// The slice may be longer than [`accepts`](Self::accepts) allows for this batch; what was
    /// written stays in place until the batch is changed.
    pub fn spare(&mut self) -> &mut [u8] {
        let room = self.room();
        &mut self.bytes[self.len..self.len + room]
    }

    /// Commits the first `len` bytes of [`spare`](Self::spare) as one datagram.
    ///
    /// # Errors
    /// [`Refused`], and the batch is unchanged, unless [`accepts`](Self::accepts) said yes.
    pub fn push(&mut self, len: usize) -> Result<(), Refused> {
        if !self.accepts(len) {
            return Err(Refused);
        }
        if self.count == 0 {
            self.stride = len;
        }
        self.len += len;
        self.count += 1;
        Ok(())
    }

    /// Whether a datagram of `len` bytes can be the next one: not empty, not longer than the
    /// stride or the room, and the batch not closed.
    #[must_use]
    pub fn accepts(&self, len: usize) -> bool {
        len > 0 && len <= self.longest()
    }

    /// Length of the longest datagram that can be the next one, in bytes; 0 for a closed batch.
    #[must_use]
    pub fn longest(&self) -> usize {
        let limit = if self.count == 0 { MAX_DATAGRAM_LEN } else { self.stride };
        limit.min(self.room())
    }

    /// Whether no further datagram can join: a shorter one came, or the batch is full.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.room() == 0
    }

    /// Whether the batch holds no datagram.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all datagrams together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of each datagram but the last; 0 while the batch is empty.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Number of datagrams.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// All datagrams, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Each datagram in order.
    pub fn iter(&self) -> Chunks<'_, u8> {
        self.bytes().chunks(self.stride.max(1))
    }

    /// The datagrams for work in place.
    pub fn datagrams_mut(&mut self) -> Datagrams<'_> {
        Datagrams::new(&mut self.bytes[..self.len], self.stride)
    }

    fn room(&self) -> usize {
        let short_last = self.len < self.stride * self.count;
        if short_last || self.count == MAX_SEGMENTS {
            return 0;
        }
        MAX_DATAGRAM_LEN.min(MAX_BATCH_LEN - self.len)
    }
}

impl Default for TransmitBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TransmitBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransmitBatch")
            .field("count", &self.count)
            .field("stride", &self.stride)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a TransmitBatch {
    type Item = &'a [u8];
    type IntoIter = Chunks<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The datagram cannot join this batch: send the batch first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("datagram does not fit this batch: send and clear the batch first")
    }
}

impl core::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a batch must hold, written the slow way.
    fn model_accepts(held: &[usize], len: usize) -> bool {
        let closed = held.last().is_some_and(|&last| last < held[0]) || held.len() == 64;
        let longest = held.first().copied().unwrap_or(1500);
        let room = 65_507 - held.iter().sum::<usize>();
        !closed && len >= 1 && len <= longest && len <= room
    }

    proptest! {
        #[test]
        fn a_batch_holds_what_a_list_of_datagrams_holds(
            first in 1usize..=1500,
            shrink in prop::collection::vec((0usize..3, any::<bool>()), 0..80),
        ) {
            let mut batch = TransmitBatch::new();
            let mut held: Vec<usize> = Vec::new();
            for (step, (minus, rare)) in shrink.into_iter().enumerate() {
                let len = if rare && step > 40 { first.saturating_sub(minus) } else { first + minus / 2 };
                let fits = model_accepts(&held, len);
                prop_assert_eq!(batch.accepts(len), fits);
                if fits {
                    batch.spare()[..len].fill(step as u8);
                    held.push(len);
                }
                prop_assert_eq!(batch.push(len).is_ok(), fits);
                let lengths: Vec<usize> = batch.iter().map(<[u8]>::len).collect();
                prop_assert_eq!(&lengths, &held);
                prop_assert_eq!(batch.datagrams_mut().count(), held.len());
                prop_assert_eq!(batch.is_closed(), !(1..=1500).any(|len| model_accepts(&held, len)));
            }
            batch.clear();
            prop_assert!(batch.is_empty() && batch.accepts(1500) && !batch.accepts(1501));
        }
    }

    #[test]
    fn a_batch_ends_at_the_largest_udp_payload() {
        let mut batch = TransmitBatch::new();
        while batch.accepts(1500) {
            batch.push(1500).unwrap();
        }
        assert_eq!((batch.count(), batch.longest()), (43, 65_507 - 43 * 1500));
        assert_eq!(batch.spare().len(), 1007);
        batch.push(1007).unwrap();
        assert!(batch.is_closed() && batch.push(1).is_err());
        assert_eq!(batch.len(), MAX_BATCH_LEN);
    }
}
