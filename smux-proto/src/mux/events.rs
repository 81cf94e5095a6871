//! What the application should know.

use super::Mux;
use crate::error::Reason;
use crate::slot::{StreamId, news};

/// Something has changed. Events are bits, not a queue: each is reported once, however often it
/// came up since it was last asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened streams: call [`Mux::accept`] until it has none.
    Incoming,
    /// Reading stood still and can go on: give the rest of the input again.
    Unblocked,
    /// Bytes of this stream were stored.
    Readable(StreamId),
    /// Data can be sent to this stream, which was not so before.
    Writable(StreamId),
    /// The peer has finished this stream: what is stored is the last of it.
    Finished(StreamId),
    /// Nothing can be sent to this stream any more. Sending to it says why: the peer broke the rules
    /// of its window ([`SendError::BadUpdate`](crate::SendError); abort it), or has closed it for
    /// good and reads nothing ([`Finished`](crate::SendError); what is stored can still be read).
    Failed(StreamId),
    /// Both directions of this stream are over and all was read. The handle is stale, and this is
    /// the last event that names it. Aborted streams have none.
    Ended(StreamId),
    /// The session is over, and with it all its streams.
    Dead(Reason),
}

impl Mux<'_> {
    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.death_news)
            && let Some(reason) = self.death
        {
            return Some(Event::Dead(reason));
        }
        if core::mem::take(&mut self.incoming) && !self.backlog.is_empty() {
            return Some(Event::Incoming);
        }
        if core::mem::take(&mut self.unblocked) {
            return Some(Event::Unblocked);
        }
        loop {
            let at = self.news.pop(self.streams.slots())?;
            if let Some(event) = self.stream_event(at) {
                return Some(event);
            }
        }
    }

    /// Whether [`poll_event`](Self::poll_event) may have something to tell. It may turn out to be
    /// old news.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.death_news || self.incoming || self.unblocked || !self.news.is_empty()
    }

    /// The first event of a stream that was taken out of the list; `None` when it is old news.
    fn stream_event(&mut self, at: u32) -> Option<Event> {
        let slot = &mut self.streams[at];
        let first = slot.news & slot.news.wrapping_neg();
        slot.news &= !first;
        if slot.news != 0 {
            self.news.push(self.streams.slots(), at);
        }
        let id = self.streams.id(at);
        match first {
            news::READABLE => (self.unread(id) > 0).then_some(Event::Readable(id)),
            news::WRITABLE => self.may_send(at).then_some(Event::Writable(id)),
            news::FINISHED => Some(Event::Finished(id)),
            news::FAILED => Some(Event::Failed(id)),
            _ => {
                self.streams.free(at);
                Some(Event::Ended(id))
            }
        }
    }
}
