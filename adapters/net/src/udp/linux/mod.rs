//! Batches on Linux: segmentation offload where the kernel has it, `sendmmsg` otherwise.
//!
//! What a kernel may answer to a `sendmsg` with UDP_SEGMENT (net/ipv4/udp.c, `udp_send_skb`), and
//! what is done about it; the datagrams go out at once with `sendmmsg` in every case:
//!
//! | answer | meaning | from then on |
//! |--------|---------|--------------|
//! | EIO | the way out cannot do it (no checksum offload, IPsec) | never again on this socket |
//! | EINVAL, never accepted before | this kernel does not do it | never again on this socket |
//! | EMSGSIZE, or EINVAL after it has worked (older kernels) | a segment exceeds the path MTU and would need fragments | not for the next batches of this size to this peer |
//!
//! What a kernel does without a word, misunderstanding the request, is found out beforehand
//! ([`probe`]); and one whose strides of joined datagrams make no sense is asked to join no more.

mod probe;
mod sys;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

use socket2::{SockAddr, Socket};

use super::offload::Offload;
use super::receive::{Arrival, Batch};
use super::send::{self, SendOutcome};

/// What is known about the kernel's help for one socket. Atomic so that the socket can be shared;
/// relaxed loads and stores, since a stale value costs one failed call at most.
#[derive(Debug)]
pub(super) struct Kernel {
    batches: bool,
    segments: AtomicBool,
    /// A batch has gone out in segments.
    proven: AtomicBool,
    /// Peer and stride of the last batch with segments above the path MTU, as a hash. Not of 64
    /// bits, for which 32-bit MIPS has no atomics; a chance match costs a few calls.
    too_large: AtomicUsize,
    /// Batches like that one to send without asking again.
    pause: AtomicU32,
}

impl Kernel {
    pub(super) fn new(socket: &UdpSocket, wanted: Offload) -> Self {
        let fd = socket.as_fd();
        let segments = wanted == Offload::Segments && probe::segments_are_understood();
        if segments {
            // An old kernel has no GRO: then each message holds one datagram.
            let _ = sys::set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        // An old kernel would ignore the control message and send one huge datagram: ask first.
        let known = || sys::option(fd, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok();
        Self {
            batches: wanted != Offload::Single,
            segments: AtomicBool::new(segments && known()),
            proven: AtomicBool::new(false),
            too_large: AtomicUsize::new(0),
            pause: AtomicU32::new(0),
        }
    }

    /// Sends everything. `name` is `None` on a connected socket, whose peer `to` is.
    pub(super) fn send_batch(
        &self,
        socket: &UdpSocket,
        name: Option<SocketAddr>,
        to: SocketAddr,
        bytes: &[u8],
        stride: usize,
    ) -> io::Result<SendOutcome> {
        let name = name.map(SockAddr::from);
        let datagrams = (MAX_BYTES / stride).clamp(1, MAX_SEGMENTS);
        send::drive(bytes, stride, |rest| {
            let batch = &rest[..rest.len().min(datagrams * stride)];
            self.send_some(socket, name.as_ref(), to, batch, stride)
        })
    }

    /// Whether datagrams pass many at a time.
    pub(super) fn batches(&self) -> bool {
        self.batches
    }

    pub(super) fn offload(&self) -> Offload {
        if self.segments.load(Relaxed) {
            Offload::Segments
        } else if self.batches {
            Offload::Batches
        } else {
            Offload::Single
        }
    }

    /// One batch within the kernel's limits; answers how many datagrams went.
    fn send_some(
        &self,
        socket: &UdpSocket,
        name: Option<&SockAddr>,
        to: SocketAddr,
        batch: &[u8],
        stride: usize,
    ) -> io::Result<usize> {
        if batch.len() > stride && self.may_segment(to, stride) {
            let segment = u16::try_from(stride).unwrap_or(u16::MAX);
            match sys::send_segments(socket.as_fd(), name, batch, segment) {
                Ok(()) => {
                    self.proven.store(true, Relaxed);
                    return Ok(batch.len().div_ceil(stride));
                }
                Err(error) => self.learn(error, to, stride)?,
            }
        }
        sys::send_each(socket.as_fd(), name, batch, stride)
    }

    /// Nothing is ever sent to port 0, and EINVAL about it must not be taken for advice.
    fn may_segment(&self, to: SocketAddr, stride: usize) -> bool {
        if !self.segments.load(Relaxed) || to.port() == 0 {
            return false;
        }
        let pause = self.pause.load(Relaxed);
        if pause == 0 || self.too_large.load(Relaxed) != key(to, stride) {
            return true;
        }
        self.pause.store(pause - 1, Relaxed);
        false
    }

    /// Draws the conclusions from the module's table, or returns an error that is not about
    /// segmentation.
    fn learn(&self, error: io::Error, to: SocketAddr, stride: usize) -> io::Result<()> {
        match error.raw_os_error() {
            Some(libc::EIO) => self.segments.store(false, Relaxed),
            Some(libc::EINVAL) if !self.proven.load(Relaxed) => {
                self.segments.store(false, Relaxed);
            }
            Some(libc::EINVAL | libc::EMSGSIZE) => {
                self.too_large.store(key(to, stride), Relaxed);
                self.pause.store(PAUSE, Relaxed);
            }
            _ => return Err(error),
        }
        Ok(())
    }
}

/// Receives up to one message per slot. An error behind them stays with the kernel.
pub(super) fn receive_batch(
    socket: &UdpSocket,
    slots: &mut [u8],
    arrivals: &mut [Arrival],
) -> io::Result<Batch> {
    let count = sys::receive_batch(socket, slots, arrivals)?;
    if arrivals.iter().take(count).any(Arrival::is_misread) {
        join_no_more(socket);
    }
    Ok(Batch { count, behind: None })
}

/// Datagrams arrive one by one from now on. Those that nobody can part are lost, as on the wire.
fn join_no_more(socket: &UdpSocket) {
    let _ = sys::set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 0);
}

/// Sets the buffers past the system's limit where the process may (root), else up to it.
pub(super) fn force_buffer_sizes(socket: &Socket, send: usize, receive: usize) {
    let fd = socket.as_fd();
    let set = |size: usize, forced, plain| {
        let size = i32::try_from(size).unwrap_or(i32::MAX);
        if size > 0 && sys::set_option(fd, libc::SOL_SOCKET, forced, size).is_err() {
            let _ = sys::set_option(fd, libc::SOL_SOCKET, plain, size);
        }
    };
    set(send, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF);
    set(receive, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF);
}

/// Datagrams dropped because the receive buffer was full.
pub(super) fn dropped(socket: &UdpSocket) -> Option<u32> {
    sys::dropped(socket.as_fd()).ok()
}

fn key(to: SocketAddr, stride: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (to, stride).hash(&mut hasher);
    hasher.finish() as usize
}

/// Segments per call; the kernel's UDP_MAX_SEGMENTS was 64 until 6.9 and grew since.
const MAX_SEGMENTS: usize = 64;
/// Bytes per call: the longest UDP payload in an IPv4 packet.
const MAX_BYTES: usize = 65_507;
/// Batches sent one by one before segmentation is tried again: paths change.
const PAUSE: u32 = 64;

#[cfg(test)]
pub(super) use sys::receive_with_class;

/// Makes the kernel refuse UDP_SEGMENT on this socket.
#[cfg(test)]
pub(super) fn without_checksums(socket: &UdpSocket) -> io::Result<()> {
    sys::set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, 1)
}

/// IP_MTU_DISCOVER and IPV6_MTU_DISCOVER.
#[cfg(test)]
pub(super) fn path_mtu_modes(socket: &UdpSocket) -> [Option<i32>; 2] {
    let fd = socket.as_fd();
    [
        sys::option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER).ok(),
        sys::option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER).ok(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that cuts batches, whatever the machine under this test does.
    fn kernel() -> Kernel {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let kernel = Kernel::new(&socket, Offload::Segments);
        kernel.segments.store(true, Relaxed);
        kernel
    }

    fn answer(kernel: &Kernel, code: i32, stride: usize) -> io::Result<()> {
        let error = io::Error::from_raw_os_error(code);
        kernel.learn(error, "10.0.0.1:7".parse().unwrap(), stride)
    }

    #[test]
    fn refusal_is_for_good() {
        for code in [libc::EIO, libc::EINVAL] {
            let kernel = kernel();
            answer(&kernel, code, 100).unwrap();
            assert_eq!(kernel.offload(), Offload::Batches);
        }
    }

    #[test]
    fn a_short_path_pauses_one_size_to_one_peer() {
        let (near, far) = ("10.0.0.1:7".parse().unwrap(), "10.0.0.2:7".parse().unwrap());
        for code in [libc::EMSGSIZE, libc::EINVAL] {
            let kernel = kernel();
            kernel.proven.store(true, Relaxed);
            answer(&kernel, code, 1350).unwrap();
            assert_eq!(kernel.offload(), Offload::Segments);
            assert!(kernel.may_segment(near, 1200) && kernel.may_segment(far, 1350));
            let refusals = (0..=PAUSE).filter(|_| !kernel.may_segment(near, 1350)).count();
            assert_eq!(refusals, PAUSE as usize);
            assert!(kernel.may_segment(near, 1350));
        }
    }

    #[test]
    fn what_cannot_be_parted_is_not_joined_again() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        Kernel::new(&socket, Offload::Segments);
        let joins = || sys::option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO).unwrap();
        assert_eq!(joins(), i32::from(probe::segments_are_understood()));
        join_no_more(&socket);
        assert_eq!(joins(), 0);
    }

    #[test]
    fn other_errors_are_not_about_segments() {
        let kernel = kernel();
        assert!(answer(&kernel, libc::EAGAIN, 100).is_err());
        assert!(answer(&kernel, libc::ECONNREFUSED, 100).is_err());
        assert_eq!(kernel.offload(), Offload::Segments);
        assert!(!kernel.may_segment("10.0.0.1:0".parse().unwrap(), 100));
    }
}
