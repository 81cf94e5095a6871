//! A client or server that runs, as those see it who watch it: counters, sessions, totals.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kcptun_async::{Client, Runtime, Server, SessionLimits, Sessions, TunnelStats};
use kcptun_status::Tunnel;
pub use kcptun_tunnel::Summary;
use proto_base::Instant;

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
