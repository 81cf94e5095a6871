//! The table that grows while the demo runs: one row a second, each with a bar of its throughput.

use std::time::{Duration, Instant};

use super::file::Watched;
use super::tunnel::Tunnel;
use crate::terminal::{Screen, bar};

/// Characters of a full bar.
const BAR: usize = 20;
/// The scale of the bars on a link without rate, in bits per second.
const SCALE: u64 = 1_000_000_000;

/// Totals at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Bytes that were downloaded.
    pub(super) bytes: u64,
    /// Packets that the server's end sent again.
    pub(super) resent: u64,
    /// Packets that the client's end rebuilt from parity.
    pub(super) repaired: u64,
    /// UDP payload bytes that both ends sent.
    pub(super) wire: u64,
    /// Round trip as the server's end measures it.
    pub(super) rtt: Option<Duration>,
}

impl Sample {
    pub(super) fn take(tunnel: &Tunnel, received: &Watched) -> Self {
        let (server, client) = (tunnel.server.stats(), tunnel.client.stats());
        let kcp = server.sessions.kcp;
        Self {
            bytes: received.get().bytes,
            resent: kcp.fast_retransmits + kcp.early_retransmits + kcp.timeout_retransmits,
            repaired: client.sessions.decoder.recovered,
            wire: server.sessions.bytes_out + client.sessions.bytes_out,
            rtt: server.sessions.rtt,
        }
    }

    /// Bytes on the wire for each byte downloaded; `None` when none was.
    pub(super) fn wire_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.wire as f64 / self.bytes as f64)
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            resent: self.resent.saturating_sub(before.resent),
            repaired: self.repaired.saturating_sub(before.repaired),
            wire: self.wire.saturating_sub(before.wire),
            rtt: self.rtt,
        }
    }
}

/// The table.
pub(super) struct Progress {
    scale: u64,
    started: Instant,
    row_at: Instant,
    rows: u32,
    before: Sample,
}

impl Progress {
    /// Writes the head of the table; `rate` is that of the link.
    pub(super) fn start(screen: &mut Screen, rate: Option<u64>) -> Self {
        let scale = rate.unwrap_or(SCALE);
        screen.line(head(scale));
        let now = Instant::now();
        Self { scale, started: now, row_at: now, rows: 0, before: Sample::default() }
    }

    /// Shows where things stand: as a row that stays each second, else as one that changes.
    pub(super) fn show(&mut self, screen: &mut Screen, sample: &Sample) {
        let now = Instant::now();
        let time = now.saturating_duration_since(self.row_at);
        let row = row(self.rows + 1, time, self.scale, &sample.since(&self.before));
        if self.started.elapsed() < Duration::from_secs(u64::from(self.rows) + 1) {
            screen.status(row);
            return;
        }
        screen.line(row);
        self.rows = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        (self.row_at, self.before) = (now, *sample);
    }
}

fn head(scale: u64) -> String {
    let of = format!("of {}", super::words::rate(scale));
    format!(
        "{:>6} {:>9}  {of:<BAR$} {:>8} {:>8} {:>9} {:>10}",
        "time", "Mbit/s", "RTT", "resent", "repaired", "wire/byte"
    )
}

/// What happened in `time`.
fn row(number: u32, time: Duration, scale: u64, part: &Sample) -> String {
    let rate = part.bytes as f64 * 8.0 / time.as_secs_f64().max(1e-3);
    let rtt = part.rtt.map_or_else(|| "-".to_owned(), |rtt| format!("{} ms", rtt.as_millis()));
    let wire = part.wire_per_byte().map_or_else(|| "-".to_owned(), |wire| format!("{wire:.2}"));
    format!(
        "{number:>4} s {:>9.1}  {} {rtt:>8} {:>8} {:>9} {wire:>10}",
        rate / 1e6,
        bar(rate / scale as f64, BAR),
        part.resent,
        part.repaired,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_under_their_heads() {
        let part = Sample {
            bytes: 3_125_000,
            resent: 12,
            repaired: 345,
            wire: 4_500_000,
            rtt: Some(Duration::from_millis(104)),
        };
        let text = [
            head(50_000_000),
            row(3, Duration::from_secs(1), 50_000_000, &part),
            row(4, Duration::from_secs(1), 50_000_000, &Sample::default()),
        ];
        assert_eq!(
            text.join("\n"),
            "  time    Mbit/s  of 50 Mbit/s              RTT   resent  repaired  wire/byte\n   \
             3 s      25.0  ██████████             104 ms       12       345       1.44\n   \
             4 s       0.0                              -        0         0          -"
        );
    }
}
