//! kcptun on one thread and fixed memory: a poll loop for MIPS and ARM routers.
//!
//! [`Client`] and [`Server`] take all memory they will ever use when they are made: [`Plan`] fits
//! windows, streams and sessions into the bytes given. From then on nothing is allocated, whatever
//! comes from either side. What finds no memory waits (TCP connections in the system's queue,
//! streams in their session, writers for room) or is dropped as if the network had lost it; the
//! protocol repairs that.
//!
//! | module | what happens there |
//! |---|---|
//! | `plan` | [`Plan`]: what fits |
//! | `poller` | epoll or kqueue, edge by edge |
//! | `sockets` | UDP sockets, and batches between them and the endpoint |
//! | `pairs` | the table of TCP connections and their streams |
//! | `tcp` | TCP connections and unix streams, without waiting |
//! | `pump` | bytes between a connection and its stream |
//! | `core` | what both roles do |
//! | `client`, `server` | [`Client`], [`Server`] |
//! | `names` | looking a name up beside the loop |
//!
//! The protocol, the client's policy, the rules of half-closed connections and the words of the log
//! are those of `kcptun-tunnel`, as in the asynchronous adapters. Linux, Android, FreeBSD and macOS.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use kcptun_router_driver::{Server, ServerSettings};
//! use kcptun_tunnel::Config;
//! use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
//!
//! let mut server = Server::new(ServerSettings {
//!     listen: ":29900".parse()?,
//!     target: "127.0.0.1:8080".parse()?,
//!     cipher: PacketCipher::new(CipherKind::Aes, b"a long and random key")?,
//!     tunnel: Config::default(),
//!     socket: Default::default(),
//!     close_wait: Duration::from_secs(30),
//!     quiet: false,
//!     memory: 8 << 20,
//! })?;
//! println!("{}", server.plan());
//! loop {
//!     server.turn(Duration::from_secs(2))?;
//! }
//! # #[expect(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Not fixed: what the C library takes for looking names up, in a thread of its own that exists only
//! if the remote or target is a name, and the text of an error that names an address.
#![deny(unsafe_code)]
#![cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "macos"
))]

mod client;
mod clock;
mod core;
mod error;
mod lock;
mod names;
mod pairs;
mod plan;
mod poller;
mod pump;
mod server;
mod sockets;
mod tcp;

pub use client::{Client, ClientSettings};
pub use clock::now;
pub use error::StartError;
pub use kcptun_tunnel::TunnelStats;
pub use lock::{LockError, lock_memory};
pub use plan::{Demand, Plan, TooSmall};
pub use server::{Server, ServerSettings};

use std::io;

/// A seed from the system's random source.
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
    Ok(seed)
}
