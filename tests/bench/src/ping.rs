//! The time a small message takes through an otherwise idle tunnel.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::figure::{ADDED_MEDIAN, ADDED_P99};
use crate::measure::{Outcome, Setting};
use crate::service::Job;
use crate::stats::{median, percentile};
use crate::tunnel::Tunnel;

const MESSAGE: usize = 64;
const PAUSE: Duration = Duration::from_millis(20);
/// Round trips left out at the beginning: the first opens the stream.
const WARM_UP: usize = 10;

/// 64 bytes there and back each 20 ms, through the tunnel and straight to the service in turn,
/// 10 ms apart: so both meet the same machine.
pub(crate) fn measure(setting: &Setting<'_>) -> Result<Outcome, Failure> {
    let mut tunnel = Tunnel::start(setting.ends, setting.flags, None, setting.seed)?;
    let said = |error: io::Error| Failure(format!("a ping failed: {error}"));
    let connect = |to| tunnel.service.connect(to, Job::Echo).map_err(said);
    let through = connect(tunnel.entrance)?;
    let straight = connect(tunnel.service.address())?;
    let (mut round_trips, mut direct_round_trips) = (Vec::new(), Vec::new());
    let start = Instant::now();
    let mut due = start;
    let mut number = 0;
    while start.elapsed() < setting.time {
        for (stream, kept) in [(&through, &mut round_trips), (&straight, &mut direct_round_trips)] {
            due += PAUSE / 2;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let took = ping(stream, number).map_err(said)?;
            if usize::from(number) >= WARM_UP {
                kept.push(took);
            }
        }
        number = number.saturating_add(1);
    }
    tunnel.check()?;
    let none = || Failure("no time for a ping".into());
    let direct = median(&direct_round_trips).ok_or_else(none)?;
    let added = |value: Option<f64>| value.map(|value| value - direct).ok_or_else(none);
    let figures = vec![
        (ADDED_MEDIAN, added(median(&round_trips))?),
        (ADDED_P99, added(percentile(&round_trips, 0.99))?),
    ];
    Ok(Outcome { figures, round_trips, direct_round_trips })
}

/// One round trip in ms.
fn ping(mut stream: &TcpStream, number: u8) -> io::Result<f64> {
    let (sent, mut answer) = ([number; MESSAGE], [0; MESSAGE]);
    let start = Instant::now();
    stream.write_all(&sent)?;
    stream.read_exact(&mut answer)?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    if answer != sent {
        return Err(io::Error::other("another message came back"));
    }
    Ok(took)
}
