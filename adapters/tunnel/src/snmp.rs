//! The counters of kcptun by the original's names and in its order, as its SIGUSR1 line and the
//! rows of its CSV files show them.
//!
//! ```
//! use kcptun_tunnel::TunnelStats;
//! use kcptun_tunnel::snmp::{CsvHeader, Snmp};
//!
//! let mut stats = TunnelStats::default();
//! stats.sessions.stream_bytes_out = 7;
//! let snmp = Snmp::from(&stats);
//! assert!(CsvHeader.to_string().starts_with("Unix,BytesSent,BytesReceived,MaxConn,"));
//! assert!(snmp.csv_row(1_794_225_600).to_string().starts_with("1794225600,7,0,0,"));
//! assert!(snmp.to_string().starts_with("KCP SNMP:&{BytesSent:7 BytesReceived:0 MaxConn:0 "));
//! ```

use core::fmt;

use crate::totals::TunnelStats;

/// The counters of the original (kcp-go 5.6.1, `snmp.go`), of a whole process since its start.
///
/// Two counters go up where the original's do not, as it has no such case: a server here refuses a
/// datagram that belongs to no session and begins none, for which the original opens a session
/// (`in_errs` here, `passive_opens` there).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Snmp {
    /// Bytes that smux or compression wrote to KCP.
    pub bytes_sent: u64,
    /// Bytes that they read from KCP.
    pub bytes_received: u64,
    /// Most sessions at once. Of several sockets (ports of a range, shards) it is the sum of each
    /// one's most, which the whole cannot have passed.
    pub max_conn: u64,
    /// Sessions dialled.
    pub active_opens: u64,
    /// Sessions accepted.
    pub passive_opens: u64,
    /// Sessions open now.
    pub curr_estab: u64,
    /// Datagrams that passed the checksum and that FEC refused, or that belong to no session.
    pub in_errs: u64,
    /// Datagrams with a bad checksum.
    pub in_csum_errors: u64,
    /// Datagrams, rebuilt ones too, that KCP refused.
    pub kcp_in_errors: u64,
    /// Datagrams in that passed the checksum and belong to a session.
    pub in_pkts: u64,
    /// Datagrams out, parity included.
    pub out_pkts: u64,
    /// KCP segments in, rebuilt ones included.
    pub in_segs: u64,
    /// KCP segments out: data, acks, probes.
    pub out_segs: u64,
    /// Bytes in, without the nonce and checksum in front of each datagram.
    pub in_bytes: u64,
    /// Bytes of UDP payload out.
    pub out_bytes: u64,
    /// Segments sent again, for whichever reason.
    pub retrans_segs: u64,
    /// Of these: because `resend` later ones were acknowledged.
    pub fast_retrans_segs: u64,
    /// Of these: because a later one was, and nothing new was there to send.
    pub early_retrans_segs: u64,
    /// Of these: because time was up.
    pub lost_segs: u64,
    /// Data segments in that had come before, or lay outside the window.
    pub repeat_segs: u64,
    /// Parity packets in.
    pub fec_parity_shards: u64,
    /// Packets rebuilt from parity with an impossible size.
    pub fec_errs: u64,
    /// Packets rebuilt from parity.
    pub fec_recovered: u64,
    /// Data packets of groups that were given up.
    pub fec_short_shards: u64,
}

/// Name and value of a counter.
type Column = (&'static str, fn(&Snmp) -> u64);

/// The counters in the order of the CSV files (`Header` and `ToSlice` of kcp-go).
const COLUMNS: [Column; 24] = [
    ("BytesSent", |snmp| snmp.bytes_sent),
    ("BytesReceived", |snmp| snmp.bytes_received),
    ("MaxConn", |snmp| snmp.max_conn),
    ("ActiveOpens", |snmp| snmp.active_opens),
    ("PassiveOpens", |snmp| snmp.passive_opens),
    ("CurrEstab", |snmp| snmp.curr_estab),
    ("InErrs", |snmp| snmp.in_errs),
    ("InCsumErrors", |snmp| snmp.in_csum_errors),
    ("KCPInErrors", |snmp| snmp.kcp_in_errors),
    ("InPkts", |snmp| snmp.in_pkts),
    ("OutPkts", |snmp| snmp.out_pkts),
    ("InSegs", |snmp| snmp.in_segs),
    ("OutSegs", |snmp| snmp.out_segs),
    ("InBytes", |snmp| snmp.in_bytes),
    ("OutBytes", |snmp| snmp.out_bytes),
    ("RetransSegs", |snmp| snmp.retrans_segs),
    ("FastRetransSegs", |snmp| snmp.fast_retrans_segs),
    ("EarlyRetransSegs", |snmp| snmp.early_retrans_segs),
    ("LostSegs", |snmp| snmp.lost_segs),
    ("RepeatSegs", |snmp| snmp.repeat_segs),
    ("FECParityShards", |snmp| snmp.fec_parity_shards),
    ("FECErrs", |snmp| snmp.fec_errs),
    ("FECRecovered", |snmp| snmp.fec_recovered),
    ("FECShortShards", |snmp| snmp.fec_short_shards),
];

/// Places in [`COLUMNS`] of the last four counters of the SIGUSR1 line, which prints the fields as
/// Go's struct has them.
const REPORT_TAIL: [usize; 4] = [22, 21, 20, 23];

impl Snmp {
    /// Name and value of each counter, in the order of the CSV files.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, u64)> {
        COLUMNS.iter().map(|(name, value)| (*name, value(self)))
    }

    /// A line of a CSV file, without its end. `unix`: the time in seconds since 1970, UTC.
    #[must_use]
    pub const fn csv_row(&self, unix: i64) -> CsvRow<'_> {
        CsvRow { unix, snmp: self }
    }
}

/// Displayed, the first line of a CSV file, without its end.
#[derive(Debug, Clone, Copy)]
pub struct CsvHeader;

impl fmt::Display for CsvHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unix")?;
        COLUMNS.iter().try_for_each(|(name, _)| write!(f, ",{name}"))
    }
}

/// Displayed, a line of a CSV file, without its end.
#[derive(Debug, Clone, Copy)]
pub struct CsvRow<'s> {
    unix: i64,
    snmp: &'s Snmp,
}

impl fmt::Display for CsvRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unix.fmt(f)?;
        self.snmp.columns().try_for_each(|(_, value)| write!(f, ",{value}"))
    }
}

impl From<&TunnelStats> for Snmp {
    fn from(stats: &TunnelStats) -> Self {
        let TunnelStats { sessions, endpoint, live, .. } = stats;
        let kcp = sessions.kcp;
        // What FEC handed back was refused by FEC or by KCP; KCP counts its own.
        let refused_by_fec = sessions.bad_payloads.saturating_sub(kcp.bad_packets);
        Self {
            bytes_sent: sessions.stream_bytes_out,
            bytes_received: sessions.stream_bytes_in,
            max_conn: endpoint.most_connections,
            active_opens: endpoint.active_opens,
            passive_opens: endpoint.passive_opens,
            curr_estab: *live as u64,
            in_errs: refused_by_fec + endpoint.strays,
            in_csum_errors: endpoint.checksum_errors,
            kcp_in_errors: kcp.bad_packets,
            in_pkts: sessions.datagrams_in,
            out_pkts: sessions.datagrams_out,
            in_segs: kcp.segments_in,
            out_segs: kcp.segments_out,
            in_bytes: sessions.bytes_in,
            out_bytes: sessions.bytes_out,
            retrans_segs: sessions.retransmits(),
            fast_retrans_segs: kcp.fast_retransmits,
            early_retrans_segs: kcp.early_retransmits,
            lost_segs: kcp.timeout_retransmits,
            repeat_segs: kcp.repeated,
            fec_parity_shards: sessions.decoder.parity,
            fec_errs: sessions.decoder.errors,
            fec_recovered: sessions.decoder.recovered,
            fec_short_shards: sessions.decoder.short,
        }
    }
}

/// What SIGUSR1 logs: `KCP SNMP:&{BytesSent:0 BytesReceived:0 …}`, as Go prints a struct.
impl fmt::Display for Snmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KCP SNMP:&{")?;
        let head = 0..COLUMNS.len() - REPORT_TAIL.len();
        for (position, place) in head.chain(REPORT_TAIL).enumerate() {
            let (name, value) = COLUMNS[place];
            let space = if position > 0 { " " } else { "" };
            write!(f, "{space}{name}:{}", value(self))?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    /// Every counter has a value of its own, so that none can stand in for another.
    fn different() -> Snmp {
        let mut stats = TunnelStats::default();
        let sessions = &mut stats.sessions;
        (sessions.stream_bytes_out, sessions.stream_bytes_in) = (1, 2);
        (sessions.bad_payloads, sessions.kcp.bad_packets) = (29, 9);
        (sessions.datagrams_in, sessions.datagrams_out) = (10, 11);
        (sessions.kcp.segments_in, sessions.kcp.segments_out) = (12, 13);
        (sessions.bytes_in, sessions.bytes_out) = (14, 15);
        sessions.kcp.fast_retransmits = 17;
        (sessions.kcp.early_retransmits, sessions.kcp.timeout_retransmits) = (18, 19);
        sessions.kcp.repeated = 20;
        (sessions.decoder.parity, sessions.decoder.errors) = (21, 22);
        (sessions.decoder.recovered, sessions.decoder.short) = (23, 24);
        stats.live = 6;
        let endpoint = &mut stats.endpoint;
        (endpoint.most_connections, endpoint.active_opens, endpoint.passive_opens) = (3, 4, 5);
        (endpoint.checksum_errors, endpoint.strays) = (8, 50);
        Snmp::from(&stats)
    }

    #[test]
    fn the_report_is_go_s() {
        let expected = "KCP SNMP:&{BytesSent:1 BytesReceived:2 MaxConn:3 ActiveOpens:4 \
             PassiveOpens:5 CurrEstab:6 InErrs:70 InCsumErrors:8 KCPInErrors:9 InPkts:10 \
             OutPkts:11 InSegs:12 OutSegs:13 InBytes:14 OutBytes:15 RetransSegs:54 \
             FastRetransSegs:17 EarlyRetransSegs:18 LostSegs:19 RepeatSegs:20 FECRecovered:23 \
             FECErrs:22 FECParityShards:21 FECShortShards:24}";
        assert_eq!(different().to_string(), expected);
    }

    #[test]
    fn columns_hold_their_own_counter() {
        let values: Vec<u64> = different().columns().map(|(_, value)| value).collect();
        let mut expected: Vec<u64> = (1..=24).collect();
        (expected[6], expected[15]) = (70, 54);
        assert_eq!(values, expected);
    }

    #[test]
    fn a_row_has_a_field_for_each_name_of_the_header() {
        let (header, row) = (CsvHeader.to_string(), different().csv_row(-5).to_string());
        assert_eq!(header.split(',').count(), row.split(',').count());
        let fields: Vec<_> = header.split(',').zip(row.split(',')).collect();
        assert_eq!(fields[..3], [("Unix", "-5"), ("BytesSent", "1"), ("BytesReceived", "2")]);
        assert_eq!(fields.last(), Some(&("FECShortShards", "24")));
    }
}
