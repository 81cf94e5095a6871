//! Segments in flight in the order of their transmission.

use proto_base::SeqRing;

use crate::tx_segment::{Place, TxSegment};

/// Doubly linked lists through the segments of the window.
///
/// A list for each number of timeouts, so that inside a list both the order of transmission and the
/// order of deadlines is that of the list: the head is the oldest and the next to time out, and
/// losses and timeouts are found by looking at heads only. Links are sequence numbers; the ends link
/// to themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    lists: [List; Lists::IN_FLIGHT + 1],
    /// Bit n: list n holds segments.
    occupied: u32,
    /// Segments in flight, in all lists together.
    pipe: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct List {
    head: u32,
    tail: u32,
}

impl Lists {
    /// Lists for segments in flight. The last one also takes those with more timeouts; by then
    /// their deadlines lie so far apart that the order of transmission is close enough.
    pub(crate) const IN_FLIGHT: usize = 16;
    const RESEND: usize = Self::IN_FLIGHT;

    /// First segment of list `list`.
    pub(crate) fn head(&self, list: usize) -> Option<u32> {
        (self.occupied & (1 << list) != 0).then(|| self.lists[list].head)
    }

    /// First segment to repeat.
    pub(crate) fn resend(&self) -> Option<u32> {
        self.head(Self::RESEND)
    }

    /// Numbers and heads of the lists in flight that hold segments.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (usize, u32)> {
        let mut left = self.occupied & ((1 << Self::IN_FLIGHT) - 1);
        core::iter::from_fn(move || {
            let list = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some((list, self.lists[list].head))
        })
    }

    /// Segments in flight, in all lists together.
    pub(crate) fn pipe(&self) -> u32 {
        self.pipe
    }

    /// Moves a segment to the end of the list of `place`.
    pub(crate) fn move_to(&mut self, ring: &mut SeqRing<'_, TxSegment>, number: u32, place: Place) {
        self.unlink(ring, number);
        ring[number].place = place;
        let Some(list) = list_of(place) else { return };
        self.pipe += u32::from(list < Self::IN_FLIGHT);
        ring[number].next = number;
        if self.occupied & (1 << list) == 0 {
            self.occupied |= 1 << list;
            ring[number].previous = number;
            self.lists[list] = List { head: number, tail: number };
        } else {
            let tail = self.lists[list].tail;
            ring[number].previous = tail;
            ring[tail].next = number;
            self.lists[list].tail = number;
        }
    }

    /// Takes a segment out of its list, if it stands in one. Its place is the caller's to change.
    pub(crate) fn unlink(&mut self, ring: &mut SeqRing<'_, TxSegment>, number: u32) {
        let Some(list) = list_of(ring[number].place) else { return };
        self.pipe -= u32::from(list < Self::IN_FLIGHT);
        let (next, previous) = (ring[number].next, ring[number].previous);
        match (previous == number, next == number) {
            (true, true) => self.occupied &= !(1 << list),
            (true, false) => {
                self.lists[list].head = next;
                ring[next].previous = next;
            }
            (false, true) => {
                self.lists[list].tail = previous;
                ring[previous].next = previous;
            }
            (false, false) => {
                ring[previous].next = next;
                ring[next].previous = previous;
            }
        }
    }
}

fn list_of(place: Place) -> Option<usize> {
    match place {
        Place::Queued | Place::Acked => None,
        Place::InFlight(timeouts) => Some(usize::from(timeouts).min(Lists::IN_FLIGHT - 1)),
        Place::Resend => Some(Lists::RESEND),
    }
}
