//! `kcptun load`: what a server costs when many clients are there.
//!
//! * `options`: the flags.
//! * `fleet`: the sessions, on one endpoint and many sockets.
//! * `echo`: a target that sends back what it gets.
//! * `process`: memory, CPU and wake-ups of the server.
//! * `report`: the line of each second and the verdict.

mod echo;
mod fleet;
mod options;
mod process;
mod report;

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use kcptun_async::runtime::{Runtime as _, Timer as _};
use kcptun_tokio::Tokio;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::LocalSet;

use self::fleet::{Fleet, Plan};
use self::options::{Options, PROGRAM};
use self::process::Usage;
use self::report::{Outcome, Sample};
use crate::config::{ClientConfig, Parsed};
use crate::terminal::{Screen, refuse, usage};
use crate::{RunError, front, on_tokio, settings};

/// Time between two openings.
const OPENING: Duration = Duration::from_millis(10);
/// Time that the last sessions have to carry their bytes, before the stay begins.
const PATIENCE: Duration = Duration::from_secs(30);
/// Files that a process needs beside the sockets of the sessions.
const OTHER_FILES: u64 = 64;

/// Runs the command with its `arguments` (without the names of program and command).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => return usage(PROGRAM, &error),
    };
    let parsed = match front::client(PROGRAM, &options.client) {
        Ok(parsed) => parsed,
        Err(status) => return status,
    };
    let run =
        async { LocalSet::new().run_until(measure(&options, &parsed, &mut Screen::new())).await };
    match front::run(PROGRAM, run) {
        Ok(Ok(outcome)) if outcome.is_good(options.sessions) => ExitCode::SUCCESS,
        Ok(Ok(_)) => ExitCode::FAILURE,
        Ok(Err(error)) => refuse(PROGRAM, &error),
        Err(status) => status,
    }
}

/// The whole run.
async fn measure(
    options: &Options,
    parsed: &Parsed<ClientConfig>,
    screen: &mut Screen,
) -> Result<Outcome, RunError> {
    let stop = on_tokio::stop_signal();
    allow_files(options)?;
    let plan = plan(options, &parsed.config)?;
    if let Some(address) = options.target {
        let failed = |error| RunError::new(format!("--target-listen {address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        tokio::task::spawn_local(echo::serve(listener));
    }
    let before = match options.server_pid {
        Some(pid) => Some(Usage::of(pid).ok_or_else(|| {
            RunError::new(format!("--server-pid {pid}: no such process, or this is not Linux"))
        })?),
        None => None,
    };
    screen.line(report::greeting(options, &plan));
    for warning in &parsed.warnings {
        screen.line(format_args!("  warning: {warning}"));
    }
    let fleet = Fleet::new(plan, options.sessions).map_err(RunError::new)?;
    let mut load = Load {
        fleet: Rc::new(RefCell::new(fleet)),
        news: Rc::new(Notify::new()),
        started: Instant::now(),
        opening: None,
        stay: None,
    };
    load.run(options, screen, before.clone(), stop).await.map_err(RunError::new)?;
    let outcome = Outcome {
        tally: load.fleet.borrow().tally(),
        before,
        stayed_from: load.stay.take().and_then(|stay| stay.usage),
        now: options.server_pid.and_then(Usage::of),
        opening_failed: load.opening,
    };
    report::verdict(options, &outcome).into_iter().for_each(|line| screen.line(line));
    Ok(outcome)
}

fn plan(options: &Options, config: &ClientConfig) -> Result<Plan, RunError> {
    let at_remote =
        |error: io::Error| RunError::new(format!("--remote {}: {error}", config.remote));
    let addresses = config.remote.resolve(config.remote.ports().first()).map_err(at_remote)?;
    let remote = *addresses.first().ok_or_else(|| at_remote(io::ErrorKind::NotFound.into()))?;
    Ok(Plan {
        remote,
        tunnel: settings::tunnel(&config.common),
        cipher: settings::cipher(&config.common)?,
        bytes: options.bytes,
        rate: options.rate,
        hold: options.hold,
    })
}

/// Lets this process have as many files as it needs.
///
/// # Errors
/// When the system does not allow it.
fn allow_files(options: &Options) -> Result<(), RunError> {
    // A stream that stays open is a connection to our target, too; others come and go.
    let stays = options.target.is_some() && (options.hold || options.rate.is_some());
    let needed = u64::from(options.sessions) * (1 + u64::from(stays)) + OTHER_FILES;
    kcptun_net::allow_files(needed).map_err(|few| {
        let sessions = options.sessions;
        RunError::new(format!("--sessions {sessions}: {few}, or share them among several runs"))
    })
}

/// A run under way.
struct Load {
    fleet: Rc<RefCell<Fleet>>,
    /// Something came for a session.
    news: Rc<Notify>,
    started: Instant,
    /// Why no more sessions could be opened.
    opening: Option<String>,
    stay: Option<Stay>,
}

/// All sessions are open and have carried their bytes.
struct Stay {
    from: Instant,
    usage: Option<Usage>,
}

impl Load {
    async fn run(
        &mut self,
        options: &Options,
        screen: &mut Screen,
        before: Option<Usage>,
        stop: impl Future<Output = &'static str>,
    ) -> io::Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut timer = Tokio.timer();
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut openings = tokio::time::interval(OPENING);
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        seconds.tick().await;
        let (mut usage, mut opened_at) = (before, None);
        loop {
            let deadline = self.fleet.borrow_mut().step();
            let is_open = self.opened(options) || self.opening.is_some();
            tokio::select! {
                biased;
                signal = &mut stop => {
                    screen.line(format_args!("{signal}: stopped"));
                    return Ok(());
                }
                _ = openings.tick(), if !is_open => self.open_some(options),
                _ = seconds.tick() => {
                    let tally = self.fleet.borrow().tally();
                    let fresh = options.server_pid.and_then(Usage::of);
                    let sample = Sample {
                        elapsed: self.started.elapsed(),
                        tally,
                        round_trip: self.fleet.borrow().round_trip(),
                        server: fresh.as_ref().zip(usage.as_ref()).map(|(now, then)| (now.memory, now.since(then))),
                    };
                    usage = fresh.clone().or(usage);
                    if screen.is_terminal() {
                        screen.status(report::line(&sample));
                    } else {
                        screen.line(report::line(&sample));
                    }
                    if is_open {
                        let opened_at = *opened_at.get_or_insert_with(Instant::now);
                        let is_settled = tally.carried + tally.broken + tally.lost >= tally.opened;
                        if self.stay.is_none() && (is_settled || opened_at.elapsed() >= PATIENCE) {
                            self.stay = Some(Stay { from: Instant::now(), usage: fresh });
                        }
                    }
                    if self.stay.as_ref().is_some_and(|stay| stay.from.elapsed() >= options.time) {
                        return Ok(());
                    }
                }
                () = self.news.notified() => {}
                () = std::future::poll_fn(|cx| timer.poll_until(cx, deadline)) => {}
            }
        }
    }

    fn opened(&self, options: &Options) -> bool {
        self.fleet.borrow().tally().opened >= options.sessions
    }

    /// Opens as many sessions as are due by now.
    fn open_some(&mut self, options: &Options) {
        let due = self.started.elapsed().as_secs_f64() * f64::from(options.open_rate);
        let due = (due as u32).clamp(1, options.sessions);
        while self.fleet.borrow().tally().opened < due {
            let opened = self.fleet.borrow_mut().open();
            match opened {
                Ok(number) => {
                    let (fleet, news) = (Rc::clone(&self.fleet), Rc::clone(&self.news));
                    tokio::task::spawn_local(listen(fleet, news, number));
                }
                Err(error) => {
                    self.opening = Some(error.to_string());
                    return;
                }
            }
        }
    }
}

/// Takes what comes for one session.
async fn listen(fleet: Rc<RefCell<Fleet>>, news: Rc<Notify>, number: u32) {
    let receive = |cx: &mut std::task::Context<'_>| fleet.borrow_mut().poll_receive(cx, number);
    while std::future::poll_fn(receive).await.is_ok() {
        news.notify_one();
    }
}
