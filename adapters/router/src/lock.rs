//! Memory that is never swapped.

use std::fmt;
use std::io;

/// Locks all memory that the process has taken, touching it on the way.
///
/// # Errors
/// When the system does not let the process, mostly for its limit (`RLIMIT_MEMLOCK`).
pub fn lock_memory() -> Result<(), LockError> {
    lock_all().map_err(|error| LockError { error, limit: limit() })
}

/// Why memory is not locked, and what to do about it.
#[derive(Debug)]
pub struct LockError {
    error: io::Error,
    /// What the process may lock, in bytes; `None`: without limit, or unknown.
    limit: Option<u64>,
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = &self.error;
        match self.limit {
            Some(limit) => write!(
                f,
                "memory is not locked, as this user may lock {} KB only ({error}); run it as root, \
                 or after `ulimit -l unlimited`, or as a service with LimitMEMLOCK=infinity",
                limit / 1024
            ),
            None => write!(f, "memory is not locked: {error}"),
        }
    }
}

impl std::error::Error for LockError {}

#[cfg(not(target_os = "macos"))]
fn lock_all() -> io::Result<()> {
    rustix::mm::mlockall(rustix::mm::MlockAllFlags::CURRENT)?;
    Ok(())
}

/// There the call exists, and always fails.
#[cfg(target_os = "macos")]
fn lock_all() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_what_to_do() {
        let limited = LockError { error: io::ErrorKind::OutOfMemory.into(), limit: Some(65_536) };
        assert!(limited.to_string().contains("may lock 64 KB only"), "{limited}");
        assert!(limited.to_string().contains("ulimit -l unlimited"), "{limited}");
    }
}
