//! What the program does from `main` on: which role, the command line, the log, the loop.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::num::NonZeroU16;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use kcptun_config::message::shown;
use kcptun_config::snmp_log::SnmpWriter;
use kcptun_config::{
    ClientConfig, CommonConfig, Memory, Outcome, Parsed, Problems, ServerConfig, Warning, settings,
    version_line,
};
use kcptun_router_driver::{
    Client, ClientSettings, Server, ServerSettings, StartError, lock_memory, now,
};
use kcptun_tunnel::ConfigError;
use kcptun_tunnel::policy::PolicyConfig;

use crate::log::Log;
use crate::operate::{self, Loop};

const USAGE: &str = "\
kcptun for routers: one thread, memory fixed at the start.

Usage: kcptun-router client [OPTIONS]    also as kcptun-client
       kcptun-router server [OPTIONS]    also as kcptun-server

Each command's -h lists the options.
";

/// Runs the program with its arguments, the name it was called with first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    const HELP: [&str; 6] = ["help", "h", "-h", "--h", "-help", "--help"];
    const VERSION: [&str; 5] = ["version", "-v", "--v", "-version", "--version"];
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let name = take_first(&mut arguments);
    match Path::new(&name).file_name().and_then(OsStr::to_str) {
        Some("kcptun-client") => return client("kcptun-client", arguments),
        Some("kcptun-server") => return server("kcptun-server", arguments),
        _ => {}
    }
    match &*take_first(&mut arguments).to_string_lossy() {
        "client" => client("kcptun-router client", arguments),
        "server" => server("kcptun-router server", arguments),
        word if HELP.contains(&word) => print(USAGE),
        word if VERSION.contains(&word) => print(&version_line()),
        word => {
            let (word, why) = match word.as_bytes() {
                [] => (String::new(), "say client or server"),
                [b'-', ..] => (shown(word), ": say client or server first"),
                _ => (shown(word), ": no such command"),
            };
            complain("kcptun-router", &format_args!("{word}{why}\n\n{USAGE}"));
            ExitCode::FAILURE
        }
    }
}

fn take_first(arguments: &mut Vec<OsString>) -> OsString {
    if arguments.is_empty() { OsString::new() } else { arguments.remove(0) }
}

fn client(call: &'static str, arguments: Vec<OsString>) -> ExitCode {
    start(call, ClientConfig::parse_for_router(call, arguments, &environment))
}

fn server(call: &'static str, arguments: Vec<OsString>) -> ExitCode {
    start(call, ServerConfig::parse_for_router(call, arguments, &environment))
}

fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// What tells a client from a server, once its configuration has been checked.
trait Role {
    fn common(&self) -> &CommonConfig;

    /// Binds what is to be bound, takes the memory, and tells of it in the log.
    fn begin(&self, log: &Log, warnings: &[Warning]) -> Result<Box<dyn Loop>, String>;
}

impl Role for ClientConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn begin(&self, log: &Log, warnings: &[Warning]) -> Result<Box<dyn Loop>, String> {
        let policy = PolicyConfig {
            conn: self.conn.try_into().unwrap_or(NonZeroU16::MIN),
            autoexpire: self.auto_expire.unwrap_or_default(),
            scavengettl: self.scavenge_ttl,
        };
        let client = Client::new(ClientSettings {
            listen: self.listen.clone(),
            remote: self.remote.clone(),
            cipher: cipher(&self.common)?,
            tunnel: settings::tunnel(&self.common),
            socket: settings::socket(&self.common),
            policy,
            close_wait: self.common.close_wait,
            quiet: self.common.quiet,
            memory: memory(&self.common).bytes,
        });
        let listen = format_args!("--localaddr {}", self.listen);
        let client =
            client.map_err(|error| start_failure(&error, &self.common, self.conn, &listen))?;
        let bound = client.local_addr();
        let bound = bound.map_or_else(|| self.listen.to_string(), |bound| bound.to_string());
        announce(log, &self.common, &self.start_up_lines(&bound), warnings);
        log.line(client.plan());
        Ok(Box::new(client))
    }
}

impl Role for ServerConfig {
    fn common(&self) -> &CommonConfig {
        &self.common
    }

    fn begin(&self, log: &Log, warnings: &[Warning]) -> Result<Box<dyn Loop>, String> {
        let server = Server::new(ServerSettings {
            listen: self.listen.clone(),
            target: self.target.clone(),
            cipher: cipher(&self.common)?,
            tunnel: settings::tunnel(&self.common),
            socket: settings::socket(&self.common),
            close_wait: self.common.close_wait,
            quiet: self.common.quiet,
            memory: memory(&self.common).bytes,
        });
        let listen = format_args!("--listen {}", self.listen);
        let server = server.map_err(|error| start_failure(&error, &self.common, 1, &listen))?;
        announce(log, &self.common, &self.start_up_lines(), warnings);
        if self.shards > 1 {
            log.line("warning: --shards: this program has one thread");
        }
        for local in server.local_addrs() {
            log.line(&format_args!("Listening on: {local}/udp"));
        }
        log.line(server.plan());
        Ok(Box::new(server))
    }
}

fn start<R: Role>(call: &str, outcome: Result<Outcome<R>, Problems>) -> ExitCode {
    match outcome {
        Ok(Outcome::Print(text)) => print(&text),
        Ok(Outcome::Run(Parsed { config, warnings })) => run_role(call, &config, &warnings),
        Err(problems) => {
            problems.iter().for_each(|problem| complain(call, problem));
            ExitCode::FAILURE
        }
    }
}

fn run_role(call: &str, role: &dyn Role, warnings: &[Warning]) -> ExitCode {
    let path = role.common().log.as_deref();
    let level = std::env::var("KCPTUN_LOG").ok();
    let log = match Log::open(path, level.as_deref().filter(|word| !word.is_empty())) {
        Ok(log) => log,
        Err(error) => {
            let path = path.unwrap_or(Path::new("")).display();
            complain(call, &format_args!("--log {path}: cannot be opened: {error}"));
            return ExitCode::FAILURE;
        }
    };
    log.install();
    let Err(text) = run_with_log(role, &log, warnings) else { return ExitCode::SUCCESS };
    log.line(&format_args!("error: {text}"));
    // Whoever started the program by hand should see why it ended.
    if !log.is_stderr() {
        complain(call, &text);
    }
    ExitCode::FAILURE
}

fn run_with_log(role: &dyn Role, log: &Log, warnings: &[Warning]) -> Result<(), String> {
    let common = role.common();
    // Before anything is said: who reads the first line may send a signal at once.
    operate::catch_signals(log).map_err(|error| error.to_string())?;
    let mut what = role.begin(log, warnings)?;
    lock(log, memory(common));
    let mut rows = common.snmp.clone().map(|file| SnmpWriter::new(file, now()));
    operate::run(&mut *what, log, rows.as_mut()).map_err(|error| error.to_string())
}

/// What `--mem` and `--lock` say.
fn memory(config: &CommonConfig) -> Memory {
    config.memory.unwrap_or(Memory { bytes: 8 << 20, is_locked: false })
}

fn cipher(config: &CommonConfig) -> Result<kcptun_tunnel::crypt::PacketCipher, String> {
    settings::cipher(config).map_err(|error| format!("--crypt {}: {error}", config.crypt.name()))
}

fn start_failure(
    error: &StartError,
    config: &CommonConfig,
    conn: u16,
    listen: &dyn fmt::Display,
) -> String {
    let memory = config.memory_called();
    let mut text = match error {
        StartError::Listen(_) => format!("{listen}: {error}"),
        StartError::Memory(_)
        | StartError::Config(ConfigError::Memory(_) | ConfigError::OutOfMemory) => {
            format!("{memory}: {error}")
        }
        other => other.to_string(),
    };
    if conn > 1 && matches!(error, StartError::Memory(_)) {
        text.push_str(&format!(" with --conn {conn}"));
    }
    text
}

fn announce(log: &Log, common: &CommonConfig, lines: &[String], warnings: &[Warning]) {
    for line in lines {
        log.line(line);
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

/// Prints on standard output; that nobody reads it is no failure. Nothing else is printed, so no
/// buffer is linked for it.
fn print(text: &str) -> ExitCode {
    let output = io::stdout().as_fd().try_clone_to_owned();
    match output.and_then(|output| File::from(output).write_all(text.as_bytes())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}

fn complain(call: &str, text: &dyn fmt::Display) {
    let _ = io::stderr().write_all(format!("{call}: {text}\n").as_bytes());
}
