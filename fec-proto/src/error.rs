//! Errors of the calls; those of packets stand in `packet.rs`.

use core::fmt;

/// Why a machine cannot be made of this storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The borrowed slice is too short for the shape.
    StorageTooSmall {
        /// Slots needed.
        need: usize,
        /// Slots given.
        have: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::StorageTooSmall { need, have } = self;
        write!(f, "this FEC shape needs {need} slots of storage, {have} were given")
    }
}

impl core::error::Error for ConfigError {}

/// Why a packet cannot be sealed; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealError {
    /// The packet has no room for the header: leave [`HEADROOM`](crate::HEADROOM) bytes in front.
    TooShort {
        /// Bytes it has.
        have: usize,
    },
    /// The packet is longer than [`MAX_PACKET`](crate::MAX_PACKET): lower the mtu.
    TooLong {
        /// Bytes it has.
        have: usize,
    },
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { have } => {
                write!(f, "a packet of {have} bytes has no room for the 8 bytes of the FEC header")
            }
            Self::TooLong { have } => {
                write!(f, "a packet of {have} bytes is above the limit of 1500; lower the mtu")
            }
        }
    }
}

impl core::error::Error for SealError {}

/// The output buffer is too small; nothing is lost, call again with a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSmall {
    /// Bytes needed; never above [`MAX_PACKET`](crate::MAX_PACKET).
    pub need: usize,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the output buffer needs {} bytes", self.need)
    }
}

impl core::error::Error for TooSmall {}
