//! Figures of single streams.

use proto_base::Instant;

use super::Mux;
use crate::slot::{Local, StreamId};

/// What one stream has done so far, and what it holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStats {
    /// When its SYN left or came.
    pub opened_at: Instant,
    /// Bytes of bodies received.
    pub bytes_in: u64,
    /// Bytes of bodies sent.
    pub bytes_out: u64,
    /// Received bytes that nobody has read yet.
    pub unread: usize,
}

impl Mux<'_> {
    /// The streams whose handles are not stale, those that wait for [`accept`](Self::accept)
    /// included, in the order of their slots.
    pub fn stream_ids(&self) -> impl Iterator<Item = StreamId> {
        (0..u32::try_from(self.streams.fresh()).unwrap_or(u32::MAX))
            .filter(|&at| !matches!(self.streams[at].local, Local::Vacant | Local::Aborted))
            .map(|at| self.streams.id(at))
    }

    /// Figures of a stream; `None` for a stale handle.
    #[must_use]
    pub fn stream_stats(&self, id: StreamId) -> Option<StreamStats> {
        let slot = &self.streams[self.streams.get(id)?];
        Some(StreamStats {
            opened_at: slot.opened_at,
            bytes_in: slot.bytes_in,
            bytes_out: slot.bytes_out,
            unread: slot.stored.len(),
        })
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use std::vec::Vec;

    use proto_base::Pool;

    use super::*;
    use crate::{Config, MuxStorage, Role};

    #[test]
    fn both_ends_count_the_same_bytes() -> Result<(), std::boxed::Box<dyn core::error::Error>> {
        let mut pool = Pool::owned(1 << 20, 4096)?;
        let mux = |role| Mux::new(role, Config::default(), MuxStorage::owned(), 0, Instant::ZERO);
        let (mut client, mut server) = (mux(Role::Client)?, mux(Role::Server)?);
        let (idle, busy) = (client.open()?, client.open()?);
        let sent_at = Instant::from_millis(70);
        let mut wire = Vec::new();
        while let Some(frame) = client.poll_control(sent_at) {
            wire.extend_from_slice(frame.as_bytes());
        }
        for part in [&b"hello"[..], b", world"] {
            wire.extend_from_slice(&client.begin_frame(busy, part.len())?);
            wire.extend_from_slice(part);
        }
        let came_at = Instant::from_millis(90);
        server.handle_bytes(came_at, &mut pool, &wire)?;
        let accepted = [server.accept(), server.accept()].map(Option::unwrap);
        server.consume(accepted[1], &mut pool, 5);

        let quiet = StreamStats { opened_at: sent_at, bytes_in: 0, bytes_out: 0, unread: 0 };
        assert_eq!(client.stream_stats(idle), Some(quiet));
        assert_eq!(client.stream_stats(busy), Some(StreamStats { bytes_out: 12, ..quiet }));
        let busy_there = StreamStats { opened_at: came_at, bytes_in: 12, bytes_out: 0, unread: 7 };
        assert_eq!(server.stream_stats(accepted[1]), Some(busy_there));
        assert_eq!(server.stream_ids().collect::<Vec<_>>(), accepted);

        client.abort(idle, &mut pool);
        assert_eq!(client.stream_ids().collect::<Vec<_>>(), [busy]);
        assert_eq!(client.stream_stats(idle), None);
        server.release(&mut pool);
        assert_eq!(server.stream_ids().count(), 0);
        Ok(())
    }
}
