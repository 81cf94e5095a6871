//! The three machines of kcptun without a heap: an example, and a proof.
//!
//! An [`End`] joins FEC, KCP and smux over memory that is lent to it ([`EndMemory`], some 200 KB at
//! the sizes chosen here); a [`Wire`] is a network card whose cable loses frames; [`Session`] runs
//! two ends over it until all bytes were echoed and checked. Time is a number that the loop moves
//! forward. Nothing here, nor in what it is built on, uses `alloc`: the machines are taken without
//! their default features.
//!
//! The same code runs twice:
//!
//! | where | what it shows |
//! |---|---|
//! | `src/bin/firmware.rs`, on a Cortex-M | it links without an allocator, and runs |
//! | `tests/session.rs`, here | it never calls an allocator that is there |
//!
//! ```
//! use kcptun_firmware::{Memory, Session, Work};
//!
//! static MEMORY: std::sync::Mutex<Memory> = std::sync::Mutex::new(Memory::new());
//!
//! let mut memory = MEMORY.lock()?;
//! let work = Work { bytes: 10_000, ..Work::default() };
//! let report = Session::new(&mut memory, &work)?.run()?;
//! assert_eq!(report.echoed, 2 * 10_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod application;
mod end;
mod memory;
mod session;
mod wire;

pub use end::{End, SetupError};
pub use memory::{EndMemory, Memory};
pub use session::{Failure, Report, Session, Work};
pub use wire::Wire;

/// Bytes of a datagram on the wire, the default of kcptun.
pub const MTU: usize = 1350;
/// Streams of a session.
pub const STREAMS: usize = 2;
