//! Moving bytes as fast as they go, with or without a path in between.

use std::time::{Duration, Instant};

use kcptun_interop::Path;
use kcptun_link::{LinkConfig, LinkStats};

use crate::failure::Failure;
use crate::figure::{
    CLIENT_MEMORY, CPU_PER_GB, GOODPUT, QUEUE_DROPS, SERVER_MEMORY, UDP_DROPS, WIRE,
};
use crate::measure::{Outcome, Setting};
use crate::service::Bulk;
use crate::tunnel::Tunnel;
use crate::usage::{peak_resident, udp_drops};

/// Bytes of the IPv4 and UDP headers of a datagram, which a link's counters leave out.
const HEADERS: u64 = 28;
/// Left out at the beginning: the tunnel learns the round trip and fills the path.
const WARM_UP_LOOPBACK: Duration = Duration::from_millis(500);
const WARM_UP_LINK: Duration = Duration::from_millis(1500);

/// One TCP connection, one way, between two processes on loopback.
pub(crate) fn loopback(setting: &Setting<'_>, is_upload: bool) -> Result<Outcome, Failure> {
    let mut tunnel = Tunnel::start(setting.ends, setting.flags, None, setting.seed)?;
    let bulk = start(&tunnel, is_upload)?;
    let (before, after) = observe(&tunnel, &bulk, WARM_UP_LOOPBACK, setting.time)?;
    drop(bulk);
    tunnel.check()?;
    let gained = Gained::between(&before, &after)?;
    let figures = vec![
        (GOODPUT, gained.goodput()),
        (CPU_PER_GB, gained.cpu_per_gb()),
        (UDP_DROPS, gained.udp_drops / gained.seconds),
    ];
    Ok(Outcome { figures, ..Outcome::default() })
}

/// The same over a link, alike in both directions, in the text form of [`LinkConfig`].
pub(crate) fn over_link(
    setting: &Setting<'_>,
    link: &str,
    is_upload: bool,
) -> Result<Outcome, Failure> {
    let link: LinkConfig =
        link.parse().map_err(|error| Failure(format!("link {link}: {error}")))?;
    let path = Path { up: link.clone(), down: link };
    let mut tunnel = Tunnel::start(setting.ends, setting.flags, Some(&path), setting.seed)?;
    let bulk = start(&tunnel, is_upload)?;
    let (before, after) = observe(&tunnel, &bulk, WARM_UP_LINK, setting.time)?;
    drop(bulk);
    tunnel.check()?;
    let gained = Gained::between(&before, &after)?;
    let figures = vec![
        (GOODPUT, gained.goodput()),
        (WIRE, gained.wire / gained.delivered),
        (QUEUE_DROPS, gained.dropped / gained.datagrams * 100.0),
        (CPU_PER_GB, gained.cpu_per_gb()),
    ];
    Ok(Outcome { figures, ..Outcome::default() })
}

/// The most memory that the two ends hold while they move bytes both ways.
pub(crate) fn memory(setting: &Setting<'_>) -> Result<Outcome, Failure> {
    let mut tunnel = Tunnel::start(setting.ends, setting.flags, None, setting.seed)?;
    let running = [start(&tunnel, false)?, start(&tunnel, true)?];
    std::thread::sleep(setting.time);
    let peak = |id| {
        let bytes = peak_resident(id).ok_or_else(|| Failure("a process is gone".into()))?;
        Ok(bytes as f64 * 1e-6)
    };
    let figures =
        vec![(CLIENT_MEMORY, peak(tunnel.client.id)?), (SERVER_MEMORY, peak(tunnel.server.id)?)];
    if running.iter().any(|bulk| bulk.delivered() == 0) {
        return Err(Failure("nothing was delivered".into()));
    }
    drop(running);
    tunnel.check()?;
    Ok(Outcome { figures, ..Outcome::default() })
}

fn start(tunnel: &Tunnel, is_upload: bool) -> Result<Bulk, Failure> {
    let bulk = tunnel.service.bulk(tunnel.entrance, is_upload);
    bulk.map_err(|error| Failure(format!("no connection through the tunnel: {error}")))
}

/// The counters of a running transfer at one moment.
#[derive(Debug)]
struct Reading {
    at: Instant,
    delivered: u64,
    cpu: f64,
    udp_drops: u64,
    link: (LinkStats, LinkStats),
}

fn observe(
    tunnel: &Tunnel,
    bulk: &Bulk,
    warm_up: Duration,
    time: Duration,
) -> Result<(Reading, Reading), Failure> {
    let read = || -> Result<Reading, Failure> {
        Ok(Reading {
            at: Instant::now(),
            delivered: bulk.delivered(),
            cpu: tunnel.cpu_seconds()?,
            udp_drops: udp_drops().unwrap_or_default(),
            link: tunnel.relay.as_ref().map(|relay| relay.stats()).unwrap_or_default(),
        })
    };
    std::thread::sleep(warm_up);
    let before = read()?;
    std::thread::sleep(time);
    Ok((before, read()?))
}

/// What came about between two readings.
#[derive(Debug)]
struct Gained {
    seconds: f64,
    delivered: f64,
    cpu: f64,
    udp_drops: f64,
    wire: f64,
    datagrams: f64,
    dropped: f64,
}

impl Gained {
    fn between(before: &Reading, after: &Reading) -> Result<Self, Failure> {
        if after.delivered == before.delivered {
            return Err(Failure("nothing was delivered in the time measured".into()));
        }
        let both = |count: fn(&LinkStats) -> u64| {
            let of = |reading: &Reading| count(&reading.link.0) + count(&reading.link.1);
            (of(after) - of(before)) as f64
        };
        Ok(Self {
            seconds: (after.at - before.at).as_secs_f64(),
            delivered: (after.delivered - before.delivered) as f64,
            cpu: after.cpu - before.cpu,
            udp_drops: after.udp_drops.saturating_sub(before.udp_drops) as f64,
            wire: both(|stats| stats.bytes_in + HEADERS * stats.datagrams_in),
            datagrams: both(|stats| stats.datagrams_in),
            dropped: both(|stats| stats.queue_drops),
        })
    }

    /// Mbit/s.
    fn goodput(&self) -> f64 {
        self.delivered * 8e-6 / self.seconds
    }

    /// Seconds for 10^9 bytes.
    fn cpu_per_gb(&self) -> f64 {
        self.cpu / self.delivered * 1e9
    }
}
