//! What it was measured on.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::tunnel::Binaries;

/// The circumstances of a run, for the reader of its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// Day of the run, UTC.
    pub(crate) date: String,
    /// The commit of our checkout, if xtask has named it.
    pub(crate) commit: String,
    /// What the peer says of itself, and the version of its Debian package if it has one.
    pub(crate) peer: String,
}

/// The commit that our binaries were built from; set by xtask.
const COMMIT: &str = "KCPTUN_BENCH_COMMIT";

impl Machine {
    pub(crate) fn look(peer: &Binaries) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            processor: processor(&info).unwrap_or("unknown processor").into(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: kernel.trim().into(),
            date: date(now.as_secs() / 86_400),
            commit: std::env::var(COMMIT).unwrap_or_default(),
            peer: peer_version(peer),
        }
    }

    /// One line.
    pub(crate) fn summary(&self) -> String {
        let Self { processor, cores, kernel, date, commit, peer } = self;
        let commit = if commit.is_empty() { String::new() } else { format!("commit {commit}, ") };
        format!("{date}, {commit}peer: {peer}; {processor}, {cores} cores, Linux {kernel}")
    }
}

fn processor(info: &str) -> Option<&str> {
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn peer_version(peer: &Binaries) -> String {
    let run = |command: &mut Command| {
        let output = command.output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (!text.is_empty() && !text.contains('\n')).then_some(text)
    };
    let package = || {
        let owner = run(Command::new("dpkg-query").arg("-S").arg(&peer.client))?;
        let package = owner.split(':').next()?.to_owned();
        let version = run(Command::new("dpkg-query").args(["-W", "-f=${Version}", &package]))?;
        Some(format!("Debian's {package} {version}"))
    };
    package()
        .or_else(|| run(Command::new(&peer.client).arg("--version")))
        .unwrap_or_else(|| "of unknown version".into())
}

/// Year, month and day of a number of days after 1970-01-01 (days from civil, backwards: years
/// begin in March, so that the leap day is their last).
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (19_722, "2023-12-31"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn the_processor_is_read() {
        assert_eq!(processor("vendor_id\t: X\nmodel name\t: A B @ 3 GHz\n"), Some("A B @ 3 GHz"));
        assert_eq!(processor("Features : fp"), None);
    }
}
