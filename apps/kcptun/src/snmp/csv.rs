//! Rows of counters, appended to files (`--snmplog`, `--snmpperiod`).

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Zoned;
use kcptun_async::Runtime;
use kcptun_async::runtime::Timer as _;
use proto_base::Instant as Moment;

use super::{COLUMNS, Snmp, format_layout};
use crate::log::RateLimit;
use crate::service::Service;

/// Least time between two lines about the same trouble.
const QUIET: Duration = Duration::from_secs(60);

/// Appends a row every `period` for as long as it is polled; the first comes after one period.
///
/// A file that cannot be written costs its row and a line in the log (once a minute at most); the
/// next row is tried again. The original gave up for good at the first failure.
pub(crate) async fn write_rows<R: Runtime>(
    runtime: R,
    path: PathBuf,
    period: Duration,
    service: Service,
) {
    let mut timer = runtime.timer();
    let mut due = kcptun_async::now() + period;
    let mut trouble = Trouble::new(path.clone());
    loop {
        std::future::poll_fn(|cx| timer.poll_until(cx, Some(due))).await;
        due = next_due(due, period, kcptun_async::now());
        let time = Zoned::now();
        let (path, row) = (file_at(&path, &time), row(&time, &Snmp::from(&service.stats())));
        // A disk may take its time; the tunnel does not wait for it.
        let result = runtime.blocking(move || append(&path, &row)).await;
        trouble.note(result);
    }
}

/// Rows that were due while the machine slept are not made up for.
fn next_due(due: Moment, period: Duration, now: Moment) -> Moment {
    let next = due + period;
    if next > now { next } else { now + period }
}

/// The first line of a file, without its end.
///
/// ```
/// assert!(kcptun::snmp::csv_header().starts_with("Unix,BytesSent,BytesReceived,MaxConn,"));
/// ```
#[must_use]
pub fn csv_header() -> String {
    let mut header = "Unix".to_owned();
    for (name, _) in COLUMNS {
        header.push(',');
        header.push_str(name);
    }
    header
}

/// One line, without its end.
fn row(time: &Zoned, snmp: &Snmp) -> String {
    let mut row = time.timestamp().as_second().to_string();
    for (_, value) in snmp.columns() {
        let _ = write!(row, ",{value}");
    }
    row
}

/// The file that takes a row at `time`: the folder as it is, the name as a layout. A name that is
/// no UTF-8 is used as it is.
fn file_at(path: &Path, time: &Zoned) -> PathBuf {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(name) => path.with_file_name(format_layout(name, time)),
        None => path.to_owned(),
    }
}

/// Appends a row, behind a header if the file is empty. The line that a full disk cut short last
/// time is ended first.
fn append(path: &Path, row: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let length = file.metadata()?.len();
    let mut text = match length {
        0 => csv_header() + "\n",
        _ if ends_line(&mut file)? => String::new(),
        _ => "\n".to_owned(),
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

/// What is said of rows that cannot be written.
struct Trouble {
    path: PathBuf,
    limit: RateLimit,
    lost: u64,
}

impl Trouble {
    fn new(path: PathBuf) -> Self {
        Self { path, limit: RateLimit::new(QUIET), lost: 0 }
    }

    fn note(&mut self, result: io::Result<()>) {
        let path = self.path.display();
        match result {
            Ok(()) if self.lost > 0 => {
                tracing::info!("--snmplog {path}: written again, {} rows are missing", self.lost);
                self.lost = 0;
            }
            Ok(()) => {}
            Err(error) => {
                self.lost += 1;
                if self.limit.admit(Instant::now()).is_some() {
                    tracing::error!("--snmplog {path}: {error}; trying again every period");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn noon() -> Zoned {
        jiff::civil::date(2026, 11, 9).at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap()
    }

    #[test]
    fn rows_keep_their_pace_and_a_sleep_costs_rows() {
        let (second, at) = (Duration::from_secs(1), Moment::from_millis);
        assert_eq!(next_due(at(5000), second, at(5003)), at(6000));
        assert_eq!(next_due(at(5000), second, at(6000)), at(7000));
        assert_eq!(next_due(at(5000), second, at(99_500)), at(100_500));
    }

    #[test]
    fn the_folder_is_no_layout_and_the_name_is() {
        let file = |path: &str| file_at(Path::new(path), &noon());
        assert_eq!(file("/var/2006/kcp-2006-01.csv"), Path::new("/var/2006/kcp-2026-11.csv"));
        assert_eq!(file("stats"), Path::new("stats"));
        assert_eq!(file("02/Jan"), Path::new("02/Nov"));
    }

    #[test]
    fn rows_follow_one_header() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let first = row(&noon(), &Snmp { bytes_sent: 7, ..Snmp::default() });
        append(&path, &first).unwrap();
        append(&path, "second").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n{first}\nsecond\n", csv_header()));
        assert!(first.starts_with("1794225600,7,0,"), "{first}");
        assert_eq!(first.split(',').count(), csv_header().split(',').count());
    }

    #[test]
    fn a_row_that_was_cut_short_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        std::fs::write(&path, "header\n17,4").unwrap();
        append(&path, "next").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "header\n17,4\nnext\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(append(folder.path(), "row").is_err());
        assert!(append(&folder.path().join("gone").join("rows"), "row").is_err());
        #[cfg(target_os = "linux")]
        assert!(append(Path::new("/dev/full"), "row").is_err());
    }
}
