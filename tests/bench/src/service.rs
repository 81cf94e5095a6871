//! The TCP service behind a tunnel, and the client side of each of its jobs.
//!
//! It shares the machine with the tunnel under test, so it costs as little as sockets cost:
//! bytes come from one block of noise made beforehand and are compared with it when taken.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Length of the block that is sent again and again: longer than the reach of snappy (64 KiB),
/// so that compression finds nothing.
const BLOCK: usize = 1 << 20;
/// Bytes moved per call.
const CHUNK: usize = 128 << 10;

/// A small request as a browser's, and the answer of a small page.
pub(crate) const REQUEST: &[u8] =
    b"GET /index.html HTTP/1.1\r\nHost: bench.example\r\nAccept: */*\r\n\r\n";
/// What every [`REQUEST`] is answered with.
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\
    Content-Length: 128\r\nConnection: keep-alive\r\n\r\n\
    <!doctype html><title>bench</title><p>A page of one hundred and twenty-eight bytes, \
    which is what a small answer looks like.</p>";

/// What a connection is for; its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Job {
    /// The service sends as fast as it can.
    Download = b'd',
    /// The service takes whatever comes.
    Upload = b'u',
    /// The service sends back what it gets.
    Echo = b'e',
    /// The service answers requests; the byte is the first of a [`REQUEST`].
    Requests = b'G',
}

/// A listener on a free port of 127.0.0.1 with one thread per connection.
#[derive(Debug)]
pub(crate) struct Service {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    block: Vec<u8>,
    stop: AtomicBool,
    /// Bytes taken by all uploads.
    taken: AtomicU64,
    /// A byte arrived that was not the one sent.
    garbled: AtomicBool,
}

impl Service {
    pub(crate) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            block: noise(),
            stop: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            garbled: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let listener = std::thread::spawn(move || accept(&listener, &of_thread));
        Ok(Self { address, shared, listener: Some(listener) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a byte came out of a tunnel that had not gone in.
    pub(crate) fn is_garbled(&self) -> bool {
        self.shared.garbled.load(Ordering::Relaxed)
    }

    /// Opens a connection for one job.
    pub(crate) fn connect(&self, entrance: SocketAddr, job: Job) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&entrance, Duration::from_secs(10))?;
        stream.set_nodelay(true)?;
        stream.write_all(&[job as u8])?;
        Ok(stream)
    }

    /// Begins to move bytes one way through `entrance`, until the answer is dropped.
    pub(crate) fn bulk(&self, entrance: SocketAddr, is_upload: bool) -> io::Result<Bulk> {
        let job = if is_upload { Job::Upload } else { Job::Download };
        let stream = self.connect(entrance, job)?;
        let shared = Arc::clone(&self.shared);
        let counted = Arc::clone(&self.shared);
        let (taken, of_thread) = (Arc::new(AtomicU64::new(0)), stream.try_clone()?);
        let count = Arc::clone(&taken);
        let thread = std::thread::spawn(move || {
            // Ends with an error when the connection is shut down.
            let _ = if is_upload {
                give(&of_thread, &shared)
            } else {
                take(&of_thread, &shared, &count)
            };
        });
        Ok(Bulk { stream, is_upload, taken, shared: counted, thread: Some(thread) })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        if TcpStream::connect(self.address).is_ok()
            && let Some(listener) = self.listener.take()
        {
            let _ = listener.join();
        }
    }
}

/// A running transfer; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Bulk {
    stream: TcpStream,
    is_upload: bool,
    taken: Arc<AtomicU64>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Bulk {
    /// Bytes that came out at the far end so far.
    pub(crate) fn delivered(&self) -> u64 {
        let count = if self.is_upload { &self.shared.taken } else { &self.taken };
        count.load(Ordering::Relaxed)
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A connection ends when its tunnel does; nobody is left to be told.
            let _ = serve(&stream, &shared);
        });
    }
}

fn serve(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut job = [0];
    stream.read_exact(&mut job)?;
    match job[0] {
        job if job == Job::Download as u8 => give(stream, shared),
        job if job == Job::Upload as u8 => take(stream, shared, &shared.taken),
        job if job == Job::Echo as u8 => echo(stream),
        job if job == Job::Requests as u8 => answer(stream, shared),
        _ => {
            shared.garbled.store(true, Ordering::Relaxed);
            Ok(())
        }
    }
}

fn give(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        for chunk in shared.block.chunks(CHUNK) {
            stream.write_all(chunk)?;
        }
    }
}

fn take(mut stream: &TcpStream, shared: &Shared, count: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let room = buffer.len().min(BLOCK - at);
        let len = stream.read(&mut buffer[..room])?;
        if len == 0 {
            return Ok(());
        }
        if buffer[..len] != shared.block[at..at + len] {
            shared.garbled.store(true, Ordering::Relaxed);
            return Ok(());
        }
        at = (at + len) % BLOCK;
        count.fetch_add(len as u64, Ordering::Relaxed);
    }
}

fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..len])?;
    }
}

/// Answers requests whose first byte has been read.
fn answer(mut stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut have = 1;
    let mut buffer = [0; REQUEST.len()];
    loop {
        let len = stream.read(&mut buffer[have..])?;
        if len == 0 {
            return Ok(());
        }
        if buffer[have..have + len] != REQUEST[have..have + len] {
            shared.garbled.store(true, Ordering::Relaxed);
            return Ok(());
        }
        have += len;
        if have == REQUEST.len() {
            stream.write_all(RESPONSE)?;
            have = 0;
        }
    }
}

/// A block that does not compress.
fn noise() -> Vec<u8> {
    let mut state = 1u64;
    let mut block = Vec::with_capacity(BLOCK);
    while block.len() < BLOCK {
        // One step of SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        block.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap().split('\r').next().unwrap();
        assert_eq!(length.parse(), Ok(body.len()));
    }

    #[test]
    fn bytes_move_both_ways_and_are_counted() {
        let service = Service::start().unwrap();
        for is_upload in [false, true] {
            let bulk = service.bulk(service.address(), is_upload).unwrap();
            let moved = || bulk.delivered() > 3 * BLOCK as u64;
            assert!(kcptun_interop::wait_until(Duration::from_secs(30), moved));
        }
        assert!(!service.is_garbled());
    }

    #[test]
    fn a_wrong_byte_is_noticed() {
        let service = Service::start().unwrap();
        let mut stream = service.connect(service.address(), Job::Upload).unwrap();
        let wrong = !service.shared.block[0];
        stream.write_all(&[wrong]).unwrap();
        assert!(kcptun_interop::wait_until(Duration::from_secs(30), || service.is_garbled()));
    }
}
