//! smux, the stream multiplexer of kcptun, versions 1 and 2, as a machine without input and output.
//!
//! Many streams share one reliable byte stream (in kcptun: KCP, perhaps compressed). A [`Mux`] is
//! fed with the bytes that came from the peer and asked for the frames to write; it knows neither
//! sockets nor clocks nor threads, and obeys the driving contract on the first page of
//! [`proto_base`].
//!
//! * **No body is copied without need.** Inward, [`Mux::next_step`] finds whose bytes come next and
//!   leaves them where they are; only what their reader refuses goes to the stream's queue, in
//!   memory of a [`Pool`](proto_base::Pool). Outward, [`Mux::begin_frame`] gives eight bytes of
//!   header, and the caller writes the body behind them.
//! * **Nothing grows by the peer's word.** Streams are bounded by
//!   [`max_streams`](Config::max_streams), those not yet accepted by [`ACCEPT_BACKLOG`], unread
//!   bytes by [`session_buffer`](Config::session_buffer); control frames and events are bits in the
//!   streams' slots. Streams beyond the bound are answered with a FIN and counted. Each step costs
//!   the same however many streams there are.
//! * **Half close**, as in smux 1.5.54 and later: a FIN ends one direction. A stream is forgotten
//!   when both have ended and all was read, or when it is [aborted](Mux::abort).
//!
//! # Flow control
//!
//! Version 1 knows one budget: when `session_buffer` bytes are unread, reading stands still for all
//! streams until some are read. Bytes that are delivered directly do not count, so other streams go
//! on until a body comes that has to be stored.
//!
//! In version 2 each stream has a window as well, told by UPD frames. A sender assumes 262,144
//! bytes before the first of them, so as much is taken for each stream even when `stream_buffer` is
//! smaller, and a new stream is let in only while that much of the session buffer is free. A peer
//! that overruns its window is not punished (the original does not look either): reading stands
//! still.
//!
//! # Differences from the original (smux 1.5.16 to 1.5.57)
//!
//! | topic | original | here |
//! |---|---|---|
//! | session buffer | counts whole frames and may go below zero | a body is taken in part |
//! | buffer used up | no frame is read | only a body that has to be stored waits |
//! | NOP | every interval | when nothing else left for an interval, or for half of one and the peer is heard: it goes with the ack |
//! | UPD after the peer's FIN | sent | not sent, it is of no use |
//! | silent peer | noticed after 30 to 60 s | after [`timeout`](Config::timeout) |
//! | accept backlog full | reading stands still | the stream is refused with a FIN; with 16 of those to be sent reading stands still |
//! | SYN with an id of our own side | opens a stream | ignored |
//! | data after the peer's FIN | can be read | dropped |
//! | stream aborted | FIN | two FINs, unless the peer's has come |
//! | second FIN of a stream | ignored | nobody reads what we send: our direction ends too |
//! | stream opened and aborted before its SYN left | SYN, FIN | nothing |
//!
//! # Example
//!
//! ```
//! use proto_base::{Instant, Pool};
//! use smux_proto::{Config, Event, Mux, MuxStorage, Role};
//!
//! # #[cfg(feature = "alloc")] {
//! let now = Instant::ZERO;
//! let mut pool = Pool::owned(1 << 20, 4096)?;
//! let mut client = Mux::new(Role::Client, Config::default(), MuxStorage::owned(), 1, now)?;
//! let mut server = Mux::new(Role::Server, Config::default(), MuxStorage::owned(), 2, now)?;
//!
//! // The client opens a stream and says hello: control frames first, then data.
//! let mut wire = Vec::new();
//! let stream = client.open()?;
//! while let Some(frame) = client.poll_control(now) {
//!     wire.extend_from_slice(frame.as_bytes());
//! }
//! wire.extend_from_slice(&client.begin_frame(stream, 5)?);
//! wire.extend_from_slice(b"hello");
//! client.finish(stream)?;
//!
//! // The server takes it from the byte stream.
//! assert_eq!(server.handle_bytes(now, &mut pool, &wire)?, wire.len());
//! assert_eq!(server.poll_event(), Some(Event::Incoming));
//! let incoming = server.accept().expect("a stream has come");
//! assert_eq!(server.poll_event(), Some(Event::Readable(incoming)));
//! assert_eq!(server.peek(incoming, &pool), b"hello");
//! server.consume(incoming, &mut pool, 5);
//! # }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

mod config;
mod error;
mod flow;
mod keepalive;
mod list;
mod mux;
mod parser;
mod scheduler;
mod slot;
mod streams;
pub mod wire;

pub use config::{Config, ConfigError, Role};
pub use error::{OpenError, ProtocolError, ReadError, Reason, SendError};
pub use mux::{ACCEPT_BACKLOG, Block, Event, Mux, Stats, Step, StreamStats};
pub use slot::{Slot, StreamId};
pub use streams::MuxStorage;
pub use wire::{ControlFrame, Version};
