//! What acks tell about segments that were not acknowledged.

use core::time::Duration;

use heapless::Vec;
use proto_base::Instant;

use crate::rtt::Rtt;
use crate::sender::Cause;
use crate::stats::Stats;

/// Most acks of later transmissions that a user can demand before a segment counts as lost.
const MAX_RESEND: usize = 32;
/// Acks without a spurious repetition after which tolerance for disorder is halved.
const CALM: u32 = 1_024;

/// Loss by evidence: each transmission has a number, and a segment is lost once `resend`
/// transmissions later than its latest one have been acknowledged.
///
/// The original adds one to a counter of *every* older segment for *each* ack. The `resend` highest
/// acknowledged transmission numbers say the same in constant work, and they also see the loss of a
/// repetition, which the original leaves to the timeout. As in QUIC (RFC 9002 §6.1) and RACK (RFC
/// 8985), it is the order of transmissions that counts, not that of sequence numbers.
///
/// Repetitions that turn out to have been needless teach tolerance: a transmission must then be
/// overtaken by one that left at least that much later.
#[derive(Debug)]
pub(crate) struct Evidence {
    resend: usize,
    /// Highest acknowledged transmission numbers, the highest first.
    highest: Vec<u32, MAX_RESEND>,
    /// When the transmission with the highest number left.
    newest_sent_at: Instant,
    tolerance: Duration,
    calm: u32,
}

impl Evidence {
    pub(crate) fn new(resend: u32) -> Self {
        Self {
            resend: (resend as usize).min(MAX_RESEND),
            highest: Vec::new(),
            newest_sent_at: Instant::ZERO,
            tolerance: Duration::ZERO,
            calm: 0,
        }
    }

    /// The transmission numbered `order`, made at `sent_at`, arrived.
    pub(crate) fn on_ack(&mut self, order: u32, sent_at: Instant) {
        let at = self.highest.iter().position(|&known| is_before(known, order));
        let at = at.unwrap_or(self.highest.len());
        if at < self.resend.max(1) {
            if self.highest.len() == self.resend.max(1) {
                self.highest.pop();
            }
            let _ = self.highest.insert(at, order);
        }
        if at == 0 {
            self.newest_sent_at = sent_at;
        }
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.tolerance /= 2;
        }
    }

    /// A segment was repeated although it had arrived.
    pub(crate) fn on_spurious(&mut self, cause: Cause, rtt: &Rtt, stats: &mut Stats) {
        stats.spurious_retransmits += 1;
        if cause != Cause::Timeout {
            let srtt = rtt.smoothed().unwrap_or_default();
            self.tolerance = (self.tolerance * 2).clamp(srtt / 16, srtt / 2);
            self.calm = 0;
        }
    }

    /// Transmissions before this number are lost; `None` without enough acks, or with `resend` 0.
    pub(crate) fn fast_mark(&self) -> Option<u32> {
        self.resend.checked_sub(1).and_then(|last| self.highest.get(last)).copied()
    }

    /// The latest transmission known to have arrived.
    pub(crate) fn newest(&self) -> Option<u32> {
        self.highest.first().copied()
    }

    /// Whether a transmission was overtaken by the one numbered `mark`, beyond what disorder on
    /// this path explains.
    pub(crate) fn is_before(&self, order: u32, sent_at: Instant, mark: u32) -> bool {
        is_before(order, mark) && self.newest_sent_at - sent_at >= self.tolerance
    }
}

fn is_before(order: u32, other: u32) -> bool {
    order.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transmission_is_lost_after_resend_later_ones_arrived() {
        let mut evidence = Evidence::new(2);
        let at = Instant::ZERO;
        evidence.on_ack(u32::MAX, at);
        assert_eq!((evidence.fast_mark(), evidence.newest()), (None, Some(u32::MAX)));
        evidence.on_ack(3, at); // across the wrap
        assert_eq!((evidence.fast_mark(), evidence.newest()), (Some(u32::MAX), Some(3)));
        evidence.on_ack(1, at);
        assert_eq!((evidence.fast_mark(), evidence.newest()), (Some(1), Some(3)));
        assert!(evidence.is_before(0, at, 1) && !evidence.is_before(1, at, 1));
    }

    #[test]
    fn needless_repetitions_teach_patience() {
        let mut evidence = Evidence::new(1);
        let mut rtt = Rtt::new(true, Duration::from_millis(10));
        rtt.sample(160);
        evidence.on_spurious(Cause::Fast, &rtt, &mut Stats::default());
        evidence.on_ack(5, Instant::from_millis(9));
        assert!(!evidence.is_before(4, Instant::ZERO, 5), "9 ms later is within a 16th of the rtt");
        evidence.on_ack(6, Instant::from_millis(10));
        assert!(evidence.is_before(4, Instant::ZERO, 6));
        for order in 0..CALM {
            evidence.on_ack(order + 7, Instant::from_millis(10));
        }
        assert_eq!(evidence.tolerance, Duration::from_millis(5));
    }
}
