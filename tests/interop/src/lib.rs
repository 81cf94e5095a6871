//! Our binaries against the original ones: the harness.
//!
//! A [`Tunnel`] is two real processes, one `kcptun-client` and one `kcptun-server`, each ours or
//! Debian's ([`Maker`]), with a [`Target`] behind the server and, if the case asks for it, a bad
//! path between the two ([`LossyUdpRelay`]). A [`Job`] pushes bytes both ways through it at once
//! and checks every one of them. [`Case`] ties these together: the tests are tables of cases.
//!
//! ```no_run
//! use kcptun_interop::{BOTH_WAYS, Case, Job};
//!
//! for pair in BOTH_WAYS {
//!     Case::new("3des over a bad path")
//!         .both("--crypt 3des")
//!         .link("delay=10ms,jitter=5ms,loss=5%")
//!         .job(Job { connections: 2, up: 1 << 20, down: 1 << 20, ..Job::default() })
//!         .run(pair);
//! }
//! ```
//!
//! # Which binaries
//!
//! | binary | place | instead |
//! |---|---|---|
//! | ours | the target directory of the running test | directory in `KCPTUN_BIN_DIR` |
//! | the peer | `/usr/bin`, Debian's package `kcptun` | directory in `KCPTUN_PEER_DIR` |
//!
//! A missing binary fails the test with a message that says how to get it; nothing is skipped.
//! Tests that need binaries are `#[ignore]`d, so that plain `cargo test` runs without them;
//! `cargo xtask test` builds and installs what they need and runs them. Those in `emulated.rs` also
//! run with binaries for other machines under qemu (`cargo xtask cross`).
//! `KCPTUN_BIN_DIR=/usr/bin` plays the peer against itself, which tests the harness: the cases
//! pass, except those on which the original itself fails (unequal FEC shapes with losses, most of
//! the bad input, all mismatches).
//!
//! # What the original cannot do
//!
//! With unequal FEC shapes and losses the original's decoder (kcp-go 5.6.1) breaks its own
//! stream: between two of Debian's, 1 MB each way at 3 % loss, 5+5 against 10+3 broke 11 of 25
//! times, 0+0 against 10+3 2 of 25 times. Without losses it never did, nor with equal shapes at
//! 20 % loss. The likely reason: until it has tuned itself to the sender it takes data packets
//! for parity and "recovers" packets from them; a Reed-Solomon code carries constants over, so
//! conv and command of such a packet come out right and KCP accepts it. The cases that have both
//! are therefore lossy only towards our end ([`Case::link_to_ours`]).
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod browser;
mod capture;
mod case;
mod namespace;
mod pattern;
mod peer;
mod ports;
mod process;
mod relay;
mod target;
mod transfer;
mod tunnel;

pub use browser::Browser;
pub use capture::{Capture, Seen};
pub use case::{BOTH_WAYS, Case, OURS_ALONE, Pair};
pub use namespace::Namespace;
pub use pattern::Pattern;
pub use peer::{Maker, Role, is_ours};
pub use ports::{free_port, wait_until};
pub use process::Process;
pub use relay::{LossyUdpRelay, Path};
pub use rustix::process::Signal;
pub use target::Target;
pub use transfer::{Job, Report};
pub use tunnel::{Tunnel, flags};
