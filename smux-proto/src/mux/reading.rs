//! Bytes for the application.

use proto_base::Pool;

use super::Mux;
use crate::error::ReadError;
use crate::slot::{StreamId, due};
use crate::wire::Version;

impl Mux<'_> {
    /// Reads stored bytes of a stream into `out`; returns how many, which is 0 only for an empty
    /// `out`.
    ///
    /// # Errors
    /// When nothing is stored: why.
    pub fn read(
        &mut self,
        id: StreamId,
        pool: &mut Pool<'_>,
        out: &mut [u8],
    ) -> Result<usize, ReadError> {
        let at = self.streams.get(id).ok_or(ReadError::UnknownStream)?;
        let slot = &mut self.streams[at];
        if slot.stored.is_empty() {
            return Err(match self.death {
                _ if slot.peer_finished => ReadError::Finished,
                Some(_) => ReadError::Dead,
                None => ReadError::Empty,
            });
        }
        let mut count = 0;
        while count < out.len() && !slot.stored.is_empty() {
            let front = slot.stored.front(pool);
            let step = front.len().min(out.len() - count);
            out[count..count + step].copy_from_slice(&front[..step]);
            slot.stored.consume(pool, step);
            count += step;
        }
        self.was_consumed(at, count);
        Ok(count)
    }

    /// The stored bytes at the front of a stream that lie together; empty when nothing is stored or
    /// there is no such stream ([`read`](Self::read) tells the cases apart).
    #[must_use]
    pub fn peek<'p>(&self, id: StreamId, pool: &'p Pool<'_>) -> &'p [u8] {
        match self.streams.get(id) {
            Some(at) => self.streams[at].stored.front(pool),
            None => &[],
        }
    }

    /// Removes up to `count` stored bytes from the front of a stream, as read; returns how many.
    pub fn consume(&mut self, id: StreamId, pool: &mut Pool<'_>, count: usize) -> usize {
        let Some(at) = self.streams.get(id) else { return 0 };
        let stored = &mut self.streams[at].stored;
        let count = count.min(stored.len());
        stored.consume(pool, count);
        self.was_consumed(at, count);
        count
    }

    /// Number of stored bytes of a stream.
    #[must_use]
    pub fn unread(&self, id: StreamId) -> usize {
        self.streams.get(id).map_or(0, |at| self.streams[at].stored.len())
    }

    /// Whether the peer has finished the stream and all was read. `false` for stale handles.
    #[must_use]
    pub fn is_finished(&self, id: StreamId) -> bool {
        self.streams
            .get(id)
            .is_some_and(|at| self.streams[at].peer_finished && self.streams[at].stored.is_empty())
    }

    fn was_consumed(&mut self, at: u32, count: usize) {
        if count == 0 {
            return;
        }
        self.note_read(at, count);
        self.give_back(count);
        self.check_end(at);
    }

    /// Counts bytes that the application has; in version 2 the peer is told now and then.
    pub(super) fn note_read(&mut self, at: u32, count: usize) {
        if self.config.version == Version::V1 {
            return;
        }
        let slot = &mut self.streams[at];
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if slot.reads.read(count, self.config.stream_buffer) && !slot.peer_finished {
            self.add_due(at, due::UPD);
        }
    }
}
