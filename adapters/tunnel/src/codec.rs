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
    /// All memory was taken at the start, and is kept.
    is_reserved: bool,
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
                is_reserved: false,
            });
        }
        let _ = compression;
        Self::Plain
    }

    /// As [`new`](Self::new), with all the memory that frames of up to `longest` bytes need.
    pub(crate) fn reserved(compression: bool, longest: usize) -> Self {
        let _ = longest;
        match Self::new(compression) {
            Self::Plain => Self::Plain,
            #[cfg(feature = "snappy")]
            Self::Snappy(codec) => Self::Snappy(SnappyCodec {
                decompressor: Decompressor::reserved(),
                tail: Vec::with_capacity(Compressor::max_framed_len(longest)),
                is_reserved: true,
                ..codec
            }),
        }
    }

    /// Bytes that [`reserved`](Self::reserved) takes with compression.
    pub(crate) fn reserved_size(longest: usize) -> usize {
        #[cfg(feature = "snappy")]
        return 2 * (4 + crate::snappy::MAX_COMPRESSED) + Compressor::max_framed_len(longest);
        #[cfg(not(feature = "snappy"))]
        {
            let _ = longest;
            0
        }
    }

    /// For another connection, in the same memory.
    pub(crate) fn restart(self) -> Self {
        match self {
            Self::Plain => Self::Plain,
            #[cfg(feature = "snappy")]
            Self::Snappy(codec) => {
                let mut tail = codec.tail;
                tail.clear();
                Self::Snappy(SnappyCodec {
                    compressor: Compressor::new(),
                    decompressor: codec.decompressor.restart(),
                    tail,
                    tail_taken: 0,
                    is_reserved: codec.is_reserved,
                })
            }
        }
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
        if let Self::Snappy(codec) = self
            && !codec.is_reserved
        {
            codec.decompressor.shrink();
            if codec.tail.is_empty() {
                codec.tail = Vec::new();
            }
        }
    }
}
