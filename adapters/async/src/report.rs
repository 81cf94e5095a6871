//! What the log says of connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use kcptun_net::{BufferSizes, Shortage, SocketConfig};
use kcptun_tunnel::report::{self, Level, Report};
use kcptun_tunnel::{ConnectionKey, Endpoint, Event, Side};

use crate::now;

/// Says, once in a process, that the system granted smaller socket buffers than asked for.
///
/// To be spawned: so the line stands behind those with which the program starts.
pub(crate) async fn small_buffers(asked: SocketConfig, granted: io::Result<BufferSizes>) {
    let Ok(granted) = granted else { return };
    granted.shortages(&asked).filter(Shortage::is_first).for_each(|it| tracing::warn!("{it}"));
}

/// Writes the log lines of [`kcptun_tunnel::report`], and remembers the addresses of connections.
pub(crate) struct Reporter {
    inner: report::Reporter,
    known: HashMap<ConnectionKey, SocketAddr>,
}

impl Reporter {
    pub(crate) fn new(side: Side) -> Self {
        Self { inner: report::Reporter::new(side), known: HashMap::new() }
    }

    /// Whether this connection was not seen before.
    pub(crate) fn is_new(&mut self, key: ConnectionKey, remote: SocketAddr) -> bool {
        self.known.insert(key, remote).is_none()
    }

    /// Address of a connection's peer, also of one that has just closed.
    pub(crate) fn remote(&self, key: ConnectionKey) -> Option<SocketAddr> {
        self.known.get(&key).copied()
    }

    pub(crate) fn observe(
        &mut self,
        endpoint: &Endpoint,
        key: ConnectionKey,
        remote: SocketAddr,
        event: &Event,
    ) {
        if matches!(event, Event::Closed(_)) {
            self.known.remove(&key);
        }
        if let Some(report) = self.inner.observe(now(), endpoint, key, remote, event) {
            write(&report);
        }
    }

    /// Looks at counters that grow without an event of any connection.
    pub(crate) fn check(&mut self, endpoint: &Endpoint) {
        if let Some(report) = self.inner.check(now(), endpoint) {
            write(&report);
        }
    }
}

fn write(report: &Report) {
    match report.level() {
        Level::Debug => tracing::debug!("{report}"),
        Level::Info => tracing::info!("{report}"),
        Level::Warn => tracing::warn!("{report}"),
        Level::Error => tracing::error!("{report}"),
    }
}
