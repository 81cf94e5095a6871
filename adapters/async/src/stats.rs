//! Figures of the sessions of one end of a tunnel, one by one.

use core::net::SocketAddr;

use kcptun_tunnel::{ConnectionFigures, ConnectionKey, ConnectionStats, StreamStats};

use crate::shared::State;

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
