//! The lines users of the original look for when it starts.

use std::fmt;

use crate::config::{ClientConfig, CommonConfig, ServerConfig};
use crate::options::NOT_IN_ROUTER;

/// The lines so far.
struct Lines<'c> {
    common: &'c CommonConfig,
    lines: Vec<String>,
}

impl<'c> Lines<'c> {
    fn new(common: &'c CommonConfig) -> Self {
        let mut lines = Self { common, lines: Vec::new() };
        lines.text("version", &env!("CARGO_PKG_VERSION"));
        lines.text("smux version", &common.smux_version.number());
        lines
    }

    /// `name: value`.
    fn text(&mut self, name: &str, value: &dyn fmt::Display) {
        self.lines.push(format!("{name}: {value}"));
    }

    /// A line for each of `names` with what was given; some share one: `one: value other: value`.
    /// None for what `kcptun-router` has not.
    fn given(&mut self, names: &[&str]) {
        let is_router = self.common.memory.is_some();
        for name in names.iter().filter(|name| !is_router || !NOT_IN_ROUTER.contains(name)) {
            let value = |name: &str| format!("{name}: {}", self.common.given.get(name));
            self.lines.push(match name.split_once(' ') {
                Some((one, other)) => format!("{} {}", value(one), value(other)),
                None => value(name),
            });
        }
    }

    fn encryption(&mut self) {
        let common = self.common;
        self.text("encryption", &common.crypt.given());
        self.text("nodelay parameters", &common.given.timing());
    }

    /// What stands in the middle, of the protocol.
    fn protocol(&mut self) {
        self.given(&["sndwnd rcvwnd"]);
        self.text("compression", &self.common.compression);
        self.given(&["mtu", "ratelimit", "datashard parityshard", "acknodelay", "dscp"]);
        self.given(&["sockbuf", "smuxbuf", "framesize", "streambuf", "keepalive"]);
    }

    fn end(mut self) -> Vec<String> {
        if self.common.status.is_some() {
            self.given(&["status"]);
        }
        // Scripts wait for these two. By now the key is there, since what can fail goes first.
        self.lines.push("initiating key derivation".to_owned());
        self.lines.push("key derivation done".to_owned());
        self.lines
    }
}

/// kcptun 20230811, `client/main.go`; `ratelimit` and `framesize` where kcptun 2025 has them.
pub(crate) fn client_lines(config: &ClientConfig, bound: &str) -> Vec<String> {
    let mut lines = Lines::new(&config.common);
    lines.text("listening on", &bound);
    lines.encryption();
    lines.text("remote address", &config.common.given.get("remoteaddr"));
    lines.protocol();
    lines.given(&["conn", "autoexpire", "scavengettl", "snmplog", "snmpperiod", "quiet", "tcp"]);
    lines.given(&["pprof"]);
    lines.end()
}

/// kcptun 20230811, `server/main.go`; `ratelimit` and `framesize` where kcptun 2025 has them.
pub(crate) fn server_lines(config: &ServerConfig) -> Vec<String> {
    let mut lines = Lines::new(&config.common);
    lines.text("listening on", &config.common.given.get("listen"));
    lines.given(&["target"]);
    lines.encryption();
    lines.protocol();
    lines.given(&["snmplog", "snmpperiod", "pprof", "quiet", "tcp"]);
    if config.shards > 1 {
        lines.given(&["shards"]);
    }
    lines.end()
}
