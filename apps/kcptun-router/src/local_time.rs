//! Local time, as the C library knows it.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use kcptun_config::snmp_log::CivilTime;

/// Seconds since 1970 (UTC), and the same moment in parts, by `TZ` or the system's time zone.
pub(crate) fn local_time() -> (i64, CivilTime<'static>) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(libc::time_t::MAX);
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to live memory of the right type; this variant keeps nothing.
    // Zeroed parts are a valid value in case it fails.
    let parts = unsafe {
        libc::localtime_r(&raw const seconds, parts.as_mut_ptr());
        parts.assume_init()
    };
    let zone = if parts.tm_zone.is_null() {
        ""
    } else {
        // SAFETY: the name is the C library's: it ends, and stays until the zone is set anew, which
        // nobody here does.
        unsafe { CStr::from_ptr(parts.tm_zone) }.to_str().unwrap_or_default()
    };
    // Each part is small and not negative.
    let small = |part: i32| u8::try_from(part).unwrap_or_default();
    let local = CivilTime {
        year: parts.tm_year + 1900,
        month: small(parts.tm_mon + 1),
        day: small(parts.tm_mday),
        week_day: small(parts.tm_wday),
        year_day: u16::try_from(parts.tm_yday + 1).unwrap_or_default(),
        hour: small(parts.tm_hour),
        minute: small(parts.tm_min),
        second: small(parts.tm_sec),
        nanosecond: since.subsec_nanos(),
        offset: i32::try_from(parts.tm_gmtoff).unwrap_or_default(),
        zone,
    };
    (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_those_of_the_moment() {
        let (unix, now) = local_time();
        assert!((2024..2100).contains(&now.year), "{now:?}");
        assert!((1..=12).contains(&now.month) && (1..=31).contains(&now.day), "{now:?}");
        assert!(now.second <= 60 && !now.zone.is_empty(), "{now:?}");
        let of_day = i64::from(now.hour) * 3600 + i64::from(now.minute) * 60;
        let seconds = (unix + i64::from(now.offset)).rem_euclid(86_400);
        assert_eq!(seconds / 60, of_day / 60, "{now:?}");
        // 1970 began on a Thursday.
        let days = (unix + i64::from(now.offset)).div_euclid(86_400);
        assert_eq!((days + 4) % 7, i64::from(now.week_day), "{now:?}");
    }
}
