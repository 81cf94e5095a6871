//! What the binaries do from `main` on: read the command line, open the log, say how they start.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::config::options::Side;
use crate::config::{ClientConfig, Outcome, Parsed, Problems, ServerConfig, Warning, version_line};
use crate::log::Log;
use crate::{RunError, client, server};

const TOOLBOX: &str = "\
kcptun: TCP over lossy, long and throttled links.

Usage: kcptun [COMMAND] [OPTIONS]

Commands:
  demo      show the tunnel at work on a bad link (also without any command)
  client    accept TCP connections and carry them to a server (also: kcptun-client)
  server    take connections from clients and hand them to a target (also: kcptun-server)
  link      put any UDP program behind a bad link
  doctor    find out what is wrong with a tunnel, and what to set at both ends
  keygen    print a strong key
  load      open thousands of sessions to a server, and see what they cost it
  help      print this page; `kcptun <COMMAND> -h` explains a command
  version   print the version
";

/// Runs `kcptun-client` with `arguments`, which do not include the name of the program.
pub fn client(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = ClientConfig::parse(arguments, &|name| std::env::var_os(name));
    start(Side::Client, outcome, |parsed| {
        let Parsed { config, warnings } = parsed;
        let log = open_log(config.common.log.as_deref())?;
        let started = |config: &ClientConfig, bound: &str| {
            announce(&log, &config.start_up_lines(bound), &warnings);
        };
        finish(&log, client::run(&config, &log, started))
    })
}

/// Runs `kcptun-server` with `arguments`, which do not include the name of the program.
pub fn server(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = ServerConfig::parse(arguments, &|name| std::env::var_os(name));
    start(Side::Server, outcome, |parsed| {
        let Parsed { config, warnings } = parsed;
        let log = open_log(config.common.log.as_deref())?;
        let started = |config: &ServerConfig| {
            announce(&log, &config.start_up_lines(), &warnings);
        };
        finish(&log, server::run(&config, &log, started))
    })
}

/// Runs the command named by the first of `arguments`.
pub fn toolbox(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let command = arguments.next();
    match command.as_ref().map(|word| word.to_string_lossy()).as_deref() {
        Some("client") => client(arguments),
        Some("server") => server(arguments),
        Some("link") => crate::link::run(arguments),
        Some("doctor") => crate::doctor::run(arguments),
        Some("keygen") => crate::keygen::run(arguments),
        Some("load") => crate::load::run(arguments),
        None | Some("demo") => crate::demo::run(arguments),
        Some("help" | "h" | "-h" | "--h" | "-help" | "--help") => print(TOOLBOX),
        Some("version" | "-v" | "--v" | "-version" | "--version") => print(&version_line()),
        Some(word) => {
            let word = crate::config::message::shown(word);
            complain(&format_args!("kcptun: {word}: no such command; `kcptun help` lists them\n"));
            ExitCode::FAILURE
        }
    }
}

fn start<C>(
    side: Side,
    outcome: Result<Outcome<C>, Problems>,
    run: impl FnOnce(Parsed<C>) -> Result<(), Failure>,
) -> ExitCode {
    let program = side.program();
    match outcome {
        Ok(Outcome::Print(text)) => print(&text),
        Ok(Outcome::Run(parsed)) => match run(parsed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure::Logged) => ExitCode::FAILURE,
            Err(Failure::Untold(text)) => {
                complain(&format_args!("{program}: {text}\n"));
                ExitCode::FAILURE
            }
        },
        Err(problems) => {
            for problem in problems.iter() {
                complain(&format_args!("{program}: {problem}\n"));
            }
            ExitCode::FAILURE
        }
    }
}

/// Why a program ends without success.
enum Failure {
    /// Standard error does not have the reason yet: this one.
    Untold(String),
    /// The reason stands in the log, which is standard error.
    Logged,
}

fn open_log(path: Option<&Path>) -> Result<Log, Failure> {
    let log = match path {
        None => Log::stderr(),
        Some(path) => Log::open(path).map_err(|error| {
            Failure::Untold(format!("--log {}: cannot be opened: {error}", path.display()))
        })?,
    };
    log.install(std::env::var("KCPTUN_LOG").ok().as_deref());
    Ok(log)
}

fn announce(log: &Log, lines: &[String], warnings: &[Warning]) {
    for line in lines {
        log.line(line);
    }
    for warning in warnings {
        log.line(&format_args!("warning: {warning}"));
    }
}

/// Whoever started it by hand should see why it ended, also if the log is a file.
fn finish(log: &Log, result: Result<(), RunError>) -> Result<(), Failure> {
    result.map_err(|error| {
        log.line(&format_args!("error: {error}"));
        if log.is_stderr() { Failure::Logged } else { Failure::Untold(error.to_string()) }
    })
}

/// Prints on standard output; that nobody reads it is no failure.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

/// Prints on standard error, where nothing can be done about a failure.
fn complain(text: &dyn fmt::Display) {
    let _ = write!(io::stderr(), "{text}");
}
