//! How much may be under way when nobody asked for congestion control.

use core::time::Duration;

use proto_base::Instant;

/// An epoch lasts this many round trips, and at least until this many segments arrived: enough to
/// tell a rate from its noise.
const EPOCH_ROUNDS: u32 = 4;
const EPOCH_SEGMENTS: u32 = 200;
/// Round trips after a change that do not count.
const SETTLE_ROUNDS: u32 = 3;
/// Repetitions in a hundred transmissions above which a smaller flight is tried, and below which
/// the flight grows again.
const WASTEFUL: u64 = 3;
const FRUGAL: u64 = 1;
/// A smaller flight is kept unless it delivers less than this share of the best rate, in percent.
const KEEP: u64 = 95;
/// How much less than that it may deliver, in percent, when it saves many repetitions.
const RELIEF: u64 = 20;
/// A larger flight is kept only if it delivers this share of the best rate, in percent.
const GAIN: u64 = 104;
/// Fewest segments under way that a trial leaves.
const FLOOR: u32 = 32;
/// Epochs between two trials that did not help, at first and at most.
const FIRST_HOLD: u32 = 2;
const LONGEST_HOLD: u32 = 64;
/// Epochs before a larger flight is tried where a little is wasted: the one that there is does well.
const CALM: u32 = 16;

/// Finds the smallest flight that delivers as much as the whole window does.
///
/// With `nc` = 1 the original sends a window whatever becomes of it. Where the window is larger than
/// what the path and its queue hold, the rest is dropped at the queue, sent again and dropped again:
/// on a 50 Mbit/s path it puts two bytes on the wire for each that arrives, and delivers half of
/// what it could. Classic congestion control is no answer, as it takes every random loss for a full
/// queue. So this only looks at what counts: when more than a few in a hundred transmissions are
/// repetitions, it tries three quarters of the flight for some round trips. If as much arrives, the
/// rest had been in vain, and it stays at that; if less arrives, the loss is the path's, the old
/// flight returns, and the next trial is put off for longer and longer. Trials of a larger flight
/// take turns with those of a smaller one, so a path that improves is found out.
///
/// A peer sees nothing but a sender that does not use its whole window.
#[derive(Debug)]
pub(crate) struct Flight {
    /// Segments that may be under way.
    limit: u32,
    ceiling: u32,
    epoch: Epoch,
    /// Until then the flight before still shows.
    settled_at: Instant,
    phase: Phase,
    /// The best rate of late, in segments per second.
    best: u64,
    /// Repetitions in a hundred transmissions before the trial that runs.
    waste: u64,
    hold: u32,
    /// Epochs without a trial in which neither too much nor nothing was wasted.
    calm: u32,
    /// The next trial after a hold is of a larger flight.
    up_next: bool,
}

/// What is counted for some round trips.
#[derive(Debug, Clone, Copy)]
struct Epoch {
    /// `None` until the first ack, which tells of what came before it.
    start: Option<Instant>,
    delivered: u32,
    repeated: u32,
    /// Most segments under way.
    peak: u32,
    /// There was more to send than was allowed.
    was_full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No trial runs.
    Steady,
    /// Another flight is tried; the one before comes back if it fails.
    Down {
        before: u32,
    },
    Up {
        before: u32,
    },
    /// The last trial failed; the next one comes after so many epochs.
    Hold {
        left: u32,
    },
}

impl Flight {
    /// A flight that is at first the whole window.
    pub(crate) fn new(window: u32) -> Self {
        Self {
            limit: window,
            ceiling: window,
            epoch: Epoch::starting(None),
            settled_at: Instant::ZERO,
            phase: Phase::Steady,
            best: 0,
            waste: 0,
            hold: FIRST_HOLD,
            calm: 0,
            up_next: false,
        }
    }

    /// Segments that may be under way.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// A segment was transmitted, `outstanding` are under way now.
    pub(crate) fn on_sent(&mut self, is_repetition: bool, outstanding: u32) {
        self.epoch.repeated += u32::from(is_repetition);
        self.epoch.peak = self.epoch.peak.max(outstanding);
    }

    /// There is more to send than the flight or the window allows.
    pub(crate) fn on_full(&mut self) {
        self.epoch.was_full = true;
    }

    /// Nothing is under way any more: what follows is measured from its own beginning, as a pause
    /// says nothing about the path.
    pub(crate) fn on_pause(&mut self) {
        self.epoch = Epoch::starting(None);
    }

    /// Acks showed that `delivered` more segments arrived.
    pub(crate) fn on_delivered(&mut self, now: Instant, delivered: u32, rtt: Option<Duration>) {
        let Some(rtt) = rtt else { return };
        let start = match self.epoch.start {
            Some(start) if now >= self.settled_at => start,
            _ => {
                self.epoch = Epoch::starting(Some(now));
                return;
            }
        };
        self.epoch.delivered += delivered;
        let lasted = now - start;
        if lasted >= rtt.max(Duration::from_millis(20)) * EPOCH_ROUNDS
            && self.epoch.delivered >= EPOCH_SEGMENTS
        {
            let epoch = self.epoch;
            let before = self.limit;
            if epoch.was_full {
                self.conclude(epoch, lasted);
            } else {
                self.recover();
            }
            // A changed flight shows once the losses of the one before are repaired.
            let settle = if self.limit == before { 0 } else { SETTLE_ROUNDS };
            self.settled_at = now + rtt * settle;
            self.epoch = Epoch::starting(Some(now));
        }
    }

    fn conclude(&mut self, epoch: Epoch, lasted: Duration) {
        let micros = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX).max(1);
        let (delivered, repeated) = (u64::from(epoch.delivered), u64::from(epoch.repeated));
        let waste = repeated * 100 / (delivered + repeated).max(1);
        let rate = delivered * 1_000_000 / micros;
        match self.phase {
            Phase::Steady => {
                // A path that got slower must not be measured by what it once was.
                self.best = rate.max(self.best * 7 / 8);
                self.choose(epoch, waste);
            }
            Phase::Down { .. } if rate * 100 >= self.best * self.keep(waste) => {
                self.best = rate.max(self.best * 7 / 8);
                self.hold = FIRST_HOLD;
                self.phase = Phase::Steady;
                self.choose(epoch, waste);
            }
            Phase::Up { .. } if rate * 100 >= self.best * GAIN => {
                self.best = rate;
                self.hold = FIRST_HOLD;
                self.try_up();
            }
            Phase::Down { before } | Phase::Up { before } => {
                self.limit = before;
                self.phase = Phase::Hold { left: self.hold };
                self.hold = (self.hold * 2).min(LONGEST_HOLD);
            }
            Phase::Hold { left: 0 } => {
                self.best = rate;
                self.phase = Phase::Steady;
                if core::mem::take(&mut self.up_next) && self.limit < self.ceiling {
                    self.try_up();
                } else {
                    self.up_next = true;
                    self.choose(epoch, waste);
                }
            }
            Phase::Hold { left } => self.phase = Phase::Hold { left: left - 1 },
        }
    }

    /// The share of the best rate, in percent, that a smaller flight must deliver. Where it saves
    /// much, a little less will do: the queue is still digesting what the larger one left.
    fn keep(&self, waste: u64) -> u64 {
        let saved = self.waste.saturating_sub(waste);
        KEEP - (saved * 2 / 3).min(RELIEF)
    }

    /// The next step when no trial runs.
    fn choose(&mut self, epoch: Epoch, waste: u64) {
        let was_calm = core::mem::take(&mut self.calm);
        if waste >= WASTEFUL {
            self.waste = waste;
            let before = self.limit;
            let smaller = self.limit.min(epoch.peak) / 4 * 3;
            if smaller >= FLOOR {
                self.limit = smaller;
                self.phase = Phase::Down { before };
            }
        } else if waste < FRUGAL {
            self.recover();
        } else if self.limit < self.ceiling {
            // A few repetitions, as any path may have: only a trial tells what more would deliver.
            self.calm = was_calm + 1;
            if self.calm > self.hold.max(CALM) {
                self.calm = 0;
                self.try_up();
            }
        }
    }

    fn try_up(&mut self) {
        if self.limit >= self.ceiling {
            self.phase = Phase::Steady;
            return;
        }
        self.phase = Phase::Up { before: self.limit };
        self.limit = (self.limit + self.limit / 3).min(self.ceiling);
    }

    /// Nothing is wasted, so a little more may be.
    fn recover(&mut self) {
        self.limit = (self.limit + self.limit / 16 + 1).min(self.ceiling);
    }
}

impl Epoch {
    fn starting(start: Option<Instant>) -> Self {
        Self { start, delivered: 0, repeated: 0, peak: 0, was_full: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of `rate` segments per ms and `queue` segments, that loses `loss` in a hundred: tells
    /// the flights in use over `rounds` round trips of 100 ms, with as much to send as is allowed.
    fn flights(
        flight: &mut Flight,
        rate: u32,
        queue: u32,
        loss: u32,
        rounds: u32,
    ) -> std::vec::Vec<u32> {
        let rtt = Duration::from_millis(100);
        let mut now = Instant::from_millis(1);
        (0..rounds)
            .map(|_| {
                let sent = flight.limit();
                let fits = sent.min(100 * rate + queue);
                let delivered = (fits - fits * loss / 100).min(100 * rate);
                for number in 0..sent {
                    flight.on_sent(number < sent - fits + fits * loss / 100, sent);
                }
                flight.on_full();
                flight.on_delivered(now, delivered, Some(rtt));
                now += rtt;
                flight.limit()
            })
            .collect()
    }

    #[test]
    fn a_window_beyond_path_and_queue_is_cut_to_what_they_hold() {
        let mut flight = Flight::new(4_096);
        let used = flights(&mut flight, 5, 400, 0, 400);
        let fitting = used[200..].iter().filter(|&limit| (480..=1_000).contains(limit)).count();
        assert!(fitting >= 180, "but for trials: {used:?}");
        assert!(used[200..].iter().all(|&limit| limit <= 1_250), "one step further: {used:?}");
    }

    #[test]
    fn losses_of_the_path_do_not_shrink_the_flight() {
        let mut flight = Flight::new(400);
        let used = flights(&mut flight, 5, 400, 30, 2_000);
        assert!(used.iter().filter(|&&limit| limit == 400).count() > 1_800);
        assert!(used.iter().all(|&limit| limit >= 300));
    }

    #[test]
    fn a_path_that_improves_is_found_out_whatever_it_loses() {
        for loss in 0..=5 {
            let mut flight = Flight::new(4_096);
            flights(&mut flight, 2, 100, 5, 300);
            assert!(flight.limit() < 400);
            let used = flights(&mut flight, 20, 1_000, loss, 2_500);
            assert!(*used.last().unwrap() > 1_500, "{loss} %: {:?}", used.last());
        }
    }

    #[test]
    fn pauses_change_nothing() {
        let mut flight = Flight::new(1_024);
        let rtt = Some(Duration::from_millis(100));
        let mut now = Instant::from_millis(1);
        for _ in 0..200 {
            // A burst that loses 5 %, acknowledged within a round trip, then nothing for a minute.
            for number in 0..300 {
                flight.on_sent(number % 20 == 0, number);
                flight.on_full();
            }
            for _ in 0..10 {
                now += Duration::from_millis(10);
                flight.on_delivered(now, 30, rtt);
            }
            flight.on_pause();
            now += Duration::from_secs(60);
        }
        assert_eq!(flight.limit(), 1_024);
    }

    #[test]
    fn a_clean_path_keeps_its_window() {
        let mut flight = Flight::new(1_024);
        assert!(flights(&mut flight, 20, 1_000, 0, 500).iter().all(|&limit| limit == 1_024));
    }
}
