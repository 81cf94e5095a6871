//! Counters, and the figures of the moment.

use core::ops::AddAssign;
use core::time::Duration;

/// Counters of one connection, layer by layer.
#[derive(Debug, Default, Clone, Copy)]
pub struct ConnectionStats {
    /// Datagrams that passed the checksum, and their payload bytes.
    pub datagrams_in: u64,
    /// Payload bytes in.
    pub bytes_in: u64,
    /// Datagrams out, parity included.
    pub datagrams_out: u64,
    /// UDP payload bytes out.
    pub bytes_out: u64,
    /// Payloads that KCP or FEC refused.
    pub bad_payloads: u64,
    /// Bytes that smux (or compression) gave to KCP.
    pub stream_bytes_out: u64,
    /// Bytes that they took from KCP.
    pub stream_bytes_in: u64,
    /// KCP.
    pub kcp: kcp_proto::Stats,
    /// FEC on the way out.
    pub encoder: fec_proto::EncoderStats,
    /// FEC on the way in.
    pub decoder: fec_proto::DecoderStats,
    /// smux.
    pub mux: smux_proto::Stats,
    /// Smoothed round trip; `None` before the first sample.
    pub rtt: Option<Duration>,
    /// Retransmission timeout.
    pub rto: Duration,
}

/// Counters of an endpoint that belong to no connection.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct EndpointStats {
    /// Datagrams with a bad checksum: damaged, or of another key or cipher.
    pub checksum_errors: u64,
    /// Datagrams too short to be ours.
    pub too_short: u64,
    /// Datagrams from unknown addresses that begin no connection.
    pub strays: u64,
    /// Connections refused because as many as allowed were open.
    pub refused_connections: u64,
    /// Connections dialled.
    pub active_opens: u64,
    /// Connections taken from peers.
    pub passive_opens: u64,
    /// Most connections at once.
    pub most_connections: u64,
}

impl AddAssign for EndpointStats {
    fn add_assign(&mut self, other: Self) {
        self.checksum_errors += other.checksum_errors;
        self.too_short += other.too_short;
        self.strays += other.strays;
        self.refused_connections += other.refused_connections;
        self.active_opens += other.active_opens;
        self.passive_opens += other.passive_opens;
        self.most_connections = self.most_connections.max(other.most_connections);
    }
}

impl AddAssign for ConnectionStats {
    /// Adds up counters. Figures of the moment (round trip, open streams) mean nothing in a sum.
    fn add_assign(&mut self, other: Self) {
        self.datagrams_in += other.datagrams_in;
        self.bytes_in += other.bytes_in;
        self.datagrams_out += other.datagrams_out;
        self.bytes_out += other.bytes_out;
        self.bad_payloads += other.bad_payloads;
        self.stream_bytes_out += other.stream_bytes_out;
        self.stream_bytes_in += other.stream_bytes_in;
        self.kcp += other.kcp;
        self.encoder += other.encoder;
        self.decoder += other.decoder;
        self.mux += other.mux;
        self.rtt = None;
    }
}
