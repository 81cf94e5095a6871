//! The log: lines as Go's `log` package writes them, made without allocating.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kcptun_config::snmp_log::CivilTime;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::local_time::local_time;

/// Longest line, in bytes; what is longer is cut.
const LONGEST: usize = 1_024;

/// Where lines go. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct Log {
    sink: Arc<Mutex<Sink>>,
    level: Level,
}

#[derive(Debug)]
enum Sink {
    Stderr,
    File { file: File, path: PathBuf },
}

impl Log {
    /// The log at the end of the file `path`, or on standard error. `level` is the word of
    /// `KCPTUN_LOG` (`error` to `trace`); anything else is `info`, and the log says so.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(path: Option<&Path>, level: Option<&str>) -> io::Result<Self> {
        let sink = match path {
            Some(path) => Sink::File { file: append(path)?, path: path.to_owned() },
            None => Sink::Stderr,
        };
        let parsed = level.map(|word| (word, word.parse::<Level>().ok()));
        let level = parsed.and_then(|(_, level)| level).unwrap_or(Level::INFO);
        let log = Self { sink: Arc::new(Mutex::new(sink)), level };
        if let Some((word, None)) = parsed {
            log.line(&format_args!(
                "warning: KCPTUN_LOG: {word}: not one of error, warn, info, debug, trace; info is \
                 used"
            ));
        }
        Ok(log)
    }

    /// Sends the events of [`tracing`] in this process here.
    pub fn install(&self) {
        let _ = tracing::subscriber::set_global_default(self.clone());
    }

    /// Writes one line with the time in front. That it cannot be written must stop nobody.
    pub fn line(&self, text: &(impl fmt::Display + ?Sized)) {
        self.line_of(format_args!("{text}"));
    }

    fn line_of(&self, text: fmt::Arguments<'_>) {
        let mut line = Line::begin(&local_time().1);
        let _ = line.write_fmt(text);
        self.write(&mut line);
    }

    /// Opens the file by its name again, as it may have been renamed; if that fails, goes on with
    /// the old one. Nothing happens to a log on standard error.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn reopen(&self) -> io::Result<()> {
        if let Sink::File { file, path } = &mut *self.lock() {
            *file = append(path)?;
        }
        Ok(())
    }

    /// Whether the lines go to standard error.
    #[must_use]
    pub fn is_stderr(&self) -> bool {
        matches!(*self.lock(), Sink::Stderr)
    }

    fn write(&self, line: &mut Line) {
        let bytes = line.end();
        let _ = match &mut *self.lock() {
            Sink::Stderr => io::stderr().write_all(bytes),
            Sink::File { file, .. } => file.write_all(bytes),
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::begin(&local_time().1);
        let _ = match *event.metadata().level() {
            Level::ERROR => line.write_str("error: "),
            Level::WARN => line.write_str("warning: "),
            Level::INFO => Ok(()),
            level => write!(line, "{level}: {}: ", event.metadata().target()),
        };
        event.record(&mut line);
        self.write(&mut line);
    }

    // Nobody here makes spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A line in the making: one line, whatever is written, of at most [`LONGEST`] bytes.
struct Line {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Line {
    fn begin(time: &CivilTime<'_>) -> Self {
        let mut line = Self { bytes: [0; LONGEST], len: 0 };
        let CivilTime { year, month, day, hour, minute, second, .. } = time;
        let _ = write!(line, "{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02} ");
        line
    }

    fn end(&mut self) -> &[u8] {
        let len = self.len.min(LONGEST - 1);
        self.bytes[len] = b'\n';
        &self.bytes[..=len]
    }

    fn push(&mut self, character: char) {
        let mut code = [0; 4];
        let code = character.encode_utf8(&mut code).as_bytes();
        // A byte is kept for the end of the line.
        if self.len + code.len() < LONGEST {
            self.bytes[self.len..self.len + code.len()].copy_from_slice(code);
            self.len += code.len();
        }
    }

    /// A field whose value is of a kind that is not written.
    fn unwritten(&mut self, field: &Field) {
        self.record_debug(field, &format_args!("?"));
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if character.is_control() && character != '\t' {
                character.escape_default().for_each(|character| self.push(character));
            } else {
                self.push(character);
            }
        }
        Ok(())
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self, "{value:?}"),
            name => write!(self, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_debug(field, &format_args!("{value}"));
    }

    // No line of this program holds these kinds, and what writes them (fractions above all) would be
    // linked nevertheless: 12 KB for nothing.

    fn record_f64(&mut self, field: &Field, _: f64) {
        self.unwritten(field);
    }

    fn record_i128(&mut self, field: &Field, _: i128) {
        self.unwritten(field);
    }

    fn record_u128(&mut self, field: &Field, _: u128) {
        self.unwritten(field);
    }

    fn record_bytes(&mut self, field: &Field, _: &[u8]) {
        self.unwritten(field);
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_layout_of_go_and_is_one_line() {
        let date = CivilTime { year: 2026, month: 3, day: 4, ..CivilTime::default() };
        let time = CivilTime { hour: 5, minute: 6, second: 7, ..date };
        let mut line = Line::begin(&time);
        write!(line, "a\nb\u{1b}\tc").unwrap();
        assert_eq!(line.end(), b"2026/03/04 05:06:07 a\\nb\\u{1b}\tc\n");
        let mut line = Line::begin(&time);
        for _ in 0..2_000 {
            write!(line, "€").unwrap();
        }
        let text = std::str::from_utf8(line.end()).expect("cut between characters");
        assert!(text.len() <= LONGEST && text.ends_with("€\n"));
    }

    #[test]
    fn a_level_that_is_none_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        for (word, level) in [("debug", Level::DEBUG), ("info,kcptun_tunnel=trace", Level::INFO)] {
            let path = folder.path().join(word);
            let log = Log::open(Some(&path), Some(word)).unwrap();
            assert_eq!(log.level, level);
            let text = std::fs::read_to_string(&path).unwrap();
            let warning = format!("warning: KCPTUN_LOG: {word}: not one of error, warn, info, ");
            assert_eq!(text.contains(&warning), level == Level::INFO, "{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_is_kept_and_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, moved) = (folder.path().join("inner"), folder.path().join("moved"));
        std::fs::create_dir(&inner).unwrap();
        let log = Log::open(Some(&inner.join("log")), None).unwrap();
        std::fs::rename(&inner, &moved).unwrap();
        log.reopen().unwrap_err();
        log.line("to the old one");
        std::fs::create_dir(&inner).unwrap();
        log.reopen().unwrap();
        log.line("to the new one");
        let read = |folder: &Path| std::fs::read_to_string(folder.join("log")).unwrap();
        assert!(read(&moved).ends_with(" to the old one\n"));
        assert!(read(&inner).ends_with(" to the new one\n"));
    }
}
