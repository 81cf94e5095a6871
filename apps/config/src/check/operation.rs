//! Sessions, limits, files, and what is accepted without being built.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::kinds::{Memory, SnmpLog};
use crate::values::Values;

/// Longest time that is kept, in seconds: 68 years, so that a clock may count it up.
const MAX_SECONDS: i64 = i32::MAX as i64;
/// Most sockets and threads of a server.
const MAX_SHARDS: i64 = 64;

/// The original keeps the low 16 bits and divides by them; kcptun 2025 refuses 0 and below.
pub(super) fn conn(values: &mut Values) -> u16 {
    let conn = values.bounded("conn", 1, i64::MAX).unwrap_or(1);
    let [low, high, ..] = conn.to_le_bytes();
    let kept = u16::from_le_bytes([low, high]);
    if kept == 0 {
        values.problem("conn", &"allowed: 1 to 65535");
    } else if i64::from(kept) != conn {
        values.warn("conn", &format_args!("above 65535, {kept} is used"));
    }
    kept
}

/// A time in seconds. Below 0 the original's timers have run out before they start, as at 0.
pub(super) fn seconds(values: &mut Values, name: &str) -> Option<Duration> {
    let given = values.integer(name)?;
    let used = given.clamp(0, MAX_SECONDS);
    if used != given {
        let what = if given < 0 { "negative" } else { "too large" };
        values.warn(name, &format_args!("{what}, {used} is used"));
    }
    Some(Duration::from_secs(used.unsigned_abs()))
}

/// kcptun 20240730 warns of this as well.
pub(super) fn check_expiry(values: &mut Values, expire: Option<Duration>, ttl: Option<Duration>) {
    if let (Some(expire), Some(ttl)) = (expire, ttl)
        && !expire.is_zero()
        && ttl > expire
    {
        let (name, seconds) = (values.called("autoexpire"), expire.as_secs());
        values.warn(
            "scavengettl",
            &format_args!(
                "longer than {name}, which is {seconds}: old sessions pile up beside the new one \
                 and share its bandwidth"
            ),
        );
    }
}

/// kcptun 2025 uses 0 in the place of a negative limit.
pub(super) fn rate_limit(values: &mut Values) -> Option<NonZeroU64> {
    let given = values.integer("ratelimit")?;
    if given < 0 {
        values.warn("ratelimit", &"negative, there is no limit");
    }
    NonZeroU64::new(given.max(0).unsigned_abs())
}

pub(super) fn shards(values: &mut Values) -> u16 {
    values.bounded("shards", 1, MAX_SHARDS).and_then(|it| it.try_into().ok()).unwrap_or_default()
}

/// Off without a path, whatever the period is, and with a period of 0; with a path, a negative
/// period crashes the original (kcptun 20210624, `generic/snmp.go`).
pub(super) fn snmp(values: &mut Values) -> Option<SnmpLog> {
    let path = PathBuf::from(values.raw("snmplog"));
    if path.as_os_str().is_empty() {
        values.integer("snmpperiod");
        return None;
    }
    let period = values.bounded("snmpperiod", 0, i64::MAX)?.min(MAX_SECONDS).unsigned_abs();
    if period == 0 {
        let name = values.called("snmpperiod");
        values.warn("snmplog", &format_args!("nothing is written, since {name} is 0"));
        return None;
    }
    Some(SnmpLog { path, period: Duration::from_secs(period) })
}

/// Options of `kcptun-router`; `None` in the other programs.
pub(super) fn memory(values: &mut Values) -> Option<Memory> {
    if !values.has("mem") {
        return None;
    }
    let is_locked = values.boolean("lock");
    let bytes = size(&values.text("mem"));
    if bytes.is_none() {
        let allowed = values.allowed("mem");
        values.problem("mem", &format_args!("allowed: {allowed}, as in 8M"));
    }
    Some(Memory { bytes: bytes?, is_locked })
}

/// Bytes, or with K, M or G behind them (KB and KiB are the same here) units of 1024.
fn size(text: &str) -> Option<usize> {
    const UNITS: [(&str, usize); 11] = [
        ("", 1),
        ("B", 1),
        ("K", 1 << 10),
        ("KB", 1 << 10),
        ("KiB", 1 << 10),
        ("M", 1 << 20),
        ("MB", 1 << 20),
        ("MiB", 1 << 20),
        ("G", 1 << 30),
        ("GB", 1 << 30),
        ("GiB", 1 << 30),
    ];
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = &text[digits.len()..];
    let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let number: usize = digits.parse().ok()?;
    number.checked_mul(*factor).filter(|&bytes| bytes <= isize::MAX as usize)
}

/// What command lines of the original may hold, and this program does not do.
pub(super) fn accepted(values: &mut Values) {
    if values.boolean("tcp") {
        let effect = "fake TCP is not built yet: UDP is used, and a peer that runs with --tcp \
                      cannot be reached";
        values.warn("tcp", &effect);
    }
    // A peer that scrambles streams would get garbled bytes: nothing to go on with.
    if values.boolean("QPP") {
        values.problem("QPP", &"quantum permutation pads are not built; allowed: false");
    }
    values.integer("QPPCount");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("8M", 8 << 20),
            ("8mb", 8 << 20),
            ("512K", 512 << 10),
            ("4194304", 4 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "M", "-8M", "8 M", "8X", "1.5M", "99999999999G", "0x8M"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
