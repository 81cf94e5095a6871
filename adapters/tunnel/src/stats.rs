//! Counters of connections and endpoints, and the figures of the moment.

use core::ops::AddAssign;
use core::time::Duration;

use proto_base::Instant;

use crate::event::CloseReason;

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

impl ConnectionStats {
    /// Transmissions of segments that were repetitions, whatever their reason.
    #[must_use]
    pub fn retransmits(&self) -> u64 {
        let kcp = &self.kcp;
        kcp.fast_retransmits + kcp.early_retransmits + kcp.timeout_retransmits
    }

    /// Share of this end's data segments that got lost on their way, 0 to 1, as far as it can tell:
    /// repetitions that were needed, per transmission. `None` before the first transmission. What
    /// the peer's FEC rebuilt was not lost.
    #[must_use]
    pub fn loss_out(&self) -> Option<f64> {
        let needed = self.retransmits().saturating_sub(self.kcp.spurious_retransmits);
        ratio(needed, self.kcp.pushes_out)
    }

    /// Share of the peer's data packets that FEC had to rebuild here, 0 to 1; `None` without FEC. A
    /// lower bound of the loss on the way in.
    #[must_use]
    pub fn repaired_in(&self) -> Option<f64> {
        ratio(self.decoder.recovered, self.decoder.data + self.decoder.recovered)
    }
}

/// Counters fit a double's 53 bits for some ten thousand years.
#[expect(clippy::cast_precision_loss, reason = "shares need no more than a few digits")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What a connection is doing at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionFigures {
    /// When it began.
    pub started: Instant,
    /// When a valid datagram last came in; the start before the first.
    pub last_heard: Instant,
    /// The peer owes acks and has been silent for long.
    pub is_suspect: bool,
    /// Send window, in segments (`--sndwnd`).
    pub send_window: u32,
    /// Free slots of the receive window, in segments.
    pub receive_window: u32,
    /// Free slots of the peer's receive window, in segments, as it said last.
    pub remote_window: u32,
    /// Segments that may be in flight: the windows, and what congestion control or (without it) the
    /// search for the smallest good flight allows.
    pub flight_limit: u32,
    /// Segments sent and not acknowledged.
    pub in_flight: u32,
    /// Segments that wait to be sent.
    pub queued: u32,
}

/// Connections that are over, by the reason.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CloseStats {
    /// No sign of life for the smux timeout.
    pub timeout: u64,
    /// The peer was restarted.
    pub peer_restarted: u64,
    /// The server knew nothing of a connection on which it had never said a word.
    pub not_understood: u64,
    /// The peer began another connection from the same address.
    pub replaced: u64,
    /// Nothing listens at the peer's address.
    pub refused: u64,
    /// The peer's bytes were not smux as we speak it.
    pub protocol: u64,
    /// The peer's bytes were not framed snappy, or damaged.
    pub compression: u64,
    /// Closed at this end.
    pub local: u64,
    /// Made room for others, as their peers had proved nothing.
    pub evicted: u64,
}

impl CloseStats {
    pub(crate) fn count(&mut self, reason: CloseReason) {
        *match reason {
            CloseReason::Timeout => &mut self.timeout,
            CloseReason::PeerRestarted => &mut self.peer_restarted,
            CloseReason::NotUnderstood => &mut self.not_understood,
            CloseReason::Replaced => &mut self.replaced,
            CloseReason::Refused => &mut self.refused,
            CloseReason::Protocol(_) => &mut self.protocol,
            #[cfg(feature = "snappy")]
            CloseReason::Compression(_) => &mut self.compression,
            CloseReason::Local => &mut self.local,
            CloseReason::Evicted => &mut self.evicted,
        } += 1;
    }
}

impl AddAssign for CloseStats {
    fn add_assign(&mut self, other: Self) {
        let Self {
            timeout,
            peer_restarted,
            not_understood,
            replaced,
            refused,
            protocol,
            compression,
            local,
            evicted,
        } = other;
        self.timeout += timeout;
        self.peer_restarted += peer_restarted;
        self.not_understood += not_understood;
        self.replaced += replaced;
        self.refused += refused;
        self.protocol += protocol;
        self.compression += compression;
        self.local += local;
        self.evicted += evicted;
    }
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
    /// Connections that are over.
    pub closed: CloseStats,
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
        self.closed += other.closed;
    }
}

impl AddAssign for ConnectionStats {
    /// Adds up counters, open streams and unread bytes. The round trip means nothing in a sum.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_once_and_in_its_place() {
        let mut stats = CloseStats::default();
        let reasons = [
            CloseReason::Timeout,
            CloseReason::PeerRestarted,
            CloseReason::NotUnderstood,
            CloseReason::Replaced,
            CloseReason::Refused,
            CloseReason::Protocol(smux_proto::ProtocolError::BadVersion(9)),
            CloseReason::Local,
            CloseReason::Evicted,
        ];
        for (times, reason) in (1..).zip(reasons) {
            (0..times).for_each(|_| stats.count(reason));
        }
        let mut twice = stats;
        twice += stats;
        let CloseStats { timeout, peer_restarted, not_understood, replaced, .. } = twice;
        assert_eq!([timeout, peer_restarted, not_understood, replaced], [2, 4, 6, 8]);
        let CloseStats { refused, protocol, compression, local, evicted, .. } = twice;
        assert_eq!([refused, protocol, compression, local, evicted], [10, 12, 0, 14, 16]);
    }

    #[test]
    fn the_loss_is_what_had_to_be_repeated() {
        let mut stats = ConnectionStats::default();
        assert_eq!((stats.loss_out(), stats.repaired_in()), (None, None));
        stats.kcp.pushes_out = 200;
        stats.kcp.fast_retransmits = 7;
        stats.kcp.early_retransmits = 3;
        stats.kcp.timeout_retransmits = 5;
        stats.kcp.spurious_retransmits = 5;
        stats.decoder.data = 75;
        stats.decoder.recovered = 25;
        assert_eq!(stats.retransmits(), 15);
        assert_eq!((stats.loss_out(), stats.repaired_in()), (Some(0.05), Some(0.25)));
    }
}
