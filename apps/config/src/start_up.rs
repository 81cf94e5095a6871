//! The lines users of the original look for when it starts.

use crate::config::{ClientConfig, CommonConfig, ServerConfig};
use crate::kinds::Mode;
use crate::values::Values;

/// Numbers and words as the user gave them: the original prints those, not what comes of them.
/// The key is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    values: Vec<(&'static str, String)>,
    timing: String,
}

impl Given {
    pub(crate) fn new(values: &Values, mode: Mode) -> Self {
        let mut given = Self { values: values.given(), timing: String::new() };
        let numbers = match mode.parameters() {
            Some(fixed) => fixed.map(|number| number.to_string()),
            None => ["nodelay", "interval", "resend", "nc"].map(|name| given.get(name).to_owned()),
        };
        given.timing = numbers.join(" ");
        given
    }

    fn get(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// `name: value`.
    fn line(&self, name: &str) -> String {
        format!("{name}: {}", self.get(name))
    }

    /// `one: value other: value`.
    fn pair(&self, one: &str, other: &str) -> String {
        format!("{} {}", self.line(one), self.line(other))
    }
}

/// kcptun 20230811, `client/main.go`; `ratelimit` and `framesize` where kcptun 2025 has them.
pub(crate) fn client_lines(config: &ClientConfig, bound: &str) -> Vec<String> {
    let common = &config.common;
    let given = &common.given;
    let mut lines = Vec::from(first_lines(common));
    lines.push(format!("listening on: {bound}"));
    lines.push(format!("encryption: {}", common.crypt.given()));
    lines.push(format!("nodelay parameters: {}", given.timing));
    lines.push(format!("remote address: {}", given.get("remoteaddr")));
    lines.extend(shared_lines(common));
    let names = ["conn", "autoexpire", "scavengettl", "snmplog", "snmpperiod", "quiet", "tcp"];
    lines.extend(names.map(|name| given.line(name)));
    lines.push(given.line("pprof"));
    lines.extend(last_lines(common));
    lines
}

/// kcptun 20230811, `server/main.go`; `ratelimit` and `framesize` where kcptun 2025 has them.
pub(crate) fn server_lines(config: &ServerConfig) -> Vec<String> {
    let common = &config.common;
    let given = &common.given;
    let mut lines = Vec::from(first_lines(common));
    lines.push(format!("listening on: {}", given.get("listen")));
    lines.push(given.line("target"));
    lines.push(format!("encryption: {}", common.crypt.given()));
    lines.push(format!("nodelay parameters: {}", given.timing));
    lines.extend(shared_lines(common));
    let names = ["snmplog", "snmpperiod", "pprof", "quiet", "tcp"];
    lines.extend(names.map(|name| given.line(name)));
    if config.shards > 1 {
        lines.push(given.line("shards"));
    }
    lines.extend(last_lines(common));
    lines
}

fn first_lines(common: &CommonConfig) -> [String; 2] {
    [
        format!("version: {}", env!("CARGO_PKG_VERSION")),
        format!("smux version: {}", common.smux_version.number()),
    ]
}

fn shared_lines(common: &CommonConfig) -> [String; 12] {
    let given = &common.given;
    [
        given.pair("sndwnd", "rcvwnd"),
        format!("compression: {}", common.compression),
        given.line("mtu"),
        given.line("ratelimit"),
        given.pair("datashard", "parityshard"),
        given.line("acknodelay"),
        given.line("dscp"),
        given.line("sockbuf"),
        given.line("smuxbuf"),
        given.line("framesize"),
        given.line("streambuf"),
        given.line("keepalive"),
    ]
}

fn last_lines(common: &CommonConfig) -> Vec<String> {
    let status = common.status.is_some().then(|| common.given.line("status"));
    // Scripts wait for these two. By now the key is there, since what can fail goes first.
    let derived = ["initiating key derivation", "key derivation done"].map(str::to_owned);
    status.into_iter().chain(derived).collect()
}
