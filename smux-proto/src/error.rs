//! What can go wrong, one type for each family of calls.

use core::fmt;

use crate::wire::Command;

/// What the peer sent that no smux peer sends. The session is over: its place in the byte stream is
/// lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame of another version than configured; its number.
    BadVersion(u8),
    /// A command that does not exist.
    UnknownCommand(u8),
    /// A SYN, FIN or NOP that claims to have a body.
    UnexpectedBody {
        /// Command of the frame.
        command: Command,
        /// Length it claims, in bytes.
        length: u16,
    },
    /// An UPD frame in version 1.
    UpdateInVersion1,
    /// An UPD frame whose body is not 8 bytes long.
    UpdateLength(u16),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadVersion(version) => write!(
                f,
                "frame of smux version {version}: the smux versions, compression or keys of the two ends differ"
            ),
            Self::UnknownCommand(command) => write!(
                f,
                "frame with the unknown command {command}: the bytes are not smux; compression or keys may differ"
            ),
            Self::UnexpectedBody { command, length } => {
                write!(f, "{command:?} frame with a body of {length} bytes: the peer is not smux")
            }
            Self::UpdateInVersion1 => f.write_str("UPD frame in version 1: the peer is not smux"),
            Self::UpdateLength(length) => {
                write!(f, "UPD frame with a body of {length} bytes instead of 8")
            }
        }
    }
}

impl core::error::Error for ProtocolError {}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing was received for the configured timeout.
    Timeout,
    /// The peer broke the protocol.
    Protocol(ProtocolError),
    /// [`Mux::release`](crate::Mux::release) was called.
    Released,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the peer has been silent for too long"),
            Self::Protocol(error) => error.fmt(f),
            Self::Released => f.write_str("the session was closed here"),
        }
    }
}

impl core::error::Error for Reason {}

/// Why no stream was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// As many streams as the session may hold are open; wait until one ends.
    TooManyStreams,
    /// All ids were used; ids never wrap, so a new session is needed.
    IdsUsedUp,
    /// The session is over.
    Dead,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyStreams => "too many streams are open; wait until one ends",
            Self::IdsUsedUp => "all stream ids of this session were used; start a new session",
            Self::Dead => "the session is over",
        })
    }
}

impl core::error::Error for OpenError {}

/// Why a frame cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// No such stream, or it has ended.
    UnknownStream,
    /// The stream's SYN is still to be sent: call `poll_control` first.
    ControlFirst,
    /// The body is longer than may be sent now.
    WindowFull {
        /// Largest body that can be sent now, in bytes; 0: wait for `Event::Writable`.
        room: usize,
    },
    /// A body of no bytes is not worth a frame.
    Empty,
    /// This end has finished the stream, or the peer has closed it for good.
    Finished,
    /// The peer claims to have read more than was sent; abort the stream.
    BadUpdate,
    /// The session is over.
    Dead,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownStream => f.write_str("there is no such stream any more"),
            Self::ControlFirst => f.write_str("send the control frames that are due first"),
            Self::WindowFull { room } => {
                write!(f, "only {room} bytes may be sent to this stream now")
            }
            Self::Empty => f.write_str("a frame of data needs at least one byte"),
            Self::Finished => f.write_str("this end has finished the stream"),
            Self::BadUpdate => {
                f.write_str("the peer consumed more than was sent; abort the stream")
            }
            Self::Dead => f.write_str("the session is over"),
        }
    }
}

impl core::error::Error for SendError {}

/// Why nothing can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// No such stream, or it has ended.
    UnknownStream,
    /// Nothing is there now; wait for `Event::Readable`.
    Empty,
    /// The peer has finished the stream and all of it was read.
    Finished,
    /// The session is over, and all that had arrived was read.
    Dead,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownStream => "there is no such stream any more",
            Self::Empty => "nothing to read now; wait until the stream is readable",
            Self::Finished => "the peer has finished the stream",
            Self::Dead => "the session is over",
        })
    }
}

impl core::error::Error for ReadError {}
