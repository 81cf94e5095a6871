//! What the program does from `main` on: which role, the command line, the log, the loop.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::ExitCode;

use kcptun_config::snmp_log::SnmpWriter;
use kcptun_config::{
    ClientConfig, CommonConfig, Memory, Outcome, Parsed, Problems, ServerConfig, Warning, settings,
    version_line,
};
use kcptun_router_driver::{
    Client, ClientSettings, Server, ServerSettings, StartError, lock_memory, now,
};
use kcptun_tunnel::policy::PolicyConfig;

use crate::log::Log;
use crate::operate::{self, Signals};

const USAGE: &str = "\
kcptun for routers: one thread, memory fixed at the start.

Usage: kcptun-router client [OPTIONS]    also as kcptun-client
       kcptun-router server [OPTIONS]    also as kcptun-server

Each command's -h lists the options.
";

/// Runs the program with its arguments, the name it was called with first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let name = arguments.next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.as_str() {
        "kcptun-client" => return client("kcptun-client", arguments),
        "kcptun-server" => return server("kcptun-server", arguments),
        _ => {}
    }
    match arguments.next().as_ref().map(|word| word.to_string_lossy()).as_deref() {
        Some("client") => client("kcptun-router client", arguments),
        Some("server") => server("kcptun-router server", arguments),
        Some("help" | "h" | "-h" | "--h" | "-help" | "--help") => print(USAGE),
        Some("version" | "-v" | "--v" | "-version" | "--version") => print(&version_line()),
        _ => {
            let _ = io::stderr().write_all(USAGE.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn client(call: &'static str, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    start(call, arguments, ClientConfig::parse_for_router, |Parsed { config, warnings }| {
        with_log(&config.common, |log, signals| {
            let memory = memory(&config.common);
            let policy = PolicyConfig {
                conn: config.conn.try_into().unwrap_or(NonZeroU16::MIN),
                autoexpire: config.auto_expire.unwrap_or_default(),
                scavengettl: config.scavenge_ttl,
            };
            let client = Client::new(ClientSettings {
                listen: config.listen.clone(),
                remote: config.remote.clone(),
                cipher: cipher(&config.common)?,
                tunnel: settings::tunnel(&config.common),
                socket: settings::socket(&config.common),
                policy,
                close_wait: config.common.close_wait,
                quiet: config.common.quiet,
                memory: memory.bytes,
            });
            let mut client = client.map_err(|error| {
                start_failure(&error, memory, &format_args!("--localaddr {}", config.listen))
            })?;
            let bound = client.local_addr();
            let bound = bound.map_or_else(|| config.listen.to_string(), |bound| bound.to_string());
            announce(log, &config.common, config.start_up_lines(&bound), &warnings);
            log.line(client.plan());
            lock(log, memory);
            operate(&mut client, log, signals, &config.common)
        })
    })
}

fn server(call: &'static str, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    start(call, arguments, ServerConfig::parse_for_router, |Parsed { config, warnings }| {
        with_log(&config.common, |log, signals| {
            let memory = memory(&config.common);
            let server = Server::new(ServerSettings {
                listen: config.listen.clone(),
                target: config.target.clone(),
                cipher: cipher(&config.common)?,
                tunnel: settings::tunnel(&config.common),
                socket: settings::socket(&config.common),
                close_wait: config.common.close_wait,
                quiet: config.common.quiet,
                memory: memory.bytes,
            });
            let mut server = server.map_err(|error| {
                start_failure(&error, memory, &format_args!("--listen {}", config.listen))
            })?;
            announce(log, &config.common, config.start_up_lines(), &warnings);
            if config.shards > 1 {
                log.line("warning: --shards: this program has one thread");
            }
            for local in server.local_addrs() {
                log.line(&format_args!("Listening on: {local}/udp"));
            }
            log.line(server.plan());
            lock(log, memory);
            operate(&mut server, log, signals, &config.common)
        })
    })
}

/// Why the program ends without success, unless standard error has the reason already.
struct Failure(Option<String>);

fn start<C>(
    call: &'static str,
    arguments: impl Iterator<Item = OsString>,
    parse: impl FnOnce(
        &'static str,
        Vec<OsString>,
        kcptun_config::Environment<'_>,
    ) -> Result<Outcome<C>, Problems>,
    run: impl FnOnce(Parsed<C>) -> Result<(), Failure>,
) -> ExitCode {
    match parse(call, arguments.collect(), &|name| std::env::var_os(name)) {
        Ok(Outcome::Print(text)) => print(&text),
        Ok(Outcome::Run(parsed)) => match run(parsed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure(text)) => {
                text.inspect(|text| complain(call, text));
                ExitCode::FAILURE
            }
        },
        Err(problems) => {
            problems.iter().for_each(|problem| complain(call, problem));
            ExitCode::FAILURE
        }
    }
}

/// Opens the log and catches signals, before anything is said: who reads the first line may send one
/// at once. What `run` fails with stands in the log, and on standard error too: whoever started the
/// program by hand should see why it ended.
fn with_log(
    config: &CommonConfig,
    run: impl FnOnce(&Log, &Signals) -> Result<(), String>,
) -> Result<(), Failure> {
    let path = config.log.as_deref();
    let level = std::env::var("KCPTUN_LOG").ok();
    let log = Log::open(path, level.as_deref().filter(|word| !word.is_empty()));
    let log = log.map_err(|error| {
        let path = path.unwrap_or(Path::new("")).display();
        Failure(Some(format!("--log {path}: cannot be opened: {error}")))
    })?;
    log.install();
    let signals = Signals::catch(&log).map_err(|error| error.to_string());
    signals.and_then(|signals| run(&log, &signals)).map_err(|text| {
        log.line(&format_args!("error: {text}"));
        Failure(Some(text).filter(|_| !log.is_stderr()))
    })
}

/// What `--mem` and `--lock` say.
fn memory(config: &CommonConfig) -> Memory {
    config.memory.unwrap_or(Memory { bytes: 8 << 20, is_locked: false })
}

fn cipher(config: &CommonConfig) -> Result<kcptun_tunnel::crypt::PacketCipher, String> {
    settings::cipher(config).map_err(|error| format!("--crypt {}: {error}", config.crypt.name()))
}

fn start_failure(error: &StartError, memory: Memory, listen: &dyn fmt::Display) -> String {
    match error {
        StartError::Listen(error) => format!("{listen}: {error}"),
        StartError::Memory(error) => format!("--mem {}: {error}", memory.bytes),
        other => other.to_string(),
    }
}

fn announce(log: &Log, common: &CommonConfig, lines: Vec<String>, warnings: &[Warning]) {
    for line in lines {
        log.line(&line);
    }
    for warning in warnings {
        log.line(&format_args!("warning: {warning}"));
    }
    if common.pprof.is_some() || common.status.is_some() {
        log.line("warning: --pprof, --status: not in this program");
    }
}

/// Not being allowed to is no reason to stop.
fn lock(log: &Log, memory: Memory) {
    if memory.is_locked
        && let Err(error) = lock_memory()
    {
        log.line(&format_args!("error: --lock: {error}"));
    }
}

fn operate(
    what: &mut impl operate::Loop,
    log: &Log,
    signals: &Signals,
    config: &CommonConfig,
) -> Result<(), String> {
    let rows = config.snmp.clone().map(|file| SnmpWriter::new(file, now()));
    operate::run(what, log, signals, rows).map_err(|error| error.to_string())
}

/// Prints on standard output; that nobody reads it is no failure.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn complain(call: &str, text: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{call}: {text}");
}
