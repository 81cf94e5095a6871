//! The log: lines as Go's `log` package writes them, to standard error or a file.
//!
//! A line is `2006/01/02 15:04:05 text`, in local time. Libraries log through [`tracing`];
//! [`Log::install`] makes their events lines, the level in front unless it is info. Writing never
//! fails for the caller: a full disk must not stop the tunnel. [`Log::reopen`] is for programs that
//! rotate files (logrotate): they rename the file and send SIGHUP.

mod file;

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use file::LogFile;
use jiff::civil::DateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// A place where lines go. Clones write to the same place, one whole line at a time.
#[derive(Clone, Debug)]
pub struct Log {
    sink: Arc<Mutex<Sink>>,
}

#[derive(Debug)]
enum Sink {
    Stderr,
    File(LogFile),
}

impl Log {
    /// The log on standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(Sink::Stderr)
    }

    /// The log at the end of the file `path`, which is created if need be.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        LogFile::open(path).map(|file| Self::new(Sink::File(file)))
    }

    fn new(sink: Sink) -> Self {
        Self { sink: Arc::new(Mutex::new(sink)) }
    }

    /// Writes one line with the time in front. A failure is the caller's no concern: that a file
    /// cannot be written stands on standard error, once, and each later line is tried again.
    pub fn line(&self, text: &(impl fmt::Display + ?Sized)) {
        let line = go_line(jiff::Zoned::now().datetime(), text);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *sink {
            // One call for the whole line, so that lines of several processes do not mix.
            Sink::Stderr => {
                let _ = io::stderr().write_all(line.as_bytes());
            }
            Sink::File(file) => complain(file.write_line(&line)),
        }
    }

    /// Opens the file by its name again, as it may have been renamed; whether that worked. If not,
    /// lines go to the old one and each later line tries again. Nothing happens to a log on standard
    /// error, and `false` is the answer.
    pub fn reopen(&self) -> bool {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *sink {
            Sink::Stderr => false,
            Sink::File(file) => {
                complain(file.reopen());
                !file.is_stale()
            }
        }
    }

    /// Whether the lines go to standard error.
    #[must_use]
    pub fn is_stderr(&self) -> bool {
        matches!(*self.sink.lock().unwrap_or_else(PoisonError::into_inner), Sink::Stderr)
    }

    /// Sends the events of [`tracing`] in this process to this log. `filter` reads like
    /// `debug` or `info,kcptun_tunnel=trace`; without one, or if it makes no sense (which the log
    /// then says), the level is info. If another subscriber was installed before, that one stays.
    pub fn install(&self, filter: Option<&str>) {
        let targets = match filter.map(str::parse::<Targets>) {
            Some(Ok(targets)) => targets,
            Some(Err(error)) => {
                self.line(&format_args!("warning: KCPTUN_LOG: {error}; info is used"));
                Targets::new().with_default(Level::INFO)
            }
            None => Targets::new().with_default(Level::INFO),
        };
        let lines = Lines(self.clone()).with_filter(targets);
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
    }

    /// A [`tracing`] layer that writes every event it gets as a line of this log.
    pub fn layer<S: Subscriber>(&self) -> impl Layer<S> + use<S> {
        Lines(self.clone())
    }
}

/// Lets a repeated message through once per period, and counts the others.
///
/// ```
/// use kcptun::log::RateLimit;
/// use std::time::{Duration, Instant};
///
/// let limit = RateLimit::new(Duration::from_secs(10));
/// let start = Instant::now();
/// assert_eq!(limit.admit(start), Some(0));
/// assert_eq!(limit.admit(start + Duration::from_secs(3)), None);
/// assert_eq!(limit.admit(start + Duration::from_secs(10)), Some(1)); // one was held back
/// ```
#[derive(Debug)]
pub struct RateLimit {
    period: Duration,
    state: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    last: Option<Instant>,
    count: u64,
}

impl RateLimit {
    /// At most one message in `period`.
    #[must_use]
    pub const fn new(period: Duration) -> Self {
        Self { period, state: Mutex::new(Held { last: None, count: 0 }) }
    }

    /// Whether a message may be written at `now`; if so, how many were held back since the last.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting =
            state.last.is_some_and(|last| now.saturating_duration_since(last) < self.period);
        if waiting {
            state.count = state.count.saturating_add(1);
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.count))
    }
}

/// The layer that makes lines of events.
struct Lines(Log);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = match *event.metadata().level() {
            Level::ERROR => "error: ".to_owned(),
            Level::WARN => "warning: ".to_owned(),
            Level::INFO => String::new(),
            Level::DEBUG => format!("debug: {}: ", event.metadata().target()),
            Level::TRACE => format!("trace: {}: ", event.metadata().target()),
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        text.push_str(&fields.message);
        text.push_str(&fields.others);
        self.0.line(&text);
    }
}

/// The message of an event, and its other fields as ` name=value`.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let _ = write!(self.others, " {}={value}", field.name());
    }
}

/// One line of the log. Control characters are escaped, so that a text is always one line.
fn go_line(time: DateTime, text: &(impl fmt::Display + ?Sized)) -> String {
    let mut line = String::with_capacity(80);
    let _ = write!(
        line,
        "{:04}/{:02}/{:02} {:02}:{:02}:{:02} ",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let _ = write!(Escaped(&mut line), "{text}");
    line.push('\n');
    line
}

/// Says on standard error what is wrong with the file, with the time, if anything is to be said.
fn complain(trouble: Option<String>) {
    if let Some(trouble) = trouble {
        let line = go_line(jiff::Zoned::now().datetime(), &trouble);
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Writes text with its control characters escaped.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if character.is_control() && character != '\t' {
                self.0.extend(character.escape_default());
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(action: impl FnOnce(&Log)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        action(&Log::open(&path).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_has_the_layout_of_go() {
        let time = jiff::civil::date(2026, 3, 4).at(5, 6, 7, 999_999_999);
        assert_eq!(go_line(time, "mtu: 1350"), "2026/03/04 05:06:07 mtu: 1350\n");
        assert_eq!(go_line(time, "a\nb\u{1b}\tc"), "2026/03/04 05:06:07 a\\nb\\u{1b}\tc\n");
    }

    #[test]
    fn a_file_is_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "before\n").unwrap();
        Log::open(&path).unwrap().line("after");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("before\n2") && text.ends_with(" after\n"), "{text}");
        assert!(Log::open(folder.path()).is_err());
    }

    #[test]
    fn events_become_lines() {
        let lines = lines_of(|log| {
            let targets = "info,loud=trace".parse::<Targets>().unwrap();
            let layer = log.layer().with_filter(targets);
            let subscriber = tracing_subscriber::registry().with(layer);
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!("stream opened in: {} out: {}", "a", "b");
                tracing::warn!(dropped = 3, name = "x", "packets fail");
                tracing::error!("gone");
                tracing::debug!("not shown");
                tracing::trace!(target: "loud", "shown");
            });
        });
        let texts: Vec<&str> = lines.iter().map(|line| &line[20..]).collect();
        assert_eq!(
            texts,
            [
                "stream opened in: a out: b",
                "warning: packets fail dropped=3 name=\"x\"",
                "error: gone",
                "trace: loud: shown",
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_stops_nobody() {
        let log = Log::open(Path::new("/dev/full")).unwrap();
        log.line("lost");
    }

    proptest! {
        #[test]
        fn any_text_is_one_line(text: String) {
            let line = go_line(DateTime::default(), &text);
            prop_assert_eq!(line.lines().count(), 1);
            prop_assert!(line.ends_with('\n'));
        }

        #[test]
        fn no_message_is_lost_from_the_count(steps in prop::collection::vec(0_u64..3000, 1..50)) {
            let limit = RateLimit::new(Duration::from_secs(1));
            let start = Instant::now();
            let (mut at, mut written, mut held) = (0, 0, 0);
            let mut last = None;
            for step in &steps {
                at += step;
                if let Some(count) = limit.admit(start + Duration::from_millis(at)) {
                    prop_assert!(last.is_none_or(|last| at - last >= 1000));
                    (written, held, last) = (written + 1, held + count, Some(at));
                } else {
                    prop_assert!(last.is_some_and(|last| at - last < 1000));
                }
            }
            let rest = limit.state.lock().unwrap().count;
            prop_assert_eq!(written + held + rest, steps.len() as u64);
        }
    }
}
