//! The poll loop, and what is done between its turns: signals, rows of counters.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kcptun_config::snmp_log::{SnmpNews, SnmpWriter};
use kcptun_router_driver::{Client, Server, TunnelStats, now};
use kcptun_tunnel::Summary;
use kcptun_tunnel::snmp::Snmp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag::register;

use crate::local_time::local_time;
use crate::log::Log;

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

/// The signals caught.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    hang_up: Arc<AtomicBool>,
    report: Arc<AtomicBool>,
}

impl Signals {
    /// Catches SIGINT, SIGTERM and SIGUSR1 from now on, and with a log file SIGHUP.
    pub(crate) fn catch(log: &Log) -> io::Result<Self> {
        let [interrupt, terminate, hang_up, report] =
            [(); 4].map(|()| Arc::new(AtomicBool::new(false)));
        register(SIGINT, Arc::clone(&interrupt))?;
        register(SIGTERM, Arc::clone(&terminate))?;
        register(SIGUSR1, Arc::clone(&report))?;
        if !log.is_stderr() {
            register(SIGHUP, Arc::clone(&hang_up))?;
        }
        Ok(Self { interrupt, terminate, hang_up, report })
    }

    fn stop(&self) -> Option<&'static str> {
        let was_set = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        match () {
            () if was_set(&self.interrupt) => Some("interrupt"),
            () if was_set(&self.terminate) => Some("terminated"),
            () => None,
        }
    }
}

/// Runs until a signal says stop, and writes the line of totals.
pub(crate) fn run(
    what: &mut impl Loop,
    log: &Log,
    signals: &Signals,
    rows: Option<SnmpWriter>,
) -> io::Result<()> {
    let started = now();
    let result = turn_until_stopped(what, log, signals, rows);
    log.line(&Summary { uptime: now() - started, stats: what.stats() });
    result
}

fn turn_until_stopped(
    what: &mut impl Loop,
    log: &Log,
    signals: &Signals,
    mut rows: Option<SnmpWriter>,
) -> io::Result<()> {
    loop {
        if let Some(name) = signals.stop() {
            log.line(&format_args!("{name}: stopping"));
            return Ok(());
        }
        if signals.hang_up.swap(false, Ordering::Relaxed) {
            match log.reopen() {
                Ok(()) => log.line("hangup: the log file was opened again"),
                Err(error) => log.line(&format_args!(
                    "error: hangup: the log file cannot be opened again ({error}); lines go to the \
                     old one"
                )),
            }
        }
        if signals.report.swap(false, Ordering::Relaxed) {
            log.line(&Snmp::from(&what.stats()));
        }
        let mut longest = LONGEST;
        if let Some(rows) = &mut rows {
            if rows.due() <= now() {
                write_row(rows, &what.stats(), log);
            }
            longest = longest.min(rows.due().since(now()));
        }
        what.turn(longest)?;
    }
}

fn write_row(rows: &mut SnmpWriter, stats: &TunnelStats, log: &Log) {
    let (unix, local) = local_time();
    let Some(news) = rows.write(now(), unix, &local, &stats.into()) else { return };
    let level = if matches!(news, SnmpNews::Failed(_)) { "error: " } else { "" };
    log.line(&format_args!("{level}--snmplog {}: {news}", rows.path().display()));
}
