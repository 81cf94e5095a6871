//! Small requests, one after the other on each of several kept connections.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::failure::Failure;
use crate::figure::{CPU_PER_REQUEST, REQUEST_MEDIAN, REQUEST_P99, REQUESTS, UDP_DROPS};
use crate::measure::{Outcome, Setting};
use crate::service::{REQUEST, RESPONSE};
use crate::stats::{median, percentile};
use crate::tunnel::Tunnel;
use crate::usage::udp_drops;

const CONNECTIONS: usize = 8;
const WARM_UP: Duration = Duration::from_millis(300);
/// The longest time without any answer; a tunnel that stands still longer fails.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Eight connections, a request in flight on each. One thread that waits for all of them, as
/// load generators do, so that most of the machine is left to the tunnel.
pub(crate) fn measure(setting: &Setting<'_>) -> Result<Outcome, Failure> {
    let mut tunnel = Tunnel::start(setting.ends, setting.flags, None, setting.seed)?;
    let mut load = Load::open(&tunnel)?;
    load.drive(WARM_UP)?;
    let (start, cpu, drops) = (Instant::now(), tunnel.cpu_seconds()?, udp_drops());
    let times = load.drive(setting.time)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu = tunnel.cpu_seconds()? - cpu;
    let dropped = udp_drops().zip(drops).map_or(0, |(after, before)| after - before);
    tunnel.check()?;
    let none = || Failure("no request was answered".into());
    let count = times.len() as f64;
    let figures = vec![
        (REQUESTS, count / seconds),
        (CPU_PER_REQUEST, cpu / count * 1e6),
        (REQUEST_MEDIAN, median(&times).ok_or_else(none)?),
        (REQUEST_P99, percentile(&times, 0.99).ok_or_else(none)?),
        (UDP_DROPS, dropped as f64 / seconds),
    ];
    Ok(Outcome { figures, ..Outcome::default() })
}

/// The connections, a request in flight on each.
pub(crate) struct Load(Vec<Connection>);

impl Load {
    pub(crate) fn open(tunnel: &Tunnel) -> Result<Self, Failure> {
        let open = |_| Connection::open(tunnel.entrance).map_err(said);
        (0..CONNECTIONS).map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Asks again after each answer; the times of all answers, in ms.
    pub(crate) fn drive(&mut self, time: Duration) -> Result<Vec<f64>, Failure> {
        drive(&mut self.0, time).map_err(said)
    }
}

fn said(error: io::Error) -> Failure {
    Failure(format!("a request failed: {error}"))
}

fn drive(connections: &mut [Connection], time: Duration) -> io::Result<Vec<f64>> {
    let end = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < end {
        let ready: Vec<bool> = {
            let mut polled: Vec<_> =
                connections.iter().map(|one| PollFd::new(&one.stream, PollFlags::IN)).collect();
            if poll(&mut polled, Some(&PATIENCE))? == 0 {
                return Err(io::Error::new(ErrorKind::TimedOut, "no answer for 10 s"));
            }
            polled.iter().map(|one| !one.revents().is_empty()).collect()
        };
        for (connection, _) in connections.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            if let Some(asked) = connection.take()? {
                times.push(asked.elapsed().as_secs_f64() * 1e3);
                connection.ask()?;
            }
        }
    }
    Ok(times)
}

struct Connection {
    stream: TcpStream,
    asked: Instant,
    /// Bytes of the answer that are there.
    have: usize,
}

impl Connection {
    /// Connects and asks for the first time.
    fn open(entrance: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&entrance, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut connection = Self { stream, asked: Instant::now(), have: 0 };
        connection.ask()?;
        Ok(connection)
    }

    fn ask(&mut self) -> io::Result<()> {
        (self.asked, self.have) = (Instant::now(), 0);
        // Nothing else is in the send buffer: it takes a small request whole.
        self.stream.write_all(REQUEST)
    }

    /// Takes what has arrived; when it was asked for, if the answer is complete.
    fn take(&mut self) -> io::Result<Option<Instant>> {
        let mut buffer = [0; RESPONSE.len()];
        let room = RESPONSE.len() - self.have;
        let len = match self.stream.read(&mut buffer[..room]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        if buffer[..len] != RESPONSE[self.have..self.have + len] {
            return Err(io::Error::other("another answer came back"));
        }
        self.have += len;
        Ok((self.have == RESPONSE.len()).then_some(self.asked))
    }
}
