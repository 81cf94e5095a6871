//! What the log says of connections.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kcptun_net::{BufferSizes, SocketConfig};
use kcptun_tunnel::{CloseReason, ConnectionKey, Endpoint, Event, Side};
use proto_base::Instant;

use crate::now;

/// Least time between two reports of the same trouble.
const PAUSE: Duration = Duration::from_secs(60);

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

/// Writes log lines for what happens to the connections of an endpoint, and says what is probably
/// wrong where two ends do not understand each other. Trouble that a peer can cause at will is
/// reported once a minute at most.
pub(crate) struct Reporter {
    side: Side,
    known: HashMap<ConnectionKey, SocketAddr>,
    checksum_errors: u64,
    quiet_until: Option<Instant>,
}

impl Reporter {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, known: HashMap::new(), checksum_errors: 0, quiet_until: None }
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
        match event {
            Event::Closed(reason) => {
                self.known.remove(&key);
                self.closed(remote, *reason);
            }
            Event::Suspect if self.side == Side::Client => {
                let heard =
                    endpoint.connection_stats(key).is_some_and(|stats| stats.datagrams_in > 0);
                if heard {
                    tracing::info!("no answer from {remote}; new streams go to a new session");
                } else if self.may_speak() {
                    tracing::warn!(
                        "no answer from {remote}: nothing listens there, or --key or --crypt differ \
                         from the server's (they must be the same at both ends)"
                    );
                }
            }
            Event::Recovered => tracing::info!("{remote} answers again"),
            Event::Mute => tracing::warn!(
                "{remote} acknowledges but says nothing: --nocomp or --smuxver differ from this \
                 end's (they must be the same at both ends)"
            ),
            _ => {}
        }
    }

    /// Looks at counters that grow without an event of any connection.
    pub(crate) fn check(&mut self, endpoint: &Endpoint) {
        let errors = endpoint.stats().checksum_errors;
        if errors != self.checksum_errors && self.may_speak() {
            tracing::warn!(
                "{} datagrams with a bad checksum: --key or --crypt of a peer differ from this \
                 end's (they must be the same at both ends), or these are stray packets",
                errors - self.checksum_errors
            );
            self.checksum_errors = errors;
        }
    }

    fn closed(&self, remote: SocketAddr, reason: CloseReason) {
        match (reason, reason.hint()) {
            (_, Some(hint)) => tracing::error!("{reason} in: {remote}: settings differ: {hint}"),
            (CloseReason::Local, None) => tracing::debug!("session with {remote} closed"),
            (_, None) => tracing::info!("session with {remote} ended: {reason}"),
        }
    }

    fn may_speak(&mut self) -> bool {
        let now = now();
        if self.quiet_until.is_some_and(|until| now < until) {
            return false;
        }
        self.quiet_until = Some(now + PAUSE);
        true
    }
}
