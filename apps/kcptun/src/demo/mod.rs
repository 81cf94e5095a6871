//! `kcptun demo`: the tunnel at work on a bad link, in one process and in one minute or less.
//!
//! A target that serves random bytes, `kcptun-server`'s and `kcptun-client`'s machinery with the
//! options that are shown at the end, and between them the relay of `kcptun link` on a thread of
//! its own: real UDP and TCP sockets, on free ports of this machine.
//!
//! * `options`: the flags, and what they make of both programs.
//! * `file`: the target and the download, with a digest at each end.
//! * `tunnel`: server, link and client.
//! * `progress`: the table of throughput, round trip, repair and overhead.
//! * `plain`: a simulated stream without the tunnel, for comparison.

mod file;
mod options;
mod plain;
mod progress;
mod tunnel;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use self::file::{Digest, Transfer, Watched};
use self::options::{Options, PROGRAM};
use self::plain::PlainStream;
use self::progress::{Progress, Sample};
use self::tunnel::{FREE_PORT, Tunnel};
use crate::link::{BadLinkConfig, BadLinkStats};
use crate::terminal::{Screen, bar, grouped, refuse, usage};
use crate::{RunError, front, keygen};

/// Time between looks at the counters.
const LOOK: Duration = Duration::from_millis(200);
/// A download from which nothing came for this long (and four round trips) has failed.
const PATIENCE: Duration = Duration::from_secs(8);
/// Time that a download may take beyond that for which the target serves.
const GRACE: Duration = Duration::from_secs(15);
/// Characters of the bars that compare.
const BAR: usize = 40;

/// Runs the command with its `arguments` (without the names of program and command).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(error) => return usage(PROGRAM, &error),
    };
    match front::run(PROGRAM, show(&options, &mut Screen::new())) {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => refuse(PROGRAM, &error),
        Err(status) => status,
    }
}

/// The whole demo; whether all bytes were verified.
async fn show(options: &Options, screen: &mut Screen) -> Result<bool, RunError> {
    let key = keygen::fresh_key()
        .map_err(|error| RunError::new(format!("no random key can be made: {error}")))?;
    let ends = options.ends(&key).map_err(RunError::new)?;
    let (served, received) = (Watched::default(), Watched::default());
    let failed = |error| RunError::new(format!("the target cannot start: {error}"));
    let listener = TcpListener::bind(FREE_PORT).await.map_err(failed)?;
    let target = listener.local_addr().map_err(failed)?;
    let link = BadLinkConfig {
        there: options.link.clone(),
        back: options.link.clone(),
        seed: options.seed,
        max_clients: 16,
        idle: Duration::from_secs(60),
    };
    let tunnel = Tunnel::start(&ends, link, target).await?;

    screen.line("kcptun demo: a download over a bad link, through the tunnel\n");
    screen.line(format_args!("  link     {}, seed {}", words::link(&options.link), options.seed));
    screen.line(format_args!("  tunnel   {}\n", options.words.join(" ")));
    tokio::spawn(file::serve(listener, options.seed, options.time, served.clone()));
    tokio::spawn(file::download(tunnel.entrance, received.clone()));
    let outcome = watch(options, screen, &tunnel, &received).await;

    let total = Sample::take(&tunnel, &received);
    let link = tunnel.link.stop();
    let is_verified = verdict(screen, &served.get(), &received.get(), &outcome);
    screen.line(losses(&total, &link));
    compare(options, screen, &received.get())?;
    if is_verified {
        screen.line("");
        words::commands(options, &key).into_iter().for_each(|line| screen.line(line));
    }
    Ok(is_verified)
}

/// Why watching ended.
enum Outcome {
    /// The download came to its end, good or bad.
    Ended,
    /// Nothing came for this long.
    Silent(Duration),
    /// It took longer than it may.
    TooSlow,
}

/// Shows the progress until the download ends or is given up.
async fn watch(
    options: &Options,
    screen: &mut Screen,
    tunnel: &Tunnel,
    received: &Watched,
) -> Outcome {
    let patience = PATIENCE + options.round_trip() * 4;
    let (started, mut progress) = (Instant::now(), Progress::start(screen, options.link.rate));
    let (mut heard_at, mut heard) = (started, 0);
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        progress.show(screen, &Sample::take(tunnel, received));
        let transfer = received.get();
        if transfer.ended_at.is_some() {
            return Outcome::Ended;
        }
        if transfer.bytes > heard {
            (heard_at, heard) = (Instant::now(), transfer.bytes);
        } else if heard_at.elapsed() >= patience {
            return Outcome::Silent(heard_at.elapsed());
        }
        if started.elapsed() >= options.time + GRACE {
            return Outcome::TooSlow;
        }
    }
}

/// Says what became of the download; whether all bytes were verified.
fn verdict(screen: &mut Screen, served: &Transfer, received: &Transfer, outcome: &Outcome) -> bool {
    let has_same = |digest: Digest| received.bytes == served.bytes && served.digest == Some(digest);
    let (is_verified, text) = match (outcome, received.digest) {
        (_, Some(digest)) if received.bytes > 0 && has_same(digest) => {
            let start: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            (true, format!("all bytes verified (SHA-256 {start}...)"))
        }
        (_, Some(_)) => (false, "the bytes that came are not those that were served".to_owned()),
        (Outcome::Silent(time), None) if received.bytes == 0 => {
            (false, format!("nothing came through in {} s: a hopeless link", time.as_secs()))
        }
        (Outcome::Silent(time), None) => {
            (false, format!("nothing came any more for {} s", time.as_secs()))
        }
        (Outcome::TooSlow, None) => (false, "the rest did not come in time".to_owned()),
        (Outcome::Ended, None) => {
            let error = received.error.clone().unwrap_or_default();
            (false, format!("the download ended early: {error}"))
        }
    };
    let sign = if is_verified { "VERIFIED" } else { "FAILED" };
    screen.line(format_args!("\n{sign}: {text}"));
    let megabytes = received.bytes as f64 / 1e6;
    let mut line = format!("  {megabytes:.1} MB");
    if let (Some(asked), Some(began)) = (received.asked_at, received.began_at) {
        let time = duration(received).as_secs_f64();
        let rate = (received.bytes as f64 * 8.0 / time.max(1e-3)) as u64;
        let first = began.saturating_duration_since(asked).as_millis();
        line += &format!(" in {time:.1} s: {}, the first byte after {first} ms", words::rate(rate));
    }
    screen.line(line);
    is_verified
}

/// How long the download took, or has taken until now.
fn duration(transfer: &Transfer) -> Duration {
    let end = transfer.ended_at.unwrap_or_else(Instant::now);
    transfer.asked_at.map_or(Duration::ZERO, |asked| end.saturating_duration_since(asked))
}

/// What the link did and how it was made good.
fn losses(total: &Sample, link: &BadLinkStats) -> String {
    let (came, delivered) = (link.back.datagrams_in, link.back.datagrams_out);
    let gone = came.saturating_sub(delivered);
    let share = if came == 0 { 0.0 } else { gone as f64 * 100.0 / came as f64 };
    let mut text = format!(
        "  of {} packets down, the link lost {} ({share:.1} %); {} were rebuilt from parity, {} sent \
         again",
        grouped(came),
        grouped(gone),
        grouped(total.repaired),
        grouped(total.resent)
    );
    if let Some(wire) = total.wire_per_byte() {
        text += &format!("\n  {wire:.2} bytes on the wire for each byte downloaded");
    }
    if link.own_loss > 0 {
        let lost = grouped(link.own_loss);
        text += &format!("\n  {lost} more were lost by this machine, which was too busy");
    }
    text
}

/// Sets the tunnel beside a plain stream.
fn compare(options: &Options, screen: &mut Screen, received: &Transfer) -> Result<(), RunError> {
    let (link, time) = (&options.link, duration(received));
    let plain = PlainStream::simulate(link.clone(), link.clone(), options.seed, time)
        .map_err(RunError::new)?;
    let tunnel = received.bytes as f64 * 8.0 / time.as_secs_f64().max(1e-3);
    let most = tunnel.max(plain.rate()).max(1.0);
    screen.line(format_args!(
        "\na plain reliable stream in the same {:.1} s (TCP Reno with selective acknowledgements,\n\
         simulated on the same kind of link with the same seed):",
        time.as_secs_f64()
    ));
    for (name, rate) in [("tunnel", tunnel), ("plain", plain.rate())] {
        let drawn = bar(rate / most, BAR);
        screen.line(format_args!("  {name:<7} {drawn} {:>12}", words::rate(rate as u64)));
    }
    let note = match (plain.bytes, plain.timeouts) {
        (0, _) => "  the plain stream carried nothing".to_owned(),
        (_, timeouts) => {
            let times = tunnel / plain.rate();
            format!("  {times:.1} times as fast; the plain stream stood still {timeouts} times")
        }
    };
    screen.line(note);
    Ok(())
}
