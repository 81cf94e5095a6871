//! Options of a UDP socket, set before it is bound.

use std::io;
use std::net::SocketAddr;

use socket2::Socket;

/// How a UDP socket is made. The default is the original's default flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// `--dscp`. Behaves as kcp-go 5.6.1, sess.go `SetDSCP`: IPv4 TOS is the value times four
    /// (its low eight bits), the IPv6 traffic class is the value itself (ignored outside 0..=255).
    /// Set even when 0.
    pub dscp: i32,
    /// Bytes asked for as send buffer, 0 for the system's default. `--sockbuf`.
    pub send_buffer: usize,
    /// Bytes asked for as receive buffer, 0 for the system's default. `--sockbuf`.
    pub receive_buffer: usize,
    /// Let several sockets of this process share the port, each with its part of the peers
    /// (SO_REUSEPORT; ignored where it does not exist).
    pub reuse_port: bool,
    /// Keep an IPv6 socket to IPv6. False: `[::]` takes IPv4 as well.
    pub only_v6: bool,
    /// The most that may be asked of the kernel.
    pub offload: Offload,
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            dscp: 0,
            send_buffer: 4_194_304,
            receive_buffer: 4_194_304,
            reuse_port: false,
            only_v6: false,
            offload: Offload::Segments,
        }
    }
}

/// How datagrams pass to and from the kernel. Each mode carries the same datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Offload {
    /// Whole batches that the kernel or the card cuts up and joins (Linux GSO and GRO).
    Segments,
    /// Many single datagrams per system call (Linux `sendmmsg` and `recvmmsg`).
    Batches,
    /// One datagram per system call, everywhere.
    Single,
}

/// Socket buffer sizes, in bytes as one asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// Send buffer.
    pub send: usize,
    /// Receive buffer.
    pub receive: usize,
}

impl SocketConfig {
    pub(super) fn apply(&self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        if address.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        if self.reuse_port {
            #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
            socket.set_reuse_port(true)?;
        }
        self.set_traffic_class(socket, address);
        self.size_buffers(socket);
        Ok(())
    }

    /// Both families, because an IPv6 socket may carry IPv4 packets. A class that the system
    /// refuses leaves the packets unmarked but on their way.
    fn set_traffic_class(&self, socket: &Socket, address: SocketAddr) {
        let tos = (self.dscp.cast_unsigned() << 2) & 0xff;
        let _ = socket.set_tos_v4(tos);
        #[cfg(unix)]
        if address.is_ipv6() && (0..=0xff).contains(&self.dscp) {
            let _ = socket.set_tclass_v6(self.dscp.cast_unsigned());
        }
        #[cfg(not(unix))]
        let _ = address;
    }

    /// What cannot be had is seen in `UdpSocket::buffer_sizes`, not an error.
    fn size_buffers(&self, socket: &Socket) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        super::linux::force_buffer_sizes(socket, self.send_buffer, self.receive_buffer);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            if self.send_buffer > 0 {
                let _ = socket.set_send_buffer_size(self.send_buffer);
            }
            if self.receive_buffer > 0 {
                let _ = socket.set_recv_buffer_size(self.receive_buffer);
            }
        }
    }
}
