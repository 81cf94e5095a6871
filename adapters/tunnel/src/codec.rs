//! The byte stream between smux and KCP: as it is, or compressed.

#[cfg(feature = "snappy")]
use alloc::vec::Vec;

#[cfg(feature = "snappy")]
use crate::snappy::{Compressor, Decompressor};

/// What happens to bytes between smux and KCP.
#[derive(Debug)]
pub(crate) enum Codec {
    /// Nothing: frames are written where KCP keeps them.
    Plain,
    /// Framed snappy.
    #[cfg(feature = "snappy")]
    Snappy(SnappyCodec),
}

/// State of compression in both directions.
#[cfg(feature = "snappy")]
#[derive(Debug)]
pub(crate) struct SnappyCodec {
    pub(crate) compressor: Compressor,
    pub(crate) decompressor: Decompressor,
    /// Compressed bytes that KCP had no room for; nothing new is compressed before they are gone,
    /// so this never holds more than one frame.
    pub(crate) tail: Vec<u8>,
    /// How much of the tail KCP took.
    pub(crate) tail_taken: usize,
}

impl Codec {
    pub(crate) fn new(compression: bool) -> Self {
        #[cfg(feature = "snappy")]
        if compression {
            return Self::Snappy(SnappyCodec {
                compressor: Compressor::new(),
                decompressor: Decompressor::new(),
                tail: Vec::new(),
                tail_taken: 0,
            });
        }
        let _ = compression;
        Self::Plain
    }

    /// Whether KCP has all that was written.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Plain => true,
            #[cfg(feature = "snappy")]
            Self::Snappy(codec) => codec.tail.is_empty(),
        }
    }

    /// Gives memory of an idle connection back.
    pub(crate) fn shrink(&mut self) {
        #[cfg(feature = "snappy")]
        if let Self::Snappy(codec) = self {
            codec.decompressor.shrink();
            if codec.tail.is_empty() {
                codec.tail = Vec::new();
            }
        }
    }
}
