//! Ports for processes that bind them later, and waiting for conditions.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Ports are handed out below the range from which Linux takes the ports of outgoing
/// connections (32768 up), so that no connection of a running test can take one by chance.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port that is free on every address, for TCP and UDP.
///
/// It is tried by binding it, then given up again: between that and the use by the process under
/// test, somebody else could take it. Within one test process no port is given out twice, and
/// processes begin at different places, which leaves programs that bind fixed ports in that
/// range at that very moment.
///
/// # Panics
///
/// When no port is free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() as u16).wrapping_mul(677) % COUNT;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        // The IPv6 wildcard is dual stack on Linux; the IPv4 one is tried apart, one at a time.
        let wildcards = [IpAddr::from(Ipv6Addr::UNSPECIFIED), Ipv4Addr::UNSPECIFIED.into()];
        let is_free = wildcards.iter().all(|address| {
            let at = SocketAddr::from((*address, port));
            !is_taken(TcpListener::bind(at).err()) && !is_taken(UdpSocket::bind(at).err())
        });
        if is_free {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Asks `condition` every few milliseconds until it holds; false if it does not within `limit`.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Other errors than this one say that the machine has no such address family.
fn is_taken(error: Option<io::Error>) -> bool {
    error.is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_given_once() {
        let ports: Vec<u16> = (0..50).map(|_| free_port()).collect();
        let mut unique = ports.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), ports.len());
        assert!(ports.iter().all(|port| UdpSocket::bind(("127.0.0.1", *port)).is_ok()));
    }
}
