//! The files of a run: `bench.json`, `bench.txt` and the charts.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::case::{Group, Ours};
use crate::chart::{Bars, Curve, bars, distribution};
use crate::failure::Failure;
use crate::figure::{Better, Figure};
use crate::goals::{Bound, Goal, goals};
use crate::machine::Machine;
use crate::options::Options;
use crate::record::{Record, Series, Standing};
use crate::stages::{Profile, Stage};

/// Writes everything into `directory`, which is made if it is not there.
pub(crate) fn write(
    directory: &Path,
    records: &[Record],
    profiles: &[Profile],
    text: &str,
    machine: &Machine,
    options: &Options,
    peer: &str,
) -> Result<(), Failure> {
    let save = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text)
            .map_err(|error| Failure(format!("cannot write {}: {error}", path.display())))
    };
    fs::create_dir_all(directory)
        .map_err(|error| Failure(format!("cannot make {}: {error}", directory.display())))?;
    save("bench.txt", text)?;
    save("bench.json", &format!("{:#}\n", json(records, profiles, machine, options, peer)))?;
    let stages = stage_chart(profiles, machine).map(|svg| ("stages.svg".to_owned(), svg));
    for (name, svg) in charts(records, machine, peer).into_iter().chain(stages) {
        save(&name, &svg)?;
    }
    Ok(())
}

fn json(
    records: &[Record],
    profiles: &[Profile],
    machine: &Machine,
    options: &Options,
    peer: &str,
) -> Value {
    json!({
        "date": machine.date,
        "commit": machine.commit,
        "machine": {
            "processor": machine.processor,
            "cores": machine.cores,
            "kernel": machine.kernel,
        },
        "peer": { "name": peer, "version": machine.peer },
        "quick": options.is_quick,
        "rounds": options.rounds,
        "rows": records.iter().map(row).collect::<Vec<_>>(),
        "stages": profiles.iter().map(profile).collect::<Vec<_>>(),
        "goals": goals(records).iter().map(goal).collect::<Vec<_>>(),
    })
}

fn profile(profile: &Profile) -> Value {
    let share = |stage: Stage| json!({ "stage": stage.name(), "share": profile.share(stage) });
    json!({
        "work": profile.name,
        "cost": profile.cost,
        "unit": profile.unit,
        "samples": profile.samples.iter().sum::<u64>(),
        "stages": Stage::ALL.map(share),
    })
}

fn goal(goal: &Goal) -> Value {
    let (sense, bound) = match goal.bound {
        Bound::AtMost(bound) => ("at most", bound),
        Bound::AtLeast(bound) => ("at least", bound),
    };
    json!({
        "what": goal.what,
        "sense": sense,
        "bound": bound,
        "unit": goal.unit.trim(),
        "reached": goal.reached,
        "is_reached": goal.is_reached(),
    })
}

fn row(record: &Record) -> Value {
    let ours = match record.case.ours {
        Ours::Both => "client and server",
        Ours::Client => "client",
        Ours::Server => "server",
    };
    json!({
        "group": record.case.group.name(),
        "name": record.case.name,
        "flags": record.case.flags,
        "ours": ours,
        "rival": record.case.group.rival(),
        "seconds": record.case.time.as_secs(),
        "figures": record.series.iter().map(figure).collect::<Vec<_>>(),
        "round_trips_ms": {
            "ours": record.round_trips.ours,
            "peer": record.round_trips.peer,
            "direct": record.round_trips.direct,
        },
        "failures": record.failures,
    })
}

fn figure(series: &Series) -> Value {
    let summary = series.summary();
    json!({
        "key": series.figure.key,
        "name": series.figure.name,
        "unit": series.figure.unit,
        "better": match series.figure.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
        },
        "ours": { "median": summary.ours, "rounds": series.ours },
        "peer": { "median": summary.peer, "rounds": series.peer },
        "ratio": summary.ratio,
        "ratio_range": summary.ratio_range.map(|(low, high)| [low, high]),
        "standing": match summary.standing {
            Standing::Ahead => "ahead",
            Standing::Equal => "equal",
            Standing::Behind => "behind",
            Standing::Unknown => "unknown",
        },
    })
}

/// Both works as bars, or none without profiles of both.
fn stage_chart(profiles: &[Profile], machine: &Machine) -> Option<String> {
    let [first, second] = profiles else { return None };
    let row = |stage: Stage| {
        let percent = |profile: &Profile| Some(profile.share(stage) * 100.0);
        Bars { label: stage.name().into(), ours: percent(first), peer: percent(second) }
    };
    let names = [first.name, second.name];
    let title = "share of the processor time of both ends, %";
    Some(bars(title, &place(machine), names, &Stage::ALL.map(row)))
}

/// File names and contents: bars for every figure of every group with two columns, a distribution
/// for every row with round trips.
fn charts(records: &[Record], machine: &Machine, peer: &str) -> Vec<(String, String)> {
    let mut charts = Vec::new();
    for group in Group::ALL.into_iter().filter(|group| *group != Group::Kcp) {
        let peer = group.rival().unwrap_or(peer);
        let of_group: Vec<&Record> =
            records.iter().filter(|record| record.case.group == group).collect();
        let mut figures: Vec<Figure> = Vec::new();
        for series in of_group.iter().flat_map(|record| &record.series) {
            if !figures.contains(&series.figure) {
                figures.push(series.figure);
            }
        }
        for figure in figures {
            let name = format!("{}-{}.svg", group.name(), figure.key);
            charts.push((name, bar_chart(group, figure, &of_group, machine, peer)));
        }
        for (number, record) in of_group.iter().enumerate() {
            let kept = &record.round_trips;
            if kept.ours.is_empty() && kept.peer.is_empty() {
                continue;
            }
            let title = format!("{}, {}: share of round trips", group.name(), record.case.name);
            let curves = [
                Curve { name: "direct", class: "direct", samples: &kept.direct },
                Curve { name: "ours", class: "ours", samples: &kept.ours },
                Curve { name: peer, class: "peer", samples: &kept.peer },
            ];
            let note = format!("that took no longer than so many ms; {}", place(machine));
            let name = format!("{}-distribution-{}.svg", group.name(), number + 1);
            charts.push((name, distribution(&title, &note, &curves)));
        }
    }
    charts
}

fn bar_chart(
    group: Group,
    figure: Figure,
    records: &[&Record],
    machine: &Machine,
    peer: &str,
) -> String {
    let rows: Vec<Bars> = records
        .iter()
        .filter_map(|record| {
            let series = record.series.iter().find(|series| series.figure == figure)?;
            let summary = series.summary();
            let label = record.case.name.clone();
            Some(Bars { label, ours: summary.ours, peer: summary.peer })
        })
        .collect();
    let title = format!("{}, {}: {}", figure.name, figure.unit, group.title());
    let better = match figure.better {
        Better::Higher => "longer is better",
        Better::Lower => "shorter is better",
    };
    bars(&title, &format!("{better}; {}", place(machine)), ["ours", peer], &rows)
}

fn place(machine: &Machine) -> String {
    format!("{}, {} cores, {}", machine.processor, machine.cores, machine.date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::cases;
    use crate::figure::{ADDED_MEDIAN, GOODPUT};
    use crate::measure::Outcome;

    fn records() -> Vec<Record> {
        let outcome = |figure, value| {
            let round_trips = if figure == ADDED_MEDIAN { vec![1.0, 2.0] } else { Vec::new() };
            let figures = vec![(figure, value)];
            Some(Outcome { figures, round_trips, direct_round_trips: Vec::new() })
        };
        let fill = |case: crate::case::Case| {
            let figure = if case.group == Group::Ping { ADDED_MEDIAN } else { GOODPUT };
            let mut record = Record::new(case);
            record.add(outcome(figure, 6.0), outcome(figure, 3.0));
            record.add(None, outcome(figure, 3.0));
            record
        };
        cases(&[Group::Ping, Group::Loopback], false, 1).into_iter().map(fill).collect()
    }

    fn machine() -> Machine {
        Machine {
            processor: "P".into(),
            cores: 2,
            kernel: "6".into(),
            date: "2026-01-02".into(),
            commit: "abc".into(),
            peer: "1.0".into(),
        }
    }

    #[test]
    fn json_holds_every_round_and_the_ratio() {
        let options = Options::parse(&[]).unwrap();
        let value = json(&records(), &[], &machine(), &options, "Debian");
        let figure = &value["rows"][0]["figures"][0];
        assert_eq!(figure["key"], "goodput");
        assert_eq!(figure["ours"]["rounds"], json!([6.0, null]));
        assert_eq!(figure["ratio"], json!(2.0));
        assert_eq!(value["peer"]["version"], "1.0");
    }

    #[test]
    fn every_figure_and_every_latency_gets_a_chart() {
        let names: Vec<String> =
            charts(&records(), &machine(), "Debian").into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "loopback-goodput.svg",
                "ping-added_p50.svg",
                "ping-distribution-1.svg",
                "ping-distribution-2.svg"
            ]
        );
    }
}
