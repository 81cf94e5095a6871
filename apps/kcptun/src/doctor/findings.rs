//! What was found, and how it is shown.

use std::fmt;
use std::time::Duration;

/// How good or bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Ok,
    /// Not looked at, or not known.
    Note,
    /// Works, but worse than it could.
    Warn,
    /// Does not work.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "-",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) about: &'static str,
    /// A sentence, and lines of further ones.
    pub(super) text: String,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, about: &'static str, text: impl Into<String>) -> Self {
        Self { verdict, about, text: text.into() }
    }

    /// The rows of the table.
    pub(super) fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for line in self.text.lines().flat_map(|line| wrapped(line, WIDTH)) {
            rows.push(if rows.is_empty() {
                format!("  {:<5} {:<15} {line}", self.verdict, self.about)
            } else {
                format!("  {:<5} {:<15} {line}", "", "")
            });
        }
        rows
    }
}

/// Characters of the last column.
const WIDTH: usize = 76;

/// `text` in lines of up to `width` characters; words stay whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A time in milliseconds, with a decimal while it is short.
pub(super) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 9.95 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

/// Bytes per second in megabits.
pub(super) fn megabits(rate: f64) -> String {
    let megabits = rate * 8.0 / 1e6;
    if megabits < 9.95 { format!("{megabits:.1} Mbit/s") } else { format!("{megabits:.0} Mbit/s") }
}

/// `lost` of `all`, in words.
pub(super) fn loss([all, lost]: [u32; 2]) -> String {
    format!("{:.1} % ({lost} of {all})", share([all, lost]) * 100.0)
}

/// The share lost.
pub(super) fn share([all, lost]: [u32; 2]) -> f64 {
    if all == 0 { 0.0 } else { f64::from(lost) / f64::from(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_row_and_its_rest_stands_under_it() {
        let text = format!("first {}\nsecond", "word ".repeat(20));
        let rows = Finding::new(Verdict::Warn, "round trip", text).rows();
        assert_eq!(rows.len(), 3, "{rows:?}");
        assert!(rows[0].starts_with("  warn  round trip      first word"));
        assert!(rows[1].starts_with("                        word"), "{rows:?}");
        assert_eq!(rows[2].trim_start(), "second");
        assert!(rows.iter().all(|row| row.chars().count() <= 100));
    }

    #[test]
    fn numbers_in_words() {
        assert_eq!(millis(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(millis(Duration::from_micros(101_600)), "102 ms");
        assert_eq!(megabits(6.25e6), "50 Mbit/s");
        assert_eq!(megabits(1.25e5), "1.0 Mbit/s");
        assert_eq!(loss([120, 6]), "5.0 % (6 of 120)");
        assert_eq!(share([0, 0]), 0.0);
    }
}
