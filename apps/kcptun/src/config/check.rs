//! From the values given to values that can be used.
//!
//! Each rule says what kcptun 20210624 (kcp-go 5.6.1, smux 1.5.16) does with the value. What it
//! starts with is kept, with a warning; what makes it exit, crash or never carry a byte is a
//! problem.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use kcptun_net::AddressError;

use super::CommonConfig;
use super::kinds::{Crypt, Dscp, FecShape, Mode, Secret, SmuxVersion, Timing};
use super::start_up::Given;
use super::values::Values;

/// The key that both ends of the original use when none is given (spelled so).
const DEFAULT_KEY: &[u8] = b"it's a secrect";
/// KCP's own start values, which stay when a value is ignored (kcp-go 5.6.1, `NewKCP`).
const START_MTU: u16 = 1400;
const START_WINDOW: u16 = 32;
const START_INTERVAL: i64 = 100;
/// Bytes of a KCP header.
const KCP_HEADER: u16 = 24;
/// Most shards in a group, data and parity together: points of GF(2^8).
const MAX_SHARDS: i64 = 256;

/// An address in any of the forms that kcptun writes.
pub(super) fn address<A>(values: &mut Values, name: &str) -> Option<A>
where
    A: FromStr<Err = AddressError>,
{
    match values.text(name).parse() {
        Ok(address) => Some(address),
        Err(error) => {
            let allowed = values.allowed(name);
            values.problem(name, &format!("{}; allowed: {allowed}", address_fault(&error)));
            None
        }
    }
}

/// What is wrong with an address, without the text of it, which stands in front already.
fn address_fault(error: &AddressError) -> String {
    match error {
        AddressError::Malformed(_) => "no port in it".to_owned(),
        AddressError::PortRange { min, max } if min > max => {
            "the range of ports runs backwards".to_owned()
        }
        AddressError::PortRange { .. } => "ports are 1 to 65535".to_owned(),
        AddressError::Brackets(_) => "an IPv6 address needs brackets, as in [::1]:3000".to_owned(),
        AddressError::Port(_) => "ports are 0 to 65535".to_owned(),
        AddressError::Empty => "empty".to_owned(),
        other => other.to_string(),
    }
}

/// What does not split into host and port is the path of a unix socket.
pub(super) fn warn_of_path(values: &mut Values, name: &str, path: Option<&Path>) {
    if path.is_some_and(|path| !path.to_string_lossy().contains(['/', '@'])) {
        values.warn(name, "not host:port, so it is the path of a unix socket");
    }
}

/// The original keeps the low 16 bits and divides by them; kcptun 2025 refuses 0 and below.
pub(super) fn conn(values: &mut Values) -> Option<u16> {
    let conn = values.bounded("conn", 1, i64::MAX)?;
    match u16::try_from(conn % 65_536) {
        Ok(0) | Err(_) => {
            values.problem("conn", "allowed: 1 to 65535");
            None
        }
        Ok(kept) => {
            if i64::from(kept) != conn {
                values.warn("conn", &format!("above 65535, {kept} is used"));
            }
            Some(kept)
        }
    }
}

pub(super) fn common(values: &mut Values) -> Option<CommonConfig> {
    let key = key(values);
    let crypt = crypt(values);
    let compression = !values.boolean("nocomp");
    let smux_version = smux_version(values);
    let (mode, timing) = timing(values);
    let send_window = window(values, "sndwnd");
    let receive_window = window(values, "rcvwnd");
    let fec = fec(values);
    let mtu = mtu(values, &crypt, fec.flatten());
    let ack_nodelay = values.boolean("acknodelay");
    let dscp = dscp(values);
    let socket_buffer = socket_buffer(values);
    let session_buffer = memory(values, "smuxbuf");
    let stream_buffer = memory(values, "streambuf");
    check_buffers(values, session_buffer, stream_buffer);
    let keepalive = values.bounded("keepalive", 1, 30);
    let quiet = values.boolean("quiet");
    let log = Some(values.raw("log")).filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(CommonConfig {
        key,
        crypt,
        mode,
        timing: timing?,
        ack_nodelay,
        mtu: mtu?,
        send_window: send_window?,
        receive_window: receive_window?,
        fec: fec?,
        compression,
        dscp: dscp?,
        socket_buffer: socket_buffer?,
        smux_version: smux_version?,
        session_buffer: session_buffer?,
        stream_buffer: stream_buffer?,
        keepalive: Duration::from_secs(keepalive?.unsigned_abs()),
        quiet,
        log,
        given: Given::take(values, mode)?,
    })
}

fn key(values: &mut Values) -> Secret {
    let key = Secret::new(values.raw("key").to_owned());
    if key.as_bytes() == DEFAULT_KEY {
        let effect = "the published default key protects nothing; set your own at both ends";
        values.warn("key", effect);
    } else if key.as_bytes().is_empty() {
        values.warn("key", "an empty key protects nothing; set your own at both ends");
    }
    key
}

/// kcptun 20210624 reads unknown words, among them `null`, as aes.
fn crypt(values: &mut Values) -> Crypt {
    let crypt = Crypt::from_word(&values.text("crypt"));
    let allowed = values.allowed("crypt");
    match crypt.given() {
        "none" => values.warn("crypt", "packets are readable and can be forged"),
        "null" => values.warn(
            "crypt",
            "packets are readable, can be forged and have no checksum; \
             a kcptun older than 2023 at the other end reads this as aes",
        ),
        "xor" => values.warn("crypt", "xor is easily undone; packets count as readable"),
        given if given != crypt.name() => {
            values.warn("crypt", &format!("unknown, aes is used; known: {allowed}"));
        }
        _ => {}
    }
    crypt
}

/// Above 2 the original exits; below 1 its sessions cannot start.
fn smux_version(values: &mut Values) -> Option<SmuxVersion> {
    Some(match values.bounded("smuxver", 1, 2)? {
        2 => SmuxVersion::V2,
        _ => SmuxVersion::V1,
    })
}

/// kcptun 20210624, `main.go`: a named mode overwrites the four values.
fn timing(values: &mut Values) -> (Mode, Option<Timing>) {
    const NAMES: [&str; 4] = ["nodelay", "interval", "resend", "nc"];
    let word = values.text("mode");
    let mode = Mode::from_word(&word).unwrap_or_else(|| {
        let effect = format!("unknown, read as manual; known: {}", values.allowed("mode"));
        values.warn("mode", &effect);
        Mode::Manual
    });
    // Read in every mode, so that what is not a number is a problem in every mode.
    let given = NAMES.map(|name| values.integer(name));
    if let Some(fixed) = mode.parameters() {
        for name in NAMES {
            if values.is_given(name) {
                values.warn(name, &format!("no effect with --mode {word}"));
            }
        }
        return (mode, given.iter().all(Option::is_some).then(|| timing_of(fixed)));
    }
    let [Some(nodelay), Some(interval), Some(resend), Some(nc)] = given else {
        return (mode, None);
    };
    let nodelay = not_negative(values, "nodelay", nodelay);
    let interval = manual_interval(values, interval);
    let resend = not_negative(values, "resend", resend);
    let nc = not_negative(values, "nc", nc);
    (mode, Some(timing_of([nodelay, interval, resend, nc])))
}

fn timing_of([nodelay, interval, resend, nc]: [i64; 4]) -> Timing {
    Timing {
        nodelay: nodelay != 0,
        interval: Duration::from_millis(interval.unsigned_abs()),
        resend: u32::try_from(resend).unwrap_or(u32::MAX),
        congestion_control: nc == 0,
    }
}

/// Negative values leave the start value 0 (kcp-go 5.6.1, `kcp.go`, `NoDelay`).
fn not_negative(values: &mut Values, name: &str, value: i64) -> i64 {
    if value < 0 {
        values.warn(name, "negative, 0 is used");
    }
    value.max(0)
}

/// Negative values leave the start value, others are clipped (kcp-go 5.6.1, `NoDelay`).
fn manual_interval(values: &mut Values, given: i64) -> i64 {
    let used = if given < 0 { START_INTERVAL } else { given.clamp(10, 5000) };
    if used != given {
        values.warn("interval", &format!("outside 10 to 5000 ms, {used} is used"));
    }
    used
}

/// 0 and below leave 32 (kcp-go 5.6.1, `WndSize`). The wire has 16 bits for the window.
fn window(values: &mut Values, name: &str) -> Option<u16> {
    let given = values.integer(name)?;
    Some(match u16::try_from(given) {
        Ok(packets @ 1..) => packets,
        _ => {
            let used = if given > 0 { u16::MAX } else { START_WINDOW };
            values.warn(name, &format!("outside 1 to 65535 packets, {used} is used"));
            used
        }
    })
}

/// Off when either count is 0 or below, or when the codec refuses them (kcp-go 5.6.1,
/// `newFECEncoder`).
fn fec(values: &mut Values) -> Option<Option<FecShape>> {
    let data = values.integer("datashard");
    let parity = values.integer("parityshard");
    let (data, parity) = (data?, parity?);
    for (name, count) in [("datashard", data), ("parityshard", parity)] {
        if count < 0 {
            values.warn(name, "negative, forward error correction is off");
        }
    }
    if data <= 0 || parity <= 0 {
        return Some(None);
    }
    let shape = match (u8::try_from(data), u8::try_from(parity)) {
        (Ok(data_byte), Ok(parity_byte)) if data + parity <= MAX_SHARDS => {
            Some(FecShape { data: data_byte, parity: parity_byte })
        }
        _ => {
            let effect = format!(
                "with --parityshard {parity} above 256 together, forward error correction is off"
            );
            values.warn("datashard", &effect);
            None
        }
    };
    Some(shape)
}

/// Outside 50 to 1500 the start value stays (kcp-go 5.6.1, `SetMtu`). Between 50 and the size of
/// the headers the original cannot send; here the start value stays too, as in kcp-go 5.6.47.
fn mtu(values: &mut Values, crypt: &Crypt, fec: Option<FecShape>) -> Option<u16> {
    let given = values.integer("mtu")?;
    let headers = crypt.header_bytes() + fec.map_or(0, |_| FecShape::HEADER_BYTES) + KCP_HEADER;
    let least = (headers + 1).max(50);
    match u16::try_from(given) {
        Ok(mtu) if (least..=1500).contains(&mtu) => Some(mtu),
        _ => {
            let effect = format!("outside {least} to 1500 bytes, {START_MTU} is used");
            values.warn("mtu", &effect);
            Some(START_MTU)
        }
    }
}

/// kcp-go 5.6.1, `SetDSCP`: IPv4 gets the value shifted by two, IPv6 the value unshifted; the
/// kernel keeps the low eight bits.
fn dscp(values: &mut Values) -> Option<Dscp> {
    let given = values.integer("dscp")?;
    let [low, ..] = given.to_le_bytes();
    let dscp = Dscp::new(low);
    if !(0..=63).contains(&given) {
        let (tos, class) = (dscp.ipv4_tos(), dscp.ipv6_traffic_class());
        let effect =
            format!("outside 0 to 63, packets carry IPv4 TOS {tos} or IPv6 traffic class {class}");
        values.warn("dscp", &effect);
    }
    Some(dscp)
}

/// The kernel raises what is too small to its least and cuts what is too large.
fn socket_buffer(values: &mut Values) -> Option<u32> {
    let given = values.integer("sockbuf")?;
    let most = i64::from(i32::MAX);
    // As the kernel sees it, a negative size is a very large one.
    let used = if given < 0 { most } else { given.min(most) };
    if given < 1 {
        let what = if given < 0 { "largest" } else { "smallest" };
        values.warn("sockbuf", &format!("the {what} buffer the system grants is used"));
    } else if used != given {
        values.warn("sockbuf", &format!("too large, {used} is used"));
    }
    u32::try_from(used).ok()
}

/// smux 1.5.16, `VerifyConfig` refuses 0 and below; its counters have 31 bits.
fn memory(values: &mut Values, name: &str) -> Option<u32> {
    let most = i64::from(i32::MAX);
    let given = values.bounded(name, 1, i64::MAX)?;
    if given > most {
        values.warn(name, &format!("too large, {most} is used"));
    }
    u32::try_from(given.min(most)).ok()
}

fn check_buffers(values: &mut Values, session: Option<u32>, stream: Option<u32>) {
    if let (Some(session), Some(stream)) = (session, stream)
        && stream > session
    {
        let why = format!("allowed: at most --smuxbuf, which is {session}");
        values.problem("streambuf", &why);
    }
}
