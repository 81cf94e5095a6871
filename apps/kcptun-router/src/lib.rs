//! kcptun for routers: `kcptun-client` and `kcptun-server` in one small binary that runs on one
//! thread, in memory that is taken at the start (`--mem`), and allocates nothing afterwards.
//!
//! Flags and JSON files are those of the other programs ([`kcptun_config`]) but for the status page
//! and profiles, which are not built in. Two options, which may stand in a file too, are its own:
//!
//! | option | meaning |
//! |---|---|
//! | `--mem SIZE` | all memory of the tunnel (8M): windows, streams and sessions are fitted into it, and the log tells what was chosen |
//! | `--lock` | touch this memory at the start and keep it from being swapped |
//!
//! # Size and speed
//!
//! `cargo xtask router` builds without unwinding, panic messages and backtraces (a panic
//! ends the process by a signal), at a fixed place in memory, and for size: `opt-level` z. Packet
//! protection alone (`kcptun-crypt`) is built for speed, at 2, as ciphers are most of what a packet
//! costs; what it costs then is counted in `tests/cost`.
//!
//! | `mipsel-unknown-linux-musl`, static, stripped | KB of 1000 |
//! |---|---|
//! | every cipher, compression | 552 |
//! | `--features salsa20,aes` | 478 |
//!
//! Of the code of the smaller one (430 KB) the tunnel and its protocols take about 86, the driver and
//! sockets 78, the C library 76 (resolver, threads, allocator, time zones), flags, files and the log
//! 79, Rust's library 67, ciphers and keys 35. MIPS has four bytes for each instruction. At `opt-level`
//! s for all that is now z a build before these figures was 33 KB larger, with ciphers at 3 it is 3 KB
//! larger, with ciphers at s 11 KB smaller. Without hoisting out of loops in the back end
//! (`-disable-machine-licm`) it is 5 KB smaller, for 1 or 2 % more instructions.
//!
//! Resident with the defaults, static, x86-64, aes, FEC 10+3, after 60 MB each way with the original
//! at the other end: client 1.5 MB, server 3.5 MB, of it 0.6 MB the program.
//!
//! Idle, it wakes 30 times a minute, to look for signals that came just before it slept; with ten
//! streams that say nothing 50 times (client) and 47 times (server), for the signs of life of the
//! session. That is `ctxt_switches` of `/proc/PID/status` over a minute, x86-64, the defaults; the
//! processor time of that minute was below one tick of 10 ms at either end.
//!
//! [`run`] is the whole program; [`kcptun_router_driver`] is the poll loop under it.
//!
//! ```
//! use kcptun_config::{ClientConfig, Memory, Outcome};
//!
//! let words = ["-r", "vps:29900", "--mem", "4M", "--lock"].map(Into::into);
//! let outcome = ClientConfig::parse_for_router("kcptun-client", words.into(), &|_| None)?;
//! let Outcome::Run(parsed) = outcome else { unreachable!("neither -h nor -v was given") };
//! let memory = Memory { bytes: 4 << 20, is_locked: true };
//! assert_eq!(parsed.config.common.memory, Some(memory));
//! # Ok::<(), kcptun_config::Problems>(())
//! ```
#![deny(unsafe_code)]

mod entry;
mod local_time;
mod log;
mod operate;
mod signals;
mod thread_name;

pub use entry::run;
pub use log::Log;
