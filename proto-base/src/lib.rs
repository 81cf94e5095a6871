//! What the three protocol machines of kcptun share: time, memory, safe readers, and the contract
//! by which every machine is driven.
//!
//! | piece | what it is |
//! |---|---|
//! | [`Instant`] | microseconds since a start the caller chose |
//! | [`Pool`], [`Buf`] | payload memory in size classes, shared by all machines of a shard |
//! | [`Fifo`] | a queue of bytes in pool memory |
//! | [`Storage`], [`SeqRing`] | index memory of a machine, borrowed or owned |
//! | [`Reader`], [`Writer`] | little-endian fields without over-reads |
//! | [`serial_number!`] | wrapping numbers as types |
//!
//! # The driving contract
//!
//! Every machine (and every composition of machines) consumes bytes and times and never touches a
//! socket, a clock, a thread or a random source. One vocabulary serves all of them:
//!
//! | verbs | meaning |
//! |---|---|
//! | `handle_*(now, …)` | input from below: a datagram, bytes, a deadline that has passed |
//! | `poll_transmit`, `poll_event`, `poll_timeout` | output: what to send, what changed, when to call again |
//! | plain verbs (`send`, `open`, `close` …) | what the application wants |
//! | nouns, `is_…` (`stats`, `is_idle` …) | questions; they change nothing |
//!
//! 1. Time never decreases; an earlier value is treated as the latest seen.
//! 2. Any order of calls is legal. Outputs left undrained delay things and corrupt nothing.
//! 3. A timeout call before its time does nothing. No deadline is `None`.
//! 4. Network input never panics or blocks, and no number in it sets how much memory is taken: what
//!    is taken for it is bounded by our own settings. Payload memory is taken for bytes that came;
//!    index memory may reach as far ahead as our window does. (One PUSH at the far end of a KCP
//!    window of 65,535 has a ring of 786 KB made at once, and no other packet more.) A packet is
//!    checked whole before anything of it is applied.
//! 5. A datagram taken from `poll_transmit` counts as sent. Who cannot send it keeps it, or treats
//!    it as lost.
//! 6. While output is pending, `poll_timeout` answers with the latest time seen.
//! 7. Events are dirty bits, reported and cleared; they are not a queue, so a peer cannot make them
//!    grow.
//! 8. Machines own small index rings; payload bytes live in a [`Pool`] that is handed to each verb
//!    that needs it, always the same one for the life of the machine. With fixed (borrowed) memory
//!    nothing ever allocates; with owned memory (feature `alloc`) rings and pool grow to stated
//!    bounds and not in the steady state. Running out of either is waiting or an error, never a
//!    panic. So is an allocator that has no more for a ring; only when it has none for a slab of the
//!    pool the process ends, because zeroed memory cannot be asked for otherwise.
//!
//! ```
//! use proto_base::Pool;
//!
//! // Fixed memory: eight pages of 2 KiB, nothing else is ever used.
//! let mut bytes = [0; 8 * 2048];
//! let mut pages = [const { proto_base::PageState::new() }; 8];
//! let mut pool = Pool::fixed(&mut bytes, &mut pages, 2048)?;
//! let buf = pool.alloc(100).expect("there is room");
//! pool.bytes_mut(&buf)[..5].copy_from_slice(b"hello");
//! assert_eq!(&pool.bytes(&buf)[..5], b"hello");
//! pool.release(buf);
//! # Ok::<(), proto_base::PoolError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod codec;
mod fifo;
mod instant;
mod pool;
mod serial;
mod storage;

pub use codec::{Reader, Writer};
pub use fifo::Fifo;
pub use instant::Instant;
pub use pool::{Buf, PageState, Pool, PoolError};
pub use storage::{SeqRing, Storage};
