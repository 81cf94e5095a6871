//! `kcptun link`: any UDP program behind a bad link, by the emulator that the simulation uses.
//!
//! [`BadLink`] is the relay; the command adds the flags, the counters and the end by a signal.
//! The demo puts the same relay between its client and its server.
//!
//! Measured on a 2-core x86-64 machine that others kept busy: 95,000 datagrams of 1350 bytes at
//! 205 Mbit/s through a link of 50 ms, none lost by the relay, for a tenth of one core (0.48 s of
//! CPU in 5 s). `tests/link.rs` has the measurement, as an ignored test.

mod batch;
mod flows;
mod options;
mod relay;
mod report;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub use relay::{BadLink, BadLinkConfig, BadLinkStats};

use crate::terminal::{Screen, refuse, usage};
use crate::{front, on_tokio};
use options::{Options, PROGRAM};

/// Time between two lines of counters.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs the command with its `arguments` (without the names of program and command).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => return usage(PROGRAM, &error),
    };
    front::run(PROGRAM, serve(options)).unwrap_or_else(|status| status)
}

async fn serve(options: Options) -> ExitCode {
    let stop = on_tokio::stop_signal();
    let mut link = match bind(options.clone()) {
        Ok(link) => link,
        Err(error) => return refuse(PROGRAM, &error),
    };
    let mut screen = Screen::new();
    greet(&mut screen, &link, &options.config);
    let started = Instant::now();
    let end = carry(&mut link, &mut screen, started, stop).await;
    for line in report::summary(started.elapsed(), &link.stats()) {
        screen.line(line);
    }
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            refuse(PROGRAM, &format_args!("the listening socket has failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Resolves both names and binds. Blocks as long as the resolver does.
fn bind(options: Options) -> io::Result<BadLink> {
    let named = |flag: &'static str| {
        move |error: io::Error| io::Error::new(error.kind(), format!("{flag}: {error}"))
    };
    let listen = options.listen.resolve_to_bind().map_err(named("--listen"))?;
    let targets = options.to.resolve_to_dial().map_err(named("--to"))?;
    let Some(&target) = targets.first() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "--to: the name has no address"));
    };
    BadLink::bind(&listen, target, options.config).map_err(named("--listen"))
}

fn greet(screen: &mut Screen, link: &BadLink, config: &BadLinkConfig) {
    let described = |link: &kcptun_link::LinkConfig| match link.to_string() {
        text if text.is_empty() => "perfect".to_owned(),
        text => text,
    };
    screen.line(format_args!(
        "link from {}/udp to {}/udp, seed {}",
        link.local_addr(),
        link.target(),
        config.seed
    ));
    screen.line(format_args!("  there: {}", described(&config.there)));
    screen.line(format_args!("  back:  {}", described(&config.back)));
}

/// Carries datagrams and shows the counters until `stop`.
async fn carry(
    link: &mut BadLink,
    screen: &mut Screen,
    started: Instant,
    stop: impl Future<Output = &'static str>,
) -> io::Result<()> {
    let mut stop = std::pin::pin!(stop);
    let mut ticks = tokio::time::interval_at((started + PERIOD).into(), PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut before, mut looked) = (link.stats(), started);
    loop {
        tokio::select! {
            biased;
            signal = &mut stop => {
                screen.line(format_args!("{signal}: stopped"));
                return Ok(());
            }
            _ = ticks.tick() => {}
            end = link.run() => return end,
        }
        let (after, time) = (link.stats(), looked.elapsed());
        looked = Instant::now();
        let line = report::line(started.elapsed(), time, &before, &after);
        if screen.is_terminal() {
            screen.status(line);
        } else {
            screen.line(line);
        }
        before = after;
    }
}
