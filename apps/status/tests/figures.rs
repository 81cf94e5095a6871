//! The figures: well formed, and those of the traffic that went by.

mod support;

use serde_json::Value;
use support::exposition::Exposition;
use support::{CARRIED, STREAMS, Site, get};

fn metrics(address: &str) -> Exposition {
    let answer = get(address, "/metrics");
    Exposition::parse(answer.text()).unwrap_or_else(|why| panic!("{why}\n{}", answer.text()))
}

fn json(address: &str, path: &str) -> Value {
    serde_json::from_slice(&get(address, path).body).unwrap()
}

#[test]
fn they_are_those_of_the_traffic() {
    let site = Site::tokio();
    let carried = (CARRIED * STREAMS) as f64;
    for (address, side) in [(&site.client, "client"), (&site.server, "server")] {
        let page = metrics(address);
        for direction in ["in", "out"] {
            let of = |name: &str| page.get(&format!("{name}{{direction=\"{direction}\"}}"));
            assert_eq!(of("kcptun_payload_bytes_total"), carried);
            assert!(of("kcptun_wire_bytes_total") > of("kcptun_datagrams_total") * 20.0);
            assert!(of("kcptun_segments_total") > 0.0 && of("kcptun_frames_total") > 0.0);
        }
        assert_eq!(page.get("kcptun_sessions"), 1.0);
        assert_eq!(page.get("kcptun_streams"), STREAMS as f64);
        assert_eq!(page.get("kcptun_healthy"), 1.0);
        let info = format!("kcptun_build_info{{side=\"{side}\",version=\"1.2 \\\"three\\\"\"}}");
        assert_eq!(page.get(&info), 1.0);
        // On loopback a round trip may be less than the millisecond that the wire can tell.
        assert!(page.get("kcptun_rtt_seconds") >= 0.0, "measured at least");
        let session = |name: &str| {
            let prefix = format!("kcptun_session_{name}{{");
            let mut found = page.series.iter().filter(|(series, _)| series.starts_with(&prefix));
            let (series, value) = found.next().unwrap_or_else(|| panic!("no {prefix}"));
            assert!(
                series.contains("local=\"127.0.0.1:") && series.contains("remote=\"127.0.0.1:")
            );
            *value
        };
        assert_eq!(session("streams"), STREAMS as f64);
        assert!(session("rto_seconds") >= 0.03 && session("rtt_seconds") >= 0.0);
        assert!(session("age_seconds") > 0.0);
        assert_eq!(session("suspect"), 0.0);
        assert!(session("window_segments") > 0.0);
        // Every figure is there from the start, also where nothing has happened yet.
        for name in [
            "retransmits_total",
            "spurious_retransmits_total",
            "fec_recovered_total",
            "fec_wasted_total",
            "protocol_errors_total",
            "errors_total",
            "loss_ratio",
        ] {
            assert!(page.kinds.contains_key(&format!("kcptun_{name}")), "{name}");
        }
    }
}

#[test]
fn json_and_metrics_agree() {
    let site = Site::smol();
    let (status, vars) = (json(&site.server, "/status.json"), json(&site.server, "/debug/vars"));
    let page = metrics(&site.server);
    let carried = (CARRIED * STREAMS) as u64;
    assert_eq!(status["totals"]["payload_bytes_in"], carried);
    assert_eq!(vars["kcptun"]["payload_bytes_out"], carried);
    assert_eq!(status["program"]["settings"][0][0], "mode");
    assert_eq!(status["health"]["ok"], true);
    let session = &status["sessions"][0];
    assert_eq!(session["payload_bytes_in"], carried);
    assert_eq!(session["streams"].as_array().unwrap().len(), STREAMS);
    for stream in session["streams"].as_array().unwrap() {
        assert_eq!((&stream["bytes_in"], &stream["bytes_out"]), (&CARRIED.into(), &CARRIED.into()));
        assert_eq!(stream["unread"], 0);
        assert!(stream["age"].as_f64().unwrap() > 0.0);
    }
    let labels = format!("local={},remote={}", session["local"], session["remote"]);
    assert!(page.series.contains_key(&format!("kcptun_session_age_seconds{{{labels}}}")));
}

#[test]
fn counters_only_grow() {
    let site = Site::tokio();
    let (before, after) = (metrics(&site.client), metrics(&site.client));
    for (series, value) in &before.series {
        let name = series.split('{').next().unwrap();
        if before.kinds[name] == "counter" {
            assert!(after.get(series) >= *value, "{series}");
        }
    }
}
