//! What connections and streams have to say.

use core::fmt;
use core::net::SocketAddr;

pub use smux_proto::StreamId;
use smux_proto::{ProtocolError, Reason};

/// Something about a connection changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened streams: accept until there are none.
    Incoming,
    /// Bytes of a stream can be read.
    Readable(StreamId),
    /// A stream that had been refused a write can write again.
    Writable(StreamId),
    /// The peer ended its direction of a stream; what is stored is the last of it.
    Finished(StreamId),
    /// Nothing can be sent to this stream any more: writing fails with [`StreamError::Gone`]. Abort
    /// it.
    Failed(StreamId),
    /// Both directions of a stream are over. Its handle is stale from now on.
    Ended(StreamId),
    /// The peer owes answers and is silent, or the socket has no way to it. New streams do better
    /// on another connection; nothing is lost yet.
    Suspect,
    /// A suspect peer was heard again.
    Recovered,
    /// The server acknowledges what this client sends, but has not said anything of its own since
    /// the connection began. It probably cannot read it: compression or the smux version differ.
    Mute,
    /// The connection is over, with all its streams. Its key names nothing any more, and its counters
    /// are part of [`Endpoint::total_stats`](crate::Endpoint::total_stats) from now on.
    Closed {
        /// Why.
        reason: CloseReason,
        /// Where the peer was, as the driver had named it.
        remote: SocketAddr,
        /// Whether the peer had shown that it receives at this address
        /// ([`Endpoint::is_proven`](crate::Endpoint::is_proven)).
        is_proven: bool,
    },
}

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// No sign of life for the smux timeout.
    Timeout,
    /// The peer answers as one that knows nothing of this connection.
    PeerRestarted,
    /// The server answers as one that knows nothing of this connection, on which it never said a
    /// word. Probably it ended the connection because it could not read it.
    NotUnderstood,
    /// The peer began another connection from the same address.
    Replaced,
    /// The peer's host refuses our datagrams: nothing listens there.
    Refused,
    /// The peer's bytes are not smux as we speak it.
    Protocol(ProtocolError),
    /// The peer's bytes are not framed snappy, or damaged.
    #[cfg(feature = "snappy")]
    Compression(crate::snappy::SnappyError),
    /// This end closed it.
    Local,
    /// It had to make room for another connection, as [`Config::max_connections`] were open, its
    /// peer had not shown that it receives at its address, and was the silent one of those for the
    /// longest time.
    ///
    /// [`Config::max_connections`]: crate::Config::max_connections
    Evicted,
}

impl CloseReason {
    /// Which setting probably differs between the two ends, if that is what this looks like.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            // 0xff begins the stream identifier of framed snappy.
            Self::Protocol(ProtocolError::BadVersion(0xff)) => Some(
                "the peer compresses and this end does not: --nocomp must be the same at both ends",
            ),
            Self::Protocol(ProtocolError::BadVersion(1 | 2)) => {
                Some("--smuxver must be the same at both ends")
            }
            #[cfg(feature = "snappy")]
            Self::Compression(
                crate::snappy::SnappyError::NoIdentifier
                | crate::snappy::SnappyError::ReservedChunk(_),
            ) => Some(
                "the peer does not compress and this end does: --nocomp must be the same at both ends",
            ),
            Self::NotUnderstood => Some(
                "it ended the session without a word, so --nocomp or --smuxver are probably not the \
                 same at both ends",
            ),
            _ => None,
        }
    }
}

impl From<Reason> for CloseReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Timeout => Self::Timeout,
            Reason::Protocol(error) => Self::Protocol(error),
            _ => Self::Local,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no sign of life from the peer"),
            Self::PeerRestarted => f.write_str("the peer was restarted"),
            Self::NotUnderstood => f.write_str("the peer ended it without a word"),
            Self::Replaced => f.write_str("the peer began another connection"),
            Self::Refused => f.write_str("nothing listens at the peer's address"),
            Self::Protocol(error) => write!(f, "invalid protocol: {error}"),
            #[cfg(feature = "snappy")]
            Self::Compression(error) => write!(f, "bad compressed data: {error}"),
            Self::Local => f.write_str("closed here"),
            Self::Evicted => f.write_str("room was needed, and the peer had proved nothing"),
        }
    }
}

/// Why bytes cannot be written to, or read from, a stream now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// Wait: for [`Event::Writable`] or [`Event::Readable`] of this stream.
    Blocked,
    /// The peer ended its direction and all was read.
    Finished,
    /// This direction was finished here.
    Closed,
    /// The stream, or its whole connection, is gone.
    Gone,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => "nothing can be done now: wait for an event of this stream",
            Self::Finished => "the peer ended the stream",
            Self::Closed => "the stream was finished here",
            Self::Gone => "the stream or its connection is gone",
        })
    }
}

impl core::error::Error for StreamError {}
