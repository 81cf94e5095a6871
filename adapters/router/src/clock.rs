//! The driver's clock.

use proto_base::Instant;

/// Microseconds since the machine started, its sleep included where the system can tell.
#[must_use]
pub fn now() -> Instant {
    Instant::ZERO + kcptun_net::since_boot()
}
