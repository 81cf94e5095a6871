//! Sending no faster than told: kcptun's `--ratelimit`.

use core::num::NonZeroU64;
use core::time::Duration;

use proto_base::Instant;

/// Bytes that may leave at once after a pause (kcp-go 5.6.20 on, sess.go `SetRateLimit`: 64
/// datagrams of 1500 bytes).
const BURST: i64 = 96_000;
/// Credit is counted in millionths of a byte: what one byte per second earns in a microsecond.
const BYTE: i64 = 1_000_000;
/// Rates above this, in bytes per second, are no limit on any machine, and would overflow.
const FASTEST: u64 = 1 << 40;
/// An empty bucket fills for this long before it opens again, so that a fast sender wakes up some
/// hundred times a second and not once for each datagram.
const PAUSE: Duration = Duration::from_millis(4);

/// A token bucket for all datagrams of a connection, parity included.
///
/// A datagram may leave while there is any credit at all, and may take more than there is: the debt
/// is paid off before the next one. So the rate holds exactly over time, and over any stretch up to
/// one datagram and what had been saved.
///
/// While data waits without end, acks would never get a turn behind it: each time the bucket opens
/// they go first, in one datagram, and one datagram of data may follow them in any case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pacer {
    /// Bytes per second.
    rate: i64,
    /// At `at`, in millionths of a byte; below 0 is a debt.
    credit: i64,
    at: Instant,
    /// The credit was used up: it opens again with that of [`PAUSE`].
    is_shut: bool,
    turn: Turn,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Anybody,
    /// Acks go first when the bucket opens.
    Acks,
    /// Acks went; one datagram of data may follow, credit or not.
    Data,
}

impl Pacer {
    /// A full bucket for `rate` bytes per second.
    pub(crate) fn new(rate: NonZeroU64, now: Instant) -> Self {
        let rate = i64::try_from(rate.get().min(FASTEST)).unwrap_or(i64::MAX);
        Self { rate, credit: BURST * BYTE, at: now, is_shut: false, turn: Turn::Anybody }
    }

    /// Whether a datagram may leave.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.turn == Turn::Data || self.credit_at(now) >= self.wanted()
    }

    /// When the next datagram may leave; a time in the past while it may.
    pub(crate) fn opens_at(&self) -> Instant {
        let missing = self.wanted() - self.credit;
        if self.turn == Turn::Data || missing <= 0 {
            return self.at;
        }
        let micros = u64::try_from(missing.div_euclid(self.rate) + 1).unwrap_or(u64::MAX);
        self.at + Duration::from_micros(micros)
    }

    /// Whether acks are to go before anything else now; asked once each time the bucket opens.
    pub(crate) fn take_acks_turn(&mut self) -> bool {
        let is_theirs = self.turn == Turn::Acks;
        if is_theirs {
            self.turn = Turn::Anybody;
        }
        is_theirs
    }

    /// What left last were the acks whose turn it was.
    pub(crate) fn let_data_follow(&mut self) {
        self.turn = Turn::Data;
    }

    /// A datagram of `bytes` left.
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: usize) {
        self.credit = self.credit_at(now) - i64::try_from(bytes).unwrap_or(BURST) * BYTE;
        self.at = self.at.max(now);
        self.is_shut = self.credit <= 0;
        self.turn = if self.is_shut { Turn::Acks } else { Turn::Anybody };
    }

    fn credit_at(&self, now: Instant) -> i64 {
        let micros = i64::try_from((now - self.at).as_micros()).unwrap_or(i64::MAX);
        let earned = self.rate.saturating_mul(micros);
        self.credit.saturating_add(earned).min(BURST * BYTE)
    }

    /// Credit with which the bucket is open.
    fn wanted(&self) -> i64 {
        if !self.is_shut {
            return 1;
        }
        let micros = i64::try_from(PAUSE.as_micros()).unwrap_or(0);
        (self.rate * micros).clamp(1, BURST * BYTE / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pacer(rate: u64) -> Pacer {
        Pacer::new(NonZeroU64::new(rate).expect("a rate"), Instant::from_millis(7))
    }

    #[test]
    fn a_full_bucket_is_the_burst_of_kcp_go() {
        let (mut pacer, now) = (pacer(1_000), Instant::from_millis(7));
        let mut sent = 0;
        while pacer.is_open(now) {
            pacer.on_sent(now, 1_000);
            sent += 1_000;
        }
        assert_eq!(sent, 96_000);
    }

    #[test]
    fn acks_go_first_and_one_datagram_of_data_follows_them() {
        let (mut pacer, mut now) = (pacer(100_000), Instant::from_millis(7));
        assert!(!pacer.take_acks_turn());
        while pacer.is_open(now) {
            pacer.on_sent(now, 1_350);
        }
        for _ in 0..100 {
            now = pacer.opens_at();
            assert!(pacer.is_open(now) && pacer.take_acks_turn() && !pacer.take_acks_turn());
            // More acks than the rate can carry.
            pacer.on_sent(now, 1_350);
            pacer.let_data_follow();
            assert!(pacer.is_open(now), "data gets its turn");
            pacer.on_sent(now, 1_350);
            assert!(!pacer.is_open(now));
        }
        let seconds = (now - Instant::from_millis(7)).as_secs_f64();
        let rate = (100.0 * 2_700.0 - 2_700.0) / seconds;
        assert!((rate / 100_000.0 - 1.0).abs() < 0.02, "{rate}");
    }

    proptest! {
        /// Whoever asks when it is open and sends then keeps to the rate, never wakes in vain, and
        /// never wakes more than a few hundred times a second.
        #[test]
        fn the_rate_holds(
            rate in prop_oneof![1_u64..2_000, 2_000_u64..1 << 32, Just(u64::MAX)],
            lengths in prop::collection::vec(24_usize..1_500, 1..40),
        ) {
            let mut pacer = pacer(rate);
            let start = Instant::from_millis(7);
            let (mut now, mut sent, mut wakes) = (start, 0_u64, 0_u32);
            let mut lengths = lengths.iter().cycle();
            while now - start < Duration::from_secs(2) && sent < 50_000_000 {
                while pacer.is_open(now) && sent < 50_000_000 {
                    let len = *lengths.next().expect("a cycle");
                    pacer.on_sent(now, len);
                    sent += len as u64;
                }
                let earned = u128::from(rate) * (now - start).as_micros() / 1_000_000;
                prop_assert!(u128::from(sent) <= earned + 96_000 + 1_500);
                if pacer.is_open(now) {
                    break;
                }
                let next = pacer.opens_at();
                prop_assert!(next > now);
                let early = Instant::from_micros(next.as_micros() - 2);
                prop_assert!(early <= now || !pacer.is_open(early));
                prop_assert!(pacer.is_open(next));
                // Nothing is left unused: what was earned was sent, up to the fill of a pause.
                let earned = u128::from(rate) * (next - start).as_micros() / 1_000_000;
                let unused = (earned + 96_000).saturating_sub(sent.into());
                prop_assert!(unused <= u128::from(rate) / 200 + 2 + u128::from(rate) / 1_000_000);
                (now, wakes) = (next, wakes + 1);
            }
            // A pause is 4 ms, or what earns half a burst.
            prop_assert!(u64::from(wakes) <= 502 + rate / 24_000);
        }
    }
}
