//! The configuration file of `-c`: a JSON object whose keys are the long names of options.
//!
//! Rules of the original (Go's `encoding/json` into a struct): the case of a key does not count,
//! `null` leaves the value as it is, of a key given twice the last counts, and a value of another
//! type than the option's is an error.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};

use crate::closest::closest;
use crate::json::{Fault, Member, Place, decode, members, string};
use crate::message::{Problem, Warning, shown};
use crate::options::{Kind, OptionSpec, Program};

/// Longest file read, in bytes: `-c /dev/zero` must come to an end.
const MAX_BYTES: usize = 1 << 20;

/// A value from the file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) spec: &'static OptionSpec,
    pub(crate) text: OsString,
    pub(crate) place: Place,
}

/// The file, read as far as it can be.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    /// Its path, fit for messages.
    pub(crate) name: String,
    /// One for each option in it.
    pub(crate) entries: Vec<Entry>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

impl ConfigFile {
    /// Reads the file at `path`.
    pub(crate) fn read(program: Program, path: &OsStr) -> Self {
        let name = path.to_string_lossy();
        let mut file = Self {
            name: name.chars().map(|c| if c.is_control() { '?' } else { c }).collect(),
            entries: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        match load(path) {
            Ok((text, everyone_reads)) => {
                file.take(program, &text);
                if everyone_reads && file.entries.iter().any(|entry| entry.spec.name == "key") {
                    file.warn("every user of this machine can read the key in it; chmod 600 it");
                }
            }
            Err(error) => file.problem(&format!("the file of -c cannot be read: {error}")),
        }
        file
    }

    fn take(&mut self, program: Program, text: &str) {
        match members(text) {
            Ok(members) => self.members(program, &members),
            Err(Fault { place, what }) => {
                let name = &self.name;
                self.problems.push(Problem::new(format!("{name}:{place}: not JSON: {what}")));
            }
        }
    }

    fn members(&mut self, program: Program, members: &[Member<'_>]) {
        let mut unknown = Vec::new();
        let mut seen: Vec<(&str, usize)> = Vec::new();
        for member in members {
            let Some((spec, key)) = find(program, &member.key) else {
                unknown.push(strange(program, member));
                continue;
            };
            let line = member.place.line;
            if let Some((_, before)) = seen.iter().rfind(|(name, _)| *name == spec.name) {
                self.warn(&format!("{key} stands in lines {before} and {line}; the last counts"));
            }
            seen.push((spec.name, line));
            match value(spec.kind, member.value) {
                Ok(Some(text)) => {
                    if let Some(at) = self.entries.iter().position(|it| it.spec.name == spec.name) {
                        self.entries.remove(at);
                    }
                    self.entries.push(Entry { spec, text, place: member.place });
                }
                Ok(None) => {}
                Err(why) => self.unread(spec, key, member, &why),
            }
        }
        if !unknown.is_empty() {
            let noun = if unknown.len() == 1 { "key" } else { "keys" };
            self.warn(&format!("unknown {noun}, ignored: {}", unknown.join(", ")));
        }
    }

    /// Notes that a value is none for its option. That of the key is not shown.
    fn unread(&mut self, spec: &OptionSpec, key: &str, member: &Member<'_>, why: &str) {
        let (name, place) = (&self.name, member.place);
        let mut text = format!("{name}:{place}: {key}");
        if spec.name != "key" {
            text.push(' ');
            text.push_str(&shown(member.value));
        }
        text.push_str(": ");
        text.push_str(why);
        if !spec.allowed.is_empty() {
            text.push_str("; allowed: ");
            text.push_str(spec.allowed);
        }
        self.problems.push(Problem::new(text));
    }

    fn problem(&mut self, why: &str) {
        self.problems.push(Problem::new(format!("{}: {why}", self.name)));
    }

    fn warn(&mut self, what: &str) {
        self.warnings.push(Warning::new(format!("{}: {what}", self.name)));
    }
}

/// The text of the file, and whether every user of the system may read it.
fn load(path: &OsStr) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let everyone_reads = everyone_reads(&file)?;
    let mut bytes = vec![0; MAX_BYTES + 1];
    let mut length = 0;
    // Not by `read_to_end`, which is large and used nowhere else in a small program.
    loop {
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if length > MAX_BYTES {
        return Err(io::Error::other("longer than a megabyte"));
    }
    Ok((decode(&bytes[..length]), everyone_reads))
}

#[cfg(unix)]
fn everyone_reads(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn everyone_reads(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// The option with this key, and the key as it should be written.
fn find(program: Program, key: &str) -> Option<(&'static OptionSpec, &'static str)> {
    program.options().into_iter().find_map(|spec| Some((spec, spec.key_called(key)?)))
}

/// An unknown key, where it stands, and what it may have been meant to be.
fn strange(program: Program, member: &Member<'_>) -> String {
    let key = shown(&member.key);
    let line = member.place.line;
    let keys: Vec<_> = program.options().into_iter().filter_map(|spec| spec.key).collect();
    let hint = if let Some(other) = program.who_has(&|spec| spec.key_called(&member.key).is_some())
    {
        format!(", an option of {other}")
    } else if let Some(known) = closest(&member.key, &keys) {
        format!(", did you mean {known}?")
    } else {
        String::new()
    };
    format!("{key} (line {line}{hint})")
}

/// The text that the same value has on a command line; `None` for `null`.
fn value(kind: Kind, json: &str) -> Result<Option<OsString>, String> {
    let is_string = json.starts_with('"');
    let is_boolean = matches!(json, "true" | "false");
    let fits = match kind {
        Kind::Text => is_string,
        Kind::Integer => json.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-')),
        Kind::Boolean => is_boolean,
        Kind::BooleanOrText => is_boolean || is_string,
    };
    if json == "null" {
        Ok(None)
    } else if fits && is_string {
        Ok(Some(string(json)?.into()))
    } else if fits {
        Ok(Some(json.into()))
    } else {
        Err(format!("{} is needed here, not {}", needed(kind), described(json)))
    }
}

fn needed(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text in quotes",
        Kind::Integer => "a whole number without quotes",
        Kind::Boolean => "true or false without quotes",
        Kind::BooleanOrText => "true or false without quotes, or text in quotes",
    }
}

/// What a value of the wrong type is.
fn described(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'"') => "text in quotes",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        _ if json.contains(['.', 'e', 'E']) => "a number with a fraction or an exponent",
        _ => "a number",
    }
}
