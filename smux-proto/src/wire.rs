//! The bytes of a frame.
//!
//! ```text
//! 0     1     2        4              8
//! +-----+-----+--------+--------------+------------------+
//! | ver | cmd | length | stream id    | length bytes     |
//! +-----+-----+--------+--------------+------------------+
//! ```
//!
//! All numbers are little-endian (smux, frame.go). Only PSH and UPD have a body; the body of UPD is
//! an [`Update`].

use crate::ProtocolError;

/// Bytes of a frame header.
pub const HEADER_LEN: usize = 8;
/// Bytes of the body of an UPD frame.
pub const UPDATE_LEN: usize = 8;
/// Bytes that a sender of version 2 may have in flight before the first UPD of a stream, whatever
/// both sides configured (smux, `initialPeerWindow`).
pub const INITIAL_WINDOW: u32 = 262_144;

/// Version of the protocol; both ends must be started with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Only the session as a whole has a receive budget.
    V1,
    /// Each stream has a window of its own.
    V2,
}

impl Version {
    /// The version with this number, if it is 1 or 2.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }

    /// The number in the first byte of each frame.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Opens a stream.
    Syn,
    /// The sender writes no more to the stream.
    Fin,
    /// Bytes of a stream.
    Psh,
    /// Sign of life, stream 0.
    Nop,
    /// The sender read from the stream (version 2).
    Upd,
}

impl Command {
    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Syn),
            1 => Some(Self::Fin),
            2 => Some(Self::Psh),
            3 => Some(Self::Nop),
            4 => Some(Self::Upd),
            _ => None,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Syn => 0,
            Self::Fin => 1,
            Self::Psh => 2,
            Self::Nop => 3,
            Self::Upd => 4,
        }
    }
}

/// The eight bytes in front of each body.
///
/// ```
/// use smux_proto::wire::{Command, Header, Version};
///
/// let header = Header { version: Version::V1, command: Command::Psh, length: 5, stream: 3 };
/// assert_eq!(header.emit(), [1, 2, 5, 0, 3, 0, 0, 0]);
/// assert_eq!(Header::parse(&header.emit()), Ok(header));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Version of the sender.
    pub version: Version,
    /// What the frame is for.
    pub command: Command,
    /// Bytes of body behind the header.
    pub length: u16,
    /// Stream the frame belongs to; 0 in NOP.
    pub stream: u32,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// When the version is neither 1 nor 2, the command is unknown, or the length does not fit the
    /// command: SYN, FIN and NOP have no body, and UPD has one of 8 bytes and belongs to version 2.
    /// smux 1.5.16 loses its place in the byte stream after such a frame, 1.5.56 ends the session.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, ProtocolError> {
        let [version, command, len_low, len_high, id @ ..] = *bytes;
        let version = Version::from_number(version).ok_or(ProtocolError::BadVersion(version))?;
        let command =
            Command::from_number(command).ok_or(ProtocolError::UnknownCommand(command))?;
        let length = u16::from_le_bytes([len_low, len_high]);
        match (command, version) {
            (Command::Psh, _) => {}
            (Command::Upd, Version::V1) => return Err(ProtocolError::UpdateInVersion1),
            (Command::Upd, Version::V2) if usize::from(length) != UPDATE_LEN => {
                return Err(ProtocolError::UpdateLength(length));
            }
            (Command::Upd, Version::V2) => {}
            (Command::Syn | Command::Fin | Command::Nop, _) if length != 0 => {
                return Err(ProtocolError::UnexpectedBody { command, length });
            }
            (Command::Syn | Command::Fin | Command::Nop, _) => {}
        }
        Ok(Self { version, command, length, stream: u32::from_le_bytes(id) })
    }

    /// The header as bytes.
    pub const fn emit(self) -> [u8; HEADER_LEN] {
        let [len_low, len_high] = self.length.to_le_bytes();
        let [a, b, c, d] = self.stream.to_le_bytes();
        [self.version.number(), self.command.number(), len_low, len_high, a, b, c, d]
    }
}

/// Body of an UPD frame: what the sender of the UPD has read, and what it lets the other side have
/// in flight. Both are absolute, so a later one replaces all earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Update {
    /// Bytes of the stream read since it was opened, modulo 2^32.
    pub consumed: u32,
    /// Bytes that may be written beyond `consumed`.
    pub window: u32,
}

impl Update {
    /// Reads the body of an UPD.
    pub const fn parse(bytes: &[u8; UPDATE_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h] = *bytes;
        Self {
            consumed: u32::from_le_bytes([a, b, c, d]),
            window: u32::from_le_bytes([e, f, g, h]),
        }
    }

    /// The body as bytes.
    pub const fn emit(self) -> [u8; UPDATE_LEN] {
        let [a, b, c, d] = self.consumed.to_le_bytes();
        let [e, f, g, h] = self.window.to_le_bytes();
        [a, b, c, d, e, f, g, h]
    }
}

/// A frame without data, ready to be written: 8 bytes, or 16 for UPD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlFrame {
    bytes: [u8; HEADER_LEN + UPDATE_LEN],
    len: usize,
}

impl ControlFrame {
    pub(crate) fn new(version: Version, command: Command, stream: u32) -> Self {
        let mut bytes = [0; HEADER_LEN + UPDATE_LEN];
        bytes[..HEADER_LEN].copy_from_slice(&Header { version, command, length: 0, stream }.emit());
        Self { bytes, len: HEADER_LEN }
    }

    pub(crate) fn update(version: Version, stream: u32, update: Update) -> Self {
        let mut bytes = [0; HEADER_LEN + UPDATE_LEN];
        let (head, body) = bytes.split_at_mut(HEADER_LEN);
        head.copy_from_slice(&Header { version, command: Command::Upd, length: 8, stream }.emit());
        body.copy_from_slice(&update.emit());
        Self { bytes, len: HEADER_LEN + UPDATE_LEN }
    }

    /// The bytes to write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for ControlFrame {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What can be parsed is emitted again byte for byte, and nothing else is accepted.
        #[test]
        fn parse_and_emit_are_inverse(version in 0u8..4, command in 0u8..6, length in 0u16..20, stream: u32) {
            let [low, high] = length.to_le_bytes();
            let [a, b, c, d] = stream.to_le_bytes();
            let bytes = [version, command, low, high, a, b, c, d];
            let legal = (1..=2).contains(&version)
                && match command {
                    2 => true,
                    4 => version == 2 && length == 8,
                    0 | 1 | 3 => length == 0,
                    _ => false,
                };
            let parsed = Header::parse(&bytes);
            prop_assert_eq!(parsed.is_ok(), legal);
            if let Ok(header) = parsed {
                prop_assert_eq!(header.emit(), bytes);
            }
        }

        #[test]
        fn updates_come_back(consumed: u32, window: u32) {
            let update = Update { consumed, window };
            prop_assert_eq!(Update::parse(&update.emit()), update);
            let frame = ControlFrame::update(Version::V2, 7, update);
            prop_assert_eq!(&frame.as_bytes()[8..], &update.emit());
        }
    }
}
