//! The file of `--snmplog`: rows of counters, in a file whose name may hold the time.

mod layout;

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use kcptun_tunnel::snmp::{CsvHeader, Snmp};
use proto_base::Instant;

use crate::kinds::SnmpLog;
pub use layout::CivilTime;
use layout::write_layout;

/// Least time between two complaints about the same trouble.
const QUIET: Duration = Duration::from_secs(60);
/// Room for a header and a row with each counter at its largest.
const LONGEST: usize = 1_024;
/// Room for the names of time zones.
const ZONES: usize = 32;

/// Appends a row of counters to a file each period; the first is due after one period.
///
/// A file that cannot be written costs its row and a complaint (once a minute at most); the next
/// row is tried again. The original gave up for good at the first failure. A row allocates nothing
/// (nor does the system's open for paths below 384 bytes), and waits for the disk.
#[derive(Debug)]
pub struct SnmpWriter {
    log: SnmpLog,
    /// The folder, with what parts it from the name.
    folder: OsString,
    path: OsString,
    text: String,
    due: Instant,
    lost: u64,
    quiet_until: Option<Instant>,
}

/// What is to be said about rows.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnmpNews {
    /// They cannot be written.
    Failed(io::Error),
    /// They can again; so many are missing.
    Again(u64),
}

impl SnmpWriter {
    /// A writer that begins its first period `now`.
    #[must_use]
    pub fn new(log: SnmpLog, now: Instant) -> Self {
        let folder = log.path.parent().unwrap_or(Path::new("")).join("").into_os_string();
        let longest = 2 * log.path.as_os_str().len() + ZONES;
        let (path, text) = (OsString::with_capacity(longest), String::with_capacity(LONGEST));
        let due = now + log.period;
        Self { log, folder, path, text, due, lost: 0, quiet_until: None }
    }

    /// The path as given, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.log.path
    }

    /// When the next row is to be written.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Appends a row, due or not; the next is due a period after this one was. Rows that were due
    /// while the machine slept are not made up for. `unix`: seconds since 1970, UTC; `local`: the
    /// same moment for the name of the file.
    pub fn write(
        &mut self,
        now: Instant,
        unix: i64,
        local: &CivilTime<'_>,
        counters: &Snmp,
    ) -> Option<SnmpNews> {
        let next = self.due + self.log.period;
        self.due = if next > now { next } else { now + self.log.period };
        self.find_file(local);
        let result = append(Path::new(&self.path), &mut self.text, &counters.csv_row(unix));
        self.note(now, result)
    }

    /// The file that takes a row at `time`: the folder as it is, the name as a layout. A name that is
    /// no UTF-8 is used as it is.
    fn find_file(&mut self, time: &CivilTime<'_>) {
        self.path.clear();
        let Some(name) = self.log.path.file_name().and_then(|name| name.to_str()) else {
            self.path.push(&self.log.path);
            return;
        };
        self.path.push(&self.folder);
        // A string takes whatever is written.
        let _ = write_layout(&mut self.path, name, time);
    }

    fn note(&mut self, now: Instant, result: io::Result<()>) -> Option<SnmpNews> {
        match result {
            Ok(()) if self.lost > 0 => Some(SnmpNews::Again(std::mem::take(&mut self.lost))),
            Ok(()) => None,
            Err(error) => {
                self.lost += 1;
                if self.quiet_until.is_some_and(|until| now < until) {
                    return None;
                }
                self.quiet_until = Some(now + QUIET);
                Some(SnmpNews::Failed(error))
            }
        }
    }
}

impl fmt::Display for SnmpNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "{error}; trying again every period"),
            Self::Again(lost) => write!(f, "written again, {lost} rows are missing"),
        }
    }
}

/// Appends a row, behind a header if the file is empty. The line that a full disk cut short last
/// time is ended first. `text` is room for it.
fn append(path: &Path, text: &mut String, row: &dyn fmt::Display) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    text.clear();
    let _ = match length {
        0 => writeln!(text, "{CsvHeader}"),
        _ if ends_line(&mut file)? => Ok(()),
        _ => writeln!(text),
    };
    let _ = writeln!(text, "{row}");
    file.write_all(text.as_bytes())
}

/// Whether the last byte of a file that is not empty ends a line.
fn ends_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_794_225_600;

    fn noon() -> CivilTime<'static> {
        CivilTime { year: 2026, month: 11, day: 9, hour: 12, zone: "UTC", ..CivilTime::default() }
    }

    fn writer(path: impl AsRef<Path>) -> SnmpWriter {
        let log = SnmpLog { path: path.as_ref().into(), period: Duration::from_secs(1) };
        SnmpWriter::new(log, Instant::from_millis(5000))
    }

    #[test]
    fn rows_keep_their_pace_and_a_sleep_costs_rows() {
        let mut writer = writer("/nowhere/at/all");
        for (now, due) in [(6003, 7000), (7000, 8000), (99_500, 100_500)] {
            let _ = writer.write(Instant::from_millis(now), NOON, &noon(), &Snmp::default());
            assert_eq!(writer.due(), Instant::from_millis(due));
        }
    }

    #[test]
    fn the_folder_is_no_layout_and_the_name_is() {
        for (path, file) in [
            ("/var/2006/kcp-2006-01.csv", "/var/2006/kcp-2026-11.csv"),
            ("stats", "stats"),
            ("02/Jan", "02/Nov"),
            ("/2006", "/2026"),
        ] {
            let mut writer = writer(path);
            writer.find_file(&noon());
            assert_eq!(Path::new(&writer.path), Path::new(file));
        }
    }

    #[test]
    fn rows_follow_one_header() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path().join("rows-02"));
        let room = (writer.path.capacity(), writer.text.capacity());
        let largest = Snmp { bytes_sent: u64::MAX, ..Snmp::default() };
        for unix in [NOON, NOON + 1] {
            assert!(writer.write(Instant::from_millis(6000), unix, &noon(), &largest).is_none());
        }
        assert_eq!(room, (writer.path.capacity(), writer.text.capacity()));
        let text = std::fs::read_to_string(folder.path().join("rows-09")).unwrap();
        let [first, second] = [NOON, NOON + 1].map(|unix| largest.csv_row(unix).to_string());
        assert_eq!(text, format!("{CsvHeader}\n{first}\n{second}\n"));
        let every_counter_at_its_largest = CsvHeader.to_string().len() + 25 * 21;
        assert!(every_counter_at_its_largest < LONGEST);
    }

    #[test]
    fn a_row_that_was_cut_short_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, "header\n17,4").unwrap();
        append(&path, &mut String::new(), &"next").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "header\n17,4\nnext\n");
    }

    #[test]
    fn what_cannot_be_written_is_said_once_a_minute_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("gone");
        let mut writer = writer(inner.join("rows"));
        let mut told = 0;
        for second in 6..150 {
            let now = Instant::from_millis(second * 1000);
            if let Some(news) = writer.write(now, NOON, &noon(), &Snmp::default()) {
                assert!(news.to_string().ends_with("; trying again every period"), "{news}");
                told += 1;
            }
        }
        assert_eq!(told, 3);
        std::fs::create_dir(&inner).unwrap();
        let news = writer.write(Instant::from_millis(150_000), NOON, &noon(), &Snmp::default());
        assert!(matches!(news, Some(SnmpNews::Again(144))), "{news:?}");
        #[cfg(target_os = "linux")]
        assert!(append(Path::new("/dev/full"), &mut String::new(), &"row").is_err());
    }
}
