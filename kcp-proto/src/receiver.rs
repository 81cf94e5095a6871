//! The receive side: a window of segments, put in order.

use proto_base::{Buf, Pool, SeqRing, Storage};

use crate::config::Mode;
use crate::error::RecvError;
use crate::wire::Sn;

/// Free pages below which only the received segment that is next in order gets memory, and in a stream
/// only while nothing else can be read: it can be read and freed at once. Others would wait for it, or
/// take what the reader needs to go on; and data to send would wait for the peer, whose own memory may
/// be full of data for us.
pub(crate) const RESERVED_PAGES: usize = 2;

/// A received segment in its slot of the window.
#[derive(Debug, Default)]
pub struct RxSegment {
    /// None for a segment without data.
    buf: Option<Buf>,
    len: u16,
    fragment: u8,
    present: bool,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Insert {
    /// Stored.
    New,
    /// Already received; acknowledged again.
    Repeated,
    /// Beyond the window: neither stored nor acknowledged.
    OutOfWindow,
    /// No memory for it: as if it had been lost.
    NoMemory,
}

/// Segments from the first unread one to the end of the window.
///
/// ```text
///      read            next                 read + window
///        |  in order    |  some of these are here |
///   -----+--------------+-------------------------+-----> sn
/// ```
///
/// The original holds an ordered queue and a reorder buffer of a full window each. Here both share
/// one window counted from the first unread segment. No peer that keeps to the window it was told
/// can see the difference: what it may send at most is exactly this.
#[derive(Debug)]
pub(crate) struct Receiver<'s> {
    ring: SeqRing<'s, RxSegment>,
    read: Sn,
    next: Sn,
    /// Bytes of the first unread segment that were read already.
    offset: usize,
    window: u32,
    /// Unread bytes that are in order.
    ready_bytes: usize,
    /// Segments without data are no messages, but nothing.
    is_stream: bool,
}

impl<'s> Receiver<'s> {
    pub(crate) fn new(storage: Storage<'s, RxSegment>, window: u16, mode: Mode) -> Self {
        let ring = SeqRing::new(storage, usize::from(window));
        let limit = u32::try_from(ring.limit()).unwrap_or(u32::MAX);
        Self {
            window: u32::from(window).min(limit),
            ring,
            read: Sn::default(),
            next: Sn::default(),
            offset: 0,
            ready_bytes: 0,
            is_stream: mode == Mode::Stream,
        }
    }

    pub(crate) fn insert(
        &mut self,
        pool: &mut Pool<'_>,
        sn: Sn,
        fragment: u8,
        data: &[u8],
    ) -> Insert {
        if sn.is_before(self.next) {
            return Insert::Repeated;
        }
        let ahead = sn - self.read;
        if ahead >= self.window {
            return Insert::OutOfWindow;
        }
        let Ok(len) = u16::try_from(data.len()) else { return Insert::NoMemory };
        if !self.ring.reserve(self.read.get(), ahead as usize + 1) {
            return Insert::NoMemory;
        }
        if self.ring[sn.get()].present {
            return Insert::Repeated;
        }
        let must_wait = sn != self.next || self.is_stream && self.ready_bytes > 0;
        if must_wait && pool.spare_pages() < RESERVED_PAGES {
            return Insert::NoMemory;
        }
        let buf = if data.is_empty() {
            None
        } else {
            let Some(buf) = pool.alloc(data.len()) else { return Insert::NoMemory };
            pool.bytes_mut(&buf)[..data.len()].copy_from_slice(data);
            Some(buf)
        };
        self.ring[sn.get()] = RxSegment { buf, len, fragment, present: true };
        self.advance();
        Insert::New
    }

    /// The first unread bytes that lie together.
    pub(crate) fn peek<'p>(&self, pool: &'p Pool<'_>) -> Option<&'p [u8]> {
        self.readable(pool).next()
    }

    /// Unread bytes in order, segment by segment.
    pub(crate) fn readable<'p>(&self, pool: &'p Pool<'_>) -> impl Iterator<Item = &'p [u8]> {
        let segments = (0..self.next - self.read).map(|step| &self.ring[(self.read + step).get()]);
        segments.enumerate().filter_map(move |(number, segment)| {
            let from = if number == 0 { self.offset } else { 0 };
            let bytes = pool.bytes(segment.buf.as_ref()?).get(from..usize::from(segment.len))?;
            (!bytes.is_empty()).then_some(bytes)
        })
    }

    /// Frees `count` bytes from the front (at most all that are readable).
    pub(crate) fn consume(&mut self, pool: &mut Pool<'_>, count: usize) {
        let mut rest = count.min(self.ready_bytes);
        self.ready_bytes -= rest;
        while self.read != self.next {
            let left = usize::from(self.ring[self.read.get()].len) - self.offset;
            if rest < left {
                self.offset += rest;
                return;
            }
            rest -= left;
            self.drop_first(pool);
            if rest == 0 {
                break;
            }
        }
        self.skip_empty();
    }

    /// Copies the next whole message to `out`.
    pub(crate) fn recv(&mut self, pool: &mut Pool<'_>, out: &mut [u8]) -> Result<usize, RecvError> {
        let (segments, need) = self.message().ok_or(RecvError::Empty)?;
        if out.len() < need {
            return Err(RecvError::BufferTooSmall { need });
        }
        let mut at = 0;
        for _ in 0..segments {
            let segment = &self.ring[self.read.get()];
            let end = usize::from(segment.len);
            if let Some(buf) = &segment.buf {
                let bytes = &pool.bytes(buf)[self.offset..end];
                out[at..at + bytes.len()].copy_from_slice(bytes);
                at += bytes.len();
            }
            self.drop_first(pool);
        }
        self.ready_bytes -= at;
        Ok(at)
    }

    /// Size of the next whole message, in bytes.
    pub(crate) fn message_len(&self) -> Option<usize> {
        self.message().map(|(_, bytes)| bytes)
    }

    /// Free slots to tell the peer; the wire has 16 bits for them.
    pub(crate) fn free(&self) -> u16 {
        u16::try_from(self.window - (self.next - self.read)).unwrap_or(u16::MAX)
    }

    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    /// First number not received.
    pub(crate) const fn next(&self) -> Sn {
        self.next
    }

    pub(crate) const fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    pub(crate) fn release(&mut self, pool: &mut Pool<'_>) {
        for step in 0..self.ring.capacity().min(self.window as usize) {
            let number = self.read.get().wrapping_add(u32::try_from(step).unwrap_or(0));
            if let Some(buf) = core::mem::take(&mut self.ring[number]).buf {
                pool.release(buf);
            }
        }
        self.next = self.read;
        self.ready_bytes = 0;
        self.offset = 0;
    }

    /// Gives an idle window's index memory back.
    pub(crate) fn shrink(&mut self) {
        let ahead = self.ring.capacity().min(self.window as usize);
        let is_empty = (0..u32::try_from(ahead).unwrap_or(0))
            .all(|step| !self.ring[(self.read + step).get()].present);
        if is_empty {
            self.ring.shrink();
        }
    }

    pub(crate) fn into_storage(self) -> Storage<'s, RxSegment> {
        self.ring.into_storage()
    }

    #[cfg(all(test, feature = "alloc"))]
    pub(crate) fn start_at(&mut self, sn: Sn) {
        (self.read, self.next) = (sn, sn);
    }

    /// Takes segments that have come into order to the readable part.
    fn advance(&mut self) {
        while self.next - self.read < self.window
            && (self.next - self.read) < u32::try_from(self.ring.capacity()).unwrap_or(u32::MAX)
        {
            let segment = &self.ring[self.next.get()];
            if !segment.present {
                break;
            }
            self.ready_bytes += usize::from(segment.len);
            self.next += 1;
        }
        self.skip_empty();
    }

    /// A reader of a stream never sees segments without data, so it cannot free their slots.
    fn skip_empty(&mut self) {
        while self.is_stream && self.read != self.next && self.ring[self.read.get()].len == 0 {
            self.ring[self.read.get()] = RxSegment::default();
            self.read += 1;
        }
    }

    /// Segments and bytes of the next message, if all of it is here. The first fragment says how
    /// many there are, which bounds the work for a peer that lies about the others.
    fn message(&self) -> Option<(u32, usize)> {
        let mut bytes = 0;
        let ready = self.next - self.read;
        if ready == 0 {
            return None;
        }
        let last = u32::from(self.ring[self.read.get()].fragment);
        for step in 0..ready.min(last + 1) {
            let segment = &self.ring[(self.read + step).get()];
            bytes += usize::from(segment.len);
            if segment.fragment == 0 || step == last {
                return Some((step + 1, bytes - self.offset));
            }
        }
        None
    }

    fn drop_first(&mut self, pool: &mut Pool<'_>) {
        if let Some(buf) = core::mem::take(&mut self.ring[self.read.get()]).buf {
            pool.release(buf);
        }
        self.read += 1;
        self.offset = 0;
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// Any order of arrival, any repetition, any reading: bytes come out in order, once.
        #[test]
        fn order_is_restored(
            arrivals in prop::collection::vec(0u32..60, 1..400),
            start: u32,
            window in 1u16..40,
            chunk in 1usize..50,
        ) {
            let mut pool = Pool::owned(1 << 20, 4096).unwrap();
            let mut rx = Receiver::new(Storage::owned(), window, Mode::Stream);
            rx.start_at(Sn::new(start));
            let data = |number: u32| -> Vec<u8> { (0..number % 7).map(|at| (number + at) as u8).collect() };
            let mut out = Vec::new();
            for number in arrivals.iter().copied().chain(0..60) {
                let before = rx.next;
                let sn = Sn::new(start) + number;
                let (ahead, result) = (sn.ahead_of(rx.read), rx.insert(&mut pool, sn, 0, &data(number)));
                if sn.is_before(before) {
                    prop_assert_eq!(result, Insert::Repeated);
                } else {
                    prop_assert_eq!(result == Insert::OutOfWindow, ahead >= i32::from(window));
                }
                let bytes = rx.peek(&pool).map_or(&[][..], |bytes| &bytes[..bytes.len().min(chunk)]);
                out.extend_from_slice(bytes);
                let count = bytes.len();
                rx.consume(&mut pool, count);
            }
            while let Some(bytes) = rx.peek(&pool) {
                let count = bytes.len();
                out.extend_from_slice(bytes);
                rx.consume(&mut pool, count);
            }
            prop_assert_eq!(rx.ready_bytes(), 0);
            let received = rx.next - Sn::new(start);
            let expected: Vec<u8> = (0..received).flat_map(data).collect();
            prop_assert_eq!(out, expected);
            rx.release(&mut pool);
            prop_assert_eq!(pool.used_pages(), 0);
        }
    }
}
