//! All memory there is.

use core::array;

use fec_proto::{ParitySlot, ShardSlot};
use kcp_proto::{Ack, Chunk, RxSegment, TxSegment};
use proto_base::PageState;
use smux_proto::Slot;

use crate::wire::Frame;
use crate::{MTU, STREAMS};

/// Segments of each window.
pub(crate) const WINDOW: usize = 32;
/// FEC: data and parity packets of a group.
pub(crate) const SHAPE: (usize, usize) = (10, 3);
/// Groups that the decoder keeps shards of.
const GROUPS: usize = fec_proto::GROUPS_KEPT;
/// Payload memory: two windows, the shards of the groups kept, the sums of two groups' parity, and
/// what streams have unread, two buffers to a page.
const PAGES: usize = 64;
/// Bytes of a page.
pub(crate) const PAGE: usize = 4_096;
/// Frames under way on the wire.
const FRAMES: usize = 64;

/// What a whole session needs: two ends and the wire between them.
#[derive(Debug)]
pub struct Memory {
    pub(crate) ends: [EndMemory; 2],
    pub(crate) frames: [Frame; FRAMES],
}

impl Memory {
    /// Memory for a `static`. All of it is zeros, so it costs no flash.
    pub const fn new() -> Self {
        Self { ends: [const { EndMemory::new() }; 2], frames: [const { Frame::EMPTY }; FRAMES] }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// What one end works in.
#[derive(Debug)]
pub struct EndMemory {
    pub(crate) arena: [u8; PAGES * PAGE],
    pub(crate) index: Lazy,
    /// A datagram, or the bytes of a segment, on its way from one machine to the next.
    pub(crate) scratch: [u8; MTU],
}

impl EndMemory {
    /// Memory for a `static`.
    pub const fn new() -> Self {
        Self { arena: [0; PAGES * PAGE], index: Lazy::Empty, scratch: [0; MTU] }
    }
}

impl Default for EndMemory {
    fn default() -> Self {
        Self::new()
    }
}

/// Index memory that is made when the end starts, as its elements are not constants. An `Option`
/// would do, but mark its absence by some byte in the middle, and a `static` with one byte that is
/// not 0 has all of its bytes in flash.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum Lazy {
    Empty = 0,
    Made(Index) = 1,
}

impl Lazy {
    /// Makes it anew.
    pub(crate) fn make(&mut self) -> &mut Index {
        *self = Self::Made(Index::new());
        match self {
            Self::Made(index) => index,
            Self::Empty => unreachable!("it was made in the line above"),
        }
    }
}

/// Index memory of the machines.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) pages: [PageState; PAGES],
    pub(crate) sent: [TxSegment; WINDOW],
    pub(crate) chunks: [Chunk; WINDOW],
    pub(crate) received: [RxSegment; WINDOW],
    pub(crate) acks: [Ack; 2 * WINDOW],
    pub(crate) parity: [ParitySlot; 2 * SHAPE.1],
    pub(crate) shards: [ShardSlot; GROUPS * SHAPE.0],
    pub(crate) streams: [Slot; STREAMS],
    pub(crate) buckets: [u32; STREAMS],
}

impl Index {
    pub(crate) fn new() -> Self {
        Self {
            pages: array::from_fn(|_| PageState::new()),
            sent: array::from_fn(|_| TxSegment::default()),
            chunks: array::from_fn(|_| Chunk::default()),
            received: array::from_fn(|_| RxSegment::default()),
            acks: array::from_fn(|_| Ack::default()),
            parity: array::from_fn(|_| ParitySlot::default()),
            shards: array::from_fn(|_| ShardSlot::default()),
            streams: array::from_fn(|_| Slot::new()),
            buckets: [0; STREAMS],
        }
    }
}
