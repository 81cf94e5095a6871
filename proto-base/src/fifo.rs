//! A queue of bytes in pool memory.

use crate::{Buf, Pool};

/// Bytes at the front of each chunk that name the next chunk.
const LINK: usize = 4;
/// Lengths of the chunks below a page, in bytes: the size classes of the pool.
const CELLS: [usize; 3] = [1_536, 512, 128];

/// A first-in first-out queue of bytes, kept in chunks of a [`Pool`].
///
/// An empty queue holds no memory, a short one that of its chunks, which grow with it: a queue that
/// is not read holds about three times its bytes at the most (but for the smallest, a buffer of 128
/// bytes at least), and less the longer it is. Its bound is the user's business: `push` takes what
/// the pool has room for. The pool must be the same at every call, and a queue must be [cleared](Fifo::clear)
/// before it is dropped, or its memory is lost to the pool.
///
/// ```
/// use proto_base::{Fifo, Pool};
///
/// # #[cfg(feature = "alloc")] {
/// let mut pool = Pool::owned(1 << 16, 4096)?;
/// let mut queue = Fifo::new();
/// assert_eq!(queue.push(&mut pool, b"abc"), 3);
/// assert_eq!(queue.front(&pool), b"abc");
/// queue.consume(&mut pool, 1);
/// assert_eq!(queue.front(&pool), b"bc");
/// queue.clear(&mut pool);
/// # }
/// # Ok::<(), proto_base::PoolError>(())
/// ```
#[derive(Debug, Default)]
pub struct Fifo {
    chunks: Option<Chunks>,
    len: usize,
}

/// The chain of chunks: bytes from `front` of the head to `back` of the tail. The tail is `None`
/// while head and tail are one chunk.
#[derive(Debug)]
struct Chunks {
    head: Buf,
    tail: Option<Buf>,
    front: usize,
    back: usize,
}

impl Fifo {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { chunks: None, len: 0 }
    }

    /// Appends `data` and tells how much of it the pool had room for.
    pub fn push(&mut self, pool: &mut Pool<'_>, data: &[u8]) -> usize {
        let mut rest = data;
        while !rest.is_empty() {
            let room = match &self.chunks {
                Some(chunks) => {
                    let last = chunks.tail.as_ref().unwrap_or(&chunks.head);
                    &mut pool.bytes_mut(last)[chunks.back..]
                }
                None => &mut [],
            };
            if room.is_empty() {
                if !self.add_chunk(pool, rest.len()) {
                    break;
                }
                continue;
            }
            let count = room.len().min(rest.len());
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            if let Some(chunks) = &mut self.chunks {
                chunks.back += count;
            }
            self.len += count;
        }
        data.len() - rest.len()
    }

    /// The bytes at the front that lie together; empty when the queue is.
    #[must_use]
    pub fn front<'p>(&self, pool: &'p Pool<'_>) -> &'p [u8] {
        match &self.chunks {
            None => &[],
            Some(chunks) => {
                let bytes = pool.bytes(&chunks.head);
                let end = if chunks.tail.is_some() { bytes.len() } else { chunks.back };
                &bytes[chunks.front..end]
            }
        }
    }

    /// Removes `count` bytes (at most all) from the front.
    pub fn consume(&mut self, pool: &mut Pool<'_>, count: usize) {
        let mut rest = count.min(self.len);
        while rest > 0 {
            let lying = self.front(pool).len();
            let step = lying.min(rest);
            rest -= step;
            self.len -= step;
            if let Some(chunks) = &mut self.chunks {
                chunks.front += step;
            }
            if step == lying {
                self.drop_head(pool);
            }
        }
    }

    /// Removes all bytes and gives all memory back.
    pub fn clear(&mut self, pool: &mut Pool<'_>) {
        self.consume(pool, self.len);
    }

    /// Number of bytes in the queue.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is in the queue.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives the head chunk back once it is read to its end.
    fn drop_head(&mut self, pool: &mut Pool<'_>) {
        let Some(Chunks { head, tail, back, .. }) = self.chunks.take() else { return };
        if let Some(tail) = tail {
            let link = pool.bytes(&head);
            let raw = u32::from_le_bytes([link[0], link[1], link[2], link[3]]);
            let next = Buf::from_raw(raw);
            let tail = (raw != tail.to_raw()).then_some(tail);
            self.chunks = Some(Chunks { head: next, tail, front: LINK, back });
        }
        pool.release(head);
    }

    fn add_chunk(&mut self, pool: &mut Pool<'_>, coming: usize) -> bool {
        let len = self.chunk_len(pool, coming + LINK);
        // When pages have run out there may still be cells, of whatever size.
        let any = |pool: &mut Pool<'_>| CELLS.into_iter().find_map(|len| pool.alloc(len));
        let Some(buf) = pool.alloc(len).or_else(|| any(pool)) else { return false };
        match &mut self.chunks {
            None => {
                self.chunks = Some(Chunks { head: buf, tail: None, front: LINK, back: LINK });
            }
            Some(chunks) => {
                let last = chunks.tail.as_ref().unwrap_or(&chunks.head);
                pool.bytes_mut(last)[..LINK].copy_from_slice(&buf.to_raw().to_le_bytes());
                chunks.tail = Some(buf);
                chunks.back = LINK;
            }
        }
        true
    }

    /// Length of the next chunk: the largest that is half filled by what is coming. Many small pieces
    /// are no reason for as many small chunks, so one that is half of what is queued will do, too,
    /// and after half a page the page that bulk wants.
    fn chunk_len(&self, pool: &Pool<'_>, coming: usize) -> usize {
        let page = pool.page_size();
        if coming.max(self.len) >= page / 2 {
            return page;
        }
        let most = (2 * coming).max(self.len / 2);
        CELLS.into_iter().find(|&len| len <= most).unwrap_or(128)
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        /// Behaves like a `VecDeque` under any pushes and reads, and leaves no memory behind.
        #[test]
        fn equals_a_plain_queue(
            steps in prop::collection::vec((any::<bool>(), 0usize..5000), 1..60),
        ) {
            let mut pool = Pool::owned(1 << 17, 4096).unwrap();
            let (mut queue, mut model) = (Fifo::new(), VecDeque::new());
            let mut next = 0u8;
            for (push, count) in steps {
                if push {
                    let data: Vec<u8> =
                        (0..count).map(|_| { next = next.wrapping_add(1); next }).collect();
                    let taken = queue.push(&mut pool, &data);
                    model.extend(&data[..taken]);
                    if taken < data.len() {
                        prop_assert_eq!(pool.spare_pages(), 0);
                    }
                } else {
                    let front = queue.front(&pool);
                    prop_assert!(front.iter().eq(model.iter().take(front.len())));
                    prop_assert_eq!(front.is_empty(), model.is_empty());
                    queue.consume(&mut pool, count);
                    model.drain(..count.min(model.len()));
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            while !queue.is_empty() {
                let front = queue.front(&pool).to_vec();
                prop_assert!(front.iter().eq(model.iter().take(front.len())));
                model.drain(..front.len());
                queue.consume(&mut pool, front.len());
            }
            prop_assert!(model.is_empty());
            prop_assert_eq!(pool.used_pages(), 0);
        }
    }

    /// Many streams whose readers are slow hold little more than what came for them, whatever it
    /// came in: a bound on unread bytes is a bound on memory.
    fn hold(bytes: usize, piece: usize) -> f64 {
        let mut pool = Pool::owned(1 << 26, 16_384).unwrap();
        let mut queues: Vec<Fifo> = (0..200).map(|_| Fifo::new()).collect();
        for queue in &mut queues {
            for piece in vec![7; bytes].chunks(piece) {
                assert_eq!(queue.push(&mut pool, piece), piece.len());
            }
        }
        let held = pool.used_pages() * pool.page_size();
        queues.iter_mut().for_each(|queue| queue.clear(&mut pool));
        assert_eq!(pool.used_pages(), 0);
        held as f64 / (200 * bytes) as f64
    }

    #[test]
    fn unread_bytes_hold_little_more_than_their_size() {
        // What snappy makes of a segment, and a byte more than two cells of 1,536 hold.
        for (bytes, piece, most) in [(1_600, 1_600, 1.5), (2_047, 2_047, 1.5), (3_065, 1_290, 2.0)]
        {
            let factor = hold(bytes, piece);
            assert!(factor <= most, "{factor} for {bytes} bytes");
        }
    }

    proptest! {
        #[test]
        fn unread_bytes_hold_a_few_times_their_size(bytes in 100_usize..70_000, piece in 1_usize..20_000) {
            let factor = hold(bytes, piece);
            prop_assert!(factor <= 3.0, "{} for {} bytes in pieces of {}", factor, bytes, piece);
        }

        /// As long as the pool has any cell, however small, a queue of any length takes bytes.
        #[test]
        fn any_cell_that_is_left_is_taken(queued in 0_usize..40_000, coming in 1_usize..9_000, size in 0_usize..3) {
            let mut pool = Pool::owned(16 * 16_384, 16_384).unwrap();
            let mut queue = Fifo::new();
            prop_assert_eq!(queue.push(&mut pool, &vec![1; queued]), queued);
            let left = pool.alloc(CELLS[size]).unwrap();
            let mut others = Vec::new();
            for len in [16_384, 1_536, 512, 128] {
                others.extend(core::iter::from_fn(|| pool.alloc(len)));
            }
            // What fits the last chunk needs no other.
            while queue.push(&mut pool, &[1]) == 1 {}
            let full = queue.len();
            pool.release(left);
            let taken = queue.push(&mut pool, &vec![2; coming]);
            prop_assert_eq!(taken, coming.min(CELLS[size] - LINK));
            queue.consume(&mut pool, full);
            prop_assert!(queue.front(&pool).iter().all(|&byte| byte == 2));
            queue.clear(&mut pool);
            others.into_iter().for_each(|buf| pool.release(buf));
            prop_assert_eq!(pool.used_pages(), 0);
        }
    }
}
