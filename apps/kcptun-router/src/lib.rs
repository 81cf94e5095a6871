//! kcptun for routers: `kcptun-client` and `kcptun-server` in one small binary that runs on one
//! thread, in memory that is taken at the start (`--mem`), and allocates nothing afterwards.
//!
//! Flags and JSON files are those of the other programs ([`kcptun_config`]) but for the status page
//! and profiles, which are not built in. Two options are its own:
//!
//! | option | meaning |
//! |---|---|
//! | `--mem SIZE` | all memory of the tunnel (8M): windows, streams and sessions are fitted into it, and the log tells what was chosen |
//! | `--lock` | touch this memory at the start and keep it from being swapped |
//!
//! [`run`] is the whole program; [`kcptun_router_driver`] is the poll loop under it.
//!
//! ```
//! use kcptun_router::Memory;
//!
//! let words = ["-r", "vps:29900", "--mem", "4M", "--lock"].map(Into::into);
//! let (memory, rest) = Memory::take(kcptun_config::options::Side::Client, words)?;
//! assert_eq!((memory.bytes, memory.is_locked), (4 << 20, true));
//! assert_eq!(rest, ["-r", "vps:29900"]);
//! # Ok::<(), String>(())
//! ```
#![deny(unsafe_code)]

mod entry;
mod local_time;
mod log;
mod memory;
mod operate;

pub use entry::run;
pub use log::Log;
pub use memory::Memory;
