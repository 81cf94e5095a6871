//! A stream and the two scripted applications at its ends.

use core::time::Duration;

use kcptun_tunnel::{ConnectionKey, Endpoint, StreamError, StreamId};
use proto_base::Instant;

use crate::machine::inside;
use crate::{Rng, pattern};

/// A stream with a script for each end: `ends[CLIENT]` opens it, `ends[SERVER]` accepts it.
#[derive(Debug, Default, Clone)]
pub struct Flow {
    /// The two applications.
    pub ends: [FlowEnd; 2],
    /// Wait this long before opening.
    pub opens_after: Duration,
    /// What the bytes are made from; differs for each flow of a world.
    pub(crate) seed: u64,
    pub(crate) client: usize,
    pub(crate) wire: Option<u32>,
}

/// One application: its script, and how far it is.
#[derive(Debug, Default, Clone)]
pub struct FlowEnd {
    /// Bytes to send.
    pub to_send: u64,
    /// Largest piece written at once; 0: as large as possible.
    pub largest_write: usize,
    /// Most bytes taken by one read; 0: all that lie together.
    pub largest_read: usize,
    /// Do not finish after the last byte.
    pub stays_open: bool,
    /// Read nothing; see [`World::resume_reading`](crate::World::resume_reading).
    pub stalls: bool,
    /// Finish only when the peer has finished.
    pub finishes_last: bool,
    /// Abort the stream when that many bytes have been read.
    pub aborts_at: Option<u64>,

    /// Bytes that were taken over for sending.
    pub sent: u64,
    /// Bytes received, all of them as they should be.
    pub received: u64,
    /// When the last of them came.
    pub received_at: Instant,
    /// The peer's end was seen.
    pub peer_finished: bool,
    /// When the stream ended here.
    pub ended_at: Option<Instant>,
    /// The stream died with its connection, or was aborted here.
    pub is_gone: bool,

    pub(crate) place: Option<(ConnectionKey, StreamId)>,
    pub(crate) can_write: bool,
    pub(crate) can_read: bool,
    pub(crate) finished: bool,
}

impl Flow {
    /// A transfer of `up` bytes to the server and `down` bytes back; each end finishes when it has
    /// sent its part.
    #[must_use]
    pub fn transfer(up: u64, down: u64) -> Self {
        let end = |to_send| FlowEnd { to_send, ..FlowEnd::default() };
        Self { ends: [end(up), end(down)], ..Self::default() }
    }

    /// Whether both ends are through.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ends.iter().all(|end| end.is_gone || end.ended_at.is_some())
    }

    /// Whether all bytes of both ends have arrived.
    #[must_use]
    pub fn has_delivered(&self) -> bool {
        let [client, server] = &self.ends;
        server.received == client.to_send && client.received == server.to_send
    }

    /// Lets the application at one end do what it can. Tells whether it did anything.
    pub(crate) fn act(
        &mut self,
        side: usize,
        now: Instant,
        endpoint: &mut Endpoint,
        rng: &mut Rng,
    ) -> bool {
        let Some((key, id)) = self.ends[side].place else { return false };
        let mut acted = self.read(side, now, endpoint, rng);
        if self.ends[side].aborts_at.is_some_and(|at| at <= self.ends[side].received) {
            inside(|| endpoint.abort(now, key, id));
            self.ends[side].is_gone = true;
            self.ends[side].place = None;
            return true;
        }
        acted |= self.write(side, now, endpoint, rng);
        let end = &mut self.ends[side];
        let may_finish = !end.stays_open && (!end.finishes_last || end.peer_finished);
        if end.sent == end.to_send && !end.finished && may_finish {
            inside(|| endpoint.finish(now, key, id));
            end.finished = true;
            acted = true;
        }
        acted
    }

    fn write(&mut self, side: usize, now: Instant, endpoint: &mut Endpoint, rng: &mut Rng) -> bool {
        let seed = self.seed ^ side as u64;
        let end = &mut self.ends[side];
        let Some((key, id)) = end.place else { return false };
        let mut acted = false;
        while end.can_write && end.sent < end.to_send && !end.finished {
            let most = if end.largest_write == 0 { 65_536 } else { rng.up_to(end.largest_write) };
            let wanted = usize::try_from(end.to_send - end.sent).unwrap_or(most).min(most);
            let sent = end.sent;
            let fill = |out: &mut [u8]| {
                assert!(!out.is_empty() && out.len() <= wanted, "a slot of {} bytes", out.len());
                pattern::fill(seed, sent, out);
                (out.len(), out.len())
            };
            let result = inside(|| endpoint.write_with(now, key, id, wanted, fill));
            match result {
                Ok(count) => end.sent += count as u64,
                Err(StreamError::Blocked) => end.can_write = false,
                Err(error) => panic!("write to {id:?} at {side}: {error:?}"),
            }
            acted = true;
        }
        acted
    }

    fn read(&mut self, side: usize, now: Instant, endpoint: &mut Endpoint, rng: &mut Rng) -> bool {
        let (seed, client) = (self.seed ^ (1 - side) as u64, self.client);
        let peer_sent = self.ends[1 - side].sent;
        let end = &mut self.ends[side];
        let Some((key, id)) = end.place else { return false };
        let mut acted = false;
        while end.can_read && !end.stalls {
            let most = if end.largest_read == 0 { usize::MAX } else { rng.up_to(end.largest_read) };
            let received = end.received;
            let take = |bytes: &[u8]| {
                let count = bytes.len().min(most);
                let is_right = pattern::matches(seed, received, &bytes[..count]);
                assert!(is_right, "wrong bytes at {received} of client {client}'s {id:?}");
                (count, count)
            };
            let result = inside(|| endpoint.read_with(now, key, id, take));
            match result {
                Ok(count) => {
                    end.received += count as u64;
                    end.received_at = now;
                    if end.aborts_at.is_some_and(|at| at <= end.received) {
                        return true;
                    }
                }
                Err(StreamError::Blocked) => end.can_read = false,
                Err(StreamError::Finished) => {
                    end.can_read = false;
                    end.note_peer_finished(peer_sent);
                }
                Err(error) => panic!("read of {id:?} at {side}: {error:?}"),
            }
            acted = true;
        }
        acted
    }

    /// The stream is over at one end.
    pub(crate) fn end(&mut self, side: usize, now: Instant) {
        let peer_sent = self.ends[1 - side].sent;
        let end = &mut self.ends[side];
        end.note_peer_finished(peer_sent);
        assert!(end.finished, "a stream ended that was not finished here");
        assert!(end.ended_at.is_none(), "a stream ended twice");
        end.ended_at = Some(now);
        end.place = None;
    }
}

impl FlowEnd {
    fn note_peer_finished(&mut self, peer_sent: u64) {
        assert_eq!(self.received, peer_sent, "the end of the stream came too early");
        self.peer_finished = true;
    }

    pub(crate) fn join(&mut self, key: ConnectionKey, id: StreamId) {
        self.place = Some((key, id));
        self.can_write = true;
        self.can_read = true;
    }
}
