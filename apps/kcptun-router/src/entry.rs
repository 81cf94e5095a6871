//! What the program does from `main` on: which role, the command line, the log, the loop.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::ExitCode;

use kcptun_config::options::Side;
use kcptun_config::snmp_log::SnmpWriter;
use kcptun_config::{
    ClientConfig, CommonConfig, Memory, Outcome, Parsed, Problems, ServerConfig, Warning, settings,
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
    let side = match name.as_str() {
        "kcptun-client" => Some(Side::Client),
        "kcptun-server" => Some(Side::Server),
        _ => match arguments.next().as_ref().map(|word| word.to_string_lossy()).as_deref() {
            Some("client") => Some(Side::Client),
            Some("server") => Some(Side::Server),
            _ => None,
        },
    };
    match side {
        Some(Side::Client) => client(arguments),
        Some(Side::Server) => server(arguments),
        None => {
            let _ = io::stderr().write_all(USAGE.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn client(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    start(Side::Client, arguments, ClientConfig::parse_for_router, |parsed| {
        let Parsed { config, warnings } = parsed;
        let memory = memory(&config.common);
        let log = open_log(&config.common)?;
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
        announce(&log, &config.common, config.start_up_lines(&bound), &warnings);
        log.line(client.plan());
        lock(&log, memory);
        operate(&mut client, &log, config.common)
    })
}

fn server(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    start(Side::Server, arguments, ServerConfig::parse_for_router, |parsed| {
        let Parsed { config, warnings } = parsed;
        let memory = memory(&config.common);
        let log = open_log(&config.common)?;
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
        announce(&log, &config.common, config.start_up_lines(), &warnings);
        if config.shards > 1 {
            log.line("warning: --shards: this program has one thread");
        }
        for local in server.local_addrs() {
            log.line(&format_args!("Listening on: {local}/udp"));
        }
        log.line(server.plan());
        lock(&log, memory);
        operate(&mut server, &log, config.common)
    })
}

/// Why the program ends without success; the log has not said so.
struct Failure(String);

fn start<C>(
    side: Side,
    arguments: impl Iterator<Item = OsString>,
    parse: impl FnOnce(Vec<OsString>, kcptun_config::Environment<'_>) -> Result<Outcome<C>, Problems>,
    run: impl FnOnce(Parsed<C>) -> Result<(), Failure>,
) -> ExitCode {
    let program = side.program();
    match parse(arguments.collect(), &|name| std::env::var_os(name)) {
        Ok(Outcome::Print(text)) => {
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok(Outcome::Run(parsed)) => match run(parsed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(Failure(text)) => complain(program, &text),
        },
        Err(problems) => {
            for problem in problems.iter() {
                complain(program, problem);
            }
            ExitCode::FAILURE
        }
    }
}

/// What `--mem` and `--lock` say.
fn memory(config: &CommonConfig) -> Memory {
    config.memory.unwrap_or(Memory { bytes: 8 << 20, is_locked: false })
}

fn open_log(config: &CommonConfig) -> Result<Log, Failure> {
    let path = config.log.as_deref();
    let level = std::env::var("KCPTUN_LOG").ok();
    let log = Log::open(path, level.as_deref()).map_err(|error| {
        let path = path.unwrap_or(Path::new("")).display();
        Failure(format!("--log {path}: cannot be opened: {error}"))
    })?;
    log.install();
    Ok(log)
}

fn cipher(config: &CommonConfig) -> Result<kcptun_tunnel::crypt::PacketCipher, Failure> {
    settings::cipher(config)
        .map_err(|error| Failure(format!("--crypt {}: {error}", config.crypt.name())))
}

fn start_failure(error: &StartError, memory: Memory, listen: &dyn fmt::Display) -> Failure {
    Failure(match error {
        StartError::Listen(error) => format!("{listen}: {error}"),
        StartError::Memory(error) => format!("--mem {}: {error}", memory.bytes),
        other => other.to_string(),
    })
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

fn operate(what: &mut impl operate::Loop, log: &Log, config: CommonConfig) -> Result<(), Failure> {
    let rows = config.snmp.map(|file| SnmpWriter::new(file, now()));
    let signals = Signals::catch(log);
    let result = signals.and_then(|signals| operate::run(what, log, &signals, rows));
    result.map_err(|error| Failure(error.to_string()))
}

fn complain(program: &str, text: &dyn fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "{program}: {text}");
    ExitCode::FAILURE
}
