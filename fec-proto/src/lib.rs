//! The Reed–Solomon packet FEC of kcptun, as a pair of sans-IO machines.
//!
//! An [`Encoder`] puts a header before each datagram and, when a group of them has left, gives the
//! parity packets of the group. A [`Decoder`] passes data packets on and rebuilds lost ones once as
//! many packets of the group are there as it has data. Neither knows a clock, a socket or the CPU:
//! time and [`Kernel`] come from the caller, shards live in his [`Pool`](proto_base::Pool). Both
//! obey the [driving contract](proto_base#the-driving-contract).
//!
//! ```
//! use fec_proto::{Accepted, Decoder, DecoderStorage, Encoder, EncoderStorage, HEADROOM};
//! use fec_proto::{Kernel, Shape};
//! use proto_base::{Instant, Pool};
//!
//! # #[cfg(feature = "alloc")] {
//! let now = Instant::ZERO;
//! let mut pool = Pool::owned(1 << 20, 4096)?;
//! let shape = Shape::new(2, 1)?.expect("FEC is on");
//! let mut encoder =
//!     Encoder::new(shape, Kernel::PORTABLE, Default::default(), EncoderStorage::owned())?;
//! let mut decoder = Decoder::new(Some(shape), Kernel::PORTABLE, DecoderStorage::owned())?;
//!
//! // Two datagrams leave; the first is lost on its way.
//! let mut first = [[0; HEADROOM].as_slice(), b"hello".as_slice()].concat();
//! let mut second = [[0; HEADROOM].as_slice(), b"world!".as_slice()].concat();
//! encoder.seal(now, &mut pool, &mut first)?;
//! encoder.seal(now, &mut pool, &mut second)?;
//! let data = decoder.handle_packet(now, &mut pool, &second)?;
//! assert_eq!(data, Accepted::Data(b"world!"));
//!
//! // The parity of the group follows, and with it the lost datagram.
//! let mut packet = [0; 1500];
//! let len = encoder.poll_transmit(&mut pool, &mut packet)?.expect("the group is full");
//! decoder.handle_packet(now, &mut pool, &packet[..len])?;
//! let mut rebuilt = [0; 1500];
//! let len = decoder.poll_recovered(&mut pool, &mut rebuilt)?.expect("one was lost");
//! assert_eq!(&rebuilt[..len], b"hello");
//!
//! encoder.release(&mut pool);
//! decoder.release(&mut pool);
//! assert_eq!(pool.used_pages(), 0);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Memory
//!
//! | who | index memory | shards in the pool, at most |
//! |---|---|---|
//! | [`Encoder`] | under 500 bytes, and 16 bytes for each parity shard | two groups' parity; none between groups |
//! | [`Decoder`] | under 800 bytes, and 48 bytes for each data shard | [`GROUPS_KEPT`] groups, as many of each as it has data |
//!
//! No matrix is stored: coefficients are computed from one number for each position of a group.
//!
//! # Where this differs from the original
//!
//! What is sent equals kcp-go 5.6.16 and later byte for byte, and earlier ones but for the skipped
//! parity. The receiving side follows kcp-go 5.6.72 and differs where the original harms itself; no
//! peer can notice:
//!
//! | matter | kcp-go | here | why |
//! |---|---|---|---|
//! | late packets of a group that was used | 5.6.1: late parity of a complete group rebuilds data that had come; 5.6.22 on: enough late packets start a second rebuild | a used group takes no packets | work and duplicates for nothing |
//! | FEC off at the receiver | starts as 1+1 and rebuilds with it until a type misfits; 5.6.1 hands parity bytes to KCP | nothing is rebuilt until the shape is proved | a sum of segments can pass for a segment |
//! | a type that does not fit | 5.6.4 to January 2026: recovery off until the shape changes, perhaps for good; later: until the run of types proves a shape | the same, or until four groups' worth of types fit in a row | one damaged packet must not cost more |
//! | tuning | lengths of runs, each time something is in doubt | runs must also stand where groups have them | a misaligned peer must not be rebuilt wrongly |
//! | a jump of ids | packets of groups before the newest seen are dropped for good | after 32 such packets in a row the decoder follows the peer back | one forged id must not switch recovery off |
//! | age | 5.6.22 on: none | 60 s, as before 5.6.22 | an idle connection gives its memory back |
//! | size limit | 5.6.1: 3 groups' worth of packets | the newest group and three before it, as 5.6.22 on | bounded by the shape |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "test-suite"))]
extern crate std;

mod code;
mod decoder;
mod encoder;
mod error;
mod galois;
mod group;
mod kernel;
#[cfg(any(test, feature = "test-suite"))]
mod kernel_suite;
mod packet;
mod scalar;
mod shape;
mod tune;

/// Index memory that an idle encoder or decoder keeps, in bytes: enough for usual shapes.
const KEPT_WHEN_IDLE: usize = 768;

pub use decoder::{Accepted, Decoder, DecoderStats, DecoderStorage, GROUPS_KEPT, MAX_AGE};
pub use encoder::{Encoder, EncoderConfig, EncoderStats, EncoderStorage, ParitySlot};
pub use error::{ConfigError, SealError, TooSmall};
pub use group::ShardSlot;
pub use kernel::{Combine, Kernel, MulAdd, MulAddRows, Rows};
#[cfg(any(test, feature = "test-suite"))]
#[doc(hidden)]
pub use kernel_suite::check_kernel;
pub use packet::{HEADROOM, Kind, MAX_PACKET, PARITY_OVERHEAD, PacketError, classify};
pub use shape::{Shape, ShapeError, ShardId};
