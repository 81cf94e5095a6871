//! The server on both runtimes: what it answers, and what it bears.

mod support;

use support::{Connection, Site, get};

#[test]
fn tokio() {
    suite(&Site::tokio());
}

#[test]
fn smol() {
    suite(&Site::smol());
}

fn suite(site: &Site) {
    paths(site);
    one_connection_serves_many_requests(site);
    bad_requests_get_a_reason(site);
    strangers_names_are_refused(site);
    a_crowd_of_slow_clients_keeps_nobody_out(site);
    all_listeners_of_a_site_have_one_bound(site);
}

fn paths(site: &Site) {
    for (path, kind, has) in [
        ("/", "text/html; charset=utf-8", "<title>kcptun</title>"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# TYPE kcptun_build_info gauge"),
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
        ("/status.json", "application/json", "\"kcptun-client\""),
        ("/debug/vars", "application/json", "\"cmdline\""),
        ("/debug/pprof/", "text/plain; charset=utf-8", "profile"),
        ("/debug/pprof/cmdline", "text/plain; charset=utf-8", "http-"),
    ] {
        let answer = get(&site.client, path);
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, kind), "{path}");
        assert!(answer.text().contains(has), "{path}: {}", answer.text());
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let policy = &get(&site.client, "/").headers["content-security-policy"];
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    for path in ["/debug/pprof/heap", "/debug/pprof/goroutine", "/debug/pprof/x", "/x", "/metrics/"]
    {
        let answer = get(&site.client, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().ends_with("\n") && answer.body.len() > 20);
    }
    // Each listener has its own paths.
    for (address, path, status) in [
        (&site.server, "/metrics", 200),
        (&site.server, "/debug/vars", 200),
        (&site.server, "/debug/pprof/", 404),
        (&site.server, "/debug/pprof/profile?seconds=1", 404),
        (&site.pprof, "/", 200),
        (&site.pprof, "/debug/pprof/", 200),
        (&site.pprof, "/debug/vars", 200),
        (&site.pprof, "/metrics", 404),
        (&site.pprof, "/healthz", 404),
    ] {
        assert_eq!(get(address, path).status, status, "{address} {path}");
    }
}

fn one_connection_serves_many_requests(site: &Site) {
    let mut connection = Connection::to(&site.client);
    for _ in 0..20 {
        assert_eq!(connection.ask("GET /healthz").text(), "ok\n");
        let head = connection.ask("HEAD /healthz");
        assert_eq!((head.status, head.headers["content-length"].as_str()), (200, "3"));
        let answer = connection.ask("DELETE /healthz");
        assert_eq!((answer.status, answer.headers["allow"].as_str()), (405, "GET, HEAD"));
    }
    // Sent at once, answered in turn; the last one ends the connection.
    let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let end = "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    connection.send(format!("{one}{one}{end}").as_bytes());
    let statuses = [(); 3].map(|()| connection.read(false).status);
    assert_eq!(statuses, [200, 200, 404]);
    assert!(connection.is_ended());
}

fn bad_requests_get_a_reason(site: &Site) {
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    for (text, status) in [
        (long.as_str(), 431),
        ("GET / HTTP/3\r\n\r\n", 505),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", 413),
    ] {
        let mut connection = Connection::to(&site.client);
        connection.send(text.as_bytes());
        let answer = connection.read(false);
        assert_eq!((answer.status, answer.headers["connection"].as_str()), (status, "close"));
        assert!(connection.is_ended());
    }
}

fn strangers_names_are_refused(site: &Site) {
    for (host, status) in
        [("evil.example:80", 403), ("127.0.0.1", 200), ("[::1]:5", 200), ("localhost", 200)]
    {
        let mut connection = Connection::to(&site.client);
        connection.send(format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(connection.read(false).status, status, "{host}");
    }
}

fn a_crowd_of_slow_clients_keeps_nobody_out(site: &Site) {
    let mut crowd: Vec<Connection> = (0..100)
        .map(|number| {
            let mut connection = Connection::to(&site.client);
            if number % 2 == 0 {
                connection.send(b"GET /healthz HTTP/1.1\r\nHost: loc");
            }
            connection
        })
        .collect();
    assert_eq!(get(&site.client, "/healthz").text(), "ok\n");
    assert!(crowd[..60].iter_mut().all(Connection::is_ended), "who waited longest had to go");
    drop(crowd);
    assert_eq!(get(&site.client, "/healthz").text(), "ok\n");
}

fn all_listeners_of_a_site_have_one_bound(site: &Site) {
    let mut first = Connection::to(&site.server);
    assert_eq!(first.ask("GET /healthz").status, 200);
    // It keeps us waiting longest, so one client too many costs it its place, wherever it comes.
    let crowd: Vec<Connection> = [&site.pprof, &site.more]
        .into_iter()
        .flat_map(|address| (0..16).map(|_| Connection::to(address)))
        .collect();
    assert_eq!(get(&site.more, "/debug/vars").status, 200);
    assert!(first.is_ended());
    drop(crowd);
}
