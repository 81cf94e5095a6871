//! The checked configuration of a client or server.
//!
//! [`ClientConfig::parse`] and [`ServerConfig::parse`] are the only way to make one, so whoever
//! holds one need not check anything again.

mod check;
mod command;
mod kinds;
pub(crate) mod message;
pub(crate) mod number;
pub mod options;
mod start_up;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use command::{command, help};
pub use kinds::{Crypt, Dscp, FecShape, Mode, Secret, SmuxVersion, Timing};
pub use message::{Problem, Problems, Warning};
pub use values::Environment;

use kcptun_net::{BindAddress, ListenAddress, RemoteAddress, TargetAddress};

use crate::arguments::{Arguments, Request};
use options::Side;
use start_up::Given;
use values::Values;

/// The configuration of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where to accept connections.
    pub listen: ListenAddress,
    /// The server. Its name is looked up when a session is dialed.
    pub remote: RemoteAddress,
    /// Sessions to hold, used in turn.
    pub conn: u16,
    /// What client and server share.
    pub common: CommonConfig,
}

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to receive UDP packets.
    pub listen: BindAddress,
    /// Where to hand connections on. A name is looked up for each connection.
    pub target: TargetAddress,
    /// What client and server share.
    pub common: CommonConfig,
}

/// The part of a configuration that client and server share.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// The pre-shared secret.
    pub key: Secret,
    /// The packet protection.
    pub crypt: Crypt,
    /// The mode asked for.
    pub mode: Mode,
    /// When to send, acknowledge and resend: of the mode, or as given with `manual`.
    pub timing: Timing,
    /// Send every acknowledgement at once.
    pub ack_nodelay: bool,
    /// Largest UDP payload to send, in bytes, all headers included: leaves room for at least
    /// one byte of data, and is at most 1500.
    pub mtu: u16,
    /// Send window in packets, at least 1.
    pub send_window: u16,
    /// Receive window in packets, at least 1.
    pub receive_window: u16,
    /// The group of forward error correction; `None`: off, no header.
    pub fec: Option<FecShape>,
    /// Whether sessions are compressed.
    pub compression: bool,
    /// The traffic class of outgoing packets.
    pub dscp: Dscp,
    /// Socket buffer to ask the kernel for, each way, in bytes, at most `i32::MAX`.
    pub socket_buffer: u32,
    /// The version of the stream protocol.
    pub smux_version: SmuxVersion,
    /// Unread received data that a session may hold, in bytes: 1 to `i32::MAX`.
    pub session_buffer: u32,
    /// Unread received data that a stream may hold, in bytes: 1 to `session_buffer`.
    pub stream_buffer: u32,
    /// Time between signs of life: 1 to 30 s.
    pub keepalive: Duration,
    /// No log lines about single streams.
    pub quiet: bool,
    /// The file to append the log to; `None`: standard error.
    pub log: Option<PathBuf>,
    given: Given,
}

/// A configuration and what should be said about it.
#[derive(Clone, Debug)]
pub struct Parsed<C> {
    /// The configuration.
    pub config: C,
    /// One for each value that has another effect than it seems, or weakens the tunnel.
    pub warnings: Vec<Warning>,
}

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Outcome<C> {
    /// To run.
    Run(Parsed<C>),
    /// To print this on standard output and end with success: the help page or the version.
    Print(String),
}

impl ClientConfig {
    /// Reads the arguments of `kcptun-client` (without the program's name) and the environment.
    ///
    /// # Errors
    ///
    /// All values that cannot be used.
    pub fn parse<I>(arguments: I, environment: Environment<'_>) -> Result<Outcome<Self>, Problems>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        parse(Side::Client, arguments, environment, |values| {
            let listen = check::address(values, "localaddr");
            let path = match &listen {
                Some(ListenAddress::Unix(path)) => Some(path.as_path()),
                _ => None,
            };
            check::warn_of_path(values, "localaddr", path);
            let remote = check::address(values, "remoteaddr");
            let conn = check::conn(values);
            let common = check::common(values);
            Some(Self { listen: listen?, remote: remote?, conn: conn?, common: common? })
        })
    }

    /// The start-up lines of the original, in its order, for a client that listens on `bound` and
    /// has derived its key.
    #[must_use]
    pub fn start_up_lines(&self, bound: &str) -> Vec<String> {
        start_up::client_lines(self, bound)
    }
}

impl ServerConfig {
    /// Reads the arguments of `kcptun-server` (without the program's name) and the environment.
    ///
    /// # Errors
    ///
    /// All values that cannot be used.
    pub fn parse<I>(arguments: I, environment: Environment<'_>) -> Result<Outcome<Self>, Problems>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        parse(Side::Server, arguments, environment, |values| {
            let listen = check::address(values, "listen");
            let target = check::address(values, "target");
            let path = match &target {
                Some(TargetAddress::Unix(path)) => Some(path.as_path()),
                _ => None,
            };
            check::warn_of_path(values, "target", path);
            let common = check::common(values);
            Some(Self { listen: listen?, target: target?, common: common? })
        })
    }

    /// The start-up lines of the original, in its order, for a server that has derived its key.
    #[must_use]
    pub fn start_up_lines(&self) -> Vec<String> {
        start_up::server_lines(self)
    }
}

/// The line that `-v` prints.
#[must_use]
pub fn version_line() -> String {
    format!("kcptun version {}\n", env!("CARGO_PKG_VERSION"))
}

fn parse<C, I>(
    side: Side,
    arguments: I,
    environment: Environment<'_>,
    check: impl FnOnce(&mut Values) -> Option<C>,
) -> Result<Outcome<C>, Problems>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let arguments = Arguments::read(side, arguments);
    match arguments.request {
        Some(Request::Help) => return Ok(Outcome::Print(help(side))),
        Some(Request::Version) => return Ok(Outcome::Print(version_line())),
        None => {}
    }
    let mut values = Values::new(side, arguments, environment);
    let config = check(&mut values);
    let Values { problems, warnings, .. } = values;
    match config {
        Some(config) if problems.is_empty() => Ok(Outcome::Run(Parsed { config, warnings })),
        _ => Err(Problems::new(problems)),
    }
}
