//! Options of a UDP socket, set before it is bound.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::Socket;

use super::offload::Offload;

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

/// Socket buffer sizes, in bytes as one asks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSizes {
    /// Send buffer.
    pub send: usize,
    /// Receive buffer.
    pub receive: usize,
}

impl BufferSizes {
    /// The buffers that the system made smaller than asked for.
    pub fn shortages(self, asked: &SocketConfig) -> impl Iterator<Item = Shortage> + use<> {
        [
            (Buffer::Receive, asked.receive_buffer, self.receive),
            (Buffer::Send, asked.send_buffer, self.send),
        ]
        .into_iter()
        .map(|(buffer, asked, granted)| Shortage { buffer, asked, granted })
        // No kernel grants more than half of its counter: such a value asks for all there is.
        .filter(|it| it.granted < it.asked && it.asked <= i32::MAX as usize / 2)
    }
}

/// A socket buffer that the system made smaller than asked for. A burst that finds the receive
/// buffer full is lost, which looks like a bad link. Displayed, it is a line for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    buffer: Buffer,
    asked: usize,
    granted: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Buffer {
    Receive,
    Send,
}

impl Shortage {
    /// Whether nobody in this process has asked this of that buffer before: each socket is short of
    /// the same.
    #[must_use]
    pub fn is_first(&self) -> bool {
        static SAID: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];
        !SAID[self.buffer as usize].swap(true, Ordering::Relaxed)
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { buffer, asked, granted } = self;
        let (name, limit) = match buffer {
            Buffer::Receive => ("receive", "net.core.rmem_max"),
            Buffer::Send => ("send", "net.core.wmem_max"),
        };
        write!(
            f,
            "the system grants a {name} buffer of {granted} bytes, not {asked} (--sockbuf): fast \
             transfers may lose packets"
        )?;
        if cfg!(any(target_os = "linux", target_os = "android")) {
            write!(f, "; raise it with: sysctl -w {limit}={asked}")?;
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_smaller_than_asked_for_is_told_unless_all_was_asked_for() {
        let asked = |send_buffer, receive_buffer| SocketConfig {
            send_buffer,
            receive_buffer,
            ..SocketConfig::default()
        };
        let granted = BufferSizes { send: 212_992, receive: 4_194_304 };
        let short = |asked| granted.shortages(&asked).map(|it| it.to_string()).collect::<Vec<_>>();
        assert_eq!(short(asked(0, 0)), [""; 0]);
        assert_eq!(short(asked(212_992, 4_194_304)), [""; 0]);
        assert_eq!(short(asked(2_147_483_647, 2_147_483_647)), [""; 0]);
        let both = short(asked(4_194_304, 8_388_608));
        assert!(both[0].contains("receive buffer of 4194304 bytes, not 8388608"), "{both:?}");
        assert!(both[1].contains("send buffer of 212992 bytes, not 4194304"), "{both:?}");
        #[cfg(target_os = "linux")]
        assert!(both[1].ends_with("sysctl -w net.core.wmem_max=4194304"), "{both:?}");
    }
}
