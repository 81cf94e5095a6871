//! A segment on the send side: what it is, where it stands, and how often it went.

use proto_base::{Instant, serial_number};

serial_number! {
    /// Number of a transmission among all transmissions of a conversation, wrapping. Each repetition
    /// of a segment has a new one.
    pub(crate) struct Transmission;
}

/// A segment on the send side.
#[derive(Debug, Default)]
pub struct TxSegment {
    pub(crate) chunk: u32,
    pub(crate) offset: u16,
    pub(crate) len: u16,
    pub(crate) fragment: u8,
    pub(crate) place: Place,
    /// Why it was, or will be, transmitted again.
    pub(crate) cause: Cause,
    pub(crate) twin: Twin,
    pub(crate) timeouts: u16,
    pub(crate) transmissions: u16,
    /// Its latest transmission.
    pub(crate) order: Transmission,
    pub(crate) sent_at: Instant,
    pub(crate) next: u32,
    pub(crate) previous: u32,
}

/// Whether a segment's latest transmission goes twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Twin {
    #[default]
    No,
    /// The second one is to follow.
    Due,
    Sent,
}

/// Why a segment is transmitted again (kcp-go 5.6.1, kcp.go, `flush`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its time was up.
    #[default]
    Timeout,
    /// `resend` later transmissions were acknowledged.
    Fast,
    /// One later transmission was acknowledged and there is nothing new to send.
    Early,
}

/// Where a segment on the send side stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// Never sent.
    #[default]
    Queued,
    /// Sent, and timed out this many times before.
    InFlight(u8),
    /// Lost as far as we know; to be sent again.
    Resend,
    /// Acknowledged, but not yet passed by una.
    Acked,
}
