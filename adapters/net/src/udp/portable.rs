//! One datagram per system call, through std alone. What systems without batches use, and what
//! the batches are tested against.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::receive::{Arrival, CAPACITY};

/// Sends one datagram, to the peer of a connected socket when `to` is `None`.
pub(super) fn send_one(
    socket: &UdpSocket,
    to: Option<SocketAddr>,
    datagram: &[u8],
) -> io::Result<usize> {
    match to {
        Some(to) => socket.send_to(datagram, to),
        None => socket.send(datagram),
    }
    .map(|_| 1)
}

/// Receives one datagram into the first slot.
pub(super) fn receive_one(
    socket: &UdpSocket,
    slots: &mut [u8],
    arrivals: &mut [Arrival],
) -> io::Result<usize> {
    let (len, from) = socket.recv_from(&mut slots[..CAPACITY])?;
    arrivals[0] = Arrival::new(from, len, None);
    Ok(1)
}
