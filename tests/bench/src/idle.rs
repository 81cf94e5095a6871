//! What a tunnel costs that has nothing to do.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::figure::{CLIENT_MEMORY, CLIENT_WAKE_UPS, IDLE_CPU, SERVER_MEMORY, SERVER_WAKE_UPS};
use crate::measure::{Outcome, Setting};
use crate::service::Job;
use crate::tunnel::Tunnel;
use crate::usage::{fine_cpu_seconds, resident, wake_ups};

const STREAMS: usize = 10;
/// Until acks, retransmissions and timers of the traffic before are over.
const SETTLE: Duration = Duration::from_secs(1);

/// Ten streams are open, each has carried a message once, and all is quiet.
pub(crate) fn measure(setting: &Setting<'_>) -> Result<Outcome, Failure> {
    let mut tunnel = Tunnel::start(setting.ends, setting.flags, None, setting.seed)?;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let said = |error| Failure(format!("a stream does not open: {error}"));
        let mut stream = tunnel.service.connect(tunnel.entrance, Job::Echo).map_err(said)?;
        stream.write_all(b"hello").map_err(said)?;
        stream.read_exact(&mut [0; 5]).map_err(said)?;
        streams.push(stream);
    }
    std::thread::sleep(SETTLE);
    let ids = [tunnel.client.id, tunnel.server.id];
    let gone = || Failure("a process is gone".into());
    let read = || -> Result<_, Failure> {
        let [client, server] = ids.map(|id| Some((wake_ups(id)?, fine_cpu_seconds(id)?)));
        let (client, server) = (client.ok_or_else(gone)?, server.ok_or_else(gone)?);
        Ok((Instant::now(), [client.0, server.0], client.1 + server.1))
    };
    let (start, woken, cpu) = read()?;
    std::thread::sleep(setting.time);
    let (end, woken_after, cpu_after) = read()?;
    let seconds = (end - start).as_secs_f64();
    let [client, server] = [0, 1].map(|n| woken_after[n].saturating_sub(woken[n]) as f64 / seconds);
    let megabytes = |id| resident(id).map(|bytes| bytes as f64 * 1e-6).ok_or_else(gone);
    let figures = vec![
        (CLIENT_WAKE_UPS, client),
        (SERVER_WAKE_UPS, server),
        (IDLE_CPU, (cpu_after - cpu) / seconds * 100.0),
        (CLIENT_MEMORY, megabytes(ids[0])?),
        (SERVER_MEMORY, megabytes(ids[1])?),
    ];
    tunnel.check()?;
    Ok(Outcome { figures, ..Outcome::default() })
}
