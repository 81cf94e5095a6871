//! Counters of a whole end of a tunnel.

use core::ops::AddAssign;

use proto_base::Instant;

use crate::endpoint::Endpoint;
use crate::stats::{ConnectionStats, EndpointStats};

/// Counters of one end of a tunnel since it was made, all its sessions together.
///
/// A snapshot: two of them, some time apart, give rates.
#[derive(Debug, Default, Clone, Copy)]
#[non_exhaustive]
pub struct TunnelStats {
    /// Sums over the sessions, those that are over included. Its `rtt` is the longest smoothed
    /// round trip among those that live, `None` before the first sample.
    pub sessions: ConnectionStats,
    /// What belongs to no session: damaged and stray datagrams, sessions opened and refused.
    pub endpoint: EndpointStats,
    /// Sessions that live.
    pub live: usize,
    /// Sessions that could not be dialled (client): no such name, no network.
    pub dial_failures: u64,
    /// Since when each dial has failed; `None` when the last one did not.
    pub dials_fail_since: Option<Instant>,
}

impl TunnelStats {
    /// What an endpoint has counted so far. Of dials it knows nothing.
    #[must_use]
    pub fn of(endpoint: &Endpoint) -> Self {
        let live = endpoint.connections().count();
        let sessions = endpoint.total_stats();
        Self { sessions, endpoint: endpoint.stats(), live, ..Self::default() }
    }

    /// The last counters of an endpoint whose only session is over.
    #[must_use]
    pub fn of_ended(endpoint: &Endpoint) -> Self {
        let mut last = Self::of(endpoint);
        last.sessions.rtt = None;
        last.live = 0;
        last
    }
}

impl AddAssign for TunnelStats {
    /// Adds up counters; of the round trips the longest stays, of the times the earliest.
    fn add_assign(&mut self, other: Self) {
        let longest = self.sessions.rtt.max(other.sessions.rtt);
        self.sessions += other.sessions;
        self.sessions.rtt = longest;
        self.endpoint += other.endpoint;
        self.live += other.live;
        self.dial_failures += other.dial_failures;
        self.dials_fail_since = Instant::earliest(self.dials_fail_since, other.dials_fail_since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn sums_keep_the_longest_round_trip() {
        let with = |rtt: Option<u64>, bytes_out| {
            let rtt = rtt.map(Duration::from_millis);
            let sessions = ConnectionStats { rtt, bytes_out, ..ConnectionStats::default() };
            TunnelStats { sessions, live: 1, ..TunnelStats::default() }
        };
        let mut sum = TunnelStats::default();
        for (rtt, bytes) in [(None, 5), (Some(80), 7), (Some(30), 11)] {
            sum += with(rtt, bytes);
        }
        assert_eq!(sum.sessions.rtt, Some(Duration::from_millis(80)));
        assert_eq!((sum.sessions.bytes_out, sum.live), (23, 3));
    }
}
