//! What goes over the wire, and the memory behind it.

use std::time::Duration;

use crate::kinds::{Crypt, Dscp, FecShape, Mode, Secret, SmuxVersion, Timing};
use crate::values::Values;

/// What stands for a key in files and pages of this project.
const EXAMPLE_KEYS: [&str; 5] = [
    "put here what `kcptun keygen` prints",
    "what keygen printed",
    "keygen 的输出",
    "a long and random key",
    "the same as at the server",
];
/// Ciphers that keep nothing secret, and what that means.
const WEAK: [(&str, &str); 3] = [
    ("none", "packets are readable and can be forged"),
    (
        "null",
        "packets are readable, can be forged and have no checksum; \
         a kcptun older than 2023 at the other end reads this as aes",
    ),
    ("xor", "xor is easily undone; packets count as readable"),
];
/// KCP's own start values, which stay when a value is ignored (kcp-go 5.6.1, `NewKCP`).
const START_MTU: u16 = 1400;
const START_WINDOW: u16 = 32;
const START_INTERVAL: i64 = 100;
/// Bytes of a KCP header.
const KCP_HEADER: u16 = 24;
/// Most shards in a group, data and parity together: points of GF(2^8).
const MAX_SHARDS: i64 = 256;

pub(super) fn key(values: &mut Values) -> Secret {
    let key = Secret::new(values.raw("key").to_owned());
    let bytes = key.as_bytes();
    let effect = if bytes == Secret::DEFAULT.as_bytes() {
        "the published default key protects nothing; set your own at both ends"
    } else if EXAMPLE_KEYS.iter().any(|example| bytes == example.as_bytes()) {
        "the key of an example protects nothing; `kcptun keygen` prints one, for both ends"
    } else if bytes.is_empty() {
        "an empty key protects nothing; set your own at both ends"
    } else {
        return key;
    };
    values.warn("key", &effect);
    key
}

/// kcptun 20210624 reads unknown words, among them `null`, as aes.
pub(super) fn crypt(values: &mut Values) -> Crypt {
    let crypt = Crypt::from_word(&values.text("crypt"));
    if let Some((_, effect)) = WEAK.iter().find(|(name, _)| *name == crypt.given()) {
        values.warn("crypt", effect);
    } else if crypt.given() != crypt.name() {
        let known = values.allowed("crypt");
        values.warn("crypt", &format_args!("unknown, aes is used; known: {known}"));
    }
    crypt
}

/// Above 2 the original exits; below 1 its sessions cannot start.
pub(super) fn smux_version(values: &mut Values) -> SmuxVersion {
    match values.bounded("smuxver", 1, 2) {
        Some(2) => SmuxVersion::V2,
        _ => SmuxVersion::V1,
    }
}

/// kcptun 20210624, `main.go`: a named mode overwrites the four values.
pub(super) fn timing(values: &mut Values) -> (Mode, Timing) {
    const NAMES: [&str; 4] = ["nodelay", "interval", "resend", "nc"];
    let word = values.text("mode");
    let mode = Mode::from_word(&word).unwrap_or_else(|| {
        let known = values.allowed("mode");
        values.warn("mode", &format_args!("unknown, read as manual; known: {known}"));
        Mode::Manual
    });
    // Read in every mode, so that what is not a number is a problem in every mode.
    let given = NAMES.map(|name| values.integer(name));
    if let Some(fixed) = mode.parameters() {
        let name = values.called("mode");
        values.warn_given(&NAMES, &format_args!("no effect with {name} {word}"));
        return (mode, timing_of(fixed));
    }
    let [nodelay, interval, resend, nc] = match given {
        [Some(nodelay), Some(interval), Some(resend), Some(nc)] => [
            not_negative(values, "nodelay", nodelay),
            manual_interval(values, interval),
            not_negative(values, "resend", resend),
            not_negative(values, "nc", nc),
        ],
        _ => [0; 4],
    };
    (mode, timing_of([nodelay, interval, resend, nc]))
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
        values.warn(name, &"negative, 0 is used");
    }
    value.max(0)
}

/// Negative values leave the start value, others are clipped (kcp-go 5.6.1, `NoDelay`).
fn manual_interval(values: &mut Values, given: i64) -> i64 {
    let used = if given < 0 { START_INTERVAL } else { given.clamp(10, 5000) };
    if used != given {
        values.warn("interval", &format_args!("outside 10 to 5000 ms, {used} is used"));
    }
    used
}

/// 0 and below leave 32 (kcp-go 5.6.1, `WndSize`). The wire has 16 bits for the window.
pub(super) fn window(values: &mut Values, name: &str) -> Option<u16> {
    let given = values.integer(name)?;
    Some(match u16::try_from(given) {
        Ok(packets @ 1..) => packets,
        _ => {
            let used = if given > 0 { u16::MAX } else { START_WINDOW };
            values.warn(name, &format_args!("outside 1 to 65535 packets, {used} is used"));
            used
        }
    })
}

/// Off when either count is 0 or below, or when the codec refuses them (kcp-go 5.6.1,
/// `newFECEncoder`).
pub(super) fn fec(values: &mut Values) -> Option<FecShape> {
    let data = values.integer("datashard");
    let parity = values.integer("parityshard");
    let (data, parity) = (data?, parity?);
    for (name, count) in [("datashard", data), ("parityshard", parity)] {
        if count < 0 {
            values.warn(name, &"negative, forward error correction is off");
        }
    }
    if data <= 0 || parity <= 0 {
        return None;
    }
    match (u8::try_from(data), u8::try_from(parity)) {
        (Ok(data_byte), Ok(parity_byte)) if data + parity <= MAX_SHARDS => {
            Some(FecShape { data: data_byte, parity: parity_byte })
        }
        _ => {
            let name = values.called("parityshard");
            values.warn(
                "datashard",
                &format_args!(
                    "with {name} {parity} above 256 together, forward error correction is off"
                ),
            );
            None
        }
    }
}

/// Outside 50 to 1500 the start value stays (kcp-go 5.6.1, `SetMtu`). Between 50 and the size of
/// the headers the original cannot send; here the start value stays too, as in kcp-go 5.6.47.
pub(super) fn mtu(values: &mut Values, crypt: &Crypt, fec: Option<FecShape>) -> Option<u16> {
    let given = values.integer("mtu")?;
    let headers = crypt.overhead_bytes() + fec.map_or(0, |_| FecShape::HEADER_BYTES) + KCP_HEADER;
    let least = (headers + 1).max(50);
    match u16::try_from(given) {
        Ok(mtu) if (least..=1500).contains(&mtu) => Some(mtu),
        _ => {
            values.warn("mtu", &format_args!("outside {least} to 1500 bytes, {START_MTU} is used"));
            Some(START_MTU)
        }
    }
}

/// kcp-go 5.6.1, `SetDSCP`: IPv4 gets the value shifted by two, IPv6 the value unshifted; the
/// kernel keeps the low eight bits.
pub(super) fn dscp(values: &mut Values) -> Dscp {
    let given = values.integer("dscp").unwrap_or_default();
    let [low, ..] = given.to_le_bytes();
    let dscp = Dscp::new(low);
    if !(0..=63).contains(&given) {
        let (tos, class) = (dscp.ipv4_tos(), dscp.ipv6_traffic_class());
        values.warn(
            "dscp",
            &format_args!(
                "outside 0 to 63, packets carry IPv4 TOS {tos} or IPv6 traffic class {class}"
            ),
        );
    }
    dscp
}

/// The kernel raises what is too small to its least and cuts what is too large.
pub(super) fn socket_buffer(values: &mut Values) -> Option<u32> {
    let given = values.integer("sockbuf")?;
    let most = i64::from(i32::MAX);
    // As the kernel sees it, a negative size is a very large one.
    let used = if given < 0 { most } else { given.min(most) };
    if given < 1 {
        let what = if given < 0 { "largest" } else { "smallest" };
        values.warn("sockbuf", &format_args!("the {what} buffer the system grants is used"));
    } else if used != given {
        values.warn("sockbuf", &format_args!("too large, {used} is used"));
    }
    u32::try_from(used).ok()
}

/// smux 1.5.16, `VerifyConfig` refuses 0 and below; its counters have 31 bits.
pub(super) fn memory(values: &mut Values, name: &str) -> Option<u32> {
    let most = i64::from(i32::MAX);
    let given = values.bounded(name, 1, i64::MAX)?;
    if given > most {
        values.warn(name, &format_args!("too large, {most} is used"));
    }
    u32::try_from(given.min(most)).ok()
}

pub(super) fn check_buffers(values: &mut Values, session: Option<u32>, stream: Option<u32>) {
    if let (Some(session), Some(stream)) = (session, stream)
        && stream > session
    {
        let name = values.called("smuxbuf");
        values.problem("streambuf", &format_args!("allowed: at most {name}, which is {session}"));
    }
}

/// A burst of a whole window has to fit the socket buffer, or its end is lost every time.
pub(super) fn check_window(
    values: &mut Values,
    name: &str,
    window: Option<u16>,
    mtu: Option<u16>,
    socket_buffer: Option<u32>,
) {
    let (Some(window), Some(mtu), Some(buffer)) = (window, mtu, socket_buffer) else { return };
    let bytes = u32::from(window) * u32::from(mtu);
    // A buffer of 0 was warned of as such.
    if buffer > 0 && bytes > buffer {
        let sockbuf = values.called("sockbuf");
        values.warn(
            name,
            &format_args!(
                "{window} packets of {mtu} bytes are {bytes} bytes, more than {sockbuf} {buffer} \
                 holds: bursts lose packets; raise {sockbuf} or lower the window"
            ),
        );
    }
}

/// kcptun 2025 hands it to smux, whose `VerifyConfig` refuses 0 and what does not fit 16 bits.
pub(super) fn frame_size(values: &mut Values) -> u16 {
    let given = values.bounded("framesize", 1, u16::MAX.into());
    given.and_then(|it| it.try_into().ok()).unwrap_or_default()
}
