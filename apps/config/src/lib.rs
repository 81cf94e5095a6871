//! The configuration of every kcptun program: flags, JSON files, and their checking.
//!
//! Flags, keys, defaults and start-up lines are those of kcptun (the Go original), so that command
//! lines and files written for it go on working. What the original accepted keeps its effect, with
//! a warning where the value is odd; what made it exit or crash is refused before anything starts,
//! all problems of command line and file at once. There is no runtime in it and no argument parser
//! but its own, so that small programs can use it.
//!
//! [`ClientConfig::parse`] and [`ServerConfig::parse`] are the only way to make a configuration, so
//! whoever holds one need not check anything again. [`settings`] hands it to the layers.
//!
//! ```
//! use kcptun_config::{ClientConfig, Outcome};
//!
//! let environment = |name: &str| (name == "KCPTUN_KEY").then(|| "long and random".into());
//! let outcome = ClientConfig::parse(["-r", "vps.example:4000", "-mode", "fast3"], &environment)?;
//! let Outcome::Run(parsed) = outcome else { unreachable!("neither -h nor -v was given") };
//! assert!(parsed.warnings.is_empty());
//! assert_eq!(parsed.config.remote.ports().first(), 4000);
//! assert_eq!(parsed.config.common.timing.interval.as_millis(), 10);
//!
//! let problems = ClientConfig::parse(["-r", "vps", "-mtu", "1k"], &environment).unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "--remoteaddr vps: no port in it; allowed: host:port or host:first-last\n\
//!      --mtu 1k: not a whole number; allowed: 50 to 1500 bytes",
//! );
//! # Ok::<(), kcptun_config::Problems>(())
//! ```
//!
//! # Where a value comes from
//!
//! | source | overrides | a message about the value begins with |
//! |---|---|---|
//! | the table of [`options`] | | `--streambuf 2097152 (the default)` |
//! | environment, `KCPTUN_KEY` only | the default | `KCPTUN_KEY` |
//! | command line | the environment | `--mtu 1k` |
//! | the JSON file of `-c` | the command line | `/etc/kcptun/client.json:4:9: mtu 20` |
//!
//! No message shows a key.
#![forbid(unsafe_code)]

mod arguments;
mod check;
mod closest;
mod config;
mod file;
mod given;
mod help;
mod json;
mod kinds;
mod markdown;
pub mod message;
mod number;
pub mod options;
mod parse;
mod reader;
pub mod settings;
pub mod snmp_log;
mod start_up;
mod values;

pub use config::{ClientConfig, CommonConfig, ServerConfig};
pub use help::help;
pub use kinds::{Crypt, Dscp, FecShape, Memory, Mode, Secret, SmuxVersion, SnmpLog, Timing};
pub use markdown::markdown_table;
pub use message::{Problem, Problems, Warning};
pub use parse::{Outcome, Parsed, version_line};
pub use values::Environment;
