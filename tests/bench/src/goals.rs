//! What the project set out to reach, and whether a run reached it.

use std::fmt::Write;

use crate::case::Group;
use crate::figure::{
    ACKNOWLEDGED, ADDED_MEDIAN, CLIENT_MEMORY, CLIENT_WAKE_UPS, CPU_PER_GB, CPU_PER_REQUEST,
    DECODED, DECRYPTED, ENCODED, ENCRYPTED, Figure, GOODPUT, IDLE_CPU, LESSER_SHARD, RECEIVED,
    REQUESTS, SENT, SERVER_MEMORY, SERVER_WAKE_UPS,
};
use crate::record::Record;
use crate::table::number;

/// A figure, its bound, and what was measured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) bound: Bound,
    /// The unit of both, with a space before it where one is due.
    pub(crate) unit: &'static str,
    /// The worst of the rows that it is about.
    pub(crate) reached: f64,
}

/// Which side of a number is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    pub(crate) fn is_reached(&self) -> bool {
        match self.bound {
            AtMost(bound) => self.reached <= bound,
            AtLeast(bound) => self.reached >= bound,
        }
    }
}

/// The value of a figure, or its ratio to the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Value,
    Ratio,
}

/// What is said of the rows of a group whose names begin with `row`.
struct Rule {
    what: &'static str,
    group: Group,
    row: &'static str,
    figures: &'static [Figure],
    of: Of,
    bound: Bound,
    unit: &'static str,
}

const fn rule(
    what: &'static str,
    (group, row): (Group, &'static str),
    figures: &'static [Figure],
    of: Of,
    bound: Bound,
    unit: &'static str,
) -> Rule {
    Rule { what, group, row, figures, of, bound, unit }
}

const FULL: (Group, &str) = (Group::Loopback, "fast3, aes, FEC 10+3");
const LEAN: (Group, &str) = (Group::Loopback, "fast3, aes-128, no FEC");

use Bound::{AtLeast, AtMost};

const RULES: [Rule; 19] = [
    rule("CPU, aes, FEC 10+3", FULL, &[CPU_PER_GB], Of::Value, AtMost(3.0), " s/GB"),
    rule(
        "CPU, aes, FEC 10+3, of the peer's",
        FULL,
        &[CPU_PER_GB],
        Of::Ratio,
        AtMost(1.0 / 11.0),
        "×",
    ),
    rule("CPU, aes-128, no FEC", LEAN, &[CPU_PER_GB], Of::Value, AtMost(2.3), " s/GB"),
    rule("throughput, aes, FEC 10+3", FULL, &[GOODPUT], Of::Value, AtLeast(3500.0), " Mbit/s"),
    rule("throughput, of the peer's", FULL, &[GOODPUT], Of::Ratio, AtLeast(8.0), "×"),
    rule(
        "requests, of the peer's",
        (Group::Requests, ""),
        &[REQUESTS],
        Of::Ratio,
        AtLeast(3.5),
        "×",
    ),
    rule(
        "CPU per request, of the peer's",
        (Group::Requests, ""),
        &[CPU_PER_REQUEST],
        Of::Ratio,
        AtMost(0.2),
        "×",
    ),
    rule(
        "requests, wrk and nginx, of the peer's",
        (Group::Wrk, ""),
        &[REQUESTS],
        Of::Ratio,
        AtLeast(3.5),
        "×",
    ),
    rule(
        "CPU per request, wrk and nginx, of the peer's",
        (Group::Wrk, ""),
        &[CPU_PER_REQUEST],
        Of::Ratio,
        AtMost(0.2),
        "×",
    ),
    rule("ping, added, median", (Group::Ping, ""), &[ADDED_MEDIAN], Of::Value, AtMost(0.15), " ms"),
    rule(
        "idle, wake-ups a side",
        (Group::Idle, ""),
        &[CLIENT_WAKE_UPS, SERVER_WAKE_UPS],
        Of::Value,
        AtMost(2.0),
        " per s",
    ),
    // What is written as 0.0 %, of both ends.
    rule("idle, CPU", (Group::Idle, ""), &[IDLE_CPU], Of::Value, AtMost(0.05), " % of a core"),
    rule(
        "idle, resident a side",
        (Group::Idle, ""),
        &[CLIENT_MEMORY, SERVER_MEMORY],
        Of::Value,
        AtMost(5.0),
        " MB",
    ),
    rule(
        "bulk, resident a side",
        (Group::Memory, ""),
        &[CLIENT_MEMORY, SERVER_MEMORY],
        Of::Value,
        AtMost(12.0),
        " MB",
    ),
    rule(
        "AES in batches, of OpenSSL one by one",
        (Group::OneByOne, ""),
        &[ENCRYPTED],
        Of::Ratio,
        AtLeast(7.0),
        "×",
    ),
    rule(
        "the slowest cipher, of the original's library",
        (Group::Ciphers, ""),
        &[ENCRYPTED, DECRYPTED],
        Of::Ratio,
        AtLeast(1.0),
        "×",
    ),
    rule(
        "KCP per segment sent, received, acked",
        (Group::Kcp, ""),
        &[SENT, RECEIVED, ACKNOWLEDGED],
        Of::Value,
        AtMost(60.0),
        " ns",
    ),
    rule(
        "two shards, CPU per GB, of one's",
        (Group::Shards, ""),
        &[CPU_PER_GB],
        Of::Ratio,
        AtMost(1.1),
        "×",
    ),
    rule(
        "two shards, sessions on the lesser",
        (Group::Shards, ""),
        &[LESSER_SHARD],
        Of::Value,
        AtLeast(40.0),
        " %",
    ),
];

/// How much dearer a segment may be in the widest window and still count as the same.
const SAME: f64 = 1.25;

/// The goals that the rows of a run tell of.
pub(crate) fn goals(records: &[Record]) -> Vec<Goal> {
    let mut goals: Vec<Goal> = RULES.iter().filter_map(|rule| judge(rule, records)).collect();
    goals.extend(fastest_kernel(records));
    goals.extend(widest_window(records));
    goals
}

fn judge(rule: &Rule, records: &[Record]) -> Option<Goal> {
    let rows = records
        .iter()
        .filter(|record| record.case.group == rule.group && record.case.name.starts_with(rule.row));
    let series = rows.flat_map(|record| &record.series);
    let values =
        series.filter(|series| rule.figures.contains(&series.figure)).filter_map(|series| {
            let summary = series.summary();
            if rule.of == Of::Value { summary.ours } else { summary.ratio }
        });
    let reached = match rule.bound {
        AtMost(_) => values.max_by(f64::total_cmp)?,
        AtLeast(_) => values.min_by(f64::total_cmp)?,
    };
    Some(Goal { what: rule.what.into(), bound: rule.bound, unit: rule.unit, reached })
}

/// FEC is judged by the kernel that this machine would take: the first row.
fn fastest_kernel(records: &[Record]) -> Vec<Goal> {
    let Some(record) = records.iter().find(|record| record.case.group == Group::Fec) else {
        return Vec::new();
    };
    let goal = |figure, what: &str, bound| {
        let reached = value(record, figure)?;
        let what = format!("FEC {}, {what}", record.case.name);
        Some(Goal { what, bound: AtLeast(bound), unit: " GB/s", reached })
    };
    let goals = [goal(ENCODED, "encode", 15.0), goal(DECODED, "decode, 3 lost", 8.0)];
    goals.into_iter().flatten().collect()
}

/// The widest window against the narrowest: the last row against the first.
fn widest_window(records: &[Record]) -> Option<Goal> {
    let mut rows = records.iter().filter(|record| record.case.group == Group::Kcp);
    let (first, last) = (rows.next()?, rows.next_back()?);
    let cost = |record| -> Option<f64> {
        Some(value(record, SENT)? + value(record, RECEIVED)? + value(record, ACKNOWLEDGED)?)
    };
    let what = "KCP per segment, window 65535, of 128's".into();
    Some(Goal { what, bound: AtMost(SAME), unit: "×", reached: cost(last)? / cost(first)? })
}

fn value(record: &Record, figure: Figure) -> Option<f64> {
    record.series.iter().find(|series| series.figure == figure)?.summary().ours
}

/// The goals as text; empty when no row tells of one.
pub(crate) fn table(goals: &[Goal]) -> String {
    if goals.is_empty() {
        return String::new();
    }
    let mut out = format!("\ngoals\n  {:46}{:>16}{:>16}\n", "", "goal", "reached");
    for goal in goals {
        let (sign, bound) = match goal.bound {
            AtMost(bound) => ("≤", bound),
            AtLeast(bound) => ("≥", bound),
        };
        let with_unit = |value: f64| {
            if goal.unit == "×" { format!("×{}", number(value)) } else { number(value) }
        };
        let what = if goal.unit == "×" {
            goal.what.clone()
        } else {
            format!("{},{}", goal.what, goal.unit)
        };
        let bound = format!("{sign} {}", with_unit(bound));
        let verdict = if goal.is_reached() { "yes" } else { "NO" };
        let reached = with_unit(goal.reached);
        let _ = writeln!(out, "  {what:46}{bound:>16}{reached:>16}  {verdict}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::cases;
    use crate::measure::Outcome;

    /// All rows, every figure of `values` in each.
    fn records(values: &[(Figure, f64, f64)]) -> Vec<Record> {
        let outcome = |ours: bool| {
            let figures = values.iter().map(|(figure, a, b)| (*figure, if ours { *a } else { *b }));
            Some(Outcome { figures: figures.collect(), ..Outcome::default() })
        };
        let fill = |case| {
            let mut record = Record::new(case);
            record.add(outcome(true), outcome(false));
            record
        };
        cases(&Group::ALL, false, 1).into_iter().map(fill).collect()
    }

    #[test]
    fn every_rule_finds_its_rows() {
        let figures = RULES.iter().flat_map(|rule| rule.figures).chain(&[ENCODED, DECODED]);
        let values: Vec<_> = figures.map(|figure| (*figure, 2.0, 1.0)).collect();
        let goals = goals(&records(&values));
        assert_eq!(goals.len(), RULES.len() + 3);
        let reached =
            |what: &str| goals.iter().find(|goal| goal.what == what).unwrap().is_reached();
        assert!(reached("CPU, aes-128, no FEC"));
        assert!(!reached("CPU, aes, FEC 10+3, of the peer's"));
        assert!(!reached("throughput, of the peer's"));
        assert!(reached("KCP per segment, window 65535, of 128's"));
        assert_eq!(table(&goals).lines().filter(|line| line.ends_with("yes")).count(), 8);
    }

    #[test]
    fn the_worst_row_counts() {
        let mut rows = records(&[(CPU_PER_GB, 1.0, 20.0)]);
        let worse = Outcome { figures: vec![(CPU_PER_GB, 9.0)], ..Outcome::default() };
        rows[1].series.clear();
        rows[1].add(Some(worse), None);
        let goal = judge(&RULES[0], &rows).unwrap();
        assert!(goal.reached == 9.0 && !goal.is_reached(), "{goal:?}");
        assert!(goals(&[]).is_empty() && table(&[]).is_empty());
    }
}
