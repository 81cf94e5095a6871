//! The value of each option after precedence: default, then environment, then command line.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;

use super::command::command;
use super::message::{Problem, Warning, shown};
use super::number::{parse_boolean, parse_integer};
use super::options::{OptionSpec, Side, options};
use crate::arguments::Arguments;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    Environment(&'static str),
    CommandLine,
}

struct Value {
    spec: &'static OptionSpec,
    text: OsString,
    source: Source,
}

/// All values of one program, and what was found wrong with them so far.
pub(crate) struct Values {
    values: Vec<Value>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

impl Values {
    pub(crate) fn new(side: Side, arguments: Arguments, environment: Environment<'_>) -> Self {
        let Arguments { words, mut problems, warnings, .. } = arguments;
        let program = OsString::from(side.program());
        let matches = command(side).try_get_matches_from(std::iter::once(program).chain(words));
        if let Err(error) = &matches {
            // The words were made from the table, so only a fault of ours leads here.
            problems.push(Problem::new(shown(&error.to_string())));
        }
        let values = options(side)
            .map(|spec| {
                let given = matches.as_ref().ok().and_then(|matches| {
                    let given = matches.value_source(spec.name) == Some(ValueSource::CommandLine);
                    given.then(|| matches.get_one::<OsString>(spec.name).cloned())?
                });
                Value::choose(spec, side, given, environment)
            })
            .collect();
        Self { values, problems, warnings }
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
                self.problem(name, "not UTF-8 text");
                String::new()
            }
        }
    }

    /// The number of the option `name`; `None` after a problem was noted.
    pub(crate) fn integer(&mut self, name: &str) -> Option<i64> {
        match parse_integer(&self.raw(name).to_string_lossy()) {
            Ok(value) => Some(value),
            Err(why) => {
                let allowed = self.allowed(name);
                self.problem(name, &format!("{why}; allowed: {allowed}"));
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
        let allowed = self.allowed(name);
        self.problem(name, &format!("allowed: {allowed}"));
        None
    }

    /// The switch `name`; false after a problem was noted.
    pub(crate) fn boolean(&mut self, name: &str) -> bool {
        parse_boolean(&self.raw(name).to_string_lossy()).unwrap_or_else(|| {
            self.problem(name, "allowed: true or false");
            false
        })
    }

    /// Whether the user gave the option `name`.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.find(name).is_some_and(|value| value.source != Source::Default)
    }

    /// Notes that the value of the option `name` cannot be used.
    pub(crate) fn problem(&mut self, name: &str, why: &str) {
        let text = format!("{}: {why}", self.quote(name));
        self.problems.push(Problem::new(text));
    }

    /// Notes what the value of the option `name` leads to.
    pub(crate) fn warn(&mut self, name: &str, effect: &str) {
        let text = format!("{}: {effect}", self.quote(name));
        self.warnings.push(Warning::new(text));
    }

    /// Units and range of the option `name`.
    pub(crate) fn allowed(&self, name: &str) -> &'static str {
        self.find(name).map_or("", |value| value.spec.allowed)
    }

    /// Option and value as the user knows them; never the text of a key.
    fn quote(&self, name: &str) -> String {
        let source = self.find(name).map(|value| value.source);
        match (source, name) {
            (Some(Source::Environment(variable)), _) => variable.to_owned(),
            (_, "key") => "--key".to_owned(),
            _ => format!("--{name} {}", shown(&self.raw(name).to_string_lossy())),
        }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|value| value.spec.name == name)
    }
}

impl Value {
    /// An empty variable counts as well: kcptun 20210624 then uses the empty key.
    fn choose(
        spec: &'static OptionSpec,
        side: Side,
        given: Option<OsString>,
        environment: Environment<'_>,
    ) -> Self {
        let variable = || {
            let name = spec.environment?;
            environment(name).map(|text| (text, Source::Environment(name)))
        };
        let default = || {
            let default = spec.default_for(side).unwrap_or_default();
            (OsString::from(default), Source::Default)
        };
        let (text, source) =
            given.map(|text| (text, Source::CommandLine)).or_else(variable).unwrap_or_else(default);
        Self { spec, text, source }
    }
}
