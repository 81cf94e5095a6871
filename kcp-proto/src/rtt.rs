//! Round-trip estimate and retransmission timeout.

use core::time::Duration;

use proto_base::Instant;

/// RTO before any sample, and its bounds, in ms (kcp-go 5.6.1, kcp.go, `IKCP_RTO_*`).
const INITIAL_RTO: u32 = 200;
const MIN_RTO: u32 = 100;
const MIN_RTO_NODELAY: u32 = 30;
const MAX_RTO: u32 = 60_000;
/// Samples further off than this are a broken clock, not a network.
const MAX_SAMPLE: i32 = 120_000;
/// What one sample counts at most, in RTOs and at least in ms. A peer that slept for a minute and
/// then acknowledges what had arrived before is no path of a minute, and an RTO learnt from that
/// would outlive the patience of smux. A path that did become so slow is learnt in a few samples.
const TRUSTED_RTOS: u32 = 4;
const TRUSTED_MS: u32 = 1_000;

/// How long a shortest round trip is believed, at least. A conversation lives for months, and its
/// path changes.
const SHORTEST_SPAN: Duration = Duration::from_secs(30);

/// Smoothed round trip in whole milliseconds, as the original computes it (kcp-go 5.6.1, kcp.go,
/// `update_ack`; the shape is that of RFC 6298 with the variance capped on sudden drops).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rtt {
    srtt: i32,
    rttvar: i32,
    rto: u32,
    shortest: Shortest,
    min_rto: u32,
    interval: u32,
}

impl Rtt {
    pub(crate) fn new(nodelay: bool, interval: Duration) -> Self {
        let min_rto = if nodelay { MIN_RTO_NODELAY } else { MIN_RTO };
        let interval = u32::try_from(interval.as_millis()).unwrap_or(MAX_RTO);
        Self {
            srtt: 0,
            rttvar: 0,
            rto: INITIAL_RTO,
            shortest: Shortest::default(),
            min_rto,
            interval,
        }
    }

    /// Takes a sample of `rtt` ms; negative ones and absurd ones are ignored.
    pub(crate) fn sample(&mut self, rtt: i32, now: Instant) {
        if !(0..=MAX_SAMPLE).contains(&rtt) {
            return;
        }
        self.shortest.sample(rtt.unsigned_abs(), now);
        let trusted = (self.rto * TRUSTED_RTOS).max(TRUSTED_MS);
        let rtt = rtt.min(trusted.cast_signed());
        // A smoothed value of 0 counts as "no sample yet", which keeps loopback lively.
        if self.srtt == 0 {
            self.srtt = rtt;
            self.rttvar = rtt >> 1;
        } else {
            let mut delta = rtt - self.srtt;
            self.srtt += delta >> 3;
            delta = delta.abs();
            let shift = if rtt < self.srtt - self.rttvar { 5 } else { 2 };
            self.rttvar += (delta - self.rttvar) >> shift;
        }
        let spread = self.interval.max((self.rttvar << 2).unsigned_abs());
        self.rto = (self.srtt.unsigned_abs() + spread).clamp(self.min_rto, MAX_RTO);
    }

    /// Timeout of a segment that has timed out `timeouts` times already. Back-off is linear: one
    /// more RTO each time, half of one with nodelay.
    pub(crate) fn backed_off(&self, timeouts: u32, nodelay: bool) -> Duration {
        let extra = if nodelay { self.rto / 2 } else { self.rto };
        Duration::from_millis(u64::from(self.rto) + u64::from(extra) * u64::from(timeouts))
    }

    pub(crate) fn rto(&self) -> Duration {
        Duration::from_millis(u64::from(self.rto))
    }

    /// Smoothed round trip, `None` before the first sample.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.shortest.get().map(|_| Duration::from_millis(u64::from(self.srtt.unsigned_abs())))
    }

    /// Shortest round trip seen of late.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.shortest.get().map(|ms| Duration::from_millis(u64::from(ms)))
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (i32, i32, u32) {
        (self.srtt, self.rttvar, self.rto)
    }
}

/// The least of the samples of the last span and of the one before, in ms: a path that has become
/// longer for good is learnt, and a queue that stands for a while is not taken for the path.
#[derive(Debug, Clone, Copy, Default)]
struct Shortest {
    this: Option<u32>,
    before: Option<u32>,
    since: Instant,
}

impl Shortest {
    fn sample(&mut self, rtt: u32, now: Instant) {
        if now - self.since >= SHORTEST_SPAN {
            // After a pause, too, the last samples count for one more span.
            self.since = now;
            self.before = self.this.take().or(self.before);
        }
        self.this = Some(self.this.map_or(rtt, |known| known.min(rtt)));
    }

    fn get(&self) -> Option<u32> {
        match (self.this, self.before) {
            (Some(this), Some(before)) => Some(this.min(before)),
            (this, before) => this.or(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_original_step_by_step() {
        let mut rtt = Rtt::new(false, Duration::from_millis(30));
        assert_eq!(rtt.parts(), (0, 0, 200));
        rtt.sample(100, Instant::ZERO);
        assert_eq!(rtt.parts(), (100, 50, 300));
        rtt.sample(60, Instant::ZERO); // below srtt, within the variance
        assert_eq!(rtt.parts(), (95, 47, 283));
        rtt.sample(-1, Instant::ZERO);
        rtt.sample(i32::MAX, Instant::ZERO);
        assert_eq!(rtt.parts(), (95, 47, 283));
        assert_eq!(rtt.backed_off(2, false).as_millis(), 849);
        assert_eq!(rtt.backed_off(2, true).as_millis(), 283 + 2 * 141);
    }

    #[test]
    fn one_late_ack_is_no_slow_path() {
        let mut rtt = Rtt::new(true, Duration::from_millis(10));
        (0..10).for_each(|_| rtt.sample(60, Instant::ZERO));
        rtt.sample(9_000, Instant::ZERO);
        assert!(rtt.rto() < Duration::from_secs(2), "{:?}", rtt.rto());
        (0..40).for_each(|_| rtt.sample(9_000, Instant::ZERO));
        assert!(rtt.rto() > Duration::from_secs(9), "{:?}", rtt.rto());
        assert_eq!(rtt.shortest(), Some(Duration::from_millis(60)));
        let mut slow = Rtt::new(true, Duration::from_millis(10));
        slow.sample(2_000, Instant::ZERO);
        assert_eq!(slow.shortest(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_path_that_became_longer_is_learnt() {
        let mut rtt = Rtt::new(true, Duration::from_millis(10));
        let shortest_after = |rtt: &mut Rtt, ms: i32, seconds: core::ops::Range<u64>| {
            seconds.for_each(|second| rtt.sample(ms, Instant::from_millis(second * 1000)));
            rtt.shortest().map(|time| time.as_millis())
        };
        assert_eq!(shortest_after(&mut rtt, 8, 0..100), Some(8));
        assert_eq!(shortest_after(&mut rtt, 60, 100..125), Some(8));
        assert_eq!(shortest_after(&mut rtt, 60, 125..161), Some(60));
        // Hours later, one slow sample does not make the path slow.
        assert_eq!(shortest_after(&mut rtt, 900, 20_000..20_010), Some(60));
    }

    #[test]
    fn minimum_depends_on_nodelay() {
        for (nodelay, min) in [(false, 100), (true, 30)] {
            let mut rtt = Rtt::new(nodelay, Duration::from_millis(10));
            rtt.sample(1, Instant::ZERO);
            assert_eq!(rtt.rto().as_millis(), min);
        }
    }
}
