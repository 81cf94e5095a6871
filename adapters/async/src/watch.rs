//! A connection that waits for a session, looked at in case it goes.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use proto_base::Instant;

use crate::now;
use crate::runtime::{Bytes, Runtime, Timer};

/// How often the connection is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a connection whose other side has ended its direction waits for a session. That side
/// may have asked and wait for the answer; more often, as time goes by, it has given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches a connection that is not read, as there is nowhere for its bytes to go.
pub(crate) struct Watch<'t, R: Runtime> {
    tcp: &'t mut R::Bytes,
    timer: R::Timer,
    look_at: Option<Instant>,
    /// Since when the other side says no more.
    ended_at: Option<Instant>,
}

impl<'t, R: Runtime> Watch<'t, R> {
    pub(crate) fn new(runtime: &R, tcp: &'t mut R::Bytes) -> Self {
        Self { tcp, timer: runtime.timer(), look_at: None, ended_at: None }
    }

    /// Ready with the reason once nobody is there any more who waits.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let now = now();
            let at = *self.look_at.get_or_insert(now + LOOK);
            if self.timer.poll_until(cx, Some(at)).is_pending() {
                return Poll::Pending;
            }
            self.look_at = None;
            match self.tcp.is_sending() {
                Ok(true) => {}
                Ok(false) => {
                    let ended_at = *self.ended_at.get_or_insert(now);
                    if now - ended_at >= PATIENCE {
                        let text = "it was closed while it waited for a session";
                        return Poll::Ready(io::Error::new(io::ErrorKind::NotConnected, text));
                    }
                }
                Err(error) => return Poll::Ready(error),
            }
        }
    }
}
