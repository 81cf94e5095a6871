//! Processor profiles.
#![cfg(all(feature = "profile", unix))]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Connection, Site, get};

/// Something to be found in a profile.
#[inline(never)]
fn burn_processor_time(until: &AtomicBool) -> u64 {
    let mut sum = 1_u64;
    while !until.load(Ordering::Relaxed) {
        for step in 0..10_000 {
            sum = std::hint::black_box(sum.wrapping_mul(6_364_136_223_846_793_005) + step);
        }
    }
    sum
}

/// One after the other, as the process has one profiler.
#[test]
fn a_profile_names_what_ran() {
    let site = Site::tokio();
    for seconds in ["0", "301", "-1", "1.5", "", "many"] {
        let answer = get(&site.client, &format!("/debug/pprof/profile?seconds={seconds}"));
        assert_eq!(answer.status, 400, "{seconds}");
    }
    let mut page = Connection::to(&site.client);
    page.send(b"GET /debug/pprof/profile HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n");
    assert_eq!(page.read(false).status, 403);

    // Who goes away makes room for the next one.
    let mut leaving = Connection::to(&site.client);
    leaving.send(b"GET /debug/pprof/profile?seconds=300 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(get(&site.pprof, "/debug/pprof/profile?seconds=1").status, 409);
    drop(leaving);
    std::thread::sleep(Duration::from_millis(200));

    let is_enough = AtomicBool::new(false);
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| burn_processor_time(&is_enough));
        let answer = get(&site.pprof, "/debug/pprof/profile?seconds=2");
        is_enough.store(true, Ordering::Relaxed);
        answer
    });
    assert_eq!(answer.status, 200, "{:?}", answer.text());
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    let has = |text: &[u8]| answer.body.windows(text.len()).any(|window| window == text);
    assert!(has(b"burn_processor_time"), "{} bytes", answer.body.len());
    assert!(has(b"nanoseconds") && has(b"samples"));
    // Traffic and answers went on meanwhile, and go on.
    assert_eq!(get(&site.client, "/healthz").text(), "ok\n");
}
