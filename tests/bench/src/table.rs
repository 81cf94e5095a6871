//! The results as text.

use std::fmt::Write;

use crate::case::Group;
use crate::record::{Record, Standing};

const LABEL: usize = 46;
const VALUE: usize = 11;

/// All rows, each group under its heading. `peer` is the name of the other column.
pub(crate) fn table(records: &[Record], peer: &str) -> String {
    let mut out = String::new();
    for group in Group::ALL {
        let of_group: Vec<&Record> =
            records.iter().filter(|record| record.case.group == group).collect();
        if of_group.is_empty() {
            continue;
        }
        let heading = format!("{}: {}", group.name(), group.title());
        let peer = group.rival().unwrap_or(peer);
        let _ = writeln!(
            out,
            "\n{heading}\n{:LABEL$}{:>VALUE$}{peer:>VALUE$}   ratio  (range)",
            "", "ours"
        );
        for record in of_group {
            row(&mut out, record);
        }
    }
    out
}

fn row(out: &mut String, record: &Record) {
    let _ = writeln!(out, "  {}", record.case.name);
    for series in &record.series {
        let summary = series.summary();
        let value = |value: Option<f64>| value.map_or_else(|| "-".into(), number);
        let label = format!("    {}, {}", series.figure.name, series.figure.unit);
        let mut line =
            format!("{label:LABEL$}{:>VALUE$}{:>VALUE$}", value(summary.ours), value(summary.peer));
        match (summary.ratio, summary.ratio_range) {
            (Some(ratio), Some((low, high))) => {
                let range = if series.ours.len() > 1 {
                    format!("({}-{})", number(low), number(high))
                } else {
                    String::new()
                };
                let _ = write!(line, "{:>8}  {range:<13}", format!("×{}", number(ratio)));
            }
            _ => {
                let _ = write!(line, "{:>8}  {:13}", "-", "");
            }
        }
        line.push_str(match summary.standing {
            Standing::Ahead => " ahead",
            Standing::Equal => " equal",
            Standing::Behind => " BEHIND",
            Standing::Unknown => "",
        });
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for failure in &record.failures {
        let _ = writeln!(out, "    FAILED: {failure}");
    }
}

/// Three digits that count, no exponent.
pub(crate) fn number(value: f64) -> String {
    // What rounds to 10 or 100 is written as that.
    let size = value.abs();
    let digits = match size {
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 || size == 0.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::cases;
    use crate::figure::{GOODPUT, WIRE};
    use crate::measure::Outcome;

    #[test]
    fn numbers_have_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (0.0314, "0.031"),
            (0.9996, "1.00"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (99.96, "100"),
            (-2.34567, "-2.35"),
            (123_456.7, "123457"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_table_shows_values_ratios_and_failures() {
        let mut record = Record::new(cases(&[Group::Links], true, 1).remove(0));
        let outcome = |goodput, wire| {
            Some(Outcome { figures: vec![(GOODPUT, goodput), (WIRE, wire)], ..Outcome::default() })
        };
        record.add(outcome(30.0, 1.5), outcome(20.0, 1.0));
        record.failures.push("ours, round 2: stopped".into());
        let text = table(&[record], "Debian");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("links: "), "{text}");
        let words = |n: usize| lines[n].split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(2)[..3], ["ours", "Debian", "ratio"]);
        assert_eq!(words(4)[2..], ["30.0", "20.0", "×1.50", "ahead"]);
        assert!(lines[5].ends_with("BEHIND"), "{text}");
        assert!(lines[6].contains("FAILED: ours, round 2"), "{text}");
        // The columns stand under their headings.
        let end = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        assert_eq!(end(lines[2], "Debian"), end(lines[4], "20.0"));
    }
}
