//! The drivers' clock.

use proto_base::Instant;

/// Microseconds since the machine started, its sleep included where the system can tell: a laptop
/// that slept an hour must find its sessions an hour older.
#[must_use]
pub fn now() -> Instant {
    Instant::ZERO + kcptun_net::since_boot()
}

/// A seed from the system's random source.
///
/// # Errors
/// When the system has none to give.
pub(crate) fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    Ok(seed)
}
