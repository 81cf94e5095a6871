//! Small requests with programs that others know: `wrk` asks, `nginx` answers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use kcptun_interop::free_port;
use tempfile::TempDir;

use crate::child::Child;
use crate::failure::Failure;
use crate::figure::{CPU_PER_REQUEST, REQUEST_MEDIAN, REQUEST_P99, REQUESTS};
use crate::measure::{Outcome, Setting};
use crate::program::{Need, find, output};
use crate::tunnel::{Plan, Tunnel};

const WRK: Need = ("wrk", "wrk");
const NGINX: Need = ("nginx", "nginx-light");
const CONNECTIONS: &str = "8";

/// Whether both programs are there.
pub(crate) fn check() -> Result<(), Failure> {
    find(WRK).and_then(|_| find(NGINX)).map(drop)
}

/// Eight kept connections of one thread.
pub(crate) fn measure(setting: &Setting<'_>) -> Result<Outcome, Failure> {
    let wrk = find(WRK)?;
    let nginx = Nginx::start()?;
    let plan = Plan { target: Some(nginx.address), ..setting.plan() };
    let mut tunnel = Tunnel::start_as(&plan)?;
    let time = format!("{}s", setting.time.as_secs().max(1));
    let page = format!("http://{}/", tunnel.entrance);
    let mut command = Command::new(wrk);
    command.args(["-t", "1", "-c", CONNECTIONS, "-d", &time, "--latency", &page]);
    let cpu = tunnel.cpu_seconds()?;
    let text = output(&mut command)?;
    let cpu = tunnel.cpu_seconds()? - cpu;
    tunnel.check()?;
    let told = told(&text)?;
    let figures = vec![
        (REQUESTS, told.rate),
        (CPU_PER_REQUEST, cpu / told.count * 1e6),
        (REQUEST_MEDIAN, told.median),
        (REQUEST_P99, told.p99),
    ];
    Ok(Outcome { figures, ..Outcome::default() })
}

/// A web server on a port of 127.0.0.1 with everything of it in a directory that goes with it.
struct Nginx {
    address: SocketAddr,
    _process: Child,
    _home: TempDir,
}

impl Nginx {
    fn start() -> Result<Self, Failure> {
        let program = find(NGINX)?;
        let said = |error| Failure(format!("no directory for nginx: {error}"));
        let home = TempDir::new().map_err(said)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let config = home.path().join("nginx.conf");
        fs::write(&config, configuration(address)).map_err(said)?;
        let words = ["-p", &home.path().to_string_lossy(), "-c", &config.to_string_lossy()];
        let mut process = Child::start("nginx", &program, &words.map(String::from))?;
        process.process.wait_tcp(address.port());
        Ok(Self { address, _process: process, _home: home })
    }
}

/// One process in the foreground, without logs, with the answer of the bench's own service.
/// Paths are relative to the directory of `-p`.
fn configuration(address: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr crit;
        events {{ worker_connections 64; }}
        http {{
            access_log off; keepalive_requests 1000000000; tcp_nodelay on;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{
                listen {address};
                default_type text/html;
                location / {{ return 200 \"{}\"; }}
            }}
        }}",
        "x".repeat(128)
    )
}

/// What wrk reports: requests, per second, and the times in ms.
#[derive(Debug, PartialEq)]
struct Told {
    count: f64,
    rate: f64,
    median: f64,
    p99: f64,
}

fn told(text: &str) -> Result<Told, Failure> {
    // Only there when some failed.
    if let Some(line) =
        text.lines().find(|line| line.contains("errors:") || line.contains("Non-2xx"))
    {
        return Err(Failure(format!("wrk: {}", line.trim())));
    }
    let words = || text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let behind = |name: &str| {
        words().find_map(|words| {
            (words.first() == Some(&name)).then(|| words.get(1).map(ToString::to_string))?
        })
    };
    let told = || {
        let count = words().find(|words| words.get(1..3) == Some(&["requests", "in"]))?;
        Some(Told {
            count: count[0].parse().ok()?,
            rate: behind("Requests/sec:")?.parse().ok()?,
            median: milliseconds(&behind("50%")?)?,
            p99: milliseconds(&behind("99%")?)?,
        })
    };
    told().ok_or_else(|| Failure(format!("wrk said {text}")))
}

/// A time as wrk writes it.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 2s test @ http://127.0.0.1:1/\n  Latency Distribution\n     \
                          50%  263.00us\n     75%  300.00us\n     99%    1.10ms\n  60000 requests \
                          in 2.00s, 10.00MB read\nRequests/sec:  29990.50\nTransfer/sec: 5MB\n";

    #[test]
    fn the_report_is_read() {
        let expected = Told { count: 60_000.0, rate: 29_990.5, median: 0.263, p99: 1.1 };
        assert_eq!(told(REPORT), Ok(expected));
        assert!(told("Running 2s test").is_err());
    }

    #[test]
    fn requests_that_failed_are_a_failure() {
        let text = format!("{REPORT}  Socket errors: connect 0, read 2, write 0, timeout 0\n");
        assert!(told(&text).unwrap_err().to_string().contains("read 2"));
    }
}
