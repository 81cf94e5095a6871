//! What the operating system knows of this process, under the names that Prometheus gives them.

use super::Exposition;

/// Writes what can be had.
pub(super) fn write(out: &mut Exposition) {
    if let Some(seconds) = cpu_seconds() {
        let name = "process_cpu_seconds_total";
        out.family(name, "counter", "Processor time used, user and system.");
        out.sample(name, "", seconds);
    }
    if let Some(bytes) = resident_bytes() {
        let name = "process_resident_memory_bytes";
        out.family(name, "gauge", "Memory that is resident.");
        out.sample(name, "", bytes);
    }
}

#[cfg(unix)]
fn cpu_seconds() -> Option<f64> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    Some(std::time::Duration::new(seconds, nanos).as_secs_f64())
}

#[cfg(not(unix))]
fn cpu_seconds() -> Option<f64> {
    None
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    Some(resident * u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn resident_bytes() -> Option<u64> {
    None
}
