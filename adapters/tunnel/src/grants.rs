//! Who may write now, of those streams that wait for room.

use crate::event::StreamId;

/// Streams that are told at a time; the next one is told when one of them has answered.
const AT_A_TIME: usize = 8;

/// How many of the streams that wait may still be told to write before more room is known of, and
/// whom of those told has not tried yet. A stream that was told and has nothing to write any more
/// leaves its part to the next one.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    left: usize,
    given: [Option<StreamId>; AT_A_TIME],
}

impl Grants {
    /// There is room for this many; what was given before does not matter any more.
    pub(crate) fn renew(&mut self, count: usize) {
        *self = Self { left: count, ..Self::default() };
    }

    /// Whether another stream may be told.
    pub(crate) fn has_more(&self) -> bool {
        self.left > 0 && self.given.contains(&None)
    }

    /// A stream is told.
    pub(crate) fn give(&mut self, id: StreamId) {
        self.left = self.left.saturating_sub(1);
        if let Some(place) = self.given.iter_mut().find(|place| place.is_none()) {
            *place = Some(id);
        }
    }

    /// A stream has tried, told or not, and wrote something, or nothing.
    pub(crate) fn settle(&mut self, id: StreamId, has_written: bool) {
        if let Some(place) = self.given.iter_mut().find(|place| **place == Some(id)) {
            *place = None;
            self.left += usize::from(!has_written);
        }
    }
}
