//! The command line, configuration and log of `kcptun-client` and `kcptun-server`.
//!
//! Flags, defaults and start-up lines are those of kcptun 20210624 (the Go original), so that
//! scripts written for it go on working. What the original accepted keeps its effect, with a
//! warning where the value is odd; what made it exit or crash is refused before anything starts,
//! all problems at once.
//!
//! * [`options`](config::options): the one table of flags. The clap command, the help page, the
//!   defaults and the allowed ranges in messages all come from it.
//! * [`arguments`]: the original's spelling (Go's `flag` package) turned into plain words for clap.
//! * [`config`]: [`ClientConfig`](config::ClientConfig) and [`ServerConfig`](config::ServerConfig),
//!   values that need no further checking.
//! * [`log`]: lines as Go's `log` package writes them, and the bridge from `tracing`.
//! * [`entry`]: what the binaries do from `main` on.
//! * [`client`], [`server`]: listeners, relays and log lines around `kcptun-async`.
//! * [`demo`], [`link`]: the tunnel at work in one process; a bad link for any UDP program.
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

pub mod arguments;
pub mod client;
pub mod config;
pub mod demo;
pub mod entry;
pub mod link;
pub mod log;
mod on_tokio;
mod run_error;
pub mod server;
mod settings;
mod terminal;

pub use run_error::RunError;

use kcptun_async::Runtime;
use kcptun_async::runtime::Timer as _;
use std::time::Duration;

/// Lets time pass.
async fn pause<R: Runtime>(runtime: &R, time: Duration) {
    let mut timer = runtime.timer();
    let end = kcptun_async::now() + time;
    std::future::poll_fn(|cx| timer.poll_until(cx, Some(end))).await;
}
