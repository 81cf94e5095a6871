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
//! | `server` | [`Server`]: streams that clients open |
//! | `lookup` | names: looked up for each session, not waited for longer than it is worth |
//! | `relay` | [`Relay`]: a TCP connection and a stream, joined |
//! | `public_names` | the types that adapters show, defined once |
//! | `report` | log lines, and what is probably wrong |
//! | `stats` | [`Sessions`]: the counters of each session; of a whole end: [`TunnelStats`] |
//!
//! See `kcptun-tokio` for a client and a server in twenty lines.

#![forbid(unsafe_code)]

mod client;
mod clock;
mod driver;
mod lookup;
mod public_names;
mod relay;
mod report;
pub mod runtime;
mod server;
mod shared;
mod stats;
mod stream;
mod wait;

pub use client::{Client, ClientSettings};
pub use clock::now;
pub use lookup::{Resolve, SystemResolver};
pub use relay::Relay;
pub use runtime::Runtime;
pub use server::{Server, ServerSettings};
pub use stats::{SessionLimits, SessionStats, Sessions};
pub use stream::Stream;

/// The fastest FEC arithmetic that this CPU has: what [`Config::fec_kernel`] is by default.
#[cfg(feature = "simd")]
pub use fec_simd::detect as detect_fec_kernel;
pub use kcptun_net::{RemoteAddress, SocketConfig, TargetAddress};
pub use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
pub use kcptun_tunnel::policy::PolicyConfig;
pub use kcptun_tunnel::{Config, TunnelStats};
