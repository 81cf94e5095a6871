//! What a log should say of connections, and what is probably wrong where two ends do not
//! understand each other. The driver writes the lines.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use proto_base::Instant;

use crate::endpoint::{Endpoint, Side};
use crate::event::{CloseReason, Event};
use crate::table::ConnectionKey;

/// Least time between two reports of the same trouble, as a peer can cause it at will.
const PAUSE: Duration = Duration::from_secs(60);

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for something.
    Debug,
    /// The ordinary course.
    Info,
    /// It works badly, or not at all, until somebody changes something.
    Warn,
    /// It cannot work.
    Error,
}

/// One line of a log, to be displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    remote: SocketAddr,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Silent,
    NeverHeard,
    Recovered,
    Mute,
    Checksums(u64),
    Ended(CloseReason),
}

impl Report {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.what {
            What::Silent | What::Recovered => Level::Info,
            What::NeverHeard | What::Mute | What::Checksums(_) => Level::Warn,
            What::Ended(reason) if reason.hint().is_some() => Level::Error,
            What::Ended(CloseReason::Local) => Level::Debug,
            What::Ended(_) => Level::Info,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remote = self.remote;
        match self.what {
            What::Silent => {
                write!(f, "no answer from {remote}; new streams go to a new session")
            }
            What::NeverHeard => write!(
                f,
                "no answer from {remote}: nothing listens there, or --key or --crypt differ \
                 from the server's (they must be the same at both ends)"
            ),
            What::Recovered => write!(f, "{remote} answers again"),
            What::Mute => write!(
                f,
                "{remote} acknowledges but says nothing: --nocomp or --smuxver differ from this \
                 end's (they must be the same at both ends)"
            ),
            What::Checksums(errors) => write!(
                f,
                "{errors} datagrams with a bad checksum: --key or --crypt of a peer differ from \
                 this end's (they must be the same at both ends), or these are stray packets"
            ),
            What::Ended(reason) => match (reason, reason.hint()) {
                (_, Some(hint)) => write!(f, "{reason} in: {remote}: settings differ: {hint}"),
                (CloseReason::Local, None) => write!(f, "session with {remote} closed"),
                (_, None) => write!(f, "session with {remote} ended: {reason}"),
            },
        }
    }
}

/// Finds what is worth a line. One for each endpoint.
#[derive(Debug)]
pub struct Reporter {
    side: Side,
    checksum_errors: u64,
    quiet_until: Option<Instant>,
}

impl Reporter {
    /// Nothing was reported yet.
    #[must_use]
    pub const fn new(side: Side) -> Self {
        Self { side, checksum_errors: 0, quiet_until: None }
    }

    /// An event of the connection with `remote`.
    pub fn observe(
        &mut self,
        now: Instant,
        endpoint: &Endpoint,
        key: ConnectionKey,
        remote: SocketAddr,
        event: &Event,
    ) -> Option<Report> {
        let what = match event {
            Event::Closed(reason) => What::Ended(*reason),
            Event::Suspect if self.side == Side::Client => {
                let stats = endpoint.connection_stats(key);
                if stats.is_some_and(|stats| stats.datagrams_in > 0) {
                    What::Silent
                } else if self.may_speak(now) {
                    What::NeverHeard
                } else {
                    return None;
                }
            }
            Event::Recovered => What::Recovered,
            Event::Mute => What::Mute,
            _ => return None,
        };
        Some(Report { remote, what })
    }

    /// Looks at counters that grow without an event of any connection.
    pub fn check(&mut self, now: Instant, endpoint: &Endpoint) -> Option<Report> {
        let errors = endpoint.stats().checksum_errors;
        if errors == self.checksum_errors || !self.may_speak(now) {
            return None;
        }
        let fresh = errors - self.checksum_errors;
        self.checksum_errors = errors;
        let nobody = SocketAddr::from(([0; 4], 0));
        Some(Report { remote: nobody, what: What::Checksums(fresh) })
    }

    fn may_speak(&mut self, now: Instant) -> bool {
        if self.quiet_until.is_some_and(|until| now < until) {
            return false;
        }
        self.quiet_until = Some(now + PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::crypt::{CipherKind, PacketCipher};

    #[test]
    fn trouble_is_told_once_a_minute() {
        let cipher = PacketCipher::new(CipherKind::None, b"").unwrap();
        let mut server = Endpoint::new(Config::default(), cipher, Side::Server, [0; 32]).unwrap();
        let mut reporter = Reporter::new(Side::Server);
        let from = "10.0.0.1:5".parse().unwrap();
        let mut told = 0;
        for second in 0..150 {
            let now = Instant::from_millis(second * 1000);
            server.handle_batch(now, from, &mut [7; 60], 60);
            if let Some(report) = reporter.check(now, &server) {
                assert_eq!(report.level(), Level::Warn);
                told += 1;
            }
        }
        assert_eq!(told, 3);
    }
}
