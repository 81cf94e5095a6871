//! What a log says of a whole run at its end.

use core::fmt;
use core::time::Duration;

use crate::totals::TunnelStats;

/// Totals of a run, in one line.
///
/// ```
/// use core::time::Duration;
/// use kcptun_tunnel::Summary;
///
/// let summary = Summary { uptime: Duration::from_secs(3725), stats: Default::default() };
/// assert!(summary.to_string().starts_with("ran for 1h 2m 5s: 0 sessions, 0 streams, "));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// How long the tunnel ran.
    pub uptime: Duration,
    /// What it did.
    pub stats: TunnelStats,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TunnelStats { sessions, endpoint, .. } = &self.stats;
        let (kcp, mux) = (&sessions.kcp, &sessions.mux);
        // Whole numbers: those with a point cost a small program 20 KB.
        let all = kcp.pushes_out.max(1);
        let share = (sessions.retransmits().saturating_mul(10_000) + all / 2) / all;
        write!(
            f,
            "ran for {}: {} sessions, {} streams, {} bytes sent, {} bytes received, \
             {}.{:02} % of data segments sent again, {} packets rebuilt by FEC",
            Spoken(self.uptime),
            Grouped(endpoint.active_opens + endpoint.passive_opens),
            Grouped(mux.opened + mux.incoming),
            Grouped(mux.bytes_out),
            Grouped(mux.bytes_in),
            share / 100,
            share % 100,
            Grouped(sessions.decoder.recovered),
        )
    }
}

/// A time in days, hours, minutes and seconds, from the first that is not 0.
struct Spoken(Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [(seconds / 86_400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm')];
        for (value, unit) in parts.into_iter().skip_while(|(value, _)| *value == 0) {
            write!(f, "{value}{unit} ")?;
        }
        write!(f, "{}s", seconds % 60)
    }
}

/// A number with a comma before each three digits.
struct Grouped(u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 1;
        while self.0 / unit >= 1_000 {
            unit *= 1_000;
        }
        write!(f, "{}", self.0 / unit)?;
        while unit > 1 {
            unit /= 1_000;
            write!(f, ",{:03}", self.0 / unit % 1_000)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn times_are_spoken_from_the_first_unit_that_counts() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (3600, "1h 0m 0s"),
            (2 * 86_400 + 5, "2d 0h 0m 5s"),
            (400 * 86_400, "400d 0h 0m 0s"),
        ] {
            assert_eq!(Spoken(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_020_304, "1,020,304"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(Grouped(number).to_string(), text);
        }
    }

    #[test]
    fn the_totals_stand_in_one_line() {
        let mut stats = TunnelStats::default();
        (stats.endpoint.active_opens, stats.endpoint.passive_opens) = (1, 2);
        (stats.sessions.mux.opened, stats.sessions.mux.incoming) = (1000, 200);
        (stats.sessions.mux.bytes_out, stats.sessions.mux.bytes_in) = (7_654_321, 5);
        stats.sessions.kcp.pushes_out = 400;
        stats.sessions.kcp.fast_retransmits = 1;
        stats.sessions.kcp.timeout_retransmits = 2;
        stats.sessions.decoder.recovered = 12;
        let summary = Summary { uptime: Duration::from_secs(61), stats };
        assert_eq!(
            summary.to_string(),
            "ran for 1m 1s: 3 sessions, 1,200 streams, 7,654,321 bytes sent, 5 bytes received, \
             0.75 % of data segments sent again, 12 packets rebuilt by FEC"
        );
    }
}
