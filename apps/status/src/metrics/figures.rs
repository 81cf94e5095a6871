//! The one table of figures.

use std::fmt;
use std::time::Duration;

use kcptun_async::{SessionStats, TunnelStats};
use kcptun_tunnel::{ConnectionFigures, ConnectionStats};
use proto_base::Instant;
use serde_json::Value as Json;

/// Figures of one name.
pub(crate) struct Family<T: 'static> {
    /// Behind the prefix.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
    pub(crate) figures: &'static [Figure<T>],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// One figure.
pub(crate) struct Figure<T> {
    /// Name in JSON.
    pub(crate) key: &'static str,
    /// Labels in Prometheus, as they stand between braces.
    pub(crate) labels: &'static str,
    pub(crate) value: fn(&T) -> Value,
}

/// A session at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    now: Instant,
    stats: ConnectionStats,
    figures: ConnectionFigures,
}

impl Moment {
    pub(crate) fn new(session: &SessionStats, now: Instant) -> Self {
        Self { now, stats: session.stats, figures: session.figures }
    }
}

/// A number, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    Count(u64),
    Real(f64),
    Unknown,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Real(real) => real.fmt(f),
            Self::Unknown => f.write_str("NaN"),
        }
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Count(count) => count.into(),
            Value::Real(real) => real.into(),
            Value::Unknown => Self::Null,
        }
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        u64::try_from(count).map_or(Self::Unknown, Self::Count)
    }
}

impl From<bool> for Value {
    fn from(it: bool) -> Self {
        Self::Count(it.into())
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Real(time.as_secs_f64())
    }
}

impl From<Option<Duration>> for Value {
    fn from(time: Option<Duration>) -> Self {
        time.map_or(Self::Unknown, Self::from)
    }
}

impl From<Option<f64>> for Value {
    fn from(real: Option<f64>) -> Self {
        real.map_or(Self::Unknown, Self::Real)
    }
}

/// `families![T: name, Kind, help, [key labels => value of it, ...]; ...]`
macro_rules! families {
    ($of:ty: $($name:literal, $kind:ident, $help:literal, [
        $($key:literal $labels:literal => |$it:pat_param| $value:expr),+ $(,)?
    ];)+) => {
        &[$(Family::<$of> {
            name: $name,
            kind: Kind::$kind,
            help: $help,
            figures: &[$(Figure { key: $key, labels: $labels, value: |$it| $value.into() }),+],
        }),+]
    };
}

/// What an end of a tunnel has beside its sessions.
pub(crate) const TOTALS: &[Family<TunnelStats>] = families![TunnelStats:
    "sessions", Gauge, "Sessions that live.", [
        "sessions" "" => |it| it.live,
    ];
    "sessions_most", Gauge, "Most sessions that one socket had at once.", [
        "sessions_most" "" => |it| it.endpoint.most_connections,
    ];
    "sessions_opened_total", Counter, "Sessions begun, by who began them.", [
        "sessions_dialled" "by=\"self\"" => |it| it.endpoint.active_opens,
        "sessions_accepted" "by=\"peer\"" => |it| it.endpoint.passive_opens,
    ];
    "sessions_closed_total", Counter, "Sessions that are over, by the reason.", [
        "closed_timeout" "reason=\"timeout\"" => |it| it.endpoint.closed.timeout,
        "closed_peer_restarted" "reason=\"peer_restarted\"" => |it| it.endpoint.closed.peer_restarted,
        "closed_not_understood" "reason=\"not_understood\"" => |it| it.endpoint.closed.not_understood,
        "closed_replaced" "reason=\"replaced\"" => |it| it.endpoint.closed.replaced,
        "closed_refused" "reason=\"refused\"" => |it| it.endpoint.closed.refused,
        "closed_protocol" "reason=\"protocol\"" => |it| it.endpoint.closed.protocol,
        "closed_compression" "reason=\"compression\"" => |it| it.endpoint.closed.compression,
        "closed_local" "reason=\"local\"" => |it| it.endpoint.closed.local,
        "closed_evicted" "reason=\"evicted\"" => |it| it.endpoint.closed.evicted,
    ];
    "errors_total", Counter, "What went wrong outside of sessions, by kind.", [
        "checksum_errors" "kind=\"checksum\"" => |it| it.endpoint.checksum_errors,
        "too_short" "kind=\"too_short\"" => |it| it.endpoint.too_short,
        "strays" "kind=\"stray\"" => |it| it.endpoint.strays,
        "refused_sessions" "kind=\"refused_session\"" => |it| it.endpoint.refused_connections,
        "dial_failures" "kind=\"dial\"" => |it| it.dial_failures,
    ];
    "rtt_seconds", Gauge, "Longest smoothed round trip of the sessions that live.", [
        "rtt" "" => |it| it.sessions.rtt,
    ];
    "loss_ratio", Gauge, "Share of data segments lost on the way out since the start, as repetitions tell.", [
        "loss" "" => |it| it.sessions.loss_out(),
    ];
    "fec_repaired_ratio", Gauge, "Share of data packets in that FEC rebuilt since the start.", [
        "repaired" "" => |it| it.sessions.repaired_in(),
    ];
];

/// What each session counts, and the sum over all of them.
pub(crate) const COUNTERS: &[Family<ConnectionStats>] = families![ConnectionStats:
    "wire_bytes_total", Counter, "Bytes of UDP payload; in: behind nonce and checksum.", [
        "wire_bytes_in" "direction=\"in\"" => |it| it.bytes_in,
        "wire_bytes_out" "direction=\"out\"" => |it| it.bytes_out,
    ];
    "datagrams_total", Counter, "Datagrams, parity included.", [
        "datagrams_in" "direction=\"in\"" => |it| it.datagrams_in,
        "datagrams_out" "direction=\"out\"" => |it| it.datagrams_out,
    ];
    "payload_bytes_total", Counter, "Bytes of the connections that the tunnel carries.", [
        "payload_bytes_in" "direction=\"in\"" => |it| it.mux.bytes_in,
        "payload_bytes_out" "direction=\"out\"" => |it| it.mux.bytes_out,
    ];
    "reliable_bytes_total", Counter, "The same as KCP carries them: framed and compressed.", [
        "reliable_bytes_in" "direction=\"in\"" => |it| it.stream_bytes_in,
        "reliable_bytes_out" "direction=\"out\"" => |it| it.stream_bytes_out,
    ];
    "segments_total", Counter, "KCP segments, acks included.", [
        "segments_in" "direction=\"in\"" => |it| it.kcp.segments_in,
        "segments_out" "direction=\"out\"" => |it| it.kcp.segments_out,
    ];
    "data_segments_out_total", Counter, "KCP segments with data out, repetitions included.", [
        "data_segments_out" "" => |it| it.kcp.pushes_out,
    ];
    "retransmits_total", Counter, "Repetitions: later segments were acknowledged (fast), one was and nothing new was there (early), time was up (timeout).", [
        "retransmits_fast" "reason=\"fast\"" => |it| it.kcp.fast_retransmits,
        "retransmits_early" "reason=\"early\"" => |it| it.kcp.early_retransmits,
        "retransmits_timeout" "reason=\"timeout\"" => |it| it.kcp.timeout_retransmits,
    ];
    "spurious_retransmits_total", Counter, "Repetitions of segments that had arrived.", [
        "retransmits_spurious" "" => |it| it.kcp.spurious_retransmits,
    ];
    "repeated_segments_in_total", Counter, "Data segments in that had come before, or lay outside the window.", [
        "repeated_in" "" => |it| it.kcp.repeated,
    ];
    "dead_link_segments_total", Counter, "Segments transmitted 20 times.", [
        "dead_link" "" => |it| it.kcp.dead_link,
    ];
    "protocol_errors_total", Counter, "What went wrong inside of sessions, by kind.", [
        "bad_payloads" "kind=\"bad_payload\"" => |it| it.bad_payloads,
        "bad_packets" "kind=\"bad_packet\"" => |it| it.kcp.bad_packets,
        "no_memory" "kind=\"no_memory\"" => |it| it.kcp.no_memory,
        "fec_errors" "kind=\"fec_size\"" => |it| it.decoder.errors,
        "fec_bad_ids" "kind=\"fec_id\"" => |it| it.decoder.bad_ids,
        "fec_misfits" "kind=\"fec_misfit\"" => |it| it.decoder.misfits,
        "fec_without_memory" "kind=\"fec_no_memory\"" => |it| {
            it.decoder.without_memory + it.encoder.parity_without_memory
        },
        "streams_refused" "kind=\"refused_stream\"" => |it| it.mux.refused,
    ];
    "fec_packets_total", Counter, "FEC packets.", [
        "fec_data_in" "direction=\"in\",kind=\"data\"" => |it| it.decoder.data,
        "fec_parity_in" "direction=\"in\",kind=\"parity\"" => |it| it.decoder.parity,
        "fec_data_out" "direction=\"out\",kind=\"data\"" => |it| it.encoder.data,
        "fec_parity_out" "direction=\"out\",kind=\"parity\"" => |it| it.encoder.parity,
    ];
    "fec_recovered_total", Counter, "Lost packets rebuilt from parity.", [
        "fec_recovered" "" => |it| it.decoder.recovered,
    ];
    "fec_wasted_total", Counter, "Parity packets in that were not needed.", [
        "fec_wasted" "" => |it| it.decoder.parity_unused,
    ];
    "fec_short_total", Counter, "Data packets of groups that could not be rebuilt.", [
        "fec_short" "" => |it| it.decoder.short,
    ];
    "fec_late_total", Counter, "Packets of groups no longer kept.", [
        "fec_late" "" => |it| it.decoder.late,
    ];
    "fec_duplicates_total", Counter, "Packets that had come before.", [
        "fec_duplicates" "" => |it| it.decoder.duplicates,
    ];
    "fec_parity_left_out_total", Counter, "Parity packets not sent: the group had a pause, or nobody took them in time.", [
        "fec_parity_skipped" "reason=\"pause\"" => |it| it.encoder.parity_skipped,
        "fec_parity_overrun" "reason=\"overrun\"" => |it| it.encoder.parity_overrun,
    ];
    "streams", Gauge, "Streams that are open.", [
        "streams" "" => |it| it.mux.streams,
    ];
    "streams_opened_total", Counter, "Streams opened, by whom.", [
        "streams_opened" "by=\"self\"" => |it| it.mux.opened,
        "streams_accepted" "by=\"peer\"" => |it| it.mux.incoming,
    ];
    "frames_total", Counter, "smux frames.", [
        "frames_in" "direction=\"in\"" => |it| it.mux.frames_in,
        "frames_out" "direction=\"out\"" => |it| it.mux.frames_out,
    ];
    "unread_bytes", Gauge, "Bytes that came and that nobody has read yet.", [
        "unread" "" => |it| it.mux.unread,
    ];
    "dropped_bytes_total", Counter, "Bytes that came for streams that nobody reads any more.", [
        "dropped_bytes" "" => |it| it.mux.dropped,
    ];
    "blocked_total", Counter, "Times that taking in stood still for want of buffer.", [
        "blocked" "" => |it| it.mux.blocked,
    ];
];

/// What a session is doing at the moment.
pub(crate) const GAUGES: &[Family<Moment>] = families![Moment:
    "age_seconds", Gauge, "Time since the session began.", [
        "age" "" => |it| it.now - it.figures.started,
    ];
    "silence_seconds", Gauge, "Time since a valid datagram came.", [
        "silence" "" => |it| it.now - it.figures.last_heard,
    ];
    "suspect", Gauge, "Whether the peer owes acks and is silent.", [
        "suspect" "" => |it| it.figures.is_suspect,
    ];
    "rtt_seconds", Gauge, "Smoothed round trip.", [
        "rtt" "" => |it| it.stats.rtt,
    ];
    "rto_seconds", Gauge, "Retransmission timeout.", [
        "rto" "" => |it| it.stats.rto,
    ];
    "loss_ratio", Gauge, "Share of data segments lost on the way out since the session began, as repetitions tell.", [
        "loss" "" => |it| it.stats.loss_out(),
    ];
    "fec_repaired_ratio", Gauge, "Share of data packets in that FEC rebuilt since the session began.", [
        "repaired" "" => |it| it.stats.repaired_in(),
    ];
    "window_segments", Gauge, "Windows: configured (send), free here (receive) and at the peer (remote), and what may be in flight (flight).", [
        "window_send" "window=\"send\"" => |it| it.figures.send_window,
        "window_receive" "window=\"receive\"" => |it| it.figures.receive_window,
        "window_remote" "window=\"remote\"" => |it| it.figures.remote_window,
        "window_flight" "window=\"flight\"" => |it| it.figures.flight_limit,
    ];
    "in_flight_segments", Gauge, "Segments sent and not acknowledged.", [
        "in_flight" "" => |it| it.figures.in_flight,
    ];
    "queued_segments", Gauge, "Segments that wait to be sent.", [
        "queued" "" => |it| it.figures.queued,
    ];
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use kcptun_tunnel::CloseStats;

    use super::*;

    /// All fields by name, so that a new reason has to come here, and then fails without a figure.
    #[test]
    fn each_reason_for_an_end_has_a_figure() {
        let mut total = TunnelStats::default();
        let CloseStats {
            timeout,
            peer_restarted,
            not_understood,
            replaced,
            refused,
            protocol,
            compression,
            local,
            evicted,
        } = &mut total.endpoint.closed;
        let reasons = [
            ("timeout", timeout),
            ("peer_restarted", peer_restarted),
            ("not_understood", not_understood),
            ("replaced", replaced),
            ("refused", refused),
            ("protocol", protocol),
            ("compression", compression),
            ("local", local),
            ("evicted", evicted),
        ];
        let mut expected = Vec::new();
        for (number, (name, count)) in (1_u64..).zip(reasons) {
            *count = number;
            let labels = format!("reason=\"{name}\"");
            expected.push((format!("closed_{name}"), labels, Value::Count(number)));
        }
        let family = TOTALS.iter().find(|it| it.name == "sessions_closed_total").unwrap();
        let figure =
            |it: &Figure<TunnelStats>| (it.key.into(), it.labels.into(), (it.value)(&total));
        assert_eq!(family.figures.iter().map(figure).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_name_serves_twice() {
        let totals = TOTALS.iter().flat_map(|it| it.figures.iter().map(|it| it.key));
        let counters = COUNTERS.iter().flat_map(|it| it.figures.iter().map(|it| it.key));
        let gauges = GAUGES.iter().flat_map(|it| it.figures.iter().map(|it| it.key));
        let unique = |keys: Vec<&str>| keys.iter().collect::<HashSet<_>>().len() == keys.len();
        assert!(unique(totals.chain(counters.clone()).collect()));
        assert!(unique(counters.chain(gauges).collect()));
    }
}
