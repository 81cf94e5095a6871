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
//! ends the process by a signal), at a fixed place in memory. Instructions per full packet, sender and receiver
//! together, FEC 10+3, are counted as in `tests/cost`; sizes are of the binary for
//! `mipsel-unknown-linux-musl`, static, with every cipher and compression, in KB of 1000.
//!
//! | `opt-level` | size | none | salsa20 | aes |
//! |---|---|---|---|---|
//! | z | 638 * | 83,823 | 341,033 | 739,424 |
//! | s | 676 * | 79,527 | 247,578 | 673,308 |
//! | z; s for `kcptun-tunnel`; 3 for `aes`, FEC | 654 | 80,666 | 248,716 | 674,124 |
//! | z; 3 for `kcptun-tunnel`, `aes`, FEC | 705 | 80,402 | 162,748 | 590,584 |
//! | 3 | not built | 77,635 | 159,980 | 583,619 |
//!
//! \* With `serde_json`, which has left since. At `opt-level` 2, with backtraces
//! and it, the program had 1,383 KB. The profile is z, with 3
//! for `kcptun-tunnel` and `aes`, as the ciphers are what counts: 692 KB; 602 KB with
//! `--features salsa20,aes`.
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

pub use entry::run;
pub use log::Log;
