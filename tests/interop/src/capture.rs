//! Datagrams seen on their way, with their IP header.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// Every protocol, ETH_P_ALL of linux/if_ether.h, in network byte order.
const EVERY_PROTOCOL: i32 = 0x0003_u16.to_be() as i32;
const UDP: u8 = 17;

/// Watches the UDP datagrams of one port on every interface of the network namespace, through a
/// packet socket (needs root). Unlike `IP_RECVTOS` it shows the header as it is on the wire, for
/// IPv4 and IPv6 alike, and does not need to be the receiver.
#[derive(Debug)]
pub struct Capture {
    socket: Socket,
    port: u16,
}

/// One datagram seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Source port.
    pub from: u16,
    /// Destination port.
    pub to: u16,
    /// The TOS byte (IPv4) or traffic class (IPv6).
    pub tos: u8,
    /// Whether it is an IPv6 datagram.
    pub is_ipv6: bool,
}

impl Capture {
    /// Begins to watch `port`.
    ///
    /// # Panics
    ///
    /// When packet sockets are not permitted.
    pub fn start(port: u16) -> Self {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(EVERY_PROTOCOL)))
            .unwrap_or_else(|error| panic!("cannot watch packets: {error}; run as root"));
        // Large enough to hold all that other tests send meanwhile.
        socket.set_recv_buffer_size(16 << 20).expect("a receive buffer");
        Self { socket, port }
    }

    /// The next datagram from or to the port; `None` if none is seen within `limit`.
    pub fn next(&self, limit: Duration) -> Option<Seen> {
        let end = Instant::now() + limit;
        let mut buffer = vec![0; 65_536];
        loop {
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).ok()?;
            let seen = match { &self.socket }.read(&mut buffer) {
                Ok(len) => parse(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => None,
                Err(_) => return None,
            };
            if let Some(seen) = seen.filter(|seen| seen.from == self.port || seen.to == self.port) {
                return Some(seen);
            }
        }
    }
}

fn parse(packet: &[u8]) -> Option<Seen> {
    let (first, second) = (*packet.first()?, *packet.get(1)?);
    let is_ipv6 = first >> 4 == 6;
    let (protocol, tos, header) = if is_ipv6 {
        (*packet.get(6)?, first << 4 | second >> 4, 40)
    } else {
        (*packet.get(9)?, second, usize::from(first & 15) * 4)
    };
    let ports = packet.get(header..header + 4).filter(|_| protocol == UDP)?;
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    Some(Seen { from: port(0), to: port(2), tos, is_ipv6 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let mut v4 = vec![0; 28];
        (v4[0], v4[1], v4[9]) = (0x45, 184, UDP);
        v4[20..24].copy_from_slice(&[0x30, 0x39, 0x00, 0x50]);
        let expected = Seen { from: 12345, to: 80, tos: 184, is_ipv6: false };
        assert_eq!(parse(&v4), Some(expected));
        let mut v6 = vec![0; 48];
        (v6[0], v6[1], v6[6]) = (0x6b, 0x80, UDP);
        v6[40..44].copy_from_slice(&[0x30, 0x39, 0x00, 0x50]);
        assert_eq!(parse(&v6), Some(Seen { is_ipv6: true, ..expected }));
        for packet in [v4, v6] {
            for len in 0..packet.len() - 4 {
                assert_eq!(parse(&packet[..len.min(packet.len() - 8)]), None);
            }
        }
    }
}
