//! New segments after a pause, not all at once.

use core::time::Duration;

use proto_base::Instant;

/// A turn of counting lasts a round trip, and at least this long.
const SHORTEST_TURN: Duration = Duration::from_millis(20);
/// Turns of late whose best rate is what the path can do.
const TURNS: usize = 10;
/// Full turns after which the rate is believed: the first ones are still filling the path.
const TRUSTED: usize = 4;
/// Paths with a shorter round trip are left alone: their queues hold what a window holds.
const SHORT_PATH: Duration = Duration::from_millis(10);
/// So are windows up to this share, in percent, of what the path holds without a queue.
const FITTING: u64 = 150;
/// New segments leave at this share of the best rate, in percent: above all of it, so that a path
/// that can do more is found out.
const GAIN: u64 = 125;
/// What may leave at once, as the share, in percent, of what the path holds without a queue, and at
/// least so many segments.
const BURST: u64 = 50;
const SMALLEST_BURST: u64 = 32;
/// Those that wait are woken when this much time is worth of them may leave.
const STEP_MICROS: u64 = 2_000;
/// Tokens that one segment takes; a rate in segments per second adds so many each microsecond.
const PRICE: u64 = 1_000_000;
/// Longest pause that tokens are reckoned for: any bucket is full after it.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Spreads what a window that opens at once would send at once.
///
/// One lost segment holds up una while all behind it arrives. When it is repaired the window opens
/// by hundreds of segments, and sent as one burst they overflow the queue in front of the bottleneck:
/// so each loss makes the next ones. A token bucket prevents that. It is filled at a little more than
/// the best rate at which segments arrived of late, so in the ordinary course, where each ack makes
/// room for what follows, it is never empty; and it holds half of what the path does, so short
/// transfers leave at once as ever. A window that is no larger than the path is not paced at all.
///
/// The original has nothing like it. A peer sees nothing but segments that come a little later.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// When the turn began; its segments found to have arrived; there was more to send than went.
    turn: Option<Instant>,
    delivered: u32,
    was_full: bool,
    /// Segments per second of the latest turns, as a ring.
    rates: [u32; TURNS],
    latest: usize,
    /// Segments per second that may leave; 0 while that is not limited.
    rate: u64,
    tokens: u64,
    most_tokens: u64,
    /// Tokens are reckoned up to here.
    now: Instant,
}

impl Pacer {
    /// A pacer that limits nothing until it has seen what the path does.
    pub(crate) fn new() -> Self {
        Self {
            turn: None,
            delivered: 0,
            was_full: false,
            rates: [0; TURNS],
            latest: 0,
            rate: 0,
            tokens: 0,
            most_tokens: 0,
            now: Instant::ZERO,
        }
    }

    /// Time has passed.
    pub(crate) fn advance(&mut self, now: Instant) {
        if self.rate > 0 && self.tokens < self.most_tokens {
            let pause = (now - self.now).min(LONGEST_PAUSE).as_micros();
            let gained = u64::try_from(pause).unwrap_or(0) * self.rate;
            self.tokens = (self.tokens + gained).min(self.most_tokens);
        }
        self.now = now;
    }

    /// There was more to send than windows or pace allow.
    pub(crate) fn on_full(&mut self) {
        self.was_full = true;
    }

    /// Nothing is under way any more: a pause says nothing about the path.
    pub(crate) fn on_pause(&mut self) {
        (self.turn, self.delivered, self.was_full) = (None, 0, false);
    }

    /// A new segment left.
    pub(crate) fn on_sent(&mut self) {
        self.tokens = self.tokens.saturating_sub(PRICE);
    }

    /// Acks showed that `delivered` more segments arrived, over a path of these round trips, with
    /// a window of so many segments.
    pub(crate) fn on_delivered(
        &mut self,
        delivered: u32,
        smoothed: Duration,
        shortest: Duration,
        window: u32,
    ) {
        let Some(start) = self.turn else {
            // What came until now, came before the turn.
            self.turn = Some(self.now);
            return;
        };
        self.delivered += delivered;
        let lasted = self.now - start;
        if lasted < smoothed.max(SHORTEST_TURN) {
            return;
        }
        let micros = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX);
        let rate = u64::from(self.delivered) * 1_000_000 / micros;
        self.turn = Some(self.now);
        self.delivered = 0;
        // What a sender with little to say gets through says nothing about the path.
        if core::mem::take(&mut self.was_full) {
            self.latest = (self.latest + 1) % TURNS;
            self.rates[self.latest] = u32::try_from(rate).unwrap_or(u32::MAX);
            self.choose(shortest, window);
        }
    }

    /// Whether a new segment may leave now.
    pub(crate) fn is_ready(&self) -> bool {
        self.rate == 0 || self.tokens >= PRICE
    }

    /// When a few more may leave.
    pub(crate) fn ready_at(&self) -> Instant {
        let lacking = (self.rate * STEP_MICROS).clamp(PRICE, self.most_tokens.max(PRICE));
        let lacking = lacking.saturating_sub(self.tokens);
        self.now + Duration::from_micros(lacking.div_ceil(self.rate.max(1)))
    }

    /// Sets the pace after a turn.
    fn choose(&mut self, shortest: Duration, window: u32) {
        let best = u64::from(self.rates.into_iter().max().unwrap_or(0));
        let held = best * u64::try_from(shortest.as_millis()).unwrap_or(0) / 1_000;
        let seen = self.rates.into_iter().filter(|&rate| rate > 0).count();
        if seen < TRUSTED || shortest < SHORT_PATH || u64::from(window) <= held * FITTING / 100 {
            self.rate = 0;
            return;
        }
        let burst = (held * BURST / 100).max(SMALLEST_BURST);
        if self.rate == 0 {
            self.tokens = burst * PRICE;
        }
        self.rate = best * GAIN / 100;
        self.most_tokens = burst * PRICE;
        self.tokens = self.tokens.min(self.most_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    /// A pacer that saw `rate` segments per ms arrive for five round trips of 100 ms.
    fn paced(rate: u32, window: u32, is_full: bool) -> Pacer {
        let mut pacer = Pacer::new();
        for ms in 0..=500 {
            pacer.advance(Instant::from_millis(ms));
            if is_full {
                pacer.on_full();
            }
            pacer.on_delivered(rate, RTT, RTT, window);
        }
        pacer
    }

    /// Segments that leave until `ms` ms after the start, woken as the pacer asks.
    fn sent_until(pacer: &mut Pacer, ms: u64) -> u32 {
        let mut sent = 0;
        loop {
            while pacer.is_ready() {
                pacer.on_sent();
                sent += 1;
            }
            let next = pacer.ready_at();
            assert!(pacer.now < next, "time goes on");
            if next > Instant::from_millis(ms) {
                return sent;
            }
            pacer.advance(next);
        }
    }

    #[test]
    fn a_window_that_opens_at_once_leaves_as_half_a_path_and_then_at_the_rate_of_the_path() {
        let mut pacer = paced(4, 1_024, true);
        // 4 per ms and 100 ms hold 400.
        let at_once = sent_until(&mut pacer, 500);
        assert!((195..=210).contains(&at_once), "{at_once}");
        let later = sent_until(&mut pacer, 600);
        assert!((490..=510).contains(&later), "{later}");
    }

    #[test]
    fn what_follows_acks_never_waits() {
        let mut pacer = paced(4, 1_024, true);
        for ms in 501..1_300 {
            pacer.advance(Instant::from_millis(ms));
            pacer.on_full();
            pacer.on_delivered(4, RTT, RTT, 1_024);
            for _ in 0..4 {
                assert!(pacer.is_ready());
                pacer.on_sent();
            }
        }
    }

    #[test]
    fn a_sender_with_little_to_say_is_not_held_to_that() {
        let mut pacer = paced(1, 1_024, false);
        for _ in 0..10_000 {
            assert!(pacer.is_ready());
            pacer.on_sent();
        }
    }

    #[test]
    fn a_pause_is_no_slow_path() {
        let mut pacer = paced(4, 1_024, true);
        let rate = pacer.rate;
        for minute in 1..100 {
            pacer.on_pause();
            pacer.advance(Instant::from_millis(60_000 * minute));
            for ms in 0..=101 {
                pacer.advance(Instant::from_millis(60_000 * minute + ms));
                pacer.on_full();
                pacer.on_delivered(4, RTT, RTT, 1_024);
            }
        }
        assert!((rate..rate * 21 / 20).contains(&pacer.rate), "{rate}, then {}", pacer.rate);
    }

    #[test]
    fn a_window_no_larger_than_the_path_leaves_at_once() {
        let mut pacer = paced(4, 512, true);
        for _ in 0..512 {
            assert!(pacer.is_ready());
            pacer.on_sent();
        }
    }

    #[test]
    fn a_long_pause_fills_the_bucket_and_no_more() {
        let mut pacer = paced(4, 1_024, true);
        sent_until(&mut pacer, 500);
        pacer.advance(Instant::from_micros(u64::MAX / 2));
        assert_eq!(pacer.tokens, pacer.most_tokens);
    }
}
