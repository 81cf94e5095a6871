//! A bad path made of real sockets.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use kcptun_link::{Link, LinkConfig, LinkStats};
use proto_base::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

/// A relay waits no longer than this, so that it notices the end of its guard.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Datagrams taken from one socket before the others get their turn.
const BURST: usize = 64;
/// Client addresses served; further ones are ignored.
const MAX_CLIENTS: usize = 1024;
/// Socket buffers in bytes: the path loses datagrams by its configuration, not by the relay.
const SOCKET_BUFFER: usize = 4 << 20;

/// A UDP relay in front of a server's port, with a [`Link`] for each direction on the real clock.
/// Every client address gets a socket of its own towards the server; all share the two links, as
/// they would share a path.
#[derive(Debug)]
pub struct LossyUdpRelay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    stats: Arc<Mutex<(LinkStats, LinkStats)>>,
    thread: Option<JoinHandle<()>>,
}

impl LossyUdpRelay {
    /// Listens on a free port of 127.0.0.1 and relays to `server`.
    ///
    /// # Panics
    ///
    /// When the configuration is invalid or no socket can be had.
    pub fn start(server: SocketAddr, path: &Path, seed: u64) -> Self {
        let (up, down) = kcptun_link::path(path.up.clone(), path.down.clone(), seed)
            .unwrap_or_else(|error| panic!("{error}"));
        let front = socket().expect("a UDP socket for the relay");
        let address = front.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stats = Arc::default();
        let relay = Relay { server, front, up, down, clients: Vec::new(), known: HashMap::new() };
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&stats));
        let thread = std::thread::spawn(move || relay.run(&stopped, &counted));
        Self { address, stop, stats, thread: Some(thread) }
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counters of the two links: towards the server, and back.
    pub fn stats(&self) -> (LinkStats, LinkStats) {
        self.stats.lock().map(|stats| *stats).unwrap_or_default()
    }
}

impl Drop for LossyUdpRelay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A bad path: one configuration for each direction.
#[derive(Debug, Clone, Default)]
pub struct Path {
    /// From client to server.
    pub up: LinkConfig,
    /// From server to client.
    pub down: LinkConfig,
}

/// The state of the relay's thread.
struct Relay {
    server: SocketAddr,
    front: UdpSocket,
    up: Link,
    down: Link,
    /// By tag: the client's address and the socket that speaks for it.
    clients: Vec<(SocketAddr, UdpSocket)>,
    known: HashMap<SocketAddr, usize>,
}

impl Relay {
    fn run(mut self, stop: &AtomicBool, stats: &Mutex<(LinkStats, LinkStats)>) {
        let start = std::time::Instant::now();
        let clock = || Instant::from_micros(start.elapsed().as_micros() as u64);
        while !stop.load(Ordering::Relaxed) {
            self.take_from_clients(clock());
            self.take_from_server(clock());
            let now = clock();
            self.deliver(now);
            if let Ok(mut stats) = stats.lock() {
                *stats = (self.up.stats(), self.down.stats());
            }
            self.wait(now);
        }
    }

    fn take_from_clients(&mut self, now: Instant) {
        let mut buffer = [0; 65_536];
        for _ in 0..BURST {
            match self.front.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let Some(tag) = self.tag_of(from) else { continue };
                    self.up.handle_tagged(now, tag as u64, &buffer[..len]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A refusal of something sent earlier; the next read tells more.
                Err(_) => {}
            }
        }
    }

    fn take_from_server(&mut self, now: Instant) {
        let mut buffer = [0; 65_536];
        for (tag, (_, socket)) in self.clients.iter().enumerate() {
            for _ in 0..BURST {
                match socket.recv(&mut buffer) {
                    Ok(len) => self.down.handle_tagged(now, tag as u64, &buffer[..len]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {}
                }
            }
        }
    }

    /// Sends what has arrived. What a socket refuses is lost, as on a path.
    fn deliver(&mut self, now: Instant) {
        while let Some((tag, bytes)) = self.up.poll_tagged(now) {
            if let Some((_, socket)) = self.clients.get(tag as usize) {
                let _ = socket.send(bytes);
            }
        }
        while let Some((tag, bytes)) = self.down.poll_tagged(now) {
            if let Some((client, _)) = self.clients.get(tag as usize) {
                let _ = self.front.send_to(bytes, client);
            }
        }
    }

    fn wait(&self, now: Instant) {
        let due = Instant::earliest(self.up.poll_timeout(), self.down.poll_timeout());
        let wait = due.map_or(LONGEST_WAIT, |due| (due - now).min(LONGEST_WAIT));
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        let sockets = self.clients.iter().map(|(_, socket)| socket).chain([&self.front]);
        let mut polled: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        // An interrupted wait is as good as a finished one.
        let _ = poll(&mut polled, Some(&timeout));
    }

    fn tag_of(&mut self, client: SocketAddr) -> Option<usize> {
        if let Some(tag) = self.known.get(&client) {
            return Some(*tag);
        }
        let tag = self.clients.len();
        if tag == MAX_CLIENTS {
            return None;
        }
        let socket = socket().and_then(|s| s.connect(self.server).map(|()| s)).ok()?;
        self.clients.push((client, socket));
        self.known.insert(client, tag);
        Some(tag)
    }
}

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
    SockRef::from(&socket).set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_gets_its_own_answers() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((len, from)) = server.recv_from(&mut buffer) {
                if server.send_to(&buffer[..len], from).is_err() || len == 0 {
                    return;
                }
            }
        });
        let config: LinkConfig = "delay=1ms,jitter=1ms,order=free".parse().unwrap();
        let relay = LossyUdpRelay::start(address, &Path { up: config.clone(), down: config }, 1);
        let clients: Vec<UdpSocket> =
            (0..5).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for client in &clients {
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.connect(relay.address()).unwrap();
        }
        for round in 0..20u8 {
            for (number, client) in clients.iter().enumerate() {
                client.send(&[number as u8 + 1, round]).unwrap();
            }
            for (number, client) in clients.iter().enumerate() {
                let mut answer = [0; 16];
                let len = client.recv(&mut answer).unwrap();
                assert_eq!(answer[..len], [number as u8 + 1, round]);
            }
        }
        clients[0].send(&[]).unwrap();
        assert_eq!(clients[0].recv(&mut [0; 16]).unwrap(), 0);
        let (up, down) = relay.stats();
        assert_eq!((up.datagrams_out, down.datagrams_in), (101, 101));
    }
}
