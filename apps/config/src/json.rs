//! A JSON object as a list of keys and values, each with its place in the text.
//!
//! Read as Go's `encoding/json` reads a file for kcptun: bytes that are no UTF-8 are replaced,
//! and what follows the first value is ignored. Stricter in one thing: half of a surrogate pair
//! (`\ud800`) is an error.

use std::fmt;

use serde_core::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Where something stands in a file, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    /// In characters.
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A key and the text of its value, which is sound JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member<'t> {
    pub(crate) key: String,
    pub(crate) value: &'t str,
    /// Where the value begins.
    pub(crate) place: Place,
}

/// What is wrong with a text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) what: String,
}

/// The members of the object that `text` begins with, in their order, all of them also when a key
/// comes twice; `null` has none.
pub(crate) fn members<'t>(text: &'t str) -> Result<Vec<Member<'t>>, Fault> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let found = parser.deserialize_any(Members).map_err(|error| fault(text, &error))?;
    let member = |(key, value): (String, &'t RawValue)| {
        let value = value.get();
        // Both borrow from the same text.
        let offset = value.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        Member { key, value, place: place(text, offset) }
    };
    Ok(found.into_iter().map(member).collect())
}

/// The text of a file. Each byte that belongs to no character becomes U+FFFD, as in Go; a byte
/// order mark, which some editors write, is left out.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// The place of the byte `at`.
fn place(text: &str, at: usize) -> Place {
    let before = &text.as_bytes()[..at.min(text.len())];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let characters = before[start..].iter().filter(|byte| (**byte & 0xc0) != 0x80).count();
    Place { line: before.iter().filter(|byte| **byte == b'\n').count() + 1, column: characters + 1 }
}

/// The error's own line and column are not repeated in its words.
fn fault(text: &str, error: &serde_json::Error) -> Fault {
    let (line, column) = (error.line(), error.column());
    let words = error.to_string();
    let what = words.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&words);
    let start: usize = text.split_inclusive('\n').take(line.max(1) - 1).map(str::len).sum();
    // Counted from 1; 0 is the end of the line before.
    Fault { place: place(text, start + column.max(1) - 1), what: what.to_owned() }
}

struct Members;

impl<'t> Visitor<'t> for Members {
    type Value = Vec<(String, &'t RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of options, as in {\"mtu\": 1350}")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<(String, String, String)> {
        let found = members(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        let triple = |it: Member<'_>| (it.key, it.value.to_owned(), it.place.to_string());
        found.into_iter().map(triple).collect()
    }

    #[track_caller]
    fn faulty(text: &str, place: &str, what: &str) {
        let fault = members(text).unwrap_err();
        assert_eq!((fault.place.to_string().as_str(), fault.what.as_str()), (place, what));
    }

    #[test]
    fn members_come_with_their_places_also_twice_and_before_rubbish() {
        let text = "\n{\"mtu\" :\t1350,\n \"ké\":\"\\u0041b\", \"é\": [1, {\"x\": 2}],\"mtu\":null } x } \u{0}";
        let expected = [
            ("mtu", "1350", "2:10"),
            ("ké", "\"\\u0041b\"", "3:7"),
            ("é", "[1, {\"x\": 2}]", "3:23"),
            ("mtu", "null", "3:43"),
        ];
        assert_eq!(found(text), expected.map(|(k, v, p)| (k.into(), v.into(), p.into())));
        assert_eq!(found("null"), []);
        assert_eq!(found("{}{"), []);
    }

    #[test]
    fn faults_are_named_with_their_place() {
        faulty("", "1:1", "EOF while parsing a value");
        faulty("{\n  \"mtu\": 1350,\n}\n", "3:1", "trailing comma");
        faulty("{\n  \"é\": 1350\n  \"x\": 1\n}", "3:3", "expected `,` or `}`");
        faulty("{\"mtu\": 01350}", "1:10", "invalid number");
        faulty("{ // why\n}", "1:3", "key must be a string");
        faulty("{\"é\": tru}", "1:10", "expected ident");
        faulty("{\"mtu\": 1350", "1:12", "EOF while parsing an object");
        let what = "invalid type: sequence, expected an object of options, as in {\"mtu\": 1350}";
        assert_eq!(members("[]").unwrap_err().what, what);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_one_by_one() {
        assert_eq!(
            decode(b"\xef\xbb\xbf{\"k\xff\": \"\xe2\x82\"}"),
            "{\"k\u{fffd}\": \"\u{fffd}\u{fffd}\"}"
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[{}\\[\\]\":,\\\\ue0-9\n -]{0,40}") {
            let _ = members(&decode(&bytes));
            let _ = members(&text);
        }

        #[test]
        fn what_serde_writes_is_read(map in prop::collection::hash_map("\\PC{0,8}", any::<i64>(), 0..8)) {
            let value = serde_json::Value::from_iter(map.clone());
            let text = format!("{value:#}");
            let members = members(&text).unwrap();
            prop_assert_eq!(members.len(), map.len());
            for member in members {
                prop_assert_eq!(member.value.parse::<i64>().ok(), map.get(&member.key).copied());
                let line = text.lines().nth(member.place.line - 1).unwrap();
                let rest: String = line.chars().skip(member.place.column - 1).collect();
                prop_assert!(rest.starts_with(member.value), "{} in {}", rest, text);
            }
        }
    }
}
