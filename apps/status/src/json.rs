//! Figures as JSON: `/status.json` for the page and for scripts, `/debug/vars` as Go programs have
//! it.

use kcptun_async::SessionStats;
use proto_base::Instant;
use serde_json::{Map, Value, json};

use crate::metrics::{self, COUNTERS, GAUGES, Moment, Snapshot};
use crate::source::Program;

/// `/status.json`.
pub(crate) fn status(program: &Program, snapshot: &Snapshot, trouble: Option<&str>) -> String {
    let settings: Vec<_> =
        program.settings.iter().map(|(name, value)| json!([name, value])).collect();
    let sessions = snapshot.sessions.listed.iter().map(|it| session(it, snapshot.now));
    json!({
        "program": {
            "name": format!("kcptun-{}", program.side_name()),
            "side": program.side_name(),
            "version": program.version,
            "started": program.started_unix(),
            "uptime": program.uptime(snapshot.now).as_secs_f64(),
            "settings": settings,
        },
        "health": { "ok": trouble.is_none(), "trouble": trouble },
        "totals": metrics::totals(&snapshot.total),
        "sessions": sessions.collect::<Vec<_>>(),
        "sessions_left_out": snapshot.sessions.others,
    })
    .to_string()
}

/// `/debug/vars`.
pub(crate) fn vars(program: &Program, snapshot: &Snapshot) -> String {
    let vars = json!({
        "cmdline": program.command_line,
        "kcptun": metrics::totals(&snapshot.total),
    });
    format!("{vars:#}\n")
}

fn session(session: &SessionStats, now: Instant) -> Map<String, Value> {
    let streams = session.streams.iter().map(|(number, stream)| {
        json!({
            "id": number,
            "age": (now - stream.opened_at).as_secs_f64(),
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
            "unread": stream.unread,
        })
    });
    let streams: Value = streams.collect();
    let mut all = metrics::object(GAUGES, &Moment::new(session, now));
    let mut counters = metrics::object(COUNTERS, &session.stats);
    // The number of streams gives its name to the list of them.
    counters.remove("streams");
    all.extend(counters);
    all.insert("remote".into(), session.remote.to_string().into());
    all.insert("local".into(), session.local.map(|local| local.to_string()).into());
    all.insert("conv".into(), format!("{:08x}", session.conv).into());
    all.insert("streams".into(), streams);
    all.insert("streams_left_out".into(), session.other_streams.into());
    all
}
