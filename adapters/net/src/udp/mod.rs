//! A non-blocking UDP socket that moves batches.
//!
//! A batch out is one run of bytes cut into equal datagrams, the last may be shorter, all to one
//! address. A message in is the same thing: bytes of one sender and the stride that cuts them.
//!
//! # Large packets
//! Fragmentation is left as the system has it (on Linux `IP_PMTUDISC_WANT`): what exceeds the
//! known path MTU is sent in fragments, so a tunnel set to mtu 1350 crosses a path of 1280, as the
//! original's does. Segmentation offload cannot fragment; such batches go out one by one.

mod config;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
mod offload;
mod portable;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

pub use config::{BufferSizes, Shortage, SocketConfig};
pub use offload::Offload;
pub use receive::{Message, ReceiveBuffers, Received};
pub use send::{SendError, SendOutcome};

use crate::explain;

/// A bound, non-blocking UDP socket. Any thread may use it; one at a time is what it is made for.
///
/// Addresses are plain at this interface: IPv4 peers of an IPv6 socket are mapped and unmapped
/// inside.
#[derive(Debug)]
pub struct UdpSocket {
    io: std::net::UdpSocket,
    is_v6: bool,
    peer: Option<SocketAddr>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    kernel: linux::Kernel,
}

impl UdpSocket {
    /// A socket bound to `address`, for any number of peers. `[::]` takes IPv4 as well unless
    /// [`SocketConfig::only_v6`], and falls back to `0.0.0.0` on a machine without IPv6.
    ///
    /// # Errors
    /// When the address cannot be bound; the text names it ("port in use").
    pub fn bind(address: SocketAddr, config: &SocketConfig) -> io::Result<Self> {
        open_any(address, |address| Self::open(address, None, config))
            .map_err(|e| explain("listen on", &format_args!("{address}/udp"), &e))
    }

    /// A socket on a free port that talks to `remote` only: the kernel drops datagrams from
    /// elsewhere, and an ICMP refusal is reported ([`Received::Refused`],
    /// [`SendOutcome::refused`]).
    ///
    /// The source address is fixed here: when the machine's own address changes, make a new one.
    ///
    /// # Errors
    /// When there is no route to `remote` yet, and when the system has no socket left.
    pub fn bind_for(remote: SocketAddr, config: &SocketConfig) -> io::Result<Self> {
        let remote = canonical(remote);
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self::open(SocketAddr::new(any, 0), Some(remote), config)
            .map_err(|e| explain("reach", &format_args!("{remote}/udp"), &e))
    }

    /// Sends `bytes`, cut every `stride` bytes, to `to`. Any number of datagrams; about 64 go with
    /// one system call.
    ///
    /// A datagram that the system does not take is lost, as on the wire, and counted. When the
    /// outcome says `blocked`, the caller keeps what follows the first [`SendOutcome::done`]
    /// datagrams and comes back when the socket is writable.
    ///
    /// # Errors
    /// `InvalidInput` for a stride of 0, or when `to` is not the peer of a connected socket.
    /// Otherwise only when the socket itself is unusable.
    pub fn send_batch(
        &self,
        bytes: &[u8],
        stride: usize,
        to: SocketAddr,
    ) -> io::Result<SendOutcome> {
        let to = canonical(to);
        if stride == 0 || self.peer.is_some_and(|p| (p.ip(), p.port()) != (to.ip(), to.port())) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let name = self.peer.is_none().then(|| self.wire_address(to));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.kernel.batches() {
            return self.kernel.send_batch(&self.io, name, to, bytes, stride);
        }
        send::drive(bytes, stride, |rest| {
            portable::send_one(&self.io, name, &rest[..rest.len().min(stride)])
        })
    }

    /// Receives what is waiting, up to the capacity of `buffers`, which hold it until the next
    /// call. After [`Received::Messages`] call again, unless they are
    /// [drained](ReceiveBuffers::is_drained); after [`Received::Blocked`] wait until the socket is
    /// readable.
    ///
    /// # Errors
    /// Only when the socket itself is unusable or the system is out of memory. Errors that ICMP
    /// caused are reported as [`Received::Refused`] or ignored.
    pub fn recv_batch(&self, buffers: &mut ReceiveBuffers) -> io::Result<Received> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self.kernel.batches() {
            return receive::drive(buffers, |slots, arrivals| {
                linux::receive_batch(&self.io, slots, arrivals)
            });
        }
        receive::drive(buffers, |slots, arrivals| portable::receive_each(&self.io, slots, arrivals))
    }

    /// The address bound. Unspecified as long as packets may leave from any of the machine's.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr().map(canonical)
    }

    /// The only peer, of a socket made with [`UdpSocket::bind_for`].
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// What the system granted of the buffer sizes asked for; less on a machine whose limits
    /// (`net.core.rmem_max`, `wmem_max`) are lower and a process without the right to pass them.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn buffer_sizes(&self) -> io::Result<BufferSizes> {
        let socket = SockRef::from(&self.io);
        // Linux answers with twice what was set, the half it reserves for its own records.
        let share = if cfg!(any(target_os = "linux", target_os = "android")) { 2 } else { 1 };
        Ok(BufferSizes {
            send: socket.send_buffer_size()? / share,
            receive: socket.recv_buffer_size()? / share,
        })
    }

    /// Datagrams that arrived but found the receive buffer full, since the socket was made
    /// (wraps at 2^32). `None` where the system keeps no such count.
    #[must_use]
    pub fn dropped(&self) -> Option<u32> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return linux::dropped(&self.io);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        None
    }

    /// How sending works at present: what was asked for, or less after the kernel refused.
    #[must_use]
    pub fn offload(&self) -> Offload {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return self.kernel.offload();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Offload::Single
    }

    /// The socket itself, for reactors that register std's type.
    #[must_use]
    pub fn as_std(&self) -> &std::net::UdpSocket {
        &self.io
    }

    fn open(
        address: SocketAddr,
        peer: Option<SocketAddr>,
        config: &SocketConfig,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        config.apply(&socket, address)?;
        socket.bind(&address.into())?;
        if let Some(peer) = peer {
            socket.connect(&peer.into())?;
        }
        let io: std::net::UdpSocket = socket.into();
        Ok(Self {
            is_v6: address.is_ipv6(),
            peer,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            kernel: linux::Kernel::new(&io, config.offload),
            io,
        })
    }

    /// `to` in the family of this socket.
    fn wire_address(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.is_v6 => {
                SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
            }
            _ => to,
        }
    }
}

#[cfg(unix)]
mod handles {
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl AsFd for super::UdpSocket {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.io.as_fd()
        }
    }

    impl AsRawFd for super::UdpSocket {
        fn as_raw_fd(&self) -> RawFd {
            self.io.as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod handles {
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    impl AsSocket for super::UdpSocket {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.io.as_socket()
        }
    }

    impl AsRawSocket for super::UdpSocket {
        fn as_raw_socket(&self) -> RawSocket {
            self.io.as_raw_socket()
        }
    }
}

/// Opens at `address`, or at `0.0.0.0` where `[::]` fails because there is no IPv6.
pub(crate) fn open_any<T>(
    address: SocketAddr,
    open: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    open(address).or_else(|error| {
        let any_v6 = address.is_ipv6() && address.ip().is_unspecified();
        if any_v6 && means_no_ipv6(&error) {
            open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()))
        } else {
            Err(error)
        }
    })
}

fn means_no_ipv6(error: &io::Error) -> bool {
    #[cfg(unix)]
    let unsupported = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    #[cfg(not(unix))]
    let unsupported = error.raw_os_error() == Some(10047); // WSAEAFNOSUPPORT
    unsupported || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// IPv4-mapped IPv6 addresses as the IPv4 addresses they are.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}
