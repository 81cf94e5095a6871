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
//! costs; what it costs then is counted in `tests/cost`. `cargo xtask dist` packs the same; `cross` and
//! OpenWrt's build system have the profile alone, and build a larger one.
//!
//! | `mipsel-unknown-linux-musl`, static, stripped | KB of 1000 |
//! |---|---|
//! | every cipher, compression | 558 |
//! | `--features salsa20,aes` | 449 |
//!
//! About a fifth of the code of the smaller one is the tunnel and its protocols, and as much each the
//! driver with its sockets, the C library (resolver, threads, allocator, time zones), and flags, files
//! and the log; Rust's library takes a sixth, ciphers and keys the rest. MIPS has four bytes for each
//! instruction. What was tried on the way, on builds of the same day: `opt-level` s for all that is now
//! z, 33 KB more; ciphers at 3, 3 KB more; at s, 11 KB less, for 2.6 times the instructions of salsa20.
//! Features are named like ciphers; `aes` is AES-256 alone.
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
mod sort;
mod thread_name;

pub use entry::run;
pub use log::Log;
