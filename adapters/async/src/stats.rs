//! Figures of a whole end of a tunnel, and of its sessions one by one.

use core::net::SocketAddr;
use core::ops::AddAssign;

use kcptun_tunnel::{
    ConnectionFigures, ConnectionKey, ConnectionStats, Endpoint, EndpointStats, StreamStats,
};
use proto_base::Instant;

use crate::shared::State;

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
    /// What an endpoint has counted so far.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let live = endpoint.connections().count();
        let sessions = endpoint.total_stats();
        Self { sessions, endpoint: endpoint.stats(), live, ..Self::default() }
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
        self.dial_failures += other.dial_failures;
        self.dials_fail_since = Instant::earliest(self.dials_fail_since, other.dials_fail_since);
    }
}

/// How much a list of sessions may hold. What is left out is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Sessions.
    pub sessions: usize,
    /// Streams, those of all sessions together.
    pub streams: usize,
}

/// The sessions that live, the oldest first on a client, as many as the limits allow.
#[derive(Debug, Default, Clone)]
pub struct Sessions {
    /// As many as were asked for.
    pub listed: Vec<SessionStats>,
    /// Sessions left out.
    pub others: usize,
}

/// One session that lives.
#[derive(Debug, Clone)]
pub struct SessionStats {
    /// The peer.
    pub remote: SocketAddr,
    /// This end's address, where it is known.
    pub local: Option<SocketAddr>,
    /// Conversation id.
    pub conv: u32,
    /// Counters of all layers, round trip and RTO.
    pub stats: ConnectionStats,
    /// Windows, and what is under way.
    pub figures: ConnectionFigures,
    /// Open streams, as many as the limit allows: number and figures.
    pub streams: Vec<(u32, StreamStats)>,
    /// Streams left out.
    pub other_streams: usize,
}

impl Sessions {
    /// Adds the sessions of an endpoint, up to `limits` for the whole list.
    pub(crate) fn add(&mut self, state: &State, limits: SessionLimits) {
        for key in state.endpoint.connections() {
            if self.listed.len() >= limits.sessions {
                self.others += usize::from(state.endpoint.connection_figures(key).is_some());
                continue;
            }
            let streams: usize = self.listed.iter().map(|session| session.streams.len()).sum();
            let room = limits.streams.saturating_sub(streams);
            self.listed.extend(SessionStats::of(state, key, room));
        }
    }

    /// Adds the sessions of another list, up to `limits`.
    pub fn append(&mut self, other: Self, limits: SessionLimits) {
        self.others += other.others;
        let mut room = limits
            .streams
            .saturating_sub(self.listed.iter().map(|session| session.streams.len()).sum());
        for mut session in other.listed {
            if self.listed.len() >= limits.sessions {
                self.others += 1;
                continue;
            }
            session.other_streams += session.streams.len().saturating_sub(room);
            session.streams.truncate(room);
            room -= session.streams.len();
            self.listed.push(session);
        }
    }
}

impl SessionStats {
    /// A session with up to `room` of its streams; `None` when it is over.
    fn of(state: &State, key: ConnectionKey, room: usize) -> Option<Self> {
        let endpoint = &state.endpoint;
        let figures = endpoint.connection_figures(key)?;
        let stats = endpoint.connection_stats(key)?;
        let mut rest = endpoint.streams(key).map(|(id, stats)| (id.wire(), stats));
        let streams: Vec<_> = rest.by_ref().take(room).collect();
        Some(Self {
            remote: endpoint.remote(key)?,
            local: state.local,
            conv: endpoint.conv(key)?.0,
            figures,
            other_streams: rest.count(),
            stats,
            streams,
        })
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

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
