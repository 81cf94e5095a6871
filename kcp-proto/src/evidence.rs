//! What acks tell about segments that were not acknowledged.

use core::time::Duration;

use heapless::Vec;
use proto_base::Instant;

use crate::rtt::Rtt;
use crate::tx_segment::{Cause, Transmission};

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
/// Repetitions that turn out to have been needless because the path changed the order teach
/// patience, as in RACK (RFC 8985 §6.2): an overtaken transmission is then given that much more
/// time than the one that overtook it had needed. Acks that were lost teach nothing: waiting would
/// not bring them.
#[derive(Debug)]
pub(crate) struct Evidence {
    resend: usize,
    /// Highest acknowledged transmission numbers, the highest first.
    highest: Vec<Transmission, MAX_RESEND>,
    /// How long the transmission with the highest number took to be acknowledged.
    newest_rtt: Duration,
    tolerance: Duration,
    calm: u32,
}

impl Evidence {
    pub(crate) fn new(resend: u32) -> Self {
        Self {
            resend: (resend as usize).min(MAX_RESEND),
            highest: Vec::new(),
            newest_rtt: Duration::ZERO,
            tolerance: Duration::ZERO,
            calm: 0,
        }
    }

    /// The transmission numbered `order` arrived; its ack came `rtt` after it had left.
    pub(crate) fn on_ack(&mut self, order: Transmission, rtt: Duration) {
        let at = self.highest.iter().position(|&known| known.is_before(order));
        let at = at.unwrap_or(self.highest.len());
        if at < self.resend.max(1) {
            if self.highest.len() == self.resend.max(1) {
                self.highest.pop();
            }
            let _ = self.highest.insert(at, order);
        }
        if at == 0 {
            self.newest_rtt = rtt;
        }
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.tolerance /= 2;
        }
    }

    /// A segment was repeated although it was only late.
    pub(crate) fn on_disorder(&mut self, cause: Cause, rtt: &Rtt) {
        if cause != Cause::Timeout {
            let srtt = rtt.smoothed().unwrap_or_default();
            self.tolerance = (self.tolerance * 2).clamp(srtt / 16, srtt / 2);
            self.calm = 0;
        }
    }

    /// Transmissions before this number are lost; `None` without enough acks, or with `resend` 0.
    pub(crate) fn fast_mark(&self) -> Option<Transmission> {
        self.resend.checked_sub(1).and_then(|last| self.highest.get(last)).copied()
    }

    /// The latest transmission known to have arrived.
    pub(crate) fn newest(&self) -> Option<Transmission> {
        self.highest.first().copied()
    }

    /// When a transmission counts as lost, given that those before number `mark` are overtaken;
    /// `None` when it is not.
    pub(crate) fn lost_at(
        &self,
        order: Transmission,
        sent_at: Instant,
        mark: Transmission,
    ) -> Option<Instant> {
        let patience = match self.tolerance {
            Duration::ZERO => Duration::ZERO,
            tolerance => self.newest_rtt + tolerance,
        };
        order.is_before(mark).then(|| sent_at + patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transmission_is_lost_after_resend_later_ones_arrived() {
        let mut evidence = Evidence::new(2);
        let rtt = Duration::from_millis(1);
        let [last, zero, one, three] = [u32::MAX, 0, 1, 3].map(Transmission::new);
        evidence.on_ack(last, rtt);
        assert_eq!((evidence.fast_mark(), evidence.newest()), (None, Some(last)));
        evidence.on_ack(three, rtt); // across the wrap
        assert_eq!((evidence.fast_mark(), evidence.newest()), (Some(last), Some(three)));
        evidence.on_ack(one, rtt);
        assert_eq!((evidence.fast_mark(), evidence.newest()), (Some(one), Some(three)));
        let at = Instant::from_millis(7);
        assert_eq!(evidence.lost_at(zero, at, one), Some(at));
        assert_eq!(evidence.lost_at(one, at, one), None);
    }

    #[test]
    fn needless_repetitions_teach_patience() {
        let mut evidence = Evidence::new(1);
        let mut rtt = Rtt::new(true, Duration::from_millis(10));
        rtt.sample(160, Instant::ZERO);
        evidence.on_disorder(Cause::Fast, &rtt);
        let [older, newer] = [4, 5].map(Transmission::new);
        evidence.on_ack(newer, Duration::from_millis(155));
        // A 16th of the round trip more than the later one took, however close they left.
        let lost_at = evidence.lost_at(older, Instant::from_millis(2), newer);
        assert_eq!(lost_at, Some(Instant::from_millis(2 + 155 + 10)));
        for step in 0..CALM {
            evidence.on_ack(newer + 2 + step, Duration::from_millis(160));
        }
        assert_eq!(evidence.tolerance, Duration::from_millis(5));
    }
}
