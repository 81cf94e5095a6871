//! Signs of life: when to send one, and when to give the peer up.

use core::time::Duration;

use proto_base::Instant;

use crate::Role;

/// When this end last spoke and last heard.
///
/// The original sends a NOP at a tick each interval (smux, session.go, `keepalive`), so two quiet
/// ends exchange two signs of life, each of which KCP acknowledges. Here one end's sign follows at
/// once when the other's is heard, if half of the interval is over: it goes in the datagram with the
/// ack. As a server waits a little longer, its clients begin; so a quiet session costs it one
/// datagram each interval.
#[derive(Debug)]
pub(crate) struct Keepalive {
    interval: Duration,
    /// How much later than the interval a NOP is due of itself.
    patience: Duration,
    timeout: Duration,
    /// Latest time seen.
    now: Instant,
    spoke: Instant,
    heard: Instant,
    /// Reading was held up until after `now`: the next time told counts as heard.
    resumed: bool,
}

impl Keepalive {
    pub(crate) fn new(role: Role, interval: Duration, timeout: Duration, now: Instant) -> Self {
        let patience = match role {
            Role::Client => Duration::ZERO,
            Role::Server => interval / 20,
        };
        Self { interval, patience, timeout, now, spoke: now, heard: now, resumed: false }
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
        if self.heard - self.spoke >= self.interval / 2 {
            self.heard
        } else {
            self.spoke + self.interval + self.patience
        }
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
    use std::vec::Vec;

    use super::*;

    fn keepalive(role: Role) -> Keepalive {
        let (interval, timeout) = (Duration::from_millis(100), Duration::from_millis(250));
        Keepalive::new(role, interval, timeout, Instant::from_millis(1_000))
    }

    /// Two quiet ends that have last spoken at any distance: each period has one exchange, which
    /// the client begins.
    #[test]
    fn signs_of_life_meet() {
        for behind in 0..=100 {
            let mut ends = [keepalive(Role::Client), keepalive(Role::Server)];
            let mut sent = [Vec::new(), Vec::new()];
            for ms in 1_001..2_500 {
                if ms == 1_000 + behind {
                    ends[1].see(Instant::from_millis(ms));
                    ends[1].spoke();
                }
                for (this, other) in [(0, 1), (1, 0)] {
                    ends[this].see(Instant::from_millis(ms));
                    if ends[this].is_nop_due() {
                        ends[this].spoke();
                        sent[this].push(ms);
                        ends[other].see(Instant::from_millis(ms));
                        ends[other].heard();
                    }
                }
            }
            let late = |way: usize| sent[way].iter().filter(|&&ms| ms > 1_700).collect::<Vec<_>>();
            assert_eq!(late(0), late(1), "behind {behind}");
            assert!(late(0).len() >= 7, "behind {behind}");
            assert!(late(0).windows(2).all(|pair| pair[1] - pair[0] == 100), "behind {behind}");
        }
    }

    #[test]
    fn speaking_and_hearing_move_the_deadlines() {
        let ms = Instant::from_millis;
        let mut alive = keepalive(Role::Client);
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
