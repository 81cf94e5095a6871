//! A client or server that runs, as those see it who watch it: counters, sessions, totals.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kcptun_async::{Client, Runtime, Server, SessionLimits, Sessions, TunnelStats};
use kcptun_status::Tunnel;
use proto_base::Instant;

use crate::terminal::grouped;

/// A client, or the sockets of a server, that runs. Clones are the same one; holding one keeps the
/// sockets open.
#[derive(Clone)]
pub struct Service {
    started: Instant,
    tunnel: Arc<dyn Tunnel>,
}

impl Service {
    /// A client that begins to run.
    pub fn of_client<R: Runtime>(client: Client<R>) -> Self {
        Self { started: kcptun_async::now(), tunnel: Arc::new(client) }
    }

    /// All sockets of a server that begins to run.
    #[must_use]
    pub fn of_servers(servers: Vec<Arc<Server>>) -> Self {
        Self { started: kcptun_async::now(), tunnel: Arc::new(Sockets(servers)) }
    }

    /// Counters since the start, of all sessions and sockets. Costs a look at each live session.
    #[must_use]
    pub fn stats(&self) -> TunnelStats {
        self.tunnel.total()
    }

    /// The sessions that live, as many as `limits` allow.
    #[must_use]
    pub fn sessions(&self, limits: SessionLimits) -> Sessions {
        self.tunnel.sessions(limits)
    }

    /// Time since the start, sleep included.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        kcptun_async::now() - self.started
    }

    /// What is said at the end.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary { uptime: self.uptime(), stats: self.stats() }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("started", &self.started).finish_non_exhaustive()
    }
}

/// For the status server.
impl Tunnel for Service {
    fn total(&self) -> TunnelStats {
        self.stats()
    }

    fn sessions(&self, limits: SessionLimits) -> Sessions {
        Self::sessions(self, limits)
    }
}

/// The sockets of a server: one for each port and shard.
struct Sockets(Vec<Arc<Server>>);

impl Tunnel for Sockets {
    fn total(&self) -> TunnelStats {
        let mut total = self.0.total();
        // The most at once: what the sum cannot have passed, where each socket keeps its own.
        let most = self.0.iter().map(|server| server.stats().endpoint.most_connections).sum();
        total.endpoint.most_connections = most;
        total
    }

    fn sessions(&self, limits: SessionLimits) -> Sessions {
        self.0.sessions(limits)
    }
}

/// Totals of a run, in one line.
///
/// ```
/// use kcptun::service::Summary;
/// use std::time::Duration;
///
/// let summary = Summary { uptime: Duration::from_secs(3725), stats: Default::default() };
/// assert!(summary.to_string().starts_with("ran for 1h 2m 5s: 0 sessions, 0 streams, "));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// How long the service ran.
    pub uptime: Duration,
    /// What it did.
    pub stats: TunnelStats,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TunnelStats { sessions, endpoint, .. } = &self.stats;
        let (kcp, mux) = (&sessions.kcp, &sessions.mux);
        let repeated = kcp.fast_retransmits + kcp.early_retransmits + kcp.timeout_retransmits;
        let share = 100.0 * repeated as f64 / kcp.pushes_out.max(1) as f64;
        write!(
            f,
            "ran for {}: {} sessions, {} streams, {} bytes sent, {} bytes received, \
             {share:.2} % of data segments sent again, {} packets rebuilt by FEC",
            Spoken(self.uptime),
            grouped(endpoint.active_opens + endpoint.passive_opens),
            grouped(mux.opened + mux.incoming),
            grouped(mux.bytes_out),
            grouped(mux.bytes_in),
            grouped(sessions.decoder.recovered),
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

#[cfg(test)]
mod tests {
    use super::*;

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
