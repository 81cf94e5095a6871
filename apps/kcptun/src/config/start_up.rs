//! The lines users of the original look for when it starts.

use super::kinds::Mode;
use super::values::Values;
use super::{ClientConfig, CommonConfig, ServerConfig};

/// Numbers and words as the user gave them: the original prints those, not what comes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    listen: String,
    destination: String,
    timing: [i64; 4],
    sndwnd: i64,
    rcvwnd: i64,
    mtu: i64,
    datashard: i64,
    parityshard: i64,
    dscp: i64,
    sockbuf: i64,
    smuxbuf: i64,
    streambuf: i64,
    conn: i64,
}

impl Given {
    /// `None` if any of them is no number, which was noted as a problem before.
    pub(super) fn take(values: &Values, mode: Mode) -> Option<Self> {
        let number = |name: &str| {
            let text = values.raw(name).to_str()?;
            super::number::parse_integer(text).ok()
        };
        let text = |name: &str| values.raw(name).to_string_lossy().into_owned();
        let manual =
            || Some([number("nodelay")?, number("interval")?, number("resend")?, number("nc")?]);
        Some(Self {
            listen: text("listen"),
            destination: text("remoteaddr") + &text("target"),
            timing: mode.parameters().or_else(manual)?,
            sndwnd: number("sndwnd")?,
            rcvwnd: number("rcvwnd")?,
            mtu: number("mtu")?,
            datashard: number("datashard")?,
            parityshard: number("parityshard")?,
            dscp: number("dscp")?,
            sockbuf: number("sockbuf")?,
            smuxbuf: number("smuxbuf")?,
            streambuf: number("streambuf")?,
            conn: number("conn").unwrap_or(1),
        })
    }
}

/// kcptun 20210624, `client/main.go`.
pub(super) fn client_lines(config: &ClientConfig, bound: &str) -> Vec<String> {
    let common = &config.common;
    let given = &common.given;
    let mut lines = first_lines(common);
    lines.push(format!("listening on: {bound}"));
    lines.push(format!("encryption: {}", common.crypt.given()));
    lines.push(timing_line(given));
    lines.push(format!("remote address: {}", given.destination));
    lines.extend(shared_lines(common));
    lines.push(format!("conn: {}", given.conn));
    // What this program does not do yet is what the original calls off.
    lines.extend(
        ["autoexpire: 0", "scavengettl: 600", "snmplog: ", "snmpperiod: 60"].map(Into::into),
    );
    lines.extend(last_lines(common));
    lines
}

/// kcptun 20210624, `server/main.go`.
pub(super) fn server_lines(config: &ServerConfig) -> Vec<String> {
    let common = &config.common;
    let given = &common.given;
    let mut lines = first_lines(common);
    lines.push(format!("listening on: {}", given.listen));
    lines.push(format!("target: {}", given.destination));
    lines.push(format!("encryption: {}", common.crypt.given()));
    lines.push(timing_line(given));
    lines.extend(shared_lines(common));
    lines.extend(["snmplog: ", "snmpperiod: 60", "pprof: false"].map(Into::into));
    lines.extend(last_lines(common));
    lines
}

fn first_lines(common: &CommonConfig) -> Vec<String> {
    vec![
        format!("version: {}", env!("CARGO_PKG_VERSION")),
        format!("smux version: {}", common.smux_version.number()),
    ]
}

fn timing_line(given: &Given) -> String {
    let [nodelay, interval, resend, nc] = given.timing;
    format!("nodelay parameters: {nodelay} {interval} {resend} {nc}")
}

fn shared_lines(common: &CommonConfig) -> [String; 10] {
    let given = &common.given;
    [
        format!("sndwnd: {} rcvwnd: {}", given.sndwnd, given.rcvwnd),
        format!("compression: {}", common.compression),
        format!("mtu: {}", given.mtu),
        format!("datashard: {} parityshard: {}", given.datashard, given.parityshard),
        format!("acknodelay: {}", common.ack_nodelay),
        format!("dscp: {}", given.dscp),
        format!("sockbuf: {}", given.sockbuf),
        format!("smuxbuf: {}", given.smuxbuf),
        format!("streambuf: {}", given.streambuf),
        format!("keepalive: {}", common.keepalive.as_secs()),
    ]
}

fn last_lines(common: &CommonConfig) -> [String; 4] {
    [
        format!("quiet: {}", common.quiet),
        "tcp: false".to_owned(),
        // Scripts wait for these two. By now the key is there, since what can fail goes first.
        "initiating key derivation".to_owned(),
        "key derivation done".to_owned(),
    ]
}
