//! What is shown: a program, and the tunnel that it carries.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kcptun_async::{Client, Runtime, Server, SessionLimits, Sessions, TunnelStats};
use kcptun_tunnel::Side;
use proto_base::Instant;

/// A tunnel whose figures can be read. Reading changes nothing.
pub trait Tunnel: Send + Sync + 'static {
    /// Counters of all sessions, those that are over included.
    fn total(&self) -> TunnelStats;

    /// The sessions that live, as many as `limits` allow.
    fn sessions(&self, limits: SessionLimits) -> Sessions;
}

impl<R: Runtime> Tunnel for Client<R> {
    fn total(&self) -> TunnelStats {
        self.stats()
    }

    fn sessions(&self, limits: SessionLimits) -> Sessions {
        Client::sessions(self, limits)
    }
}

impl Tunnel for Server {
    fn total(&self) -> TunnelStats {
        self.stats()
    }

    fn sessions(&self, limits: SessionLimits) -> Sessions {
        Server::sessions(self, limits)
    }
}

impl<T: Tunnel + ?Sized> Tunnel for Arc<T> {
    fn total(&self) -> TunnelStats {
        (**self).total()
    }

    fn sessions(&self, limits: SessionLimits) -> Sessions {
        (**self).sessions(limits)
    }
}

/// Several as one, as with a server on a range of ports.
impl<T: Tunnel> Tunnel for Vec<T> {
    fn total(&self) -> TunnelStats {
        let mut total = TunnelStats::default();
        self.iter().for_each(|tunnel| total += tunnel.total());
        total
    }

    fn sessions(&self, limits: SessionLimits) -> Sessions {
        let mut all = Sessions::default();
        self.iter().for_each(|tunnel| all.append(tunnel.sessions(limits), limits));
        all
    }
}

/// The program around a tunnel.
#[derive(Debug, Clone)]
pub struct Program {
    /// Which end it is.
    pub side: Side,
    /// Its version.
    pub version: String,
    /// The configuration in short, as names and values, to be shown on the page. Keys and
    /// passwords do not belong here.
    pub settings: Vec<(String, String)>,
    pub(crate) started_at: SystemTime,
    pub(crate) started: Instant,
    /// The words it was started with, secrets blotted out.
    pub(crate) command_line: Vec<String>,
}

impl Program {
    /// A program that starts now, with the command line of this process.
    #[must_use]
    pub fn new(side: Side, version: impl Into<String>) -> Self {
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        Self {
            side,
            version: version.into(),
            settings: Vec::new(),
            started_at: SystemTime::now(),
            started: kcptun_async::now(),
            command_line: without_secrets(words),
        }
    }

    /// Adds the configuration in short.
    #[must_use]
    pub fn with_settings<N, V>(mut self, settings: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        self.settings.extend(settings.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    pub(crate) fn side_name(&self) -> &'static str {
        match self.side {
            Side::Client => "client",
            Side::Server => "server",
        }
    }

    /// Seconds since 1970 when it started.
    pub(crate) fn started_unix(&self) -> f64 {
        self.started_at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    pub(crate) fn uptime(&self, now: Instant) -> Duration {
        now - self.started
    }
}

/// Blots out the value of `--key`, in every spelling that the programs take.
fn without_secrets(words: impl Iterator<Item = String>) -> Vec<String> {
    const BLOT: &str = "***";
    let mut is_secret = false;
    words
        .map(|word| {
            if std::mem::take(&mut is_secret) {
                return BLOT.into();
            }
            let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            match name
                .map(|name| name.split_once('=').map_or((name, false), |(name, _)| (name, true)))
            {
                Some(("key", true)) => {
                    let (flag, _) = word.split_once('=').unwrap_or((&word, ""));
                    format!("{flag}={BLOT}")
                }
                Some(("key", false)) => {
                    is_secret = true;
                    word
                }
                _ => word,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_not_show() {
        let shown = |line: &str| without_secrets(line.split(' ').map(String::from)).join(" ");
        assert_eq!(shown("c --key abc --crypt aes"), "c --key *** --crypt aes");
        assert_eq!(shown("c -key --key -r x"), "c -key *** -r x");
        assert_eq!(shown("c --key=a=b -key=c"), "c --key=*** -key=***");
        assert_eq!(shown("c -l key --keepalive 9 --key"), "c -l key --keepalive 9 --key");
    }
}
