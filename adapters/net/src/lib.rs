//! Sockets for a kcptun tunnel: UDP in batches, socket options, listeners, and addresses as
//! kcptun writes them. The only library of the house that makes system calls by hand, and it
//! does so in one module of one folder, for the clock, and for large blocks of memory; everything
//! else here is safe code.
//!
//! Nothing in this crate waits: every socket is non-blocking and belongs to no runtime. A driver
//! registers it with its own reactor (tokio's `AsyncFd`, smol's `Async`, plain `poll`) through
//! [`AsFd`](https://doc.rust-lang.org/std/os/fd/trait.AsFd.html), and calls
//! [`UdpSocket::send_batch`] and [`UdpSocket::recv_batch`] when it is ready.
//!
//! ```
//! use kcptun_net::{ReceiveBuffers, Received, SocketConfig, UdpSocket};
//!
//! # fn main() -> std::io::Result<()> {
//! let config = SocketConfig { dscp: 46, ..SocketConfig::default() };
//! let server = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &config)?;
//! let client = UdpSocket::bind_for(server.local_addr()?, &config)?;
//!
//! // Three datagrams, 1000 + 1000 + 500 bytes: one system call where the kernel allows.
//! let outcome = client.send_batch(&[7; 2500], 1000, server.local_addr()?)?;
//! assert_eq!((outcome.sent, outcome.blocked), (3, false));
//!
//! let mut buffers = ReceiveBuffers::new(ReceiveBuffers::DEFAULT_MESSAGES);
//! let mut lengths = Vec::new();
//! while lengths.len() < 3 {
//!     match server.recv_batch(&mut buffers)? {
//!         Received::Messages(_) => {
//!             for message in buffers.messages() {
//!                 // One or more datagrams of one sender, to be decrypted in place.
//!                 assert_eq!(message.from, client.local_addr()?);
//!                 lengths.extend(message.bytes.chunks(message.stride).map(<[u8]>::len));
//!             }
//!         }
//!         Received::Blocked => std::thread::yield_now(), // a driver waits for readiness here
//!         Received::Refused => {}                        // evidence that the peer is gone
//!     }
//! }
//! assert_eq!(lengths, [1000, 1000, 500]);
//! # Ok(())
//! # }
//! ```
//!
//! # What is done where
//!
//! | system | sending | receiving |
//! |--------|---------|-----------|
//! | Linux, Android | one `sendmsg` with UDP_SEGMENT per batch, `sendmmsg` where the kernel refuses or misunderstands | `recvmmsg` with UDP_GRO |
//! | others | one datagram per system call | the same |
//!
//! Batches of 44 datagrams of 1350 bytes on loopback, both ends in one thread (`benches/udp.rs`,
//! x86-64, Linux 6.18): 11 GB/s with GSO and GRO, 0.49 GB/s with `sendmmsg` or one by one. The
//! kernel's work per packet is what counts, hardly the number of system calls.
//!
//! Beside them stand what a program with many sockets needs of the system ([`allow_files`]), a
//! clock that goes on while the machine sleeps ([`since_boot`]), and on Unix an allocator that gives
//! memory back (`LargeBlocks`).
//!
//! Not here: waiting, timers, threads, name resolution in the background, ECN, and DNS
//! service names beyond the few that Go knows.

#![deny(unsafe_code)]

pub mod address;
mod clock;
mod files;
#[cfg(unix)]
#[allow(unsafe_code)]
mod large_blocks;
pub mod tcp;
pub mod udp;
#[cfg(unix)]
mod unix;

pub use address::{
    AddressError, BindAddress, HostPort, ListenAddress, PortRange, RemoteAddress, TargetAddress,
};
pub use clock::since_boot;
pub use files::{TooFewFiles, allow_files};
#[cfg(unix)]
pub use large_blocks::LargeBlocks;
pub use udp::{
    BufferSizes, Message, Offload, ReceiveBuffers, Received, SendError, SendOutcome, Shortage,
    SocketConfig, UdpSocket,
};

use std::io;
use std::net::SocketAddr;

/// Binds at the first of `candidates` that this machine has, as a name may stand for addresses of
/// others, too.
///
/// # Errors
/// Why it cannot bind there, or at the last one if it has none of them; `NotFound` without any.
pub fn bind_first<T>(
    candidates: impl IntoIterator<Item = SocketAddr>,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut bound = Err(no_address());
    for address in candidates {
        bound = bind(address);
        match &bound {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            _ => break,
        }
    }
    bound
}

/// A socket for the first of `remotes` to which one can be had; see [`UdpSocket::bind_for`]. A name
/// may have addresses of a family that this machine has not.
///
/// # Errors
/// Why none can be had to the last one; `NotFound` without any.
pub fn bind_for_first(
    remotes: impl IntoIterator<Item = SocketAddr>,
    config: &SocketConfig,
) -> io::Result<(UdpSocket, SocketAddr)> {
    // An error is memory, which most calls need not take.
    let mut last = None;
    for remote in remotes {
        match UdpSocket::bind_for(remote, config) {
            Ok(socket) => return Ok((socket, remote)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

/// The same kind of error with what was tried in front, in words of the user's.
fn explain(tried: &str, what: &dyn core::fmt::Display, error: &io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "port in use by another program".to_string(),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_string(),
        io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot {tried} {what}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_this_machine_is_taken() {
        let addresses = |text: &str| -> Vec<SocketAddr> {
            text.split_whitespace().map(|one| one.parse().unwrap()).collect()
        };
        let bind = |address: SocketAddr| match address.port() {
            1 => Err(io::ErrorKind::AddrNotAvailable.into()),
            2 => Err(io::ErrorKind::AddrInUse.into()),
            _ => Ok(address.port()),
        };
        let bound = |text| bind_first(addresses(text), bind).map_err(|error| error.kind());
        assert_eq!(bound("192.0.2.1:1 127.0.0.1:3 127.0.0.1:4"), Ok(3));
        assert_eq!(bound("192.0.2.1:1 127.0.0.1:2 127.0.0.1:4"), Err(io::ErrorKind::AddrInUse));
        assert_eq!(bound("192.0.2.1:1"), Err(io::ErrorKind::AddrNotAvailable));
        assert_eq!(bound(""), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_socket_goes_to_the_first_address_that_can_be_reached() {
        let config = SocketConfig::default();
        let bound = |text: &str| {
            let remotes: Vec<SocketAddr> =
                text.split_whitespace().map(|one| one.parse().unwrap()).collect();
            bind_for_first(remotes, &config).map_err(|error| error.kind())
        };
        // An address on a link that does not exist.
        let (socket, remote) = bound("[fe80::1%4294967295]:9 127.0.0.1:9 127.0.0.1:10").unwrap();
        assert_eq!(remote, "127.0.0.1:9".parse().unwrap());
        assert_eq!(socket.peer_addr(), Some(remote));
        assert!(bound("[fe80::1%4294967295]:9").is_err());
        assert_eq!(bound("").unwrap_err(), io::ErrorKind::NotFound);
    }
}
