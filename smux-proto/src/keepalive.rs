//! Signs of life: when to send one, and when to give the peer up.

use core::time::Duration;

use proto_base::Instant;

/// When this end last spoke and last heard.
#[derive(Debug)]
pub(crate) struct Keepalive {
    interval: Duration,
    timeout: Duration,
    /// Latest time seen.
    now: Instant,
    spoke: Instant,
    heard: Instant,
    /// Reading was held up until after `now`: the next time told counts as heard.
    resumed: bool,
}

impl Keepalive {
    pub(crate) const fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, now, spoke: now, heard: now, resumed: false }
    }

    /// Takes the time; an earlier one than the latest seen counts as the latest.
    pub(crate) fn see(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.resumed {
            self.resumed = false;
            self.heard = self.now;
        }
    }

    /// Bytes came from the peer.
    pub(crate) const fn heard(&mut self) {
        self.heard = self.now;
    }

    /// Reading goes on after a time when it could not: the peer had no way to be heard.
    pub(crate) const fn resume(&mut self) {
        self.heard = self.now;
        self.resumed = true;
    }

    /// A frame was sent.
    pub(crate) const fn spoke(&mut self) {
        self.spoke = self.now;
    }

    /// Whether a NOP is due.
    pub(crate) fn is_nop_due(&self) -> bool {
        self.nop_at() <= self.now
    }

    /// When the next NOP is due.
    pub(crate) fn nop_at(&self) -> Instant {
        self.spoke + self.interval
    }

    /// When the peer is given up.
    pub(crate) fn dead_at(&self) -> Instant {
        self.heard + self.timeout
    }

    /// Latest time seen.
    pub(crate) const fn now(&self) -> Instant {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaking_and_hearing_move_the_deadlines() {
        let ms = Instant::from_millis;
        let mut alive =
            Keepalive::new(Duration::from_millis(100), Duration::from_millis(250), ms(1_000));
        assert_eq!((alive.nop_at(), alive.dead_at()), (ms(1_100), ms(1_250)));
        alive.see(ms(1_100));
        assert!(alive.is_nop_due());
        alive.spoke();
        alive.see(ms(50));
        alive.heard();
        assert_eq!((alive.nop_at(), alive.dead_at()), (ms(1_200), ms(1_350)));
        alive.resume();
        alive.see(ms(9_000));
        assert_eq!(alive.dead_at(), ms(9_250));
    }
}
