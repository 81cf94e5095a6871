//! One datagram per system call, through std alone. What systems without batches use, and what
//! the batches are tested against.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::receive::{Arrival, Batch, CAPACITY};

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

/// Receives what is waiting, one datagram per slot, until there is none or the slots are full: a
/// reactor that tells of changes only (kqueue) must not be left with datagrams that were there
/// before.
pub(super) fn receive_each(
    socket: &UdpSocket,
    slots: &mut [u8],
    arrivals: &mut [Arrival],
) -> io::Result<Batch> {
    let mut count = 0;
    for (slot, arrival) in slots.chunks_exact_mut(CAPACITY).zip(arrivals) {
        match socket.recv_from(slot) {
            Ok((len, from)) => *arrival = Arrival::new(from, len, None),
            Err(error) if count == 0 => return Err(error),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Ok(Batch { count, behind: Some(error) }),
        }
        count += 1;
    }
    Ok(Batch { count, behind: None })
}
