//! A transfer through a tunnel, every byte checked.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::pattern::mix;
use crate::target::{Request, VERDICT, give, take};

/// A number of TCP connections, each pushing `up` bytes and pulling `down` bytes at the same
/// time, and ending with the word of the [`Target`](crate::Target) that all it took was right.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Connections at once.
    pub connections: usize,
    /// Bytes from client to target, per connection.
    pub up: u64,
    /// Bytes from target to client, per connection.
    pub down: u64,
    /// The longest time one read or write may take. A tunnel that stands still longer fails.
    pub patience: Duration,
}

/// A finished [`Job`].
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Payload bytes moved, both directions together.
    pub bytes: u64,
    /// From the first connect to the last verdict.
    pub elapsed: Duration,
}

impl Default for Job {
    /// Four megabytes both ways on one connection.
    fn default() -> Self {
        Self { connections: 1, up: 4 << 20, down: 4 << 20, patience: Duration::from_secs(30) }
    }
}

impl Job {
    /// A few kilobytes, to see whether a tunnel works at all.
    pub fn small() -> Self {
        Self { up: 4 << 10, down: 4 << 10, patience: Duration::from_secs(10), ..Self::default() }
    }

    /// Runs it against the entrance of a tunnel (or straight against a target).
    ///
    /// # Errors
    ///
    /// What went wrong on each connection that failed, in words.
    pub fn run(&self, entrance: SocketAddr) -> Result<Report, String> {
        let start = Instant::now();
        let failures: Vec<String> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..self.connections)
                .map(|n| scope.spawn(move || self.connection(n, entrance)))
                .collect();
            running
                .into_iter()
                .enumerate()
                .filter_map(|(number, thread)| {
                    let outcome = thread.join().unwrap_or_else(|_| Err("panicked".into()));
                    outcome.err().map(|error| format!("connection {number}: {error}"))
                })
                .collect()
        });
        if !failures.is_empty() {
            return Err(failures.join("\n"));
        }
        let bytes = self.connections as u64 * (self.up + self.down);
        Ok(Report { bytes, elapsed: start.elapsed() })
    }

    fn connection(&self, number: usize, entrance: SocketAddr) -> Result<(), String> {
        let stream = TcpStream::connect_timeout(&entrance, self.patience)
            .map_err(|error| format!("connect: {error}"))?;
        let prepared = stream
            .set_read_timeout(Some(self.patience))
            .and_then(|()| stream.set_write_timeout(Some(self.patience)))
            .and_then(|()| stream.set_nodelay(true));
        prepared.map_err(|error| format!("socket options: {error}"))?;
        let mut state = number as u64 ^ u64::from(entrance.port()) << 32;
        let request = Request { seed: mix(&mut state), up: self.up, down: self.down };
        self.exchange(&stream, request).inspect_err(|_| {
            // The other direction is of no use any more; its thread must not wait for it.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        })
    }

    fn exchange(&self, stream: &TcpStream, request: Request) -> Result<(), String> {
        std::io::Write::write_all(&mut { stream }, &request.emit())
            .map_err(|error| format!("request: {error}"))?;
        std::thread::scope(|scope| {
            let giving = scope.spawn(|| give(stream, request.upward(), request.up));
            let taken = take(stream, request.downward(), request.down);
            if taken.is_err() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            let given = giving.join().map_err(|_| "the writer panicked")?;
            taken.map_err(|error| format!("downward: {error}"))?;
            given.map_err(|error| format!("upward: {error}"))
        })?;
        let mut verdict = [0; VERDICT.len()];
        { stream }
            .read_exact(&mut verdict)
            .map_err(|error| format!("no verdict of the target: {error}"))?;
        if verdict == VERDICT { Ok(()) } else { Err("garbled verdict of the target".into()) }
    }
}

impl Report {
    /// Payload of both directions together, in Mbit/s.
    pub fn mbit_per_second(&self) -> f64 {
        self.bytes as f64 * 8e-6 / self.elapsed.as_secs_f64()
    }
}
