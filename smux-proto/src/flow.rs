//! Byte counts of one stream: what we may send, and what we tell the peer (version 2).

use crate::wire::{INITIAL_WINDOW, Update};

proto_base::serial_number! {
    /// Bytes of a stream since it was opened, modulo 2^32.
    pub(crate) struct ByteCount;
}

/// What the peer lets us have in flight. Version 1 only counts.
#[derive(Debug)]
pub(crate) struct SendWindow {
    sent: ByteCount,
    peer_consumed: ByteCount,
    peer_window: u32,
}

impl SendWindow {
    pub(crate) const fn new() -> Self {
        Self {
            sent: ByteCount::new(0),
            peer_consumed: ByteCount::new(0),
            peer_window: INITIAL_WINDOW,
        }
    }

    /// Bytes that may be sent now: window minus in flight as a signed 32-bit number, 0 when that is
    /// negative (smux, stream.go, `writeV2`).
    pub(crate) fn room(&self) -> usize {
        let in_flight = self.sent.ahead_of(self.peer_consumed);
        let room = self.peer_window.cast_signed().wrapping_sub(in_flight);
        usize::try_from(room).unwrap_or(0)
    }

    pub(crate) fn sent(&mut self, count: u32) {
        self.sent += count;
    }

    /// Takes what the peer tells. `false`: it claims to have read more than was sent.
    pub(crate) fn update(&mut self, update: Update) -> bool {
        self.peer_consumed = ByteCount::new(update.consumed);
        self.peer_window = update.window;
        !self.sent.is_before(self.peer_consumed)
    }
}

/// What was read here, and what of it the peer knows.
#[derive(Debug)]
pub(crate) struct ReadCount {
    consumed: ByteCount,
    told: ByteCount,
    told_once: bool,
}

impl ReadCount {
    pub(crate) const fn new() -> Self {
        Self { consumed: ByteCount::new(0), told: ByteCount::new(0), told_once: false }
    }

    /// Counts bytes read; tells whether an UPD is due: after the first read, then whenever at least
    /// half of the buffer was read since the last UPD (smux, stream.go, `tryReadV2`).
    pub(crate) fn read(&mut self, count: u32, stream_buffer: u32) -> bool {
        self.consumed += count;
        !self.told_once || self.consumed - self.told >= stream_buffer / 2
    }

    /// The UPD to send now.
    pub(crate) fn tell(&mut self, window: u32) -> Update {
        self.told = self.consumed;
        self.told_once = true;
        Update { consumed: self.consumed.get(), window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_follows_updates_across_the_wrap() {
        let mut window = SendWindow::new();
        let mut consumed = 0u32;
        for step in 0..40_000u32 {
            assert_eq!(window.room(), 262_144);
            window.sent(200_000);
            assert_eq!(window.room(), 62_144);
            consumed = consumed.wrapping_add(200_000);
            assert!(window.update(Update { consumed, window: INITIAL_WINDOW }), "step {step}");
        }
    }

    #[test]
    fn a_window_may_shrink_below_what_is_in_flight() {
        let mut window = SendWindow::new();
        window.sent(262_144);
        assert!(window.update(Update { consumed: 1, window: 65_536 }));
        assert_eq!(window.room(), 0);
        assert!(window.update(Update { consumed: 229_376, window: 65_536 }));
        assert_eq!(window.room(), 32_768);
        assert!(window.update(Update { consumed: 229_376, window: u32::MAX }));
        assert_eq!(window.room(), 0, "windows of 2^31 and more count as negative");
        assert!(!window.update(Update { consumed: 262_145, window: 65_536 }));
    }

    #[test]
    fn updates_are_due_at_the_first_read_and_at_each_half_buffer() {
        let mut count = ReadCount::new();
        assert!(count.read(1, 100));
        assert_eq!(count.tell(100), Update { consumed: 1, window: 100 });
        assert!(!count.read(49, 100));
        assert!(count.read(1, 100));
        assert_eq!(count.tell(100), Update { consumed: 51, window: 100 });
        assert!(!count.read(1, 100));
    }
}
