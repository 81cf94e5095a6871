//! The Kubernetes example: its configuration and arguments with the real server, asked where the
//! probes ask.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use kcptun_interop::{Process, free_port, wait_until};

use crate::{Ends, Machine, source};

#[test]
#[ignore = "needs root and the package; run by cargo xtask test"]
fn the_server_of_the_example_is_ready_and_can_be_scraped() {
    let text = source("kubernetes/kcptun-server.yaml");
    let machine = Machine::with_package();
    let (ends, status) = (Ends::new(), free_port());
    let config = block(&text, "server.json: |");
    machine.write("/etc/kcptun/server.json", &ends.put_into(&config));
    let args = value(&text, "args: [");
    let port = value(&text, "prometheus.io/port: \"");
    assert!(args.contains(&format!("\":{port}\"")), "{args}");
    assert!(text.contains(&format!("name: status, containerPort: {port}")));
    let args = args.replace(&format!(":{port}"), &format!("127.0.0.1:{status}"));
    let args: Vec<&str> = args.split(", ").map(|word| word.trim_matches('"')).collect();
    let mut words = vec!["KCPTUN_KEY=from the secret", "/usr/bin/kcptun-server"];
    words.extend(args);
    let server = Process::spawn("server", machine.command("env", &words));

    let probe = value(&text, "httpGet: {path: ").split(',').next().unwrap_or_default().to_owned();
    let ready = || get(status, &probe).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
    assert!(wait_until(Duration::from_secs(10), ready), "{}", server.log());
    let metrics = get(status, value(&text, "prometheus.io/path: ").trim()).expect("an answer");
    assert!(metrics.starts_with("HTTP/1.1 200") && metrics.contains("# TYPE "), "{metrics}");
    assert!(!server.log().contains("default key"), "the secret is used: {}", server.log());
}

/// What follows `begin` on its line, up to the bracket or quote that ends it.
fn value<'a>(text: &'a str, begin: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
    let line = rest.lines().next().unwrap_or_default();
    match begin.chars().last() {
        Some('[') => line.trim_end_matches(']'),
        Some('"') => line.trim_end_matches('"'),
        _ => line,
    }
}

/// The lines below `begin` that are indented deeper.
fn block(text: &str, begin: &str) -> String {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.lines().skip_while(|line| line.trim() != begin);
    let own = depth(lines.next().unwrap_or_else(|| panic!("no {begin}")));
    lines.take_while(|line| depth(line) > own).map(|line| format!("{}\n", line.trim())).collect()
}

fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
