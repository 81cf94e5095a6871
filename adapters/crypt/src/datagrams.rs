//! Batches of datagrams, borrowed for work in place.

use core::slice::ChunksMut;

/// Most datagrams in one batch. Linux takes at most 64 segments in one UDP_SEGMENT call
/// (`UDP_MAX_SEGMENTS` before kernel 6.9, 128 since). More still work, in parts.
pub const MAX_SEGMENTS: usize = 64;

/// Longest datagram in bytes. kcp-go reads into buffers of this size (kcp-go 5.6.1, sess.go,
/// `mtuLimit`) and cuts what is longer.
pub const MAX_DATAGRAM_LEN: usize = 1_500;

/// A batch, of either direction: datagrams of `stride` bytes each, the last maybe shorter.
///
/// That is the shape which UDP segmentation offload sends and receive offload delivers, and in which
/// the ciphers can step through all datagrams together.
#[derive(Debug)]
pub struct Datagrams<'a> {
    bytes: &'a mut [u8],
    stride: usize,
}

impl<'a> Datagrams<'a> {
    /// Views `bytes` as datagrams of `stride` bytes. A stride of 0 means that `bytes` is one
    /// datagram. Empty `bytes` hold no datagram.
    #[must_use]
    pub fn new(bytes: &'a mut [u8], stride: usize) -> Self {
        let stride = if stride == 0 { bytes.len().max(1) } else { stride };
        Self { bytes, stride }
    }

    /// Views `bytes` as one datagram.
    #[must_use]
    pub fn single(bytes: &'a mut [u8]) -> Self {
        Self::new(bytes, 0)
    }

    /// The same datagrams, borrowed for a shorter time.
    pub fn reborrow(&mut self) -> Datagrams<'_> {
        Datagrams { bytes: self.bytes, stride: self.stride }
    }

    /// Each datagram in order, for work in place.
    pub fn iter_mut(&mut self) -> ChunksMut<'_, u8> {
        self.bytes.chunks_mut(self.stride)
    }

    /// All bytes, for work in place.
    #[must_use]
    pub fn into_bytes(self) -> &'a mut [u8] {
        self.bytes
    }

    /// Bytes of each datagram but the last; at least 1.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of all datagrams together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no datagram.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Number of datagrams.
    #[must_use]
    pub fn count(&self) -> usize {
        self.bytes.len().div_ceil(self.stride)
    }
}

impl<'a> IntoIterator for Datagrams<'a> {
    type Item = &'a mut [u8];
    type IntoIter = ChunksMut<'a, u8>;

    fn into_iter(self) -> Self::IntoIter {
        self.bytes.chunks_mut(self.stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stride_of_zero_is_one_datagram_or_none() {
        let mut bytes = [7; 9];
        assert_eq!(Datagrams::new(&mut bytes, 0).count(), 1);
        assert_eq!(Datagrams::single(&mut []).into_iter().count(), 0);
    }
}
