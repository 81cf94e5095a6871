//! KCP, the reliable-UDP protocol under kcptun, as a sans-IO state machine.
//!
//! A [`Kcp`] consumes datagrams and times and produces datagrams, events and deadlines. It never
//! touches a socket, a clock, a thread or a random source, allocates nothing with borrowed memory,
//! and does a constant amount of work for each segment, whatever the window. The wire is that of
//! kcp-go 5.6 (kcptun 2021 and later), with which it is tested byte by byte and live.
//!
//! ```
//! use kcp_proto::{Config, ConvId, Kcp, Rings, Via};
//! use proto_base::{Instant, Pool};
//!
//! # #[cfg(feature = "alloc")] {
//! let mut pool = Pool::owned(1 << 20, 4096)?;
//! let (conv, now) = (ConvId(7), Instant::ZERO);
//! let mut client = Kcp::new(conv, 0, Config::default(), Rings::owned(), now)?;
//! let mut server = Kcp::new(conv, 0, Config::default(), Rings::owned(), now)?;
//!
//! client.send(&mut pool, b"hello")?;
//! let mut datagram = [0; 1500];
//! while let Some(len) = client.poll_transmit(now, &pool, &mut datagram)? {
//!     server.handle_packet(now, &mut pool, &datagram[..len], Via::Direct)?;
//! }
//! assert_eq!(server.peek(&pool), Some(&b"hello"[..]));
//! server.consume(&mut pool, 5);
//! // The ack leaves within an interval.
//! assert!(server.poll_timeout().unwrap() <= now + Config::default().interval);
//! # }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Where a packet goes
//!
//! | module | what happens there |
//! |---|---|
//! | [`wire`] | the 24-byte header; a datagram is checked whole |
//! | `kcp`, `input`, `output` | [`Kcp`]: one segment after the other is handed to the pieces below, or written |
//! | `receiver` | pushes are put in order and lent to the reader |
//! | `acks` | acks wait to be written |
//! | `queue`, `sender` | data waits, flies, is freed by una |
//! | `order`, `evidence` | segments in order of transmission; which of them are lost |
//! | `rtt`, `congestion`, `probe` | timeout, congestion window, questions to a shut window |
//! | `pacer` | without congestion control: how fast a window that opens at once is used |
//! | `flight` | without congestion control: how much of the window is worth using |
//! | `flush` | what is due, and the datagram it is written to |
//!
//! # Differences from the original
//!
//! The original is kcp-go 5.6.1 (kcp.go). None of these can be seen by a peer as anything but a
//! network with other delays; all bytes remain legal for every version.
//!
//! | the original | here | why |
//! |---|---|---|
//! | wakes each `interval`, does all work then | acts at the deadline itself; acks wait half an interval, or for the tick if the peer repeats much | idle sessions sleep, timeouts are exact |
//! | acks first in a flush | data first, acks last (same datagram if it has room) | datagrams of one size follow each other and leave in one batch |
//! | each ack adds one to a counter of every older segment (`fastack`); the counter stops after a fast repetition (5.6.27 on) | a segment is lost after `resend` acks of later *transmissions* | constant work; a lost repetition is found without a timeout |
//! | any ack, repeated ones too, counts | an ack counts if it echoes the latest transmission of a segment not yet acknowledged | old echoes prove nothing |
//! | a timeout runs from a segment's own sending, with the RTO of that time | the current RTO; pushed back by acks that still come in unless a later transmission has arrived | four of five of the original's repetitions are for segments that had arrived |
//! | a segment is repeated once at a time | from the second repetition on twice, if acks (not a timeout) show the loss | it holds up everything behind it |
//! | back-off without ceiling | at most 31 steps | recovery within seconds after long outages |
//! | 5.6.1 asks a shut window first after 7 s | after 0.5 s (as 5.6.43 on) | stalls end sooner |
//! | later questions up to 120 s apart | up to 10 s | same |
//! | any RTT sample counts | not those above 120 s | a broken clock is no path |
//! | acks wait without bound | of more than 512 the oldest is dropped; una, a later ack or a repetition covers it | memory |
//! | a window that opens at once is sent at once | half of what the path holds leaves at once, the rest at 5/4 of the best rate of late (round trips of 10 ms and more) | a burst overflows the queue in front of the bottleneck |
//! | with `nc` = 1 the whole window is sent, whatever becomes of it | the smallest flight that delivers as much | what overflows a queue on the path is sent for nothing |
//! | window updates only when the window had been full | also when it was nearly shut and half of it opened | same |
//! | ordered queue and reorder buffer of a window each | one window from the first unread segment | half the memory; a peer that keeps to the window told cannot tell |
//! | a bad segment stops a datagram half applied | a datagram is checked whole first | errors leave no half-done work |
//! | a flush for each ack that moves una also flushes acks | acks keep their own deadline, or leave after 32, or ride with data | fewer datagrams |
//! | a push outside of the window is not answered | answered, while nothing has come in order, with an ack of number 2^32 - 1 (which no sender waits for) | the peer of an end that started over learns of it at once |
//! | RTT samples count in full | at most 4 RTOs or 1 s each; after a long silence only those of what was sent since its end | an end that slept and acks late would else set RTOs of minutes |
//! | back-off goes on when a silent peer is heard again | what was sent into the silence times out anew, within one RTO | streams go on at once after an outage |
//! | `una` beyond what was sent empties the window and goes on | it is cut to what was sent | same effect, no special case |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "alloc"))]
extern crate alloc;
#[cfg(test)]
extern crate self as kcp_proto;
#[cfg(test)]
extern crate std;

mod acks;
mod config;
mod congestion;
mod error;
mod event;
mod evidence;
mod flight;
mod flush;
mod input;
mod kcp;
mod order;
mod output;
mod pacer;
mod probe;
mod queue;
mod receiver;
#[cfg(all(test, feature = "alloc"))]
mod repeat_tests;
mod rhythm;
mod rtt;
mod sender;
mod stats;
mod tx_segment;
pub mod wire;
#[cfg(all(test, feature = "alloc"))]
mod wrap_tests;

pub use acks::Ack;
pub use config::{Config, ConfigError, Mode};
pub use error::{PacketError, RecvError, SendError, TooSmall};
pub use event::Event;
pub use kcp::{Kcp, Rings, Via};
pub use receiver::RxSegment;
pub use sender::Chunk;
pub use stats::Stats;
pub use tx_segment::TxSegment;
pub use wire::ConvId;
