//! Whether the control messages of UDP_SEGMENT and UDP_GRO mean to the kernel what they say.
//!
//! One that is not understood goes unnoticed: the batch leaves as one huge datagram, or cut in the
//! wrong places, and nothing ever arrives. qemu's user mode does that to programs of the other byte
//! order (seen with 7.2: options are turned round, control messages are not), and so would a kernel
//! that knows the option but leaves the message out.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use socket2::SockAddr;

use super::sys;

/// Found out by the first caller, for the whole process: a few system calls, nothing to wait for.
///
/// The kernel is asked for the impossible, far more segments than it cuts (128 since 6.9, 64
/// before). It refuses if it has understood; nothing is sent. Who takes it has not: read the wrong
/// way round, it asks for 32 segments. They go to the socket that sent them and end with it. Any
/// error leaves things as they are, so a machine without a loopback device loses nothing.
pub(super) fn segments_are_understood() -> bool {
    static UNDERSTOOD: OnceLock<bool> = OnceLock::new();
    *UNDERSTOOD.get_or_init(|| ask_for_the_impossible().is_err())
}

fn ask_for_the_impossible() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let own = SockAddr::from(socket.local_addr()?);
    // On the stack: as a constant they would be part of every binary.
    let bytes = [0; 32 * SEGMENT.swap_bytes() as usize];
    sys::send_segments(socket.as_fd(), Some(&own), &bytes, SEGMENT)
}

const SEGMENT: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_about_the_number_of_segments() {
        // Only where the byte orders of program and kernel can differ it may be misunderstood.
        if segments_are_understood() || cfg!(target_endian = "little") {
            let code = ask_for_the_impossible().map_err(|error| error.raw_os_error());
            assert_eq!(code, Err(Some(libc::EINVAL)));
        }
    }
}
