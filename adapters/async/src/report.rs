//! What the log says of connections.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;

use kcptun_net::{BufferSizes, Shortage, SocketConfig};
use kcptun_tunnel::report::{Level, Report, Reporter};
use kcptun_tunnel::{Event, Side};

use crate::driver::Observer;

/// Says, once in a process, that the system granted smaller socket buffers than asked for.
///
/// To be spawned: so the line stands behind those with which the program starts.
pub(crate) async fn small_buffers(asked: SocketConfig, granted: io::Result<BufferSizes>) {
    let Ok(granted) = granted else { return };
    granted.shortages(&asked).filter(Shortage::is_first).for_each(|it| tracing::warn!("{it}"));
}

/// The lines of a server about its connections. `version`: of smux.
pub(crate) fn server_observer(local: SocketAddr, version: u8) -> Observer {
    let mut reporter = Reporter::new(Side::Server);
    // Those whose begin was told.
    let mut known = HashSet::new();
    Box::new(move |state, now, event| {
        let endpoint = &state.endpoint;
        let Some((key, event)) = event else {
            reporter.check(now, endpoint).iter().for_each(write);
            return;
        };
        let remote = match event {
            Event::Closed { remote, .. } => {
                known.remove(&key);
                remote
            }
            _ => {
                let Some(remote) = endpoint.remote(key) else { return };
                if !known.contains(&key) && reporter.admits(now, endpoint, key) {
                    known.insert(key);
                    tracing::info!("remote address: {remote}");
                    tracing::info!("smux version: {version} on connection: {local} -> {remote}");
                }
                remote
            }
        };
        reporter.observe(now, endpoint, key, remote, &event).iter().for_each(write);
    })
}

/// Writes a line.
pub(crate) fn write(report: &Report) {
    match report.level() {
        Level::Debug => tracing::debug!("{report}"),
        Level::Info => tracing::info!("{report}"),
        Level::Warn => tracing::warn!("{report}"),
        Level::Error => tracing::error!("{report}"),
    }
}
