//! What a process costs, as Linux tells it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::time::Instant;

/// Ticks of `/proc` in a second (`USER_HZ`, 100 on every Linux that Rust runs on).
const TICKS: f64 = 100.0;

/// A look at a process.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    at: Instant,
    /// Resident memory, bytes.
    pub(super) memory: u64,
    /// CPU time, user and system, in ticks.
    ticks: u64,
    /// Times that each thread went to sleep and woke up.
    wakes: HashMap<OsString, u64>,
}

/// What happened between two looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Share of one core, 1 for all of it.
    pub(super) cpu: f64,
    /// Wake-ups per second.
    pub(super) wakes: f64,
}

impl Usage {
    /// Looks; `None` when there is no such process, or no `/proc`.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let wakes = threads
            .filter_map(|thread| {
                let thread = thread.ok()?;
                let status = fs::read_to_string(thread.path().join("status")).ok()?;
                Some((thread.file_name(), field(&status, "voluntary_ctxt_switches:")?))
            })
            .collect();
        Some(Self {
            at: Instant::now(),
            memory: field(&status, "VmRSS:")? * 1024,
            ticks: ticks(&stat)?,
            wakes,
        })
    }

    pub(super) fn since(&self, before: &Self) -> Rates {
        let seconds = self.at.saturating_duration_since(before.at).as_secs_f64().max(1e-3);
        // Threads come and go; those that are gone take their count with them.
        let earlier = |thread: &OsString| before.wakes.get(thread).copied().unwrap_or(0);
        let wakes = self.wakes.iter().map(|(thread, now)| now.saturating_sub(earlier(thread)));
        Rates {
            cpu: self.ticks.saturating_sub(before.ticks) as f64 / TICKS / seconds,
            wakes: wakes.sum::<u64>() as f64 / seconds,
        }
    }
}

/// The number behind `name` at the start of a line.
fn field(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// User and system time. The second field, the program's name, may hold anything, spaces and
/// brackets too.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let status = "Name:\tx\nVmRSS:\t    5120 kB\nnonvoluntary_ctxt_switches:\t9\n\
                      voluntary_ctxt_switches:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(5120));
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(7));
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 31 0 0";
        assert_eq!(ticks(stat), Some(281));
        assert_eq!(ticks("12 (a) S 1"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_a_size() {
        let before = Usage::of(std::process::id()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let rates = Usage::of(std::process::id()).unwrap().since(&before);
        assert!(before.memory > 1 << 19 && rates.cpu >= 0.0 && rates.wakes > 0.0);
        assert!(Usage::of(u32::MAX).is_none());
    }
}
