//! What the kernel says of a process and of the machine.

use std::fs;

/// Ticks per second of the times in `/proc/PID/stat`: 100 for user space on every architecture
/// of Linux in use (USER_HZ).
const TICKS: f64 = 100.0;

/// Processor time that a process used so far, user and system, in seconds; steps of 10 ms.
pub(crate) fn cpu_seconds(id: u32) -> Option<f64> {
    cpu_of(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// Processor time of the threads that live, in seconds; steps of a nanosecond.
pub(crate) fn fine_cpu_seconds(id: u32) -> Option<f64> {
    let spent = |text: String| text.split_whitespace().next()?.parse::<u64>().ok();
    Some(of_threads(id, "schedstat")?.into_iter().filter_map(spent).sum::<u64>() as f64 * 1e-9)
}

/// Times that a thread of the process slept and was woken.
pub(crate) fn wake_ups(id: u32) -> Option<u64> {
    let statuses = of_threads(id, "status")?;
    Some(statuses.iter().filter_map(|text| field(text, "voluntary_ctxt_switches:")).sum())
}

/// Resident memory in bytes.
pub(crate) fn resident(id: u32) -> Option<u64> {
    memory(id, "VmRSS:")
}

/// The most memory that was ever resident, in bytes.
pub(crate) fn peak_resident(id: u32) -> Option<u64> {
    memory(id, "VmHWM:")
}

/// UDP datagrams that the kernel dropped because a receive buffer was full, since its start.
pub(crate) fn udp_drops() -> Option<u64> {
    drops_of(&fs::read_to_string("/proc/net/snmp").ok()?)
}

fn memory(id: u32, name: &str) -> Option<u64> {
    field(&fs::read_to_string(format!("/proc/{id}/status")).ok()?, name).map(|kib| kib * 1024)
}

fn of_threads(id: u32, file: &str) -> Option<Vec<String>> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten();
    Some(threads.filter_map(|entry| fs::read_to_string(entry.path().join(file)).ok()).collect())
}

/// The number in the line that begins with `name`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_of(stat: &str) -> Option<f64> {
    // The name in parentheses may hold anything; fields 14 and 15 follow it as 12th and 13th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS)
}

/// Two lines begin with `Udp:`: names, then values.
fn drops_of(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|name| name == "RcvbufErrors")?;
    values.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 99";
        assert_eq!(cpu_of(stat), Some(3.0));
        assert_eq!(cpu_of("12 (cut"), None);
        let status = "Name:\tx\nVmHWM:\t  10 kB\nVmRSS:\t   8 kB\nvoluntary_ctxt_switches:\t7\n\
                      nonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(field(status, "VmRSS:"), Some(8));
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(7));
        let snmp = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams RcvbufErrors X\nUdp: 5 6 7\nUdpLite: A\n";
        assert_eq!(drops_of(snmp), Some(6));
        assert_eq!(drops_of("Udp: InDatagrams\nUdp: 5\n"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let id = std::process::id();
        assert!(cpu_seconds(id).is_some() && fine_cpu_seconds(id).is_some());
        assert!(wake_ups(id).is_some() && udp_drops().is_some());
        let (now, peak) = (resident(id).unwrap(), peak_resident(id).unwrap());
        assert!(now > 100_000 && peak >= now / 2, "{now} {peak}");
    }
}
