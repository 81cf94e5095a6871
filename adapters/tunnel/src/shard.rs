//! Memory that the connections of an endpoint share.

use alloc::vec::Vec;

use proto_base::{PageState, Pool, PoolError};

use crate::batch::MAX_DATAGRAM_LEN;

/// Page of the pool: the longest piece that is read from a TCP socket at once.
pub(crate) const PAGE: usize = 16_384;

/// Payload memory and scratch space of all connections that live on one thread. A connection must
/// be used with the shard it began with.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) pool: Pool<'static>,
    /// One datagram: rebuilt by FEC, or on its way from KCP to smux.
    pub(crate) scratch: Vec<u8>,
    #[cfg(feature = "snappy")]
    pub(crate) snappy: Compression,
}

/// Scratch space of compression.
#[cfg(feature = "snappy")]
#[derive(Debug)]
pub(crate) struct Compression {
    pub(crate) scratch: crate::snappy::Scratch,
    /// A frame before compression.
    pub(crate) plain: Vec<u8>,
    /// The same frame behind it.
    pub(crate) framed: Vec<u8>,
}

impl Shard {
    /// As [`new`](Self::new), with all memory taken now.
    pub(crate) fn reserved(memory: usize) -> Result<Self, PoolError> {
        let pages = memory / PAGE;
        let arena = alloc::vec![0; pages * PAGE].leak();
        let states = alloc::vec![PageState::new(); pages].leak();
        Ok(Self {
            pool: Pool::fixed(arena, states, PAGE)?,
            scratch: alloc::vec![0; MAX_DATAGRAM_LEN],
            #[cfg(feature = "snappy")]
            snappy: Compression {
                scratch: crate::snappy::Scratch::reserved(PAGE),
                plain: Vec::with_capacity(PAGE),
                framed: Vec::with_capacity(crate::snappy::Compressor::max_framed_len(PAGE)),
            },
        })
    }

    pub(crate) fn new(memory: usize) -> Result<Self, PoolError> {
        Ok(Self {
            pool: Pool::owned(memory, PAGE)?,
            scratch: alloc::vec![0; MAX_DATAGRAM_LEN],
            #[cfg(feature = "snappy")]
            snappy: Compression {
                scratch: crate::snappy::Scratch::new(),
                plain: Vec::new(),
                framed: Vec::new(),
            },
        })
    }
}
