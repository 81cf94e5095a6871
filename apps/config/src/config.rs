//! The checked configuration of a client or server.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use kcptun_net::{BindAddress, ListenAddress, RemoteAddress, TargetAddress};

use crate::arguments::{Arguments, Request};
use crate::kinds::{Crypt, Dscp, FecShape, Memory, Mode, Secret, SmuxVersion, SnmpLog, Timing};
use crate::message::{Problems, Warning};
use crate::options::{Program, Side};
use crate::start_up::{self, Given};
use crate::values::{Environment, Values};
use crate::{check, help};

/// The configuration of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where to accept connections.
    pub listen: ListenAddress,
    /// The server. Its name is looked up when a session is dialed.
    pub remote: RemoteAddress,
    /// Sessions to hold, used in turn.
    pub conn: u16,
    /// Age at which a session takes no more connections; `None`: never.
    pub auto_expire: Option<Duration>,
    /// How long after that age a session is closed, with the connections it still has. Without
    /// effect when `auto_expire` is `None`.
    pub scavenge_ttl: Duration,
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
    /// UDP sockets for each port, with a thread each: 1 to 64.
    pub shards: u16,
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
    /// Most bytes per second that a session sends, parity included; `None`: no limit.
    pub rate_limit: Option<NonZeroU64>,
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
    /// Most bytes of data in a frame sent, at least 1.
    pub frame_size: u16,
    /// Time between signs of life: 1 to 30 s.
    pub keepalive: Duration,
    /// How long a connection that one side has ended may go on without a sign of life of the other
    /// direction, at most 68 years; zero stands for ten minutes. The end itself is passed on at once.
    pub close_wait: Duration,
    /// No log lines about single streams.
    pub quiet: bool,
    /// The file to append the log to; `None`: standard error.
    pub log: Option<PathBuf>,
    /// The file to append the counters to; `None`: none.
    pub snmp: Option<SnmpLog>,
    /// Where to serve profiles and counters, on one port; `None`: nowhere.
    pub pprof: Option<BindAddress>,
    /// Where to serve the status page and metrics, on one port; `None`: nowhere.
    pub status: Option<BindAddress>,
    /// The memory of the tunnel; `None`: not this program's option.
    pub memory: Option<Memory>,
    pub(crate) given: Given,
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
    /// Reads the arguments of `kcptun-client` (without the program's name), the environment, and
    /// the file of `-c`.
    ///
    /// # Errors
    ///
    /// All values that cannot be used.
    pub fn parse<I>(arguments: I, environment: Environment<'_>) -> Result<Outcome<Self>, Problems>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        parse(Side::Client.into(), &collect(arguments), environment, check::client)
    }

    /// As [`parse`](Self::parse), with the options of `kcptun-router`. `call` is how that was called,
    /// for the help page and messages.
    ///
    /// # Errors
    ///
    /// All values that cannot be used.
    pub fn parse_for_router(
        call: &'static str,
        arguments: Vec<OsString>,
        environment: Environment<'_>,
    ) -> Result<Outcome<Self>, Problems> {
        let program = Program { side: Side::Client, is_router: true, call };
        parse(program, &arguments, environment, check::client)
    }

    /// The start-up lines of the original, in its order, for a client that listens on `bound` and
    /// has derived its key.
    #[must_use]
    pub fn start_up_lines(&self, bound: &str) -> Vec<String> {
        start_up::client_lines(self, bound)
    }
}

impl ServerConfig {
    /// Reads the arguments of `kcptun-server` (without the program's name), the environment, and
    /// the file of `-c`.
    ///
    /// # Errors
    ///
    /// All values that cannot be used.
    pub fn parse<I>(arguments: I, environment: Environment<'_>) -> Result<Outcome<Self>, Problems>
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        parse(Side::Server.into(), &collect(arguments), environment, check::server)
    }

    /// As [`parse`](Self::parse), with the options of `kcptun-router`. `call` is how that was called,
    /// for the help page and messages.
    ///
    /// # Errors
    ///
    /// All values that cannot be used.
    pub fn parse_for_router(
        call: &'static str,
        arguments: Vec<OsString>,
        environment: Environment<'_>,
    ) -> Result<Outcome<Self>, Problems> {
        let program = Program { side: Side::Server, is_router: true, call };
        parse(program, &arguments, environment, check::server)
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

fn collect<I>(arguments: I) -> Vec<OsString>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    arguments.into_iter().map(Into::into).collect()
}

fn parse<C>(
    program: Program,
    arguments: &[OsString],
    environment: Environment<'_>,
    check: fn(&mut Values) -> Option<C>,
) -> Result<Outcome<C>, Problems> {
    let mut values = match read(program, arguments, environment) {
        Ok(values) => values,
        Err(page) => return Ok(Outcome::Print(page)),
    };
    let config = check(&mut values);
    let Values { problems, warnings, .. } = values;
    match config {
        Some(config) if problems.is_empty() => Ok(Outcome::Run(Parsed { config, warnings })),
        _ => Err(Problems::new(problems)),
    }
}

/// The values given, or the text that was asked for instead.
fn read(
    program: Program,
    arguments: &[OsString],
    environment: Environment<'_>,
) -> Result<Values, String> {
    let arguments = Arguments::read(program, arguments);
    match arguments.request {
        Some(Request::Help) => Err(help::help_of(program)),
        Some(Request::Version) => Err(version_line()),
        None => Ok(Values::new(program, arguments, environment)),
    }
}
