//! The queue of the send side: how bytes become segments, and where they lie.

use proto_base::{Buf, Pool};

use crate::error::SendError;
use crate::receiver::RESERVED_PAGES;
use crate::sender::{Chunk, Sender};
use crate::tx_segment::TxSegment;
use crate::wire::Sn;

/// Most fragments of a message; the count goes down to 0 in one byte.
const MAX_FRAGMENTS: usize = 255;

impl Sender<'_> {
    /// Lends free memory behind what is queued: from `least` to `wanted` bytes, and no more than
    /// the window allows.
    pub(crate) fn slot<'p>(
        &mut self,
        pool: &'p mut Pool<'_>,
        least: usize,
        wanted: usize,
    ) -> Result<&'p mut [u8], SendError> {
        let free = (self.window - (self.end - self.una)) as usize * self.mss;
        let open = self.open_len().map_or(0, |len| self.mss - len);
        let (least, wanted) = (least.max(1), wanted.max(least).max(1));
        if open + free < least {
            return Err(SendError::WindowFull);
        }
        let room = self.room(pool);
        if open > 0 && room < least.max(wanted.min(open)) {
            // Once for a segment: else its rest would be lent in runts.
            let moved = self.move_open_segment(pool, wanted, least);
            if room < least {
                moved?;
            }
        } else if open == 0 && room < wanted.min(self.mss.max(least)) {
            self.add_chunk(pool, wanted, least)?;
        }
        let allowed = (open + free).min(self.room(pool)).min(wanted);
        let new_segments = allowed.saturating_sub(open).div_ceil(self.mss);
        let used = (self.end - self.una) as usize;
        if !self.reserve(used + new_segments) {
            return Err(SendError::NoMemory);
        }
        let filled = self.filled;
        self.lent = allowed;
        let Some(buf) = self.last_chunk() else { return Err(SendError::NoMemory) };
        Ok(&mut pool.bytes_mut(buf)[filled..filled + allowed])
    }

    /// Queues `count` bytes that were written to the slot lent last.
    pub(crate) fn commit(&mut self, pool: &mut Pool<'_>, count: usize) {
        let mut rest = count.min(core::mem::take(&mut self.lent)).min(self.room(pool));
        while rest > 0 {
            let open = self.open_room(pool);
            let taken = if open > 0 {
                let taken = open.min(rest);
                let last = &mut self.segments[self.end.get().wrapping_sub(1)];
                last.len += u16::try_from(taken).unwrap_or(0);
                taken
            } else if self.pending() < self.window
                && self.segments.reserve(self.una.get(), self.pending() as usize + 1)
            {
                let taken = rest.min(self.mss);
                self.append(taken, 0);
                taken
            } else {
                break;
            };
            self.filled += taken;
            rest -= taken;
        }
        if self.una == self.end {
            self.release_chunks(pool, None);
        }
    }

    /// Queues a whole message as fragments that count down; all of it or nothing.
    pub(crate) fn message(&mut self, pool: &mut Pool<'_>, data: &[u8]) -> Result<(), SendError> {
        let fragments = data.len().div_ceil(self.mss);
        let most = MAX_FRAGMENTS.min(self.window as usize);
        let used = (self.end - self.una) as usize;
        if fragments == 0 {
            return Err(SendError::Empty);
        }
        if fragments > most {
            return Err(SendError::TooLong { max: most * self.mss });
        }
        if used + fragments > self.window as usize {
            return Err(SendError::WindowFull);
        }
        if !self.reserve(used + fragments) {
            return Err(SendError::NoMemory);
        }
        // It goes where a slot would have been.
        self.lent = 0;
        let before = (self.end, self.chunk_count, self.filled);
        for (number, part) in data.chunks(self.mss).enumerate() {
            if self.room(pool) < part.len() {
                let rest = data.len() - number * self.mss;
                if let Err(error) = self.add_chunk(pool, rest, part.len()) {
                    self.undo(pool, before);
                    return Err(error);
                }
            }
            let filled = self.filled;
            if let Some(buf) = self.last_chunk() {
                pool.bytes_mut(buf)[filled..filled + part.len()].copy_from_slice(part);
            }
            self.append(part.len(), u8::try_from(fragments - 1 - number).unwrap_or(0));
            self.filled += part.len();
        }
        Ok(())
    }

    /// Makes room for a window of `count` segments, and for a chunk each, so that a window that was
    /// full once never needs index memory again.
    fn reserve(&mut self, count: usize) -> bool {
        let fits = self.segments.reserve(self.una.get(), count);
        let chunks = self.segments.capacity().min(self.chunks.limit());
        fits && self.chunks.reserve(self.first_chunk, chunks)
    }

    /// Adds a segment of `len` bytes at the end of the last chunk.
    fn append(&mut self, len: usize, fragment: u8) {
        self.segments[self.end.get()] = TxSegment {
            chunk: self.first_chunk.wrapping_add(self.chunk_count).wrapping_sub(1),
            offset: u16::try_from(self.filled).unwrap_or(0),
            len: u16::try_from(len).unwrap_or(0),
            fragment,
            ..TxSegment::default()
        };
        self.end += 1;
    }

    /// Length of the last segment if it can still take bytes: it is unsent and not full.
    fn open_len(&self) -> Option<usize> {
        if !self.is_stream || self.next == self.end {
            return None;
        }
        let len = usize::from(self.segments[self.end.get().wrapping_sub(1)].len);
        (len < self.mss).then_some(len)
    }

    /// Bytes that the last segment can take where it lies.
    fn open_room(&self, pool: &Pool<'_>) -> usize {
        self.open_len().map_or(0, |len| (self.mss - len).min(self.room(pool)))
    }

    /// Moves the open last segment to a chunk of its own, so that small writes that wait for the
    /// window fill one segment instead of one each.
    fn move_open_segment(
        &mut self,
        pool: &mut Pool<'_>,
        wanted: usize,
        least: usize,
    ) -> Result<(), SendError> {
        let last = self.end.get().wrapping_sub(1);
        let (chunk, offset) = (self.segments[last].chunk, usize::from(self.segments[last].offset));
        let len = usize::from(self.segments[last].len);
        self.add_chunk(pool, self.mss.max(len + wanted), self.mss.max(len + least))?;
        let (Some(from), Some(to)) = (self.chunks[chunk].0.as_ref(), self.last_chunk()) else {
            return Err(SendError::NoMemory);
        };
        pool.copy(from, offset, to, len);
        self.filled = len;
        self.segments[last].chunk = self.first_chunk.wrapping_add(self.chunk_count - 1);
        self.segments[last].offset = 0;
        Ok(())
    }

    /// Bytes free in the last chunk.
    pub(crate) fn room(&self, pool: &Pool<'_>) -> usize {
        self.last_chunk().map_or(0, |buf| pool.capacity(buf).min(1 << 16) - self.filled)
    }

    pub(crate) fn last_chunk(&self) -> Option<&Buf> {
        let last = self.chunk_count.checked_sub(1)?;
        self.chunks[self.first_chunk.wrapping_add(last)].0.as_ref()
    }

    /// Takes a chunk of `wanted` bytes or a page; in need a smaller one of at least `least`.
    fn add_chunk(
        &mut self,
        pool: &mut Pool<'_>,
        wanted: usize,
        least: usize,
    ) -> Result<(), SendError> {
        if self.chunk_count > 0 && self.una == self.end {
            self.release_chunks(pool, None);
        }
        if least > pool.page_size()
            || pool.spare_pages() < RESERVED_PAGES
            || !self.chunks.reserve(self.first_chunk, self.chunk_count as usize + 1)
        {
            return Err(SendError::NoMemory);
        }
        let wanted = wanted.min(pool.page_size());
        let small = self.mss.min(wanted).max(least);
        let buf = pool.alloc(wanted).or_else(|| pool.alloc(small)).ok_or(SendError::NoMemory)?;
        self.chunks[self.first_chunk.wrapping_add(self.chunk_count)] = Chunk(Some(buf));
        self.chunk_count += 1;
        self.filled = 0;
        Ok(())
    }

    /// Gives back chunks from the first one up to chunk `keep`; for `None` all of them but one that
    /// is lent.
    pub(crate) fn release_chunks(&mut self, pool: &mut Pool<'_>, keep: Option<u32>) {
        let last = self.first_chunk.wrapping_add(self.chunk_count).wrapping_sub(1);
        let keep = keep.or((self.lent > 0).then_some(last));
        while self.chunk_count > 0 && keep != Some(self.first_chunk) {
            if let Some(buf) = self.chunks[self.first_chunk].0.take() {
                pool.release(buf);
            }
            self.first_chunk = self.first_chunk.wrapping_add(1);
            self.chunk_count -= 1;
        }
    }

    /// Takes back what was appended since `before`.
    fn undo(&mut self, pool: &mut Pool<'_>, before: (Sn, u32, usize)) {
        let (end, chunk_count, filled) = before;
        while self.chunk_count > chunk_count {
            self.chunk_count -= 1;
            let last = self.first_chunk.wrapping_add(self.chunk_count);
            if let Some(buf) = self.chunks[last].0.take() {
                pool.release(buf);
            }
        }
        (self.end, self.filled) = (end, filled);
    }
}
