//! Figures of a whole end of a tunnel.

use core::ops::AddAssign;
use core::time::Duration;

use kcptun_tunnel::{ConnectionStats, Endpoint, EndpointStats};

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
}

impl TunnelStats {
    /// What an endpoint has counted so far.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let mut longest: Option<Duration> = None;
        let mut live = 0;
        for stats in endpoint.connections().filter_map(|key| endpoint.connection_stats(key)) {
            longest = longest.max(stats.rtt);
            live += 1;
        }
        let sessions = ConnectionStats { rtt: longest, ..endpoint.total_stats() };
        Self { sessions, endpoint: endpoint.stats(), live }
    }

    /// The last counters of an endpoint whose only session is over.
    pub(crate) fn of_ended(endpoint: &Endpoint) -> Self {
        let mut last = Self::of(endpoint);
        last.sessions.rtt = None;
        last.live = 0;
        last
    }
}

impl AddAssign for TunnelStats {
    fn add_assign(&mut self, other: Self) {
        let longest = self.sessions.rtt.max(other.sessions.rtt);
        self.sessions += other.sessions;
        self.sessions.rtt = longest;
        self.endpoint += other.endpoint;
        self.live += other.live;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
