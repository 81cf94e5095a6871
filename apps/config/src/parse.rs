//! From a command line to a configuration.

use std::ffi::OsString;

use crate::arguments::{Arguments, Request};
use crate::config::{ClientConfig, ServerConfig};
use crate::message::{Problems, Warning};
use crate::options::{Program, Side};
use crate::values::{Environment, Values};
use crate::{check, help, start_up};

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
