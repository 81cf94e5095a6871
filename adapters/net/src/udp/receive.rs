//! Memory for arriving batches, and the loop that fills it whatever the backend.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::canonical;
use super::send::Verdict;

/// What one [`recv_batch`](super::UdpSocket::recv_batch) brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many messages stand in the buffers; more may be waiting. May be 0.
    Messages(usize),
    /// Nothing is waiting.
    Blocked,
    /// An ICMP message said that nobody listens at the peer (connected sockets only). Datagrams
    /// may be waiting behind it.
    Refused,
}

/// Datagrams of one sender, arrived one after the other.
#[derive(Debug)]
pub struct Message<'b> {
    /// Who sent them.
    pub from: SocketAddr,
    /// Length of each datagram in bytes; the last may be shorter. At least 1.
    pub stride: usize,
    /// Their bytes without gaps. Empty for one datagram without payload.
    pub bytes: &'b mut [u8],
}

/// Memory for some messages of up to 64 KiB each, allocated once and touched only as far as it is
/// used.
#[derive(Debug)]
pub struct ReceiveBuffers {
    bytes: Box<[u8]>,
    arrivals: Box<[Arrival]>,
    filled: usize,
    /// What the system said behind the last message, for the next call to tell.
    deferred: Option<io::Error>,
}

impl ReceiveBuffers {
    /// Messages per call that serve well: with GRO each may hold dozens of datagrams, and without
    /// it 44 per call were measured to be no faster than 8.
    pub const DEFAULT_MESSAGES: usize = 8;
    /// Most messages per call.
    pub const MAX_MESSAGES: usize = 64;

    /// Room for `messages` per call, kept within 1..=[`MAX_MESSAGES`](Self::MAX_MESSAGES).
    #[must_use]
    pub fn new(messages: usize) -> Self {
        let messages = messages.clamp(1, Self::MAX_MESSAGES);
        Self {
            // Zeroed by the allocator: untouched pages cost address space only.
            bytes: vec![0; messages * CAPACITY].into_boxed_slice(),
            arrivals: vec![Arrival::NONE; messages].into_boxed_slice(),
            filled: 0,
            deferred: None,
        }
    }

    /// The messages of the last call, to be worked on in place.
    pub fn messages(&mut self) -> impl Iterator<Item = Message<'_>> {
        let slots = self.bytes.chunks_mut(CAPACITY);
        slots.zip(&self.arrivals[..self.filled]).map(|(slot, arrival)| Message {
            from: arrival.from,
            stride: arrival.stride,
            bytes: &mut slot[..arrival.len],
        })
    }

    /// How many messages [`messages`](Self::messages) gives.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether the last call left nothing behind, so that a driver may wait until the socket is
    /// readable without asking it again. A batch that fills the buffers tells nothing of what may be
    /// waiting behind it, and neither does an error.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.filled > 0 && self.filled < self.arrivals.len() && self.deferred.is_none()
    }

    /// Whether the last call brought none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }
}

/// Who sent what stands in a slot and how to cut it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    from: SocketAddr,
    len: usize,
    stride: usize,
    misread: bool,
}

impl Arrival {
    const NONE: Self = Self {
        from: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        len: 0,
        stride: 1,
        misread: false,
    };

    /// `len` bytes cut every `stride`, or one datagram when the kernel named no usable stride.
    pub(super) fn new(from: SocketAddr, len: usize, stride: Option<usize>) -> Self {
        let len = len.min(CAPACITY);
        let misread = stride.is_some_and(|s| s == 0 || s > len);
        let stride = stride.filter(|&s| s > 0 && s < len).unwrap_or(len).max(1);
        Self { from: canonical(from), len, stride, misread }
    }

    /// Whether the kernel named a stride that is impossible: joined datagrams are not shorter than
    /// it. Where to cut them is then unknown.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn is_misread(&self) -> bool {
        self.misread
    }
}

/// Calls `receive` until it brings something, or nothing is left to bring. It fills slots from the
/// first on and tells how many, all of them or as many as were waiting; an error that it met behind
/// the last of them goes along.
pub(super) fn drive(
    buffers: &mut ReceiveBuffers,
    mut receive: impl FnMut(&mut [u8], &mut [Arrival]) -> io::Result<Batch>,
) -> io::Result<Received> {
    buffers.filled = 0;
    for _ in 0..PENDING_ERRORS {
        let received = match buffers.deferred.take() {
            Some(error) => Err(error),
            None => receive(&mut buffers.bytes, &mut buffers.arrivals),
        };
        match received {
            Ok(Batch { count, behind }) => {
                buffers.filled = count.min(buffers.arrivals.len());
                buffers.deferred = behind;
                return Ok(Received::Messages(buffers.filled));
            }
            Err(error) => match Verdict::of(&error) {
                Verdict::Blocked => return Ok(Received::Blocked),
                Verdict::Refused => return Ok(Received::Refused),
                Verdict::Unusable => return Err(error),
                Verdict::Unreachable if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Err(error);
                }
                // News by ICMP about what was sent (too large, no route): taken note of by the
                // kernel, and of no concern to who receives.
                Verdict::Interrupted
                | Verdict::TooLarge
                | Verdict::Crowded
                | Verdict::Unreachable => {}
            },
        }
    }
    Ok(Received::Messages(0))
}

/// What one call of a backend brought: at least one message.
#[derive(Debug)]
pub(super) struct Batch {
    /// Slots filled.
    pub(super) count: usize,
    /// An error that the system reported behind them, and will not report again.
    pub(super) behind: Option<io::Error>,
}

/// Bytes of a slot, one message each: nothing UDP carries is longer. (A distance between slots
/// that is not a power of two, for the sake of cache sets, was measured to make no difference.)
pub(super) const CAPACITY: usize = 65_536;
/// Errors that one call skips, so that a flood of ICMP cannot hold it.
const PENDING_ERRORS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_usable_whatever_the_kernel_says() {
        let from = "[::ffff:1.2.3.4]:5".parse().unwrap();
        for (len, claimed, stride, misread) in [
            (3000, Some(1000), 1000, false),
            (3000, Some(3000), 3000, false),
            (3000, Some(4000), 3000, true),
            (3000, Some(usize::MAX), 3000, true),
            (3000, Some(0), 3000, true),
            (3000, None, 3000, false),
            (0, None, 1, false),
            (0, Some(7), 1, true),
        ] {
            let arrival = Arrival::new(from, len, claimed);
            assert_eq!((arrival.len, arrival.stride), (len, stride));
            assert_eq!(arrival.misread, misread, "{len} by {claimed:?}");
            assert_eq!(arrival.from, "1.2.3.4:5".parse().unwrap());
        }
        assert_eq!(Arrival::new(from, usize::MAX, None).len, CAPACITY);
    }

    #[test]
    fn an_error_behind_messages_is_told_after_them() {
        let mut buffers = ReceiveBuffers::new(4);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let first = drive(&mut buffers, |_, _| Ok(Batch { count: 2, behind: Some(refused()) }));
        assert_eq!(first.unwrap(), Received::Messages(2));
        assert!(!buffers.is_drained(), "the refusal is still to be told");
        let asked = drive(&mut buffers, |_, _| panic!("the system is not asked again"));
        assert_eq!(asked.unwrap(), Received::Refused);
        assert!(!buffers.is_drained(), "messages may be waiting behind it");
        let last = drive(&mut buffers, |_, _| Ok(Batch { count: 3, behind: None }));
        assert_eq!(last.unwrap(), Received::Messages(3));
        assert!(buffers.is_drained());
        let full = drive(&mut buffers, |_, _| Ok(Batch { count: 4, behind: None }));
        assert_eq!(full.unwrap(), Received::Messages(4));
        assert!(!buffers.is_drained());
    }

    #[test]
    fn endless_errors_end() {
        let mut buffers = ReceiveBuffers::new(0);
        let received = drive(&mut buffers, |_, _| Err(io::ErrorKind::HostUnreachable.into()));
        assert_eq!(received.unwrap(), Received::Messages(0));
        assert!(buffers.is_empty());
    }
}
