//! Settings of one end, checked once.

use core::fmt;
use core::time::Duration;

use crate::wire::Header;

/// How writes become segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A stream of bytes: writes are merged and cut freely. kcptun always uses this.
    Stream,
    /// Messages: each `send` arrives as one `recv`, cut into fragments that count down.
    Message,
}

/// Settings of one end. The two ends may differ in all of them but `mode`.
///
/// The defaults are those of kcptun's mode `fast` on a datagram of 1350 bytes with packet
/// protection and FEC (28 bytes of other headers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of KCP in a datagram, headers of segments included: the mtu less what the layers
    /// outside of KCP add.
    pub datagram_len: usize,
    /// Stream or messages.
    pub mode: Mode,
    /// Lower minimum RTO (30 instead of 100 ms) and gentler back-off.
    pub nodelay: bool,
    /// The original's tick. Here no timer is rounded to it: an ack waits half of it at the most (all
    /// of it for a peer that repeats much), the RTO lies at least so far above the smoothed round
    /// trip, and what one later segment overtook is repeated after half of it. 1 to 5,000 ms.
    pub interval: Duration,
    /// Acks of later transmissions after which a segment counts as lost; 0 turns this off, and more
    /// than 32 are 32.
    pub resend: u32,
    /// Whether the congestion window limits sending (kcptun: `nc` = 0).
    pub congestion_control: bool,
    /// Whether acks leave with the datagram that asks for them instead of within `interval`.
    pub ack_no_delay: bool,
    /// Segments that may be queued and in flight, at least 1.
    pub send_window: u16,
    /// Segments that may wait for the reader or for order, at least 1. Each takes 12 bytes of index
    /// memory as soon as the peer has used the window that far, whatever it has sent.
    pub receive_window: u16,
}

impl Config {
    /// Most bytes of data in a segment that any peer sends: a 1500-byte datagram without packet
    /// protection and FEC.
    pub const MAX_SEGMENT: usize = 1500 - Header::LEN;

    /// Bytes of data in a full segment; 0 for a `datagram_len` that [`Self::validate`] refuses.
    pub const fn mss(&self) -> usize {
        self.datagram_len.saturating_sub(Header::LEN)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub const fn validate(self) -> Result<Self, ConfigError> {
        if self.datagram_len <= Header::LEN || self.datagram_len > Self::MAX_SEGMENT + Header::LEN {
            return Err(ConfigError::DatagramLen);
        }
        if self.interval.as_millis() < 1 || self.interval.as_millis() > 5_000 {
            return Err(ConfigError::Interval);
        }
        if self.send_window == 0 {
            return Err(ConfigError::SendWindow);
        }
        if self.receive_window == 0 {
            return Err(ConfigError::ReceiveWindow);
        }
        Ok(self)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            datagram_len: 1350 - 28,
            mode: Mode::Stream,
            nodelay: false,
            interval: Duration::from_millis(30),
            resend: 2,
            congestion_control: false,
            ack_no_delay: false,
            send_window: 128,
            receive_window: 512,
        }
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `datagram_len` must be 25 to 1500 bytes.
    DatagramLen,
    /// `interval` must be 1 to 5,000 ms.
    Interval,
    /// `send_window` must be 1 to 65,535 segments.
    SendWindow,
    /// `receive_window` must be 1 to 65,535 segments.
    ReceiveWindow,
    /// Fixed memory: the rings hold less than one segment.
    NoRings,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DatagramLen => "datagram_len must be 25 to 1500 bytes",
            Self::Interval => "interval must be 1 to 5000 ms",
            Self::SendWindow => "send_window must be 1 to 65535 segments",
            Self::ReceiveWindow => "receive_window must be 1 to 65535 segments",
            Self::NoRings => "the rings given must hold at least one segment each",
        })
    }
}

impl core::error::Error for ConfigError {}
