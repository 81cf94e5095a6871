//! kcptun as one sans-IO object: packet protection, FEC, KCP, compression and smux joined.
//!
//! An [`Endpoint`] is everything behind one UDP socket. It consumes batches of datagrams and times,
//! and produces batches, events and deadlines, by the [contract](proto_base) of all machines of this
//! house: no socket, clock, thread or random source is touched, so any run can be replayed from a
//! seed. The wire is that of kcptun 2021 and later.
//!
//! ```
//! use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
//! use kcptun_tunnel::{Config, Endpoint, Event, Side, TransmitBatch};
//! use proto_base::Instant;
//!
//! let cipher = PacketCipher::new(CipherKind::Aes, b"a long and random key")?;
//! let mut client = Endpoint::new(Config::default(), cipher.clone(), Side::Client, [1; 32])?;
//! let mut server = Endpoint::new(Config::default(), cipher, Side::Server, [2; 32])?;
//! let (client_address, server_address) = ("[::1]:1".parse()?, "[::1]:2".parse()?);
//!
//! let now = Instant::ZERO;
//! let key = client.connect(now, server_address)?;
//! let stream = client.open(now, key)?;
//! client.write_with(now, key, stream, 5, |slot| {
//!     slot[..5].copy_from_slice(b"hello");
//!     (5, ())
//! })?;
//!
//! let mut batch = TransmitBatch::new();
//! while client.poll_transmit(now, &mut batch).is_some() {
//!     let stride = batch.stride();
//!     server.handle_batch(now, client_address, &mut batch.bytes().to_vec(), stride);
//! }
//! let (key, event) = server.poll_event().expect("a stream has come");
//! assert_eq!(event, Event::Incoming);
//! let stream = server.accept(key).expect("it waits");
//! let text = server.read_with(now, key, stream, |bytes| (bytes.len(), bytes.to_vec()))?;
//! assert_eq!(text, b"hello");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # The way of a byte
//!
//! | outward | module |
//! |---|---|
//! | the application fills memory that KCP lends, behind 8 bytes for the smux header | `outbound` |
//! | (with compression: a scratch buffer, from which the frame is compressed into KCP's memory) | [`snappy`], `codec` |
//! | KCP copies header and payload into the batch: **the one copy** | `kcp-proto` |
//! | FEC writes its header in place and adds the packet to the parity of its group | `fec-proto` |
//! | nonce, checksum and cipher over the whole batch in place | [`crypt`] |
//!
//! | inward | module |
//! |---|---|
//! | the whole batch is decrypted in place, each checksum checked | [`crypt`], `endpoint` |
//! | which connection it belongs to, or begins | `reception`, `table` |
//! | FEC keeps a copy until the group is whole, and rebuilds what is lost | `fec-proto`, `inbound` |
//! | KCP stores the payload: **first copy** | `kcp-proto` |
//! | what has come into order goes to a buffer of one datagram, which stays in the cache (as KCP's memory and that of smux are one pool): **second copy** | `inbound` |
//! | smux stores it for its stream: **third copy** | `inbound`, `smux-proto` |
//! | the application reads it where it lies | `endpoint` |
//! | (with compression: decompressed into a buffer of its own instead of the second copy) | [`snappy`], `inbound` |
//!
//! What stands beside it: [`policy`] (which session serves a new TCP connection), [`relay`] (how a
//! TCP connection and a stream end together), [`socket`] (a socket that fails), `pace` (the rate
//! limit), `timer` (the wheel), `shard` (the memory that all connections of an endpoint share),
//! `variety` (a kindness to receivers of the original), [`snmp`] (the counters as the original writes
//! them).
//!
//! # What no peer can do
//!
//! Damaged and foreign datagrams are counted and dropped without state. A connection begins only
//! with a whole, well-formed segment behind a good checksum. To an address that has not proved that
//! it receives, no more than 48 KiB (and three times what came from it) is sent. Payload memory is
//! bounded by [`Config::memory`], connections by [`Config::max_connections`], streams by
//! `smux_proto::Config::max_streams`.
//!
//! Recorded datagrams that are sent again from other addresses begin connections there, as in the
//! original, since nothing in them says for whom they were meant. Such connections take no place
//! from others for long: when all are taken, the one of theirs that has been silent the longest makes
//! room ([`CloseReason::Evicted`]); and [`report`] bounds what the log says of them.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod batch;
mod codec;
mod config;
mod connection;
mod crowd;
mod endpoint;
pub mod event;
mod grants;
mod inbound;
mod memory;
mod outbound;
mod pace;
pub mod policy;
mod reception;
pub mod relay;
pub mod report;
mod shard;
#[cfg(feature = "snappy")]
pub mod snappy;
pub mod snmp;
pub mod socket;
pub mod sorted;
mod stats;
mod summary;
mod table;
mod timer;
mod totals;
mod variety;

pub use batch::TransmitBatch;
pub use config::{Config, ConfigError};
pub use endpoint::{Endpoint, Full, Side};
pub use event::{CloseReason, Event, StreamError, StreamId};
#[doc(inline)]
pub use kcptun_crypt as crypt;
pub use smux_proto::StreamStats;
pub use stats::{CloseStats, ConnectionFigures, ConnectionStats, EndpointStats};
pub use summary::Summary;
pub use table::ConnectionKey;
pub use totals::TunnelStats;
