//! The command line, configuration and log of `kcptun-client` and `kcptun-server`.
//!
//! Flags, defaults and start-up lines are those of kcptun 20210624 (the Go original), so that
//! scripts written for it go on working. What the original accepted keeps its effect, with a
//! warning where the value is odd; what made it exit or crash is refused before anything starts,
//! all problems at once.
//!
//! * [`config`]: [`ClientConfig`](config::ClientConfig) and [`ServerConfig`](config::ServerConfig),
//!   read from flags and JSON files, values that need no further checking. A crate of its own.
//! * [`log`]: lines as Go's `log` package writes them, and the bridge from `tracing`.
//! * [`entry`]: what the binaries do from `main` on.
//! * [`client`], [`server`]: listeners, relays and log lines around `kcptun-async`.
//! * [`service`]: what runs, for those who watch it: counters, sessions, totals.
//! * [`snmp`]: the original's counters, in its SIGUSR1 line and its CSV files.
//! * [`demo`], [`link`]: the tunnel at work in one process; a bad link for any UDP program.
//! * [`doctor`], [`keygen`], [`load`]: what is wrong with a tunnel; a strong key; many sessions.
//!
//! ```
//! use kcptun::config::{ClientConfig, Outcome};
//!
//! let no_environment = |_: &str| None;
//! let outcome = ClientConfig::parse(["-r", "vps.example:4000", "-mode", "fast3"], &no_environment)?;
//! let Outcome::Run(parsed) = outcome else { unreachable!("neither -h nor -v was given") };
//! assert_eq!(parsed.config.remote.ports().first(), 4000);
//! assert_eq!(parsed.config.common.timing.interval.as_millis(), 10);
//! assert_eq!(parsed.warnings.len(), 1); // the published default key
//! # Ok::<(), kcptun::config::Problems>(())
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod demo;
pub mod doctor;
pub mod entry;
mod forward;
mod front;
mod host;
pub mod keygen;
pub mod link;
pub mod load;
pub mod log;
#[cfg(feature = "smol")]
mod on_smol;
mod on_tokio;
mod operate;
mod pipe;
mod run_error;
pub mod server;
pub mod service;
mod settings;
mod shards;
mod signals;
pub mod snmp;
mod terminal;

pub use kcptun_config as config;
pub use run_error::RunError;

/// What client and server run on in this build.
#[cfg(not(feature = "smol"))]
type Chosen = on_tokio::OnTokio;
/// What client and server run on in this build.
#[cfg(feature = "smol")]
type Chosen = on_smol::OnSmol;
