//! What can go wrong: bad packets, calls that cannot proceed, settings that make no sense.

use core::fmt;

use crate::wire::ConvId;

/// Why a datagram was refused. Nothing of it was applied; count it and go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than one segment header (24 bytes).
    Truncated {
        /// Bytes in the datagram.
        have: usize,
    },
    /// A segment of another conversation.
    WrongConv {
        /// The id found.
        found: ConvId,
    },
    /// A segment with a command that is none of 81 to 84.
    UnknownCommand(u8),
    /// A segment claims more data than the datagram holds.
    BadLength {
        /// Bytes claimed.
        claimed: u32,
        /// Bytes left in the datagram.
        have: usize,
    },
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { have } => write!(f, "datagram of {have} bytes is below 24"),
            Self::WrongConv { found } => write!(f, "segment of another conversation, {found}"),
            Self::UnknownCommand(code) => write!(f, "unknown command {code}"),
            Self::BadLength { claimed, have } => {
                write!(f, "segment claims {claimed} bytes where {have} are left")
            }
        }
    }
}

impl core::error::Error for PacketError {}

/// Why nothing can be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The send window is full; wait for [`Event::Writable`](crate::Event::Writable).
    WindowFull,
    /// The pool or the rings have no memory left. [`Event::Writable`](crate::Event::Writable) tells
    /// when this conversation has freed some; others that share the pool may do so, too.
    NoMemory,
    /// A message needs more than 255 fragments or more than the send window.
    TooLong {
        /// Longest message, in bytes.
        max: usize,
    },
    /// An empty message, which the wire cannot express.
    Empty,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowFull => f.write_str("the send window is full: wait for Writable"),
            Self::NoMemory => {
                f.write_str("no buffer memory is left: try again when some was freed")
            }
            Self::TooLong { max } => write!(f, "a message may have {max} bytes at the most"),
            Self::Empty => f.write_str("an empty message cannot be sent"),
        }
    }
}

impl core::error::Error for SendError {}

/// Why no message can be received now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// No whole message is there; wait for [`Event::Readable`](crate::Event::Readable).
    Empty,
    /// The message stays; call again with more room.
    BufferTooSmall {
        /// Bytes of the message.
        need: usize,
    },
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no whole message has arrived: wait for Readable"),
            Self::BufferTooSmall { need } => write!(f, "the message needs {need} bytes"),
        }
    }
}

impl core::error::Error for RecvError {}

/// The slice given to `poll_transmit` cannot take the next datagram; nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSmall {
    /// Bytes the slice must have; never above the configured datagram size.
    pub need: usize,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the next datagram needs {} bytes", self.need)
    }
}

impl core::error::Error for TooSmall {}
