//! The clock that goes on while the machine sleeps.

use std::time::Duration;

/// Time since the machine started, its sleep included where the system can tell; elsewhere since
/// this was first asked.
///
/// Asked of the C library with the C library's own types: where those have 32 bits of seconds and
/// the library has 64 (musl on MIPS), rustix 1.1 reads a number of its own making.
#[cfg(unix)]
#[allow(unsafe_code)]
#[must_use]
pub fn since_boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = std::mem::MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is to live memory of the right type. Zeros are a valid value in case it
    // fails, which it does not for a clock that the system has.
    let time = unsafe {
        libc::clock_gettime(CLOCK, time.as_mut_ptr());
        time.assume_init()
    };
    // Neither is negative, and there are fewer nanoseconds than a second has.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Time since this was first asked.
#[cfg(not(unix))]
#[must_use]
pub fn since_boot() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_and_is_what_the_system_says() {
        let (before, started) = (since_boot(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        let (passed, known) = (since_boot() - before, started.elapsed());
        assert!(passed >= Duration::from_millis(20), "{passed:?}");
        assert!(passed <= known + Duration::from_secs(1), "{passed:?}, {known:?}");
        if let Ok(text) = std::fs::read_to_string("/proc/uptime") {
            let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
            let uptime = Duration::from_secs_f64(uptime);
            assert!(uptime.abs_diff(since_boot()) < Duration::from_secs(2), "{uptime:?}");
        }
    }
}
