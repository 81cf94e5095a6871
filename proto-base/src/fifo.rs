//! A queue of bytes in pool memory.

use crate::{Buf, Pool};

/// Bytes at the front of each chunk that name the next chunk.
const LINK: usize = 4;
/// A queue at least this long takes whole pages for what comes next.
const BULK: usize = 2_048;

/// A first-in first-out queue of bytes, kept in chunks of a [`Pool`].
///
/// An empty queue holds no memory. Its bound is the user's business: `push` takes what the pool has
/// room for. The pool must be the same at every call, and a queue must be [cleared](Fifo::clear)
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

    fn add_chunk(&mut self, pool: &mut Pool<'_>, wanted: usize) -> bool {
        let wanted = if self.len >= BULK { pool.page_size() } else { wanted + LINK };
        let wanted = wanted.min(pool.page_size());
        // When pages have run out a smaller cell may still be there.
        let Some(buf) = pool.alloc(wanted).or_else(|| pool.alloc(LINK + 1)) else { return false };
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
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
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
}
