//! The poll loop, and what is done between its turns: signals, rows of counters.

use std::io;
use std::time::Duration;

use kcptun_config::snmp_log::{SnmpNews, SnmpWriter};
use kcptun_router_driver::{Client, Server, TunnelStats, now};
use kcptun_tunnel::Summary;
use kcptun_tunnel::snmp::Snmp;
use libc::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::local_time::local_time;
use crate::log::Log;
use crate::signals;

/// Longest sleep: a signal that comes between the look at the flags and the sleep is seen after it.
const LONGEST: Duration = Duration::from_secs(2);

/// What has to be done again and again.
pub(crate) trait Loop {
    fn turn(&mut self, longest: Duration) -> io::Result<()>;
    fn stats(&self) -> TunnelStats;
}

impl Loop for Client {
    fn turn(&mut self, longest: Duration) -> io::Result<()> {
        Self::turn(self, longest)
    }

    fn stats(&self) -> TunnelStats {
        Self::stats(self)
    }
}

impl Loop for Server {
    fn turn(&mut self, longest: Duration) -> io::Result<()> {
        Self::turn(self, longest)
    }

    fn stats(&self) -> TunnelStats {
        Self::stats(self)
    }
}

/// Catches SIGINT, SIGTERM and SIGUSR1 from now on, and with a log file SIGHUP.
pub(crate) fn catch_signals(log: &Log) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGUSR1] {
        signals::catch(signal)?;
    }
    if log.is_stderr() { Ok(()) } else { signals::catch(SIGHUP) }
}

/// Runs until a signal says stop, and writes the line of totals.
pub(crate) fn run(what: &mut dyn Loop, log: &Log, rows: Option<&mut SnmpWriter>) -> io::Result<()> {
    let started = now();
    let result = turn_until_stopped(what, log, rows);
    log.line(&Summary { uptime: now() - started, stats: what.stats() });
    result
}

fn turn_until_stopped(
    what: &mut dyn Loop,
    log: &Log,
    mut rows: Option<&mut SnmpWriter>,
) -> io::Result<()> {
    loop {
        for (signal, name) in [(SIGINT, "interrupt"), (SIGTERM, "terminated")] {
            if signals::came(signal) {
                log.line(&format_args!("{name}: stopping"));
                return Ok(());
            }
        }
        if signals::came(SIGHUP) {
            match log.reopen() {
                Ok(()) => log.line("hangup: the log file was opened again"),
                Err(error) => log.line(&format_args!(
                    "error: hangup: the log file cannot be opened again ({error}); lines go to the \
                     old one"
                )),
            }
        }
        let asked = signals::came(SIGUSR1);
        let due = rows.as_deref_mut().filter(|rows| rows.due() <= now());
        if asked || due.is_some() {
            let counters = counters(what);
            if asked {
                log.line(&counters);
            }
            if let Some(rows) = due {
                write_row(rows, &counters, log);
            }
        }
        let due = rows.as_ref().map_or(LONGEST, |rows| rows.due().since(now()));
        what.turn(due.min(LONGEST))?;
    }
}

/// Not inlined, as it would be once for each use, and is large.
#[inline(never)]
fn counters(what: &dyn Loop) -> Snmp {
    Snmp::from(&what.stats())
}

fn write_row(rows: &mut SnmpWriter, counters: &Snmp, log: &Log) {
    let (unix, local) = local_time();
    let Some(news) = rows.write(now(), unix, &local, counters) else { return };
    let level = if matches!(news, SnmpNews::Failed(_)) { "error: " } else { "" };
    log.line(&format_args!("{level}--snmplog {}: {news}", rows.path().display()));
}
