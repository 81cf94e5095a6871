//! The status server of the real programs: what a browser, a scraper and a profiler see.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kcptun_interop::{Browser, Case, Job, OURS_ALONE, Tunnel, free_port, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

/// A tunnel over a bad path with status pages at both ends, and the ports of them.
fn tunnel() -> (Tunnel, [u16; 2]) {
    let ports = [free_port(), free_port()];
    let tunnel = Case::new("status")
        .client(&format!("--status 127.0.0.1:{0} --pprof=127.0.0.1:{0}", ports[0]))
        .server(&format!("--status 127.0.0.1:{}", ports[1]))
        .link("delay=5ms,jitter=2ms,loss=3%")
        .start(OURS_ALONE);
    (tunnel, ports)
}

/// Status and body of an answer.
fn get(port: u16, path: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = answer.split_off(end);
    (String::from_utf8_lossy(&answer)[9..12].parse().unwrap(), body)
}

fn metric(port: u16, series: &str) -> f64 {
    let (status, body) = get(port, "/metrics");
    assert_eq!(status, 200);
    let text = String::from_utf8(body).unwrap();
    let line = text.lines().find(|line| line.split(' ').next() == Some(series));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Ends the traffic of a test, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs the binaries; run by cargo xtask test"]
fn both_ends_tell_the_same_story() {
    let (tunnel, [client, server]) = tunnel();
    assert_eq!(get(client, "/healthz"), (200, b"ok\n".to_vec()));
    tunnel.run(&Job { connections: 3, up: 300_000, down: 700_000, ..Job::default() }).unwrap();
    // 3 requests, and a verdict for each, besides the data.
    for (port, direction, least) in [
        (client, "out", 900_000.0),
        (server, "in", 900_000.0),
        (client, "in", 2_100_000.0),
        (server, "out", 2_100_000.0),
    ] {
        let series = format!("kcptun_payload_bytes_total{{direction=\"{direction}\"}}");
        let bytes = metric(port, &series);
        assert!((least..least + 1_000.0).contains(&bytes), "{series} {bytes}");
    }
    let repaired = "kcptun_fec_recovered_total";
    assert!(metric(client, repaired) + metric(server, repaired) > 0.0, "3 % were lost");
    assert_eq!(get(server, "/debug/pprof/").0, 404, "--pprof was not given");
    assert_eq!(get(server, "/healthz").0, 200);
}

#[test]
#[ignore = "needs the binaries; run by cargo xtask test"]
fn a_client_without_its_server_says_so() {
    let (mut tunnel, [client, _]) = tunnel();
    tunnel.run(&Job { connections: 1, up: 1_000, down: 1_000, ..Job::default() }).unwrap();
    tunnel.server.signal(kcptun_interop::Signal::KILL);
    assert!(tunnel.server.wait_exit(SOON).is_some());
    // Somebody goes on trying.
    let mut tries = Vec::new();
    let mut last = String::new();
    let is_ill = wait_until(Duration::from_secs(90), || {
        if let Ok(mut stream) = TcpStream::connect(tunnel.entrance()) {
            let _ = stream.write_all(b"anybody there?");
            tries.push(stream);
        }
        std::thread::sleep(Duration::from_secs(1));
        let (status, body) = get(client, "/healthz");
        last = String::from_utf8_lossy(&body).into_owned();
        status == 503
    });
    assert!(is_ill, "{last}");
    assert!(last.contains("answered by the server for") || last.contains("dialled"), "{last}");
}

#[test]
#[ignore = "needs the binaries; run by cargo xtask test"]
fn a_profile_of_a_release_build_names_its_functions() {
    let (tunnel, [client, _]) = tunnel();
    let is_enough = AtomicBool::new(false);
    let job = Job { connections: 2, up: 4 << 20, down: 4 << 20, ..Job::default() };
    let profile = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_enough.load(Ordering::Relaxed) {
                tunnel.run(&job).unwrap();
            }
        });
        let _stop = Stop(&is_enough);
        get(client, "/debug/pprof/profile?seconds=4")
    });
    assert_eq!(profile.0, 200, "{}", String::from_utf8_lossy(&profile.1));
    let has = |text: &[u8]| profile.1.windows(text.len()).any(|window| window == text);
    assert!(has(b"kcptun"), "{} bytes without a name of ours", profile.1.len());
}

#[test]
#[ignore = "needs the binaries and Chromium; run by cargo xtask test"]
fn the_page_lives_in_a_browser() {
    let (tunnel, ports) = tunnel();
    let mut browser = Browser::start();
    let is_enough = AtomicBool::new(false);
    let job = Job { connections: 2, up: 64 << 10, down: 1 << 20, ..Job::default() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_enough.load(Ordering::Relaxed) {
                tunnel.run(&job).unwrap();
            }
        });
        let _stop = Stop(&is_enough);
        for (port, name) in ports.into_iter().zip(["kcptun-client", "kcptun-server"]) {
            look_at(&mut browser, port, name);
        }
    });
}

fn look_at(browser: &mut Browser, port: u16, name: &str) {
    browser.pretend(1_200, 900, "light");
    browser.open(&format!("http://127.0.0.1:{port}/"));
    let text = |selector: &str| format!("document.querySelector('{selector}')?.textContent ?? ''");
    let is = |wanted: &'static str| move |value: &Value| value == wanted;
    assert!(browser.wait_for(SOON, &text("#name"), |value| value == name).is_some(), "{name}");
    assert!(browser.wait_for(SOON, &text("#health"), is("well")).is_some());

    // Numbers are there, and move.
    let moves = |value: &Value| value.as_str().is_some_and(|text| text.contains("bit/s"));
    for figure in ["in", "out"] {
        let now = text(&format!("[data-figure={figure}]"));
        let first = browser.wait_for(SOON, &now, moves).expect("a rate");
        let later = browser.wait_for(SOON, &now, |value| moves(value) && *value != first);
        assert!(later.is_some(), "{name}: {figure} stays at {first}");
    }
    let rtt = browser.wait_for(SOON, &text("[data-figure=rtt]"), |value| {
        value.as_str().is_some_and(|text| text.ends_with(" ms"))
    });
    assert!(rtt.is_some(), "{name}: no round trip");
    let curve = "document.querySelector('path.curve.in').getAttribute('d')";
    let grows = browser.wait_for(SOON, curve, |value| {
        value.as_str().is_some_and(|path| path.matches('L').count() >= 3)
    });
    assert!(grows.is_some(), "{name}: no curve");
    assert_eq!(browser.evaluate("document.querySelectorAll('#sessions tbody th').length"), 1);
    let streams = "document.querySelectorAll('#streams tbody th').length";
    assert!(browser.wait_for(SOON, streams, |count| count.as_u64() > Some(0)).is_some());
    let title = browser.evaluate("document.title");
    assert!(title.as_str().is_some_and(|title| title.starts_with(name)), "{title}");

    // Readable in either scheme, also on a phone: nothing stands out of the window.
    for scheme in ["light", "dark"] {
        browser.pretend(360, 800, scheme);
        let fits = browser.evaluate("document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(fits, true, "{name}, {scheme}");
        let contrast = browser.evaluate(CONTRAST);
        assert!(contrast.as_f64() >= Some(4.5), "{name}, {scheme}: contrast {contrast}");
    }
    let resources = "performance.getEntriesByType('resource').filter(r => !r.name.startsWith(location.origin)).length";
    assert_eq!(browser.evaluate(resources), 0, "something came from elsewhere");
    assert!(browser.complaints().is_empty(), "{:#?}", browser.complaints());
}

/// The least contrast (WCAG 2.2) of text colours with what is behind them.
const CONTRAST: &str = r"(() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map((c) => {
      c /= 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (it) => {
    for (; it; it = it.parentElement) {
      const color = getComputedStyle(it).backgroundColor;
      if (!/, 0\)$/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const ratios = [...document.querySelectorAll('h1,h2,p,output,small,th,td,a,summary,.top,.axis span')]
    .filter((it) => it.textContent.trim())
    .map((it) => {
      const [a, b] = [light(getComputedStyle(it).color), light(behind(it))].sort((x, y) => x - y);
      return (b + 0.05) / (a + 0.05);
    });
  return Math.min(...ratios);
})()";
