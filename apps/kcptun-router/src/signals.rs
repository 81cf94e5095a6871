//! Signals, noted when they come and asked for later.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bit for each signal that came, at the place of its number: those caught here are below 32.
static CAME: AtomicU32 = AtomicU32::new(0);

/// Notes `signal` from now on, instead of what it did.
///
/// # Errors
/// When the system does not let it be caught.
pub(crate) fn catch(signal: c_int) -> io::Result<()> {
    let handler = note as extern "C" fn(c_int);
    // SAFETY: the handler sets a bit and does nothing else, which is allowed whenever it is called.
    let before = unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether `signal` came since this was asked last.
pub(crate) fn came(signal: c_int) -> bool {
    let bit = bit(signal);
    CAME.load(Ordering::Relaxed) & bit != 0 && CAME.fetch_and(!bit, Ordering::Relaxed) & bit != 0
}

extern "C" fn note(signal: c_int) {
    CAME.fetch_or(bit(signal), Ordering::Relaxed);
}

fn bit(signal: c_int) -> u32 {
    1_u32.wrapping_shl(signal.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_noted_each_time_it_comes() {
        catch(libc::SIGUSR2).unwrap();
        catch(libc::SIGWINCH).unwrap();
        for _ in 0..3 {
            assert!(!came(libc::SIGUSR2) && !came(libc::SIGWINCH));
            // SAFETY: both are caught.
            let failed = unsafe { libc::raise(libc::SIGUSR2) + libc::raise(libc::SIGUSR2) };
            assert_eq!(failed, 0);
            assert!(!came(libc::SIGWINCH) && came(libc::SIGUSR2));
        }
        assert_eq!(catch(libc::SIGKILL).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
