//! The system calls that std does not have, each behind a safe function. The only `unsafe` of the
//! crate.
//!
//! Every pointer given to the kernel points into a slice or a local that outlives the call; the
//! kernel keeps none of them.
#![allow(unsafe_code)]

use core::ffi::c_int;
use core::mem::{self, MaybeUninit};
use core::ptr;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::{SockAddr, SockAddrStorage};

use crate::udp::receive::{Arrival, CAPACITY, ReceiveBuffers};

/// Sends `bytes` as datagrams of `segment` bytes, the last may be shorter, with one `sendmsg`.
/// All or nothing. `to` is `None` on a connected socket.
pub(super) fn send_segments(
    fd: BorrowedFd<'_>,
    to: Option<&SockAddr>,
    bytes: &[u8],
    segment: u16,
) -> io::Result<()> {
    let mut control = Control::empty();
    let mut data = io_vector(bytes);
    let mut message = header(to, &mut data);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control_space(size_of::<u16>()) as _;
    // SAFETY: msg_control points to a live, aligned buffer of at least msg_controllen bytes, which
    // is the space of one header with a u16: CMSG_FIRSTHDR and CMSG_DATA stay inside it.
    unsafe {
        let cmsg = libc::CMSG_FIRSTHDR(&message);
        (*cmsg).cmsg_level = libc::SOL_UDP;
        (*cmsg).cmsg_type = libc::UDP_SEGMENT;
        (*cmsg).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        ptr::write_unaligned(libc::CMSG_DATA(cmsg).cast::<u16>(), segment);
    }
    // SAFETY: `message` and all it points to live until the call returns.
    let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &raw const message, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends the datagrams that `stride` cuts from `bytes`, at most [`MESSAGES`] of them, with one
/// `sendmmsg`. Answers how many went, at least one.
pub(super) fn send_each(
    fd: BorrowedFd<'_>,
    to: Option<&SockAddr>,
    bytes: &[u8],
    stride: usize,
) -> io::Result<usize> {
    let mut data = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES];
    let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES];
    let mut count = 0;
    for ((datagram, data), message) in bytes.chunks(stride).zip(&mut data).zip(&mut messages) {
        let data = data.write(io_vector(datagram));
        message.write(libc::mmsghdr { msg_hdr: header(to, data), msg_len: 0 });
        count += 1;
    }
    // SAFETY: the first `count` entries are initialised, and what they point to (the address, the
    // vectors, the bytes) lives until the call returns.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), messages.as_mut_ptr().cast(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives up to one message per slot with one `recvmmsg`. A slot is [`CAPACITY`] bytes.
/// Answers how many of `arrivals` it filled, at least one.
pub(super) fn receive_batch(
    socket: &UdpSocket,
    slots: &mut [u8],
    arrivals: &mut [Arrival],
) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<SockAddrStorage>::uninit() }; MESSAGES];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; MESSAGES];
    let mut data = [const { MaybeUninit::<libc::iovec>::uninit() }; MESSAGES];
    let mut messages = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; MESSAGES];
    let mut count = 0;
    let places = names.iter_mut().zip(&mut controls).zip(data.iter_mut().zip(&mut messages));
    for ((slot, _), ((name, control), (data, message))) in
        slots.chunks_exact_mut(CAPACITY).zip(arrivals.iter()).zip(places)
    {
        let data =
            data.write(libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: CAPACITY });
        let mut inner = header(None, data);
        // Zeroed, since the kernel fills only as much as the family needs.
        inner.msg_name = name.write(SockAddrStorage::zeroed()) as *mut SockAddrStorage as *mut _;
        inner.msg_namelen = size_of::<SockAddrStorage>() as _;
        inner.msg_control = control.write(Control::empty()).0.as_mut_ptr().cast();
        inner.msg_controllen = size_of::<Control>() as _;
        message.write(libc::mmsghdr { msg_hdr: inner, msg_len: 0 });
        count += 1;
    }
    // SAFETY: the first `count` entries are initialised; each points to a slot of CAPACITY bytes, an
    // address and a control buffer of its own, all alive and not otherwise borrowed until the call
    // returns. No timeout.
    let received = unsafe {
        let first = messages.as_mut_ptr().cast();
        libc::recvmmsg(socket.as_raw_fd(), first, count, 0, ptr::null_mut())
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((message, name), arrival) in
        messages.iter().zip(&names).zip(arrivals.iter_mut()).take(received)
    {
        // SAFETY: the kernel filled no more than `count` entries, all initialised above, and the
        // control buffer that each header points to is still there.
        let (message, name) = unsafe { (message.assume_init_ref(), name.assume_init_ref()) };
        *arrival = read_arrival(message, name);
    }
    Ok(received)
}

/// Sets an option whose value is an int.
pub(super) fn set_option(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    let size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the value is a live int and `size` is its size.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads an option whose value is an int.
pub(super) fn option(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<c_int> {
    options::<1>(fd, level, name).map(|[value]| value as c_int)
}

/// The kernel's count of datagrams dropped at this socket.
pub(super) fn dropped(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // SO_MEMINFO is an array of nine (linux/sock_diag.h), SK_MEMINFO_DROPS the last.
    options::<9>(fd, libc::SOL_SOCKET, SO_MEMINFO).map(|values| values[8])
}

fn options<const N: usize>(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<[u32; N]> {
    let mut values = [0u32; N];
    let mut size = size_of_val(&values) as libc::socklen_t;
    // SAFETY: `values` is `size` bytes of live memory in which every bit pattern is valid.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, values.as_mut_ptr().cast(), &raw mut size)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // An emulator may know only the first of them.
    let whole = size as usize == size_of_val(&values);
    whole.then_some(values).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Who sent a message, its length, and the stride if the kernel joined datagrams.
fn read_arrival(message: &libc::mmsghdr, name: &SockAddrStorage) -> Arrival {
    // SAFETY: the storage was zeroed and then filled by the kernel with an address of this length,
    // which cannot exceed what it was offered (the kernel reports more when it cuts one off).
    let from = unsafe {
        let len = message.msg_hdr.msg_namelen.min(size_of::<SockAddrStorage>() as _);
        SockAddr::new(ptr::read(name), len)
    };
    let from = from.as_socket().unwrap_or_else(unknown_sender);
    let stride = control_value(&message.msg_hdr, libc::SOL_UDP, libc::UDP_GRO);
    let stride = stride.map(|bytes| {
        // Below 0 is as impossible as too large.
        usize::try_from(i32::from_ne_bytes(bytes)).unwrap_or(usize::MAX)
    });
    Arrival::new(from, message.msg_len as usize, stride)
}

/// The first four bytes of the control message of this kind, if it has come.
#[allow(clippy::unnecessary_cast, reason = "cmsg_len is narrower with other C libraries")]
fn control_value(message: &libc::msghdr, level: c_int, kind: c_int) -> Option<[u8; 4]> {
    // SAFETY: the header's control buffer is alive and the kernel wrote msg_controllen bytes of
    // well-formed control messages into it; CMSG_NXTHDR ends at that length. Four bytes are read
    // only where cmsg_len says they are.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(message);
        while let Some(found) = cmsg.as_ref() {
            if (found.cmsg_level, found.cmsg_type) == (level, kind)
                && found.cmsg_len as usize >= libc::CMSG_LEN(4) as usize
            {
                return Some(ptr::read_unaligned(libc::CMSG_DATA(cmsg).cast()));
            }
            cmsg = libc::CMSG_NXTHDR(message, cmsg);
        }
    }
    None
}

/// A header with one vector and no control, to an address or to nobody.
fn header(to: Option<&SockAddr>, data: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all zeroes is a valid msghdr: null pointers and empty lengths (and on some C
    // libraries private padding, which is why no literal is written).
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    if let Some(to) = to {
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = to.len();
    }
    message.msg_iov = data;
    message.msg_iovlen = 1;
    message
}

/// A vector for sending: the kernel reads through it only.
fn io_vector(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// Bytes that one control message with `payload` bytes takes.
const fn control_space(payload: usize) -> usize {
    // SAFETY: arithmetic only; unsafe as all of libc's functions are.
    unsafe { libc::CMSG_SPACE(payload as u32) as usize }
}

/// Room for a control message or two of one int each.
#[repr(align(8))]
struct Control([u8; 2 * control_space(size_of::<c_int>())]);

impl Control {
    const fn empty() -> Self {
        Self([0; _])
    }
}

/// UDP over IP has no senders of another family; port 0 cannot be answered.
fn unknown_sender() -> SocketAddr {
    SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0))
}

/// Messages per call, either way.
const MESSAGES: usize = ReceiveBuffers::MAX_MESSAGES;
const _: () = assert!(align_of::<Control>() >= align_of::<libc::cmsghdr>());
/// asm-generic/socket.h; libc has it for some targets only.
const SO_MEMINFO: c_int = 55;

/// Receives one datagram with its IPv4 TOS or IPv6 traffic class (IP_RECVTOS, IPV6_RECVTCLASS).
#[cfg(test)]
pub(in crate::udp) fn receive_with_class(socket: &UdpSocket) -> io::Result<(Vec<u8>, Option<u8>)> {
    let mut bytes = vec![0; CAPACITY];
    let mut control = Control::empty();
    let mut data = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut message = header(None, &mut data);
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: `message` and all it points to live until the call returns.
    let len = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    bytes.truncate(usize::try_from(len).map_err(|_| io::Error::last_os_error())?);
    let v6 = control_value(&message, libc::IPPROTO_IPV6, libc::IPV6_TCLASS).map(|v| v[0]);
    // The IPv4 message carries a single byte.
    // SAFETY: as in `control_value`; CMSG_SPACE pads a byte to a word, so four bytes are there.
    let v4 = unsafe {
        libc::CMSG_FIRSTHDR(&message)
            .as_ref()
            .filter(|c| (c.cmsg_level, c.cmsg_type) == (libc::IPPROTO_IP, libc::IP_TOS))
            .map(|c| *libc::CMSG_DATA(c))
    };
    Ok((bytes, v6.or(v4)))
}
