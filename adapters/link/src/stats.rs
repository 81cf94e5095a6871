//! What became of the datagrams.

/// Counters of one [`Link`](crate::Link), in datagrams unless said otherwise.
///
/// Nothing vanishes: `datagrams_in + duplicated` equals `datagrams_out`, plus those still held,
/// plus `too_long`, `queue_drops`, `blacked_out`, `lost` and `lost_in_burst`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Handed in.
    pub datagrams_in: u64,
    /// Bytes handed in.
    pub bytes_in: u64,
    /// Delivered, copies included.
    pub datagrams_out: u64,
    /// Bytes delivered, copies included.
    pub bytes_out: u64,
    /// Dropped for being longer than the MTU.
    pub too_long: u64,
    /// Dropped because the queue (or the memory bound of the link) was full.
    pub queue_drops: u64,
    /// Lost to a blackout.
    pub blacked_out: u64,
    /// Lost each on its own.
    pub lost: u64,
    /// Lost in a burst.
    pub lost_in_burst: u64,
    /// Changed on the way.
    pub corrupted: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Held back so that later ones pass.
    pub reordered: u64,
}
