//! The value of each option after precedence: default, then environment, then command line, then
//! file.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::arguments::{Arguments, Word};
use crate::file::{ConfigFile, Entry};
use crate::json::Place;
use crate::message::{Problem, Warning, shown};
use crate::number::{parse_boolean, parse_integer};
use crate::options::{Kind, OptionSpec, Program, Side};

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Default,
    Environment(&'static str),
    CommandLine,
    File(Place),
}

struct Value {
    spec: &'static OptionSpec,
    text: OsString,
    source: Source,
}

/// All values of one program, and what was found wrong with them so far.
pub(crate) struct Values {
    values: Vec<Value>,
    /// The name of the file of `-c`.
    file: String,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

impl Values {
    pub(crate) fn new(
        program: Program,
        arguments: Arguments,
        environment: Environment<'_>,
    ) -> Self {
        let Arguments { words, problems, warnings, .. } = arguments;
        let mut values = Self { values: Vec::new(), file: String::new(), problems, warnings };
        let options = program.options().into_iter();
        values.values = options.map(|spec| initial(spec, program.side, environment)).collect();
        for Word { spec, text } in words {
            values.replace(spec, text, Source::CommandLine);
        }
        let path = values.raw("c").to_owned();
        if !path.is_empty() {
            let mut file = ConfigFile::read(program, &path);
            values.problems.append(&mut file.problems);
            values.warnings.append(&mut file.warnings);
            values.file = file.name;
            for Entry { spec, text, place } in file.entries {
                values.replace(spec, text, Source::File(place));
            }
        }
        values
    }

    /// The text of the option `name`, as the system gave it.
    pub(crate) fn raw(&self, name: &str) -> &OsStr {
        self.find(name).map_or(OsStr::new(""), |value| &value.text)
    }

    /// The text of the option `name`; text that is not UTF-8 is a problem.
    pub(crate) fn text(&mut self, name: &str) -> String {
        match self.raw(name).to_str() {
            Some(text) => text.to_owned(),
            None => {
                self.problem(name, &"not UTF-8 text");
                String::new()
            }
        }
    }

    /// The number of the option `name`; `None` after a problem was noted.
    pub(crate) fn integer(&mut self, name: &str) -> Option<i64> {
        match parse_integer(&self.lossy(name)) {
            Ok(value) => Some(value),
            Err(why) => {
                self.unread(name, why);
                None
            }
        }
    }

    /// The number of the option `name`, which must be within `low..=high`; `None` after a
    /// problem was noted.
    pub(crate) fn bounded(&mut self, name: &str, low: i64, high: i64) -> Option<i64> {
        let value = self.integer(name)?;
        if (low..=high).contains(&value) {
            return Some(value);
        }
        self.not_allowed(name);
        None
    }

    /// The switch `name`; false after a problem was noted.
    pub(crate) fn boolean(&mut self, name: &str) -> bool {
        parse_boolean(&self.lossy(name)).unwrap_or_else(|| {
            self.problem(name, &"allowed: true or false");
            false
        })
    }

    /// Whether this program has the option `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether the user gave the option `name`.
    fn is_given(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value.source != Source::Default)
    }

    /// Notes that the value of the option `name` cannot be used.
    pub(crate) fn problem(&mut self, name: &str, why: &dyn fmt::Display) {
        let text = format!("{}: {why}", self.quote(name));
        self.problems.push(Problem::new(text));
    }

    /// Notes that the value of the option `name` is not one of those allowed.
    pub(crate) fn not_allowed(&mut self, name: &str) {
        let allowed = self.allowed(name);
        self.problem(name, &format_args!("allowed: {allowed}"));
    }

    /// Notes what the value of the option `name` leads to.
    pub(crate) fn warn(&mut self, name: &str, effect: &dyn fmt::Display) {
        let text = format!("{}: {effect}", self.quote(name));
        self.warnings.push(Warning::new(text));
    }

    /// Notes what those values of the options `names` lead to that the user gave, in one line that
    /// says where the first of them stands.
    pub(crate) fn warn_given(&mut self, names: &[&str], effect: &dyn fmt::Display) {
        let mut text = String::new();
        for name in names.iter().filter(|name| self.is_given(name)) {
            if text.is_empty() {
                text = self.quote(name);
            } else {
                text.push_str(&format!(", {} {}", self.called(name), self.lossy(name)));
            }
        }
        if !text.is_empty() {
            self.warnings.push(Warning::new(format!("{text}: {effect}")));
        }
    }

    /// Units and range of the option `name`.
    pub(crate) fn allowed(&self, name: &str) -> &'static str {
        self.find(name).map_or("", |value| value.spec.allowed)
    }

    /// The option `name` as it is called where its value came from: as a flag or as a key.
    pub(crate) fn called(&self, name: &str) -> String {
        match self.find(name) {
            Some(Value { spec, source: Source::File(_), .. }) => {
                spec.key.unwrap_or(spec.name).to_owned()
            }
            Some(Value { spec, .. }) => spec.flag(),
            None => name.to_owned(),
        }
    }

    /// Every option that has a key in files, except the secret, with its value: numbers in decimal,
    /// switches as `true` or `false`, the rest as given.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let told = |value: &&Value| value.spec.key.is_some_and(|key| key != "key");
        let value = |value: &Value| plain(value.spec.kind, &value.text).into_owned();
        self.values.iter().filter(told).map(|it| (it.spec.name, value(it))).collect()
    }

    /// Puts a value from a stronger source in the place of a weaker one.
    fn replace(&mut self, spec: &'static OptionSpec, text: OsString, source: Source) {
        let Some(at) = self.values.iter().position(|value| value.spec.name == spec.name) else {
            return;
        };
        let before = &self.values[at];
        let was_given = before.source != Source::Default;
        let differs = plain(spec.kind, &before.text) != plain(spec.kind, &text);
        // The original reads all flags before the file, and refuses them.
        let bad = match spec.kind {
            Kind::Integer => parse_integer(&before.text.to_string_lossy()).err(),
            Kind::Boolean if parse_boolean(&before.text.to_string_lossy()).is_none() => {
                Some("neither true nor false")
            }
            Kind::Text | Kind::Boolean | Kind::BooleanOrText => None,
        };
        if let Some(why) = bad {
            self.unread(spec.name, why);
        } else if let (Source::File(place), true, true) = (source, was_given, differs) {
            let (file, key) = (self.file.clone(), spec.key.unwrap_or(spec.name));
            self.warn(
                spec.name,
                &format_args!("without effect, the file has {key} too ({file}:{place})"),
            );
        }
        self.values[at] = Value { spec, text, source };
    }

    /// Notes that the value of the option `name` cannot be read at all.
    fn unread(&mut self, name: &str, why: &str) {
        match self.allowed(name) {
            "" => self.problem(name, &why),
            allowed => self.problem(name, &format_args!("{why}; allowed: {allowed}")),
        }
    }

    /// Option and value as the user knows them, and where they stand; never the text of a key.
    pub(crate) fn quote(&self, name: &str) -> String {
        let Some(value) = self.find(name) else { return name.to_owned() };
        let text = match value.spec.name {
            "key" => String::new(),
            _ => format!(" {}", shown(&value.text.to_string_lossy())),
        };
        let called = self.called(name);
        match value.source {
            Source::Default if !text.is_empty() => format!("{called}{text} (the default)"),
            Source::Environment(variable) => variable.to_owned(),
            Source::Default | Source::CommandLine => format!("{called}{text}"),
            Source::File(place) => format!("{}:{place}: {called}{text}", self.file),
        }
    }

    /// The text of the option `name`, with replacements for what is no text.
    pub(crate) fn lossy(&self, name: &str) -> Cow<'_, str> {
        self.raw(name).to_string_lossy()
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.spec.name == name)
    }
}

/// The value before the command line is read. An empty variable counts as well: kcptun 20210624
/// then uses the empty key.
fn initial(spec: &'static OptionSpec, side: Side, environment: Environment<'_>) -> Value {
    let variable = spec.environment.and_then(|name| Some((name, environment(name)?)));
    match variable {
        Some((name, text)) => Value { spec, text, source: Source::Environment(name) },
        None => {
            let text = spec.default_for(side).unwrap_or_default().into();
            Value { spec, text, source: Source::Default }
        }
    }
}

/// The same text for the same value, however it was written.
fn plain(kind: Kind, text: &OsStr) -> Cow<'_, str> {
    let text = text.to_string_lossy();
    match kind {
        Kind::Integer => parse_integer(&text).map_or(text, |number| number.to_string().into()),
        Kind::Boolean | Kind::BooleanOrText => {
            parse_boolean(&text).map_or(text, |yes| yes.to_string().into())
        }
        Kind::Text => text,
    }
}
