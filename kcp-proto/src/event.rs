//! What a conversation has to say to its user.

/// Something changed. Events are reported once and do not pile up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Bytes or messages came into order.
    Readable,
    /// There is room to send again.
    Writable,
    /// The peer owes acks and has been silent for 3 RTO and at least a second. It may be gone;
    /// nothing is given up, and the next datagram clears the suspicion.
    Suspect,
    /// The peer answers as one that knows nothing of this conversation: it was started anew. What
    /// was under way is lost.
    PeerRestarted,
}

const ALL: [Event; 4] = [Event::PeerRestarted, Event::Suspect, Event::Readable, Event::Writable];

/// Dirty bits, one for each event.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Events(u8);

impl Events {
    pub(crate) fn set(&mut self, event: Event) {
        self.0 |= bit(event);
    }

    pub(crate) fn take(&mut self) -> Option<Event> {
        let event = ALL.into_iter().find(|&event| self.0 & bit(event) != 0)?;
        self.0 &= !bit(event);
        Some(event)
    }
}

const fn bit(event: Event) -> u8 {
    match event {
        Event::Readable => 1,
        Event::Writable => 2,
        Event::Suspect => 4,
        Event::PeerRestarted => 8,
    }
}
