//! What `kcptun load` says: a line each second, and the verdict.

use std::time::Duration;

use super::fleet::{Plan, Tally};
use super::options::Options;
use super::process::{Rates, Usage};
use crate::terminal::grouped;

/// How things are at one moment.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) elapsed: Duration,
    pub(super) tally: Tally,
    pub(super) round_trip: Option<Duration>,
    /// Memory of the server in bytes, and what it did since the last look.
    pub(super) server: Option<(u64, Rates)>,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// The server before the first session, when the stay began, and at the end.
    pub(super) before: Option<Usage>,
    pub(super) stayed_from: Option<Usage>,
    pub(super) now: Option<Usage>,
    /// Why no more sessions could be opened.
    pub(super) opening_failed: Option<String>,
}

impl Outcome {
    /// Whether all of the sessions wanted carried their bytes and live.
    pub(super) fn is_good(&self, wanted: u32) -> bool {
        let Tally { opened, carried, lost, broken, .. } = self.tally;
        opened == wanted && carried == wanted && lost == 0 && broken == 0
    }
}

pub(super) fn greeting(options: &Options, plan: &Plan) -> String {
    let sessions = grouped(u64::from(options.sessions));
    let then = match (plan.rate, plan.hold) {
        (Some(rate), _) => format!("then {} kbit/s each", rate * 8 / 1000),
        (None, true) => "then idle, with a stream each".to_owned(),
        (None, false) => "then idle".to_owned(),
    };
    format!(
        "{sessions} sessions to {}/udp, {} opened each second: {} bytes there and back, {then} for \
         {} s",
        plan.remote,
        grouped(u64::from(options.open_rate)),
        grouped(plan.bytes),
        options.time.as_secs(),
    )
}

/// One line; the numbers of the server are of the last second.
pub(super) fn line(sample: &Sample) -> String {
    let Tally { opened, lost, carried, silent, echoed, .. } = sample.tally;
    let rtt = sample.round_trip.map_or_else(|| "-".to_owned(), |rtt| rtt.as_millis().to_string());
    let mut line = format!(
        "{:>5} s  opened {opened:>6}  alive {:>6}  lost {lost:>4}  silent {silent:>4}  carried \
         {carried:>6}  {:>7.1} MB back  RTT {rtt:>4} ms",
        sample.elapsed.as_secs(),
        opened - lost,
        echoed as f64 / 1e6,
    );
    if let Some((memory, rates)) = &sample.server {
        line += &format!(
            "  server {:>7.1} MB {:>5.1} % CPU {:>6.0} wake-ups/s",
            *memory as f64 / 1e6,
            rates.cpu * 100.0,
            rates.wakes
        );
    }
    line
}

/// What is to be said at the end.
pub(super) fn verdict(options: &Options, outcome: &Outcome) -> Vec<String> {
    let Tally { opened, lost, carried, broken, withheld, refused, unsent, .. } = outcome.tally;
    let count = |number: u32| grouped(u64::from(number));
    let mut lines = vec![format!(
        "{} sessions opened, {} alive, {} lost, {} carried all their bytes",
        count(opened),
        count(opened - lost),
        count(lost),
        count(carried)
    )];
    if let Some(why) = &outcome.opening_failed {
        lines.push(format!(
            "  only {} of {} could be opened: {why}; see `ulimit -n` and \
             net.ipv4.ip_local_port_range, or share them among several runs",
            count(opened),
            count(options.sessions)
        ));
    }
    for (number, meaning) in [
        (u64::from(broken), "streams broke or brought back other bytes: is the target an echo?"),
        (withheld, "pieces were not sent because the answers were too far behind"),
        (refused, "times the server's host said that nothing listens"),
        (unsent, "datagrams could not be sent by this machine"),
    ] {
        if number > 0 {
            lines.push(format!("  {} {meaning}", grouped(number)));
        }
    }
    lines.extend(server(outcome));
    lines
}

/// What a session costs the server.
fn server(outcome: &Outcome) -> Option<String> {
    let (before, now) = (outcome.before.as_ref()?, outcome.now.as_ref()?);
    // Of all, also of those that are lost here: the server may not have noticed yet.
    let opened = outcome.tally.opened;
    let grown = now.memory.saturating_sub(before.memory);
    let each = grown as f64 / 1024.0 / f64::from(opened.max(1));
    let mut line = format!(
        "server: {each:.1} KB of memory per session ({:.1} MB before, {:.1} MB now)",
        before.memory as f64 / 1e6,
        now.memory as f64 / 1e6
    );
    if let Some(from) = &outcome.stayed_from {
        let rates = now.since(from);
        line += &format!(
            ", {:.1} % of a core and {:.0} wake-ups/s during the stay",
            rates.cpu * 100.0,
            rates.wakes
        );
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally { opened: 20_000, carried: 20_000, echoed: 81_920_000, ..Tally::default() }
    }

    #[test]
    fn a_line_fits_beside_its_neighbours() {
        let rates = Rates { cpu: 0.045, wakes: 812.4 };
        let sample = Sample {
            elapsed: Duration::from_secs(61),
            tally: tally(),
            round_trip: Some(Duration::from_millis(3)),
            server: Some((231_000_000, rates)),
        };
        assert_eq!(
            line(&sample),
            "   61 s  opened  20000  alive  20000  lost    0  silent    0  carried  20000     81.9 \
             MB back  RTT    3 ms  server   231.0 MB   4.5 % CPU    812 wake-ups/s"
        );
    }

    #[test]
    fn a_run_is_good_when_every_session_carried_and_lives() {
        let outcome = |tally| Outcome {
            tally,
            before: None,
            stayed_from: None,
            now: None,
            opening_failed: None,
        };
        assert!(outcome(tally()).is_good(20_000));
        assert!(!outcome(tally()).is_good(20_001));
        assert!(!outcome(Tally { lost: 1, ..tally() }).is_good(20_000));
        assert!(!outcome(Tally { carried: 19_999, ..tally() }).is_good(20_000));
        assert!(!outcome(Tally { broken: 1, ..tally() }).is_good(20_000));
    }

    #[test]
    fn what_went_wrong_is_named() {
        let options = Options::parse(["--sessions".into(), "30".into()]).unwrap();
        let outcome = Outcome {
            tally: Tally { opened: 20, lost: 2, unsent: 1234, ..Tally::default() },
            before: None,
            stayed_from: None,
            now: None,
            opening_failed: Some("too many open files".to_owned()),
        };
        let text = verdict(&options, &outcome).join("\n");
        for part in ["18 alive", "only 20 of 30", "too many open files", "1,234 datagrams"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("server:"));
    }
}
