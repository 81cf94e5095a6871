//! Our binaries and the original ones in turn on the same work: the program behind
//! `cargo xtask bench`.
//!
//! | rows | work |
//! |---|---|
//! | `loopback` | bytes over one TCP connection, up and down, as fast as they go |
//! | `requests` | small HTTP requests, one at a time on each of 8 kept connections |
//! | `ping` | 64 bytes there and back each 20 ms; what the tunnel adds to a direct connection |
//! | `links` | bytes over emulated links of 50 Mbit/s with delay and loss |
//! | `idle` | ten open streams without traffic: wake-ups, CPU, memory |
//! | `memory` | the most memory while bytes go both ways |
//! | `mixed` | one end ours, the other the peer's |
//! | `wrk` | small requests with programs that others know (only when asked for) |
//! | `shards` | 64 sessions on a server of two shards, and of one |
//! | `ciphers`, `openssl`, `fec`, `kcp` | parts of the tunnel without sockets, against libraries |
//! | `stages` | samples of the processor while bytes and requests pass: what it works on |
//!
//! # How it is measured
//!
//! Each row is measured for ours, then for the peer, then again, for the number of rounds. Every
//! measurement has a tunnel of its own, started and ended for it, and a warm-up that does not
//! count. Reported are the medians of the rounds and the median of the ratios of each round, so
//! that a machine that changes its pace during a run does not pass for a difference. Nothing is
//! asserted of times; the exit status is 0 unless measurements of ours failed.
//!
//! Load and service live in this process, on the same cores as the tunnel, and take their share;
//! the CPU figures count the two tunnel processes alone. All payload is compared with what was
//! sent, and does not compress. "Wire bytes per byte" counts what enters the emulated link in
//! both directions with IPv4 and UDP headers. Kernel UDP drops are those of the whole machine.
//!
//! # Its processes
//!
//! A tunnel process is started by way of this program itself ([`child`]), so that the kernel
//! ends it together with the bench, even if that is killed.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bulk;
mod case;
mod chart;
mod child;
mod failure;
mod figure;
mod functions;
mod goals;
mod idle;
mod machine;
mod measure;
mod options;
mod ping;
mod program;
mod record;
mod requests;
mod results;
mod service;
mod shards;
mod stages;
mod stats;
mod table;
mod tunnel;
mod usage;
mod wrk;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::case::{Case, FULL, Group, Ours, cases, estimate};
use crate::failure::Failure;
use crate::functions::Tools;
use crate::machine::Machine;
use crate::measure::{Outcome, Setting, Side, Work};
use crate::options::{Options, USAGE};
use crate::record::Record;
use crate::stages::Profile;
use crate::tunnel::Binaries;

/// As the first argument: only look whether the flags are right and the peer is there, and print
/// which of our programs are wanted, besides the tunnel's ends. xtask asks before it builds.
const CHECK: &str = "check";
const FUNCTIONS_WANTED: &str = "kcptun-functions";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == child::STAND_IN => Err(child::stand_in(rest)),
        Some((first, rest)) if first == CHECK => {
            Options::parse(rest).and_then(|options| check(&options))
        }
        _ if arguments.iter().any(|argument| argument == "--help") => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Options::parse(&arguments).and_then(|options| run(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything is there that does not come from this checkout.
fn check(options: &Options) -> Result<(), Failure> {
    options.peer_binaries()?;
    if options.groups.contains(&Group::Wrk) {
        wrk::check()?;
    }
    if options.wants_functions() {
        println!("{FUNCTIONS_WANTED}");
    }
    Ok(())
}

fn run(options: &Options) -> Result<(), Failure> {
    let start = Instant::now();
    let ours = options.our_binaries()?;
    let (peer, peer_name) = options.peer_binaries()?;
    if options.groups.contains(&Group::Wrk) {
        wrk::check()?;
    }
    let functions = options.wants_functions().then(|| options.our_functions()).transpose()?;
    let tools = functions.map(Tools::prepare);
    let machine = Machine::look(&peer);
    let cases = cases(&options.groups, options.is_quick, options.seconds);
    let mut notes: Vec<String> = Vec::new();
    if let Some(tools) = &tools {
        notes.extend(tools.missing().map(|failure| format!("not compared with: {failure}")));
    }
    println!("{}", machine.summary());
    let expected = minutes(estimate(&cases, options.rounds));
    println!("{} rows, {} rounds each: about {expected}\n", cases.len(), options.rounds);
    let contest = Contest { ours, peer, peer_name, rounds: options.rounds, tools };
    let count = cases.len();
    let mut records = Vec::new();
    for (number, case) in cases.into_iter().enumerate() {
        println!("{:>2}/{count} {}: {}", number + 1, case.group.name(), case.name);
        records.push(contest.hold(case));
    }
    let mut profiles = Vec::new();
    if options.groups.contains(&Group::Stages) {
        println!("stages: where the processor time goes");
        match contest.profile(options.seconds) {
            Ok(measured) => profiles = measured,
            Err(failure) => notes.push(format!("no stages: {failure}")),
        }
    }
    let text = text(&machine, &records, &profiles, &notes, peer_name);
    println!("\n{text}");
    for directory in options.results() {
        results::write(&directory, &records, &profiles, &text, &machine, options, peer_name)?;
        println!("written to {}", directory.display());
    }
    println!("took {}", minutes(start.elapsed()));
    let failed = records.iter().flat_map(|record| &record.failures);
    let failed: Vec<_> = failed.filter(|failure| failure.starts_with(OURS)).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => {
            Err(Failure(format!("{} measurements failed, the first: {first}", failed.len())))
        }
    }
}

/// Everything that was measured, for people.
fn text(
    machine: &Machine,
    records: &[Record],
    profiles: &[Profile],
    notes: &[String],
    peer: &str,
) -> String {
    let mut text = format!("{}\n{}", machine.summary(), table::table(records, peer));
    if !profiles.is_empty() {
        text.push_str(&stages::table(profiles));
    }
    text.push_str(&goals::table(&goals::goals(records)));
    for note in notes {
        text.push_str(&format!("\n{note}\n"));
    }
    text
}

const OURS: &str = "ours";

/// Two sets of binaries that take turns.
struct Contest {
    ours: Binaries,
    peer: Binaries,
    peer_name: &'static str,
    rounds: u32,
    tools: Option<Tools>,
}

impl Contest {
    /// Where the processor time of ours goes.
    fn profile(&self, seconds: u32) -> Result<Vec<Profile>, Failure> {
        // A sample is worth as much in a short run as in a long one; a second gives 4000.
        let time = Duration::from_secs(seconds.min(4).into());
        let (side, ends, tools) = (Side::Ours, &self.ours, None);
        stages::measure(&Setting { side, ends, flags: FULL, time, seed: 1, tools })
    }

    /// All rounds of one row.
    fn hold(&self, case: Case) -> Record {
        let mixed = match case.ours {
            Ours::Both => self.ours.clone(),
            Ours::Client => {
                Binaries { client: self.ours.client.clone(), server: self.peer.server.clone() }
            }
            Ours::Server => {
                Binaries { client: self.peer.client.clone(), server: self.ours.server.clone() }
            }
        };
        // Shards are compared among ours.
        let rival = if case.work == Work::Shards { &self.ours } else { &self.peer };
        let mut record = Record::new(case);
        for round in 1..=self.rounds {
            let ours = self.measure(&mut record, Side::Ours, &mixed, round);
            let peer = record.case.work.has_rival();
            let peer = peer.then(|| self.measure(&mut record, Side::Peer, rival, round)).flatten();
            record.add(ours, peer);
        }
        record
    }

    /// One side of a round; `None` if it failed, which is noted.
    fn measure(
        &self,
        record: &mut Record,
        side: Side,
        ends: &Binaries,
        round: u32,
    ) -> Option<Outcome> {
        let Record { case, failures, .. } = record;
        let who = match side {
            Side::Ours => OURS,
            Side::Peer => case.group.rival().unwrap_or(self.peer_name),
        };
        let (seed, tools) = (round.into(), self.tools.as_ref());
        let setting = Setting { side, ends, flags: case.flags, time: case.time, seed, tools };
        match case.work.measure(&setting) {
            Ok(outcome) => {
                progress(who, &outcome);
                Some(outcome)
            }
            Err(failure) => {
                println!("      {who}: FAILED: {failure}");
                failures.push(format!("{who}, round {round}: {failure}"));
                None
            }
        }
    }
}

fn progress(who: &str, outcome: &Outcome) {
    let figures = outcome.figures.iter().map(|(figure, value)| {
        format!("{} {} {}", figure.name, table::number(*value), figure.unit)
    });
    if outcome.figures.is_empty() {
        return;
    }
    println!("      {who:<9} {}", figures.collect::<Vec<_>>().join(", "));
    let _ = std::io::stdout().flush();
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}
