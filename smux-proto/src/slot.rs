//! The state of one stream.

use proto_base::{Fifo, Instant};

use crate::flow::{ReadCount, SendWindow};
use crate::list::{KINDS, Link};

/// A stream of one [`Mux`](crate::Mux). It stays valid until the stream has ended; after that it
/// names nothing, even when another stream has taken the slot. The order of streams means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) wire: u32,
}

impl StreamId {
    /// The id in the frames of the stream.
    #[must_use]
    pub const fn wire(self) -> u32 {
        self.wire
    }

    /// Slot of the stream, below `max_streams`: an index for tables of the caller. Live streams
    /// have different ones; a later stream may have it again.
    #[must_use]
    pub const fn index(self) -> usize {
        self.slot as usize
    }
}

/// Our direction of a stream.
///
/// ```text
///  Vacant ──open/SYN in──▶ Open ──finish──▶ Finishing ──FIN out──▶ Finished
///    ▲                       │                  │                     │
///    │                     abort              abort          FIN in and all read:
///    │                       ▼                  │            Ended is reported
///    ├───────FINs out───── Aborted ◀────────────┘                     │
///    └────────────────────────────────────────────────────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// No stream is here.
    Vacant,
    /// We may send (once the SYN is out, if it is ours).
    Open,
    /// Our FIN is due.
    Finishing,
    /// Our FIN was sent.
    Finished,
    /// Our FINs are due, and nobody wants to hear of the stream any more.
    Aborted,
}

/// Control frames of a stream that are due, as bits.
pub(crate) mod due {
    pub(crate) const SYN: u8 = 1;
    pub(crate) const UPD: u8 = 2;
    pub(crate) const FIN: u8 = 4;
    /// A NOP with the stream's id behind the FIN: what the peer sends is still read.
    pub(crate) const READS: u8 = 8;
    /// A FIN more: nobody reads what the peer sends.
    pub(crate) const GONE: u8 = 16;
}

/// Events of a stream that are to be reported, as bits, in the order of reporting.
pub(crate) mod news {
    pub(crate) const READABLE: u8 = 1;
    pub(crate) const WRITABLE: u8 = 2;
    pub(crate) const FINISHED: u8 = 4;
    pub(crate) const FAILED: u8 = 8;
    pub(crate) const ENDED: u8 = 16;
}

/// Memory for one stream, about 180 bytes; a session in borrowed memory is given an array of them.
#[derive(Debug)]
pub struct Slot {
    pub(crate) links: [Link; KINDS],
    /// Next slot of the same bucket, or of the free list; one more than its number, 0 for none.
    pub(crate) chain: u32,
    pub(crate) generation: u32,
    pub(crate) wire: u32,
    pub(crate) local: Local,
    /// The peer's FIN has come.
    pub(crate) peer_finished: bool,
    /// The peer said that it still reads.
    pub(crate) peer_reads: bool,
    /// The peer claimed to have read more than we sent.
    pub(crate) bad_update: bool,
    /// The application knows of the stream: it opened or accepted it.
    pub(crate) known: bool,
    /// The application wants to send.
    pub(crate) wants: bool,
    /// The slot can be found by its wire id.
    pub(crate) mapped: bool,
    pub(crate) due: u8,
    pub(crate) news: u8,
    pub(crate) stored: Fifo,
    pub(crate) window: SendWindow,
    pub(crate) reads: ReadCount,
    /// When it was opened, by the latest time seen then.
    pub(crate) opened_at: Instant,
    /// Bytes of bodies that came for it.
    pub(crate) bytes_in: u64,
    /// Bytes of bodies sent.
    pub(crate) bytes_out: u64,
}

impl Slot {
    /// A slot without a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            links: [Link::OUT; KINDS],
            chain: 0,
            generation: 0,
            wire: 0,
            local: Local::Vacant,
            peer_finished: false,
            peer_reads: false,
            bad_update: false,
            known: false,
            wants: false,
            mapped: false,
            due: 0,
            news: 0,
            stored: Fifo::new(),
            window: SendWindow::new(),
            reads: ReadCount::new(),
            opened_at: Instant::ZERO,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Whether frames of data may be sent, apart from the window.
    pub(crate) const fn is_writable(&self) -> bool {
        matches!(self.local, Local::Open) && self.due & due::SYN == 0 && !self.bad_update
    }

    /// Whether both directions are over and nothing is left to read.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self.local, Local::Finished) && self.peer_finished && self.stored.is_empty()
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}
