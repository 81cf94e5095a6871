//! Runtime-neutral futures over the sans-IO tunnel: what `kcptun-tokio` and its sisters share.
//!
//! A [`Runtime`] is sockets that tell their readiness, a timer and tasks. All else is here, once:
//!
//! | module | what happens there |
//! |---|---|
//! | `driver` | the task that receives, lets deadlines pass, tells events and sends |
//! | `shared` | the endpoint behind its mutex, and who waits for what |
//! | `stream` | [`Stream`]: poll_read and poll_write, by copy or by lending |
//! | `client` | [`Client`]: streams on sessions that are dialled, replaced and buried |
//! | `manager` | which sessions a client has, and who waits for one |
//! | `watch` | connections that may go while they wait |
//! | `server` | [`Server`]: streams that clients open |
//! | `lookup` | names: looked up for each session, not waited for longer than it is worth |
//! | `relay` | [`Relay`]: a TCP connection and a stream, joined |
//! | `public_names` | the types that adapters show, defined once |
//! | `report` | log lines, and what is probably wrong |
//! | `stats` | [`Sessions`]: the counters of each session; of a whole end: [`TunnelStats`] |
//!
//! See `kcptun-tokio` for a client and a server in twenty lines.
//!
//! # What is assumed of a runtime
//!
//! - Waking a task never runs it on the spot, nor waits for it to run: tasks are woken while locks
//!   are held that they take when they run.
//! - A task that is spawned is run, or dropped. What waits for a runtime that has ended is told so
//!   by the drop of its tasks.
//! - Tasks may run on several threads. The mutex of a session is then taken by all that use its
//!   streams, for as long as bytes take to be copied; on one thread nobody waits for it.
//! - Its tasks get their turns: the driver gives way after eight batches received or 32 sent, a
//!   [`Relay`] after eight pieces each way.

#![forbid(unsafe_code)]

mod client;
mod clock;
mod driver;
mod lookup;
mod manager;
mod public_names;
mod relay;
mod report;
pub mod runtime;
mod server;
mod shared;
mod stats;
mod stream;
pub mod target;
mod wait;
mod watch;

pub use client::{Client, ClientSettings};
pub use clock::now;
pub use lookup::{Resolve, SystemResolver};
pub use relay::Relay;
pub use runtime::Runtime;
pub use server::{Server, ServerSettings};
pub use stats::{SessionLimits, SessionStats, Sessions};
pub use stream::Stream;

/// Arithmetic for FEC: [`Config::fec_kernel`].
pub use fec_proto::Kernel as FecKernel;
pub use fec_proto::Shape;
/// The fastest FEC arithmetic that this CPU has: what [`Config::fec_kernel`] is by default.
#[cfg(feature = "simd")]
pub use fec_simd::detect as detect_fec_kernel;
/// Settings of KCP: [`Config::kcp`].
pub use kcp_proto::Config as KcpConfig;
pub use kcptun_net::{Offload, RemoteAddress, SocketConfig, TargetAddress};
pub use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
pub use kcptun_tunnel::policy::PolicyConfig;
pub use kcptun_tunnel::{Config, ConnectionFigures, ConnectionStats, StreamStats, TunnelStats};
/// Settings of smux: [`Config::smux`].
pub use smux_proto::Config as SmuxConfig;
/// Version of smux: [`SmuxConfig::version`].
pub use smux_proto::Version as SmuxVersion;
