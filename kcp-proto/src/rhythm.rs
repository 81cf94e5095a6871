//! When acks leave.

use core::time::Duration;

use proto_base::Instant;

use crate::acks::USUAL_PENDING;

/// Pushes after which the peer's repetitions are judged anew.
const SPAN: u32 = 256;
/// Repetitions among them that turn the rhythm to the original's, and back.
const MANY: u32 = SPAN / 16;
const FEW: u32 = SPAN / 64;
/// Acks that wait at most before they leave at once, unless in step.
const BATCH: usize = 32;
/// The same in step; those of the batch of datagrams that comes next fit behind them.
const IN_STEP_BATCH: usize = USUAL_PENDING / 2;

/// How long an ack waits for others.
///
/// The original sends acks at a tick each interval (kcp-go 5.6.1, sess.go, `update`), so one waits
/// half an interval on average. Here the first that waits sets a timer of half an interval, or 32
/// acks leave at once: a busy sender hears sooner and more often, and its window moves on sooner.
///
/// That is not good for every sender. The original's timeout is the round trip and four times its
/// variation. When acks come sooner and more evenly than its own kind sends them, that gets so tight
/// that a queue filling up on the way is taken for loss: on a 50 Mbit/s path with 10 % loss it
/// repeats a quarter more for nothing. So a peer that repeats much of what had arrived is given the
/// rhythm that it knows. A peer of our kind repeats little, and keeps the quick one.
#[derive(Debug, Default)]
pub(crate) struct Rhythm {
    pushes: u32,
    repeated: u32,
    /// Acks leave when the clock reaches a whole interval, as the original's do.
    in_step: bool,
}

impl Rhythm {
    /// A push came in; `is_repeated` tells that its data had arrived before.
    pub(crate) fn on_push(&mut self, is_repeated: bool) {
        self.pushes += 1;
        self.repeated += u32::from(is_repeated);
        if self.pushes == SPAN {
            self.in_step = self.repeated >= if self.in_step { FEW } else { MANY };
            (self.pushes, self.repeated) = (0, 0);
        }
    }

    /// Acks that may wait; more leave at once.
    pub(crate) fn batch(&self) -> usize {
        if self.in_step { IN_STEP_BATCH } else { BATCH }
    }

    /// When an ack that is queued now leaves.
    pub(crate) fn leave_at(&self, now: Instant, interval: Duration) -> Instant {
        if !self.in_step {
            return now + interval / 2;
        }
        let interval = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1);
        Instant::from_micros((now.as_micros() / interval + 1).saturating_mul(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);

    fn span(rhythm: &mut Rhythm, repeated: u32) {
        for push in 0..SPAN {
            rhythm.on_push(push < repeated);
        }
    }

    #[test]
    fn acks_wait_half_an_interval() {
        let mut rhythm = Rhythm::default();
        span(&mut rhythm, MANY - 1);
        let now = Instant::from_micros(12_345);
        assert_eq!(rhythm.leave_at(now, INTERVAL), Instant::from_micros(17_345));
        assert_eq!(rhythm.batch(), BATCH);
    }

    #[test]
    fn a_peer_that_repeats_much_gets_the_rhythm_of_the_original_until_it_stops() {
        let mut rhythm = Rhythm::default();
        span(&mut rhythm, MANY);
        for micros in [10_000, 12_345, 19_999] {
            let at = rhythm.leave_at(Instant::from_micros(micros), INTERVAL);
            assert_eq!(at, Instant::from_millis(20));
        }
        span(&mut rhythm, FEW);
        assert_eq!(rhythm.batch(), IN_STEP_BATCH, "some repetitions: no change");
        span(&mut rhythm, FEW - 1);
        assert_eq!(rhythm.batch(), BATCH);
    }
}
