//! The measured values of all rounds.

use crate::case::Case;
use crate::figure::{Better, Figure};
use crate::measure::Outcome;
use crate::stats::{median, range, ratios};

/// Two values closer than this share of each other are called equal.
const EQUAL: f64 = 0.02;

/// One row and what was measured of it.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) case: Case,
    pub(crate) series: Vec<Series>,
    /// Round trips in ms of all rounds, for works that have them.
    pub(crate) round_trips: RoundTrips,
    /// Measurements that failed: whose, and why.
    pub(crate) failures: Vec<String>,
}

/// Samples of latency, in ms.
#[derive(Debug, Clone, Default)]
pub(crate) struct RoundTrips {
    pub(crate) ours: Vec<f64>,
    pub(crate) peer: Vec<f64>,
    pub(crate) direct: Vec<f64>,
}

/// One figure over the rounds; `None` where a measurement failed.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) figure: Figure,
    pub(crate) ours: Vec<Option<f64>>,
    pub(crate) peer: Vec<Option<f64>>,
}

/// What a series comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// Median of the rounds.
    pub(crate) ours: Option<f64>,
    pub(crate) peer: Option<f64>,
    /// Median of ours over the peer's, round by round.
    pub(crate) ratio: Option<f64>,
    /// Smallest and largest of these ratios.
    pub(crate) ratio_range: Option<(f64, f64)>,
    pub(crate) standing: Standing,
}

/// How we stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Ahead,
    Equal,
    Behind,
    Unknown,
}

impl Record {
    pub(crate) fn new(case: Case) -> Self {
        let round_trips = RoundTrips::default();
        Self { case, series: Vec::new(), round_trips, failures: Vec::new() }
    }

    /// Adds one round of both.
    pub(crate) fn add(&mut self, ours: Option<Outcome>, peer: Option<Outcome>) {
        let (ours, peer) = (ours.unwrap_or_default(), peer.unwrap_or_default());
        let rounds = self.series.first().map_or(0, |series| series.ours.len());
        for (figure, _) in ours.figures.iter().chain(&peer.figures) {
            if self.series.iter().all(|series| series.figure != *figure) {
                let missed = vec![None; rounds];
                let (ours, peer) = (missed.clone(), missed);
                self.series.push(Series { figure: *figure, ours, peer });
            }
        }
        let value = |outcome: &Outcome, wanted| {
            outcome.figures.iter().find(|(figure, _)| *figure == wanted).map(|(_, value)| *value)
        };
        for series in &mut self.series {
            series.ours.push(value(&ours, series.figure));
            series.peer.push(value(&peer, series.figure));
        }
        let kept = &mut self.round_trips;
        kept.ours.extend(ours.round_trips);
        kept.peer.extend(peer.round_trips);
        kept.direct.extend(ours.direct_round_trips);
        kept.direct.extend(peer.direct_round_trips);
    }
}

impl Series {
    pub(crate) fn summary(&self) -> Summary {
        let middle =
            |values: &[Option<f64>]| median(&values.iter().copied().flatten().collect::<Vec<_>>());
        let pairs: Vec<(f64, f64)> =
            self.ours.iter().zip(&self.peer).filter_map(|(a, b)| a.zip(*b)).collect();
        let ratios = ratios(&pairs);
        let (ours, peer) = (middle(&self.ours), middle(&self.peer));
        let ratio = median(&ratios);
        let standing = self.standing(ours.zip(peer), ratio);
        Summary { ours, peer, ratio, ratio_range: range(&ratios), standing }
    }

    fn standing(&self, medians: Option<(f64, f64)>, ratio: Option<f64>) -> Standing {
        // Without a ratio the peer has 0 or less: nobody is ahead of that.
        let without = || medians.map(|(ours, peer)| if ours > peer { 2.0 } else { 1.0 });
        match (ratio.or_else(without), self.figure.better) {
            (None, _) => Standing::Unknown,
            (Some(ratio), _) if (1.0 - EQUAL..=1.0 + EQUAL).contains(&ratio) => Standing::Equal,
            (Some(ratio), better) if (ratio > 1.0) == (better == Better::Higher) => Standing::Ahead,
            _ => Standing::Behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Group, cases};
    use crate::figure::{CPU_PER_GB, GOODPUT};

    fn outcome(goodput: f64, cpu: f64) -> Option<Outcome> {
        let figures = vec![(GOODPUT, goodput), (CPU_PER_GB, cpu)];
        Some(Outcome { figures, ..Outcome::default() })
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let mut record = Record::new(cases(&[Group::Memory], true, 1).remove(0));
        // The machine becomes slower; the ratio of the medians would be 20 / 20.
        for (ours, peer) in [(40.0, 20.0), (20.0, 10.0), (10.0, 5.0)] {
            record.add(outcome(ours, 1.0), outcome(peer, 1.0));
        }
        let goodput = record.series[0].summary();
        assert_eq!((goodput.ours, goodput.peer), (Some(20.0), Some(10.0)));
        assert_eq!((goodput.ratio, goodput.ratio_range), (Some(2.0), Some((2.0, 2.0))));
        assert_eq!(goodput.standing, Standing::Ahead);
        assert_eq!(record.series[1].summary().standing, Standing::Equal);
    }

    #[test]
    fn a_failed_measurement_leaves_a_gap() {
        let mut record = Record::new(cases(&[Group::Memory], true, 1).remove(0));
        record.add(None, None);
        record.add(None, outcome(5.0, 2.0));
        record.add(outcome(8.0, 6.0), outcome(4.0, 2.0));
        let summaries: Vec<Summary> = record.series.iter().map(Series::summary).collect();
        assert_eq!((summaries[0].ours, summaries[0].peer), (Some(8.0), Some(4.5)));
        assert_eq!((summaries[0].ratio, summaries[1].ratio), (Some(2.0), Some(3.0)));
        assert_eq!(summaries[1].standing, Standing::Behind);
        record.series[0].ours.clear();
        assert_eq!(record.series[0].summary().standing, Standing::Unknown);
    }
}
