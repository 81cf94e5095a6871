//! The TCP service behind a tunnel: takes bytes, gives bytes, and checks what it takes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::pattern::Pattern;

/// Begins every connection, so that a tunnel that mixes up streams is found out.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"interop\n");
/// What the target answers at the end, when all that it took was right.
pub(crate) const VERDICT: [u8; 8] = *b"all good";
/// Bytes moved per call.
pub(crate) const CHUNK: usize = 16 << 10;

/// What a client asks of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) seed: u64,
    pub(crate) up: u64,
    pub(crate) down: u64,
}

impl Request {
    pub(crate) const LEN: usize = 32;

    pub(crate) fn emit(self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        for (field, value) in out.chunks_exact_mut(8).zip([MAGIC, self.seed, self.up, self.down]) {
            field.copy_from_slice(&value.to_le_bytes());
        }
        out
    }

    fn parse(bytes: [u8; Self::LEN]) -> Option<Self> {
        let mut fields = bytes.chunks_exact(8).map(|field| {
            field.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
        });
        let (magic, seed) = (fields.next()?, fields.next()?);
        let (up, down) = (fields.next()?, fields.next()?);
        (magic == MAGIC).then_some(Self { seed, up, down })
    }

    /// The stream from client to target.
    pub(crate) fn upward(self) -> Pattern {
        Pattern::new(self.seed)
    }

    /// The stream from target to client.
    pub(crate) fn downward(self) -> Pattern {
        Pattern::new(!self.seed)
    }
}

/// A listener with one thread per connection. Source and sink at once: each connection names how
/// much goes each way. Neither end closes before the verdict is through, because the original
/// (until 2024) drops the rest of a stream as soon as one direction ends.
#[derive(Debug)]
pub struct Target {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    complaints: Arc<Mutex<Vec<String>>>,
    listener: Option<JoinHandle<()>>,
}

impl Target {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Listens on the given address, in the network namespace of the calling thread.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("target cannot listen on {address}: {error}"));
        let address = listener.local_addr().expect("a bound listener has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let (stopped, kept) = (Arc::clone(&stop), Arc::clone(&complaints));
        let listener = std::thread::spawn(move || accept(&listener, &stopped, &kept));
        Self { address, stop, complaints, listener: Some(listener) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What went wrong on its connections, in words.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().map(|list| list.clone()).unwrap_or_default()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener. In another network namespace this fails, and the thread stays
        // until the test process ends.
        if TcpStream::connect(self.address).is_ok()
            && let Some(listener) = self.listener.take()
        {
            let _ = listener.join();
        }
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, complaints: &Arc<Mutex<Vec<String>>>) {
    for stream in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let complaints = Arc::clone(complaints);
        std::thread::spawn(move || {
            if let Err(complaint) = serve(&stream)
                && let Ok(mut list) = complaints.lock()
            {
                list.push(complaint);
            }
        });
    }
}

fn serve(stream: &TcpStream) -> Result<(), String> {
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = (stream, stream);
    let mut request = [0; Request::LEN];
    match reader.read(&mut request[..1]) {
        // A stream that ends without a word is no transfer: a probe.
        Ok(0) => return Ok(()),
        Ok(_) => reader.read_exact(&mut request[1..]),
        Err(error) => Err(error),
    }
    .map_err(|error| format!("target got no request: {error}"))?;
    let request = Request::parse(request).ok_or("target got a garbled request")?;
    std::thread::scope(|scope| {
        let giving = scope.spawn(|| give(stream, request.downward(), request.down));
        let taken = take(stream, request.upward(), request.up);
        let given = giving.join().map_err(|_| "the target's writer panicked")?;
        taken.map_err(|error| format!("target, upward: {error}"))?;
        given.map_err(|error| format!("target, downward: {error}"))
    })
    .inspect_err(|_| drop(stream.shutdown(std::net::Shutdown::Both)))?;
    writer.write_all(&VERDICT).map_err(|error| format!("target's verdict: {error}"))?;
    // The client closes once it has the verdict.
    let _ = io::copy(&mut reader, &mut io::sink());
    Ok(())
}

/// Writes `count` bytes of the pattern.
pub(crate) fn give(mut to: &TcpStream, mut pattern: Pattern, count: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut left = count;
    while left > 0 {
        let len = left.min(CHUNK as u64) as usize;
        pattern.fill(&mut chunk[..len]);
        to.write_all(&chunk[..len]).map_err(|error| {
            io::Error::other(format!("{error} after {} of {count} bytes", count - left))
        })?;
        left -= len as u64;
    }
    Ok(())
}

/// Reads `count` bytes and checks them against the pattern.
pub(crate) fn take(mut from: &TcpStream, mut pattern: Pattern, count: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while pattern.position() < count {
        let done = pattern.position();
        let len = (count - done).min(CHUNK as u64) as usize;
        let failed =
            |what: String| io::Error::other(format!("{what} after {done} of {count} bytes"));
        match from.read(&mut chunk[..len]).map_err(|error| failed(error.to_string()))? {
            0 => return Err(failed("closed".into())),
            read => pattern
                .check(&chunk[..read])
                .map_err(|at| io::Error::other(format!("wrong byte at {at} of {count}")))?,
        }
    }
    Ok(())
}
