//! What `kcptun link` shows: a line of rates each second, and a table at the end.

use std::time::Duration;

use kcptun_link::LinkStats;

use super::BadLinkStats;
use crate::terminal::grouped;

/// The rates between two looks `time` apart, as one line of less than 80 columns.
pub(super) fn line(
    elapsed: Duration,
    time: Duration,
    before: &BadLinkStats,
    after: &BadLinkStats,
) -> String {
    let plural = if after.clients == 1 { "" } else { "s" };
    format!(
        "{:>5} s  {:>3} client{plural:<1}  there {}  back {}",
        elapsed.as_secs(),
        after.clients,
        way(time, &before.there, &after.there),
        way(time, &before.back, &after.back),
    )
}

/// Rate delivered, and the share lost of what came.
fn way(time: Duration, before: &LinkStats, after: &LinkStats) -> String {
    let bits = (after.bytes_out - before.bytes_out) as f64 * 8.0;
    let rate = bits / 1e6 / time.as_secs_f64().max(1e-3);
    let came = after.datagrams_in - before.datagrams_in;
    let gone = dropped(after) - dropped(before);
    let share = if came == 0 { 0.0 } else { gone as f64 * 100.0 / came as f64 };
    format!("{rate:>6.1} Mbit/s {share:>5.1}% lost")
}

/// Datagrams that the link did not deliver, for whatever reason.
fn dropped(stats: &LinkStats) -> u64 {
    let LinkStats { too_long, queue_drops, blacked_out, lost, lost_in_burst, .. } = stats;
    too_long + queue_drops + blacked_out + lost + lost_in_burst
}

/// What became of all datagrams. Rows without any are left out, but for the first three.
pub(super) fn summary(elapsed: Duration, stats: &BadLinkStats) -> Vec<String> {
    let BadLinkStats { there, back, .. } = stats;
    let rows = [
        ("datagrams in", there.datagrams_in, back.datagrams_in),
        ("delivered", there.datagrams_out, back.datagrams_out),
        ("lost", there.lost, back.lost),
        ("lost in bursts", there.lost_in_burst, back.lost_in_burst),
        ("queue full", there.queue_drops, back.queue_drops),
        ("link down", there.blacked_out, back.blacked_out),
        ("longer than mtu", there.too_long, back.too_long),
        ("copies made", there.duplicated, back.duplicated),
        ("damaged", there.corrupted, back.corrupted),
        ("held back", there.reordered, back.reordered),
        ("bytes in", there.bytes_in, back.bytes_in),
        ("bytes delivered", there.bytes_out, back.bytes_out),
    ];
    let plural = if stats.all_clients == 1 { "" } else { "s" };
    let clients = format!("{} s, {} client{plural}", elapsed.as_secs(), stats.all_clients);
    let mut lines = vec![format!("{clients:<22}{:>18}{:>18}", "there", "back")];
    for (index, (name, there, back)) in rows.into_iter().enumerate() {
        if index < 3 || there + back > 0 {
            lines.push(format!("  {name:<20}{:>18}{:>18}", grouped(there), grouped(back)));
        }
    }
    for (count, meaning) in [
        (stats.turned_away, "datagrams turned away: more clients than --clients allows"),
        (stats.too_late, "datagrams came too late: their client had expired (--idle)"),
        (stats.refused, "times the target's host refused: nothing listens there"),
        (stats.own_loss, "datagrams lost by this machine, not by the link: it was too busy"),
    ] {
        if count > 0 {
            lines.push(format!("  {} {meaning}", grouped(count)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_rates_of_its_time_and_fits_a_terminal() {
        let before = BadLinkStats::default();
        let mut after = BadLinkStats { clients: 1, ..before };
        after.there.datagrams_in = 1000;
        after.there.lost = 90;
        after.there.queue_drops = 10;
        after.there.bytes_out = 12_500_000;
        let line = line(Duration::from_secs(61), Duration::from_secs(2), &before, &after);
        assert_eq!(
            line,
            "   61 s    1 client   there   50.0 Mbit/s  10.0% lost  back    0.0 Mbit/s   0.0% lost"
        );
        assert!(line.chars().count() < 90);
    }

    #[test]
    fn a_summary_shows_what_happened_and_nothing_else() {
        let mut stats = BadLinkStats { all_clients: 2, refused: 3, ..BadLinkStats::default() };
        stats.there.datagrams_in = 12_345;
        stats.back.corrupted = 1;
        let text = summary(Duration::from_secs(5), &stats).join("\n");
        assert!(text.contains("12,345") && text.contains("damaged") && text.contains("3 times"));
        assert!(!text.contains("held back") && !text.contains("this machine"));
    }
}
