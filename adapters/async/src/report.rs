//! What the log says of connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use kcptun_net::{BufferSizes, SocketConfig};
use kcptun_tunnel::report::{self, Level, Report};
use kcptun_tunnel::{ConnectionKey, Endpoint, Event, Side};

use crate::now;

/// Says, once in a process, that the system granted smaller socket buffers than asked for. A burst
/// that finds the receive buffer full is lost, which looks like a bad link.
///
/// To be spawned: so the line stands behind those with which the program starts.
pub(crate) async fn small_buffers(asked: SocketConfig, granted: io::Result<BufferSizes>) {
    static SAID: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];
    let Ok(granted) = granted else { return };
    for (said, name, limit, asked, granted) in [
        (&SAID[0], "receive", "net.core.rmem_max", asked.receive_buffer, granted.receive),
        (&SAID[1], "send", "net.core.wmem_max", asked.send_buffer, granted.send),
    ] {
        // No kernel grants more than half of its counter: such a value asks for all there is.
        let asks_for_all = asked > i32::MAX as usize / 2;
        if granted < asked && !asks_for_all && !said.swap(true, Ordering::Relaxed) {
            let remedy = if cfg!(any(target_os = "linux", target_os = "android")) {
                format!("; raise it with: sysctl -w {limit}={asked}")
            } else {
                String::new()
            };
            tracing::warn!(
                "the system grants a {name} buffer of {granted} bytes, not {asked} (--sockbuf): \
                 fast transfers may lose packets{remedy}"
            );
        }
    }
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
