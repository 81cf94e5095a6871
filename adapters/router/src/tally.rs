//! Counters of a whole end of a tunnel.

use std::fmt;

use kcptun_tunnel::{ConnectionStats, Endpoint, EndpointStats};

/// Counters since the start, all sessions together.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Sums over the sessions, those that are over included. Its `rtt` is the longest of those that
    /// live.
    pub sessions: ConnectionStats,
    /// What belongs to no session.
    pub endpoint: EndpointStats,
    /// Sessions that live.
    pub live: usize,
}

impl Tally {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let live = endpoint.connections().count();
        Self { sessions: endpoint.total_stats(), endpoint: endpoint.stats(), live }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sessions, endpoint, live } = self;
        let kcp = &sessions.kcp;
        write!(
            f,
            "sessions: {live} streams: {} datagrams in: {} out: {} bytes in: {} out: {} \
             carried in: {} out: {} resent: {} repaired: {} bad checksums: {}",
            sessions.mux.streams,
            sessions.datagrams_in,
            sessions.datagrams_out,
            sessions.bytes_in,
            sessions.bytes_out,
            sessions.stream_bytes_in,
            sessions.stream_bytes_out,
            kcp.fast_retransmits + kcp.early_retransmits + kcp.timeout_retransmits,
            sessions.decoder.recovered,
            endpoint.checksum_errors,
        )
    }
}
