//! A whole session on a clock that is only a number.

use core::fmt;
use core::time::Duration;

use proto_base::Instant;
use smux_proto::{Event, Role, Version};

use crate::application::{Asker, Echo};
use crate::end::{End, SetupError};
use crate::memory::Memory;
use crate::wire::Wire;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// Bytes that each stream sends and gets back.
    pub bytes: u64,
    /// Whether the ends use FEC.
    pub with_fec: bool,
    /// Version of smux.
    pub version: Version,
    /// Frames in a thousand that the wire loses.
    pub loss_per_mille: u32,
    /// Decides which.
    pub seed: u32,
}

impl Default for Work {
    fn default() -> Self {
        Self { bytes: 200_000, with_fec: true, version: Version::V2, loss_per_mille: 50, seed: 1 }
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Bytes that came back, of all streams.
    pub echoed: u64,
    /// On the clock of the session.
    pub elapsed: Duration,
    /// Frames that arrived, and that were lost.
    pub frames: (u32, u32),
    /// Datagrams that FEC rebuilt, at both ends.
    pub rebuilt: u64,
    /// Segments that KCP sent again, at both ends.
    pub sent_again: u64,
    /// Pages of the pools still in use when both ends had given back all they had; 0 if nothing is
    /// lost.
    pub leaked_pages: usize,
}

/// Why a session did not get to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// An end could not be made.
    Setup(SetupError),
    /// A stream could not be opened, or taken, or ended.
    NoStream,
    /// smux gave the session up.
    Died,
    /// Something else came back than was sent.
    WrongByte {
        /// Which stream.
        stream: usize,
        /// It stands before this place.
        before: u64,
    },
    /// Not done after ten minutes on its own clock.
    Late,
    /// Nothing was left to wait for.
    Stalled,
}

/// Longest time a session may take, on its own clock.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => error.fmt(f),
            Self::NoStream => f.write_str("a stream could not be opened, taken or ended"),
            Self::Died => f.write_str("the smux session died"),
            Self::WrongByte { stream, before } => {
                write!(f, "a wrong byte on stream {stream} before {before}")
            }
            Self::Late => write!(f, "not done after {} s", LIMIT.as_secs()),
            Self::Stalled => f.write_str("nothing is left to wait for"),
        }
    }
}

impl core::error::Error for Failure {}

/// Two ends, the wire between them, and a clock.
#[derive(Debug)]
pub struct Session<'m> {
    ends: [End<'m>; 2],
    wire: Wire<'m>,
    asker: Asker,
    echo: Echo,
    now: Instant,
}

impl<'m> Session<'m> {
    /// Makes the ends in `memory`.
    ///
    /// # Errors
    /// When a machine cannot work in it.
    pub fn new(memory: &'m mut Memory, work: &Work) -> Result<Self, Failure> {
        let now = Instant::ZERO;
        let Memory { ends: [client, server], frames } = memory;
        let end = |role, memory| {
            End::new(role, memory, work.with_fec, work.version, now).map_err(Failure::Setup)
        };
        let mut ends = [end(Role::Client, client)?, end(Role::Server, server)?];
        let asker = Asker::new(&mut ends[0], work.bytes)?;
        let wire = Wire::new(frames, work.loss_per_mille, work.seed);
        Ok(Self { ends, wire, asker, echo: Echo::default(), now })
    }

    /// Runs until all bytes came back and both ends are at rest.
    ///
    /// # Errors
    /// What went wrong.
    pub fn run(mut self) -> Result<Report, Failure> {
        loop {
            self.step()?;
            if self.asker.is_done() && self.ends.iter().all(End::is_idle) {
                return Ok(self.report());
            }
            self.now = self.next_time()?;
        }
    }

    /// Does what is to be done at the present time.
    fn step(&mut self) -> Result<(), Failure> {
        for at in [0, 1u8] {
            let end = &mut self.ends[usize::from(at)];
            while let Some(frame) = self.wire.receive(self.now, at) {
                end.handle_datagram(self.now, frame);
            }
            end.handle_timeout(self.now);
            while let Some(event) = end.mux.poll_event() {
                if matches!(event, Event::Dead(_)) {
                    return Err(Failure::Died);
                }
            }
            if at == 0 {
                self.asker.work(end)?;
            } else {
                self.echo.work(end)?;
            }
            while let Some(frame) = end.poll_transmit(self.now) {
                self.wire.transmit(self.now, 1 - at, frame);
            }
        }
        Ok(())
    }

    /// The next time at which there is something to do.
    fn next_time(&self) -> Result<Instant, Failure> {
        let [client, server] = &self.ends;
        let due = [client.poll_timeout(), server.poll_timeout(), self.wire.next_arrival()];
        let next = due.into_iter().fold(None, Instant::earliest).ok_or(Failure::Stalled)?;
        if next - Instant::ZERO > LIMIT {
            return Err(Failure::Late);
        }
        // Work that waits for room must not stop the clock.
        Ok(next.max(self.now + Duration::from_micros(10)))
    }

    fn report(mut self) -> Report {
        let repairs = self.ends.each_ref().map(End::repairs);
        Report {
            echoed: self.asker.checked(),
            elapsed: self.now - Instant::ZERO,
            frames: (self.wire.carried, self.wire.lost),
            rebuilt: repairs.iter().map(|repair| repair.0).sum(),
            sent_again: repairs.iter().map(|repair| repair.1).sum(),
            leaked_pages: self.ends.iter_mut().map(End::release).sum(),
        }
    }
}
