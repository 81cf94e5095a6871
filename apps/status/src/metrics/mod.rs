//! All figures under stable names: for Prometheus, and as JSON.

mod exposition;
mod figures;
mod process;

use std::collections::HashSet;

use kcptun_async::Sessions;
use kcptun_async::TunnelStats;
use proto_base::Instant;
use serde_json::{Map, Value};

use crate::source::Program;
use exposition::Exposition;
pub(crate) use figures::{COUNTERS, GAUGES, Moment, TOTALS};
use figures::{Family, Kind};

/// The content type of the text format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is known at one moment.
pub(crate) struct Snapshot {
    pub(crate) now: Instant,
    pub(crate) total: TunnelStats,
    pub(crate) sessions: Sessions,
    pub(crate) is_well: bool,
}

/// The Prometheus text format, version 0.0.4.
pub(crate) fn prometheus(program: &Program, snapshot: &Snapshot) -> String {
    let mut out = Exposition::new();
    write_program(&mut out, program, snapshot);
    process::write(&mut out);
    for family in TOTALS {
        write_family(&mut out, family, "kcptun_", &[("", snapshot.total)]);
    }
    for family in COUNTERS {
        write_family(&mut out, family, "kcptun_", &[("", snapshot.total.sessions)]);
    }
    write_sessions(&mut out, snapshot);
    out.into_text()
}

/// Each total under its JSON name.
pub(crate) fn totals(total: &TunnelStats) -> Map<String, Value> {
    let mut all = object(TOTALS, total);
    all.extend(object(COUNTERS, &total.sessions));
    all
}

/// Some figures of one thing under their JSON names.
pub(crate) fn object<T>(families: &[Family<T>], of: &T) -> Map<String, Value> {
    let figures = families.iter().flat_map(|family| family.figures);
    figures.map(|figure| (figure.key.to_owned(), (figure.value)(of).into())).collect()
}

fn write_program(out: &mut Exposition, program: &Program, snapshot: &Snapshot) {
    let labels = format!(
        "side=\"{}\",version=\"{}\"",
        program.side_name(),
        exposition::escaped(&program.version)
    );
    out.family("kcptun_build_info", "gauge", "Which program this is.");
    out.sample("kcptun_build_info", &labels, "1");
    out.family("kcptun_start_time_seconds", "gauge", "When the program started, Unix time.");
    out.sample("kcptun_start_time_seconds", "", program.started_unix());
    out.family("kcptun_healthy", "gauge", "Whether /healthz says ok.");
    out.sample("kcptun_healthy", "", u8::from(snapshot.is_well));
    out.family("kcptun_sessions_left_out", "gauge", "Live sessions without series of their own.");
    out.sample("kcptun_sessions_left_out", "", snapshot.sessions.others);
}

/// Series of each listed session, with its addresses as labels.
fn write_sessions(out: &mut Exposition, snapshot: &Snapshot) {
    // Two series of one name must differ in their labels, or a scraper refuses the whole page.
    let mut seen = HashSet::new();
    let sessions = snapshot.sessions.listed.iter().filter_map(|session| {
        let local = session.local.map_or_else(String::new, |local| local.to_string());
        let labels = format!("local=\"{local}\",remote=\"{}\"", session.remote);
        seen.insert(labels.clone()).then_some((labels, session))
    });
    let sessions: Vec<_> = sessions.collect();
    let counters: Vec<_> =
        sessions.iter().map(|(labels, session)| (labels.as_str(), session.stats)).collect();
    let gauges: Vec<_> = sessions
        .iter()
        .map(|(labels, session)| (labels.as_str(), Moment::new(session, snapshot.now)))
        .collect();
    for family in COUNTERS {
        write_family(out, family, "kcptun_session_", &counters);
    }
    for family in GAUGES {
        write_family(out, family, "kcptun_session_", &gauges);
    }
}

/// A family with the figures of all that have it; nothing when nobody has.
fn write_family<T>(out: &mut Exposition, family: &Family<T>, prefix: &str, of: &[(&str, T)]) {
    if of.is_empty() {
        return;
    }
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    let name = format!("{prefix}{}", family.name);
    out.family(&name, kind, family.help);
    for (labels, of) in of {
        for figure in family.figures {
            let comma = if labels.is_empty() || figure.labels.is_empty() { "" } else { "," };
            let labels = format!("{labels}{comma}{}", figure.labels);
            out.sample(&name, &labels, (figure.value)(of));
        }
    }
}
