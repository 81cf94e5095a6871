//! The driver's clock.

use proto_base::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Microseconds since the machine started, its sleep included.
pub(crate) fn now() -> Instant {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Instant::from_micros(seconds.saturating_mul(1_000_000) + nanos / 1_000)
}
