//! A JSON object as a list of keys and values, each with its place in the text.
//!
//! Read as Go's `encoding/json` reads a file for kcptun: bytes that are no UTF-8 are replaced,
//! and what follows the first value is ignored. Stricter in one thing: half of a surrogate pair
//! (`\ud800`) is an error.

use std::fmt;

use crate::reader::{Reader, SyntaxError};

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
    pub(crate) what: &'static str,
}

/// The members of the object that `text` begins with, in their order, all of them also when a key
/// comes twice; `null` has none.
pub(crate) fn members(text: &str) -> Result<Vec<Member<'_>>, Fault> {
    let mut reader = Reader::new(text);
    let found = match reader.peek() {
        Some(b'{') => object(text, &mut reader),
        _ => nothing(&mut reader).map(|()| Vec::new()),
    };
    found.map_err(|SyntaxError { words, at }| {
        // The byte at fault is the one before, but for the end of the line before.
        let is_after_line = at == 0 || text.as_bytes()[at - 1] == b'\n';
        Fault { place: place(text, at - usize::from(!is_after_line)), what: words }
    })
}

/// The text that a sound JSON string stands for.
///
/// # Errors
/// Half of a surrogate pair.
pub(crate) fn string(json: &str) -> Result<String, &'static str> {
    Reader::new(json).string().map_err(|error| error.words)
}

fn object<'t>(text: &'t str, reader: &mut Reader<'t>) -> Result<Vec<Member<'t>>, SyntaxError> {
    let mut members = Vec::new();
    reader.eat();
    while reader.has_member(members.is_empty())? {
        let key = reader.string()?;
        reader.colon()?;
        let value = reader.value()?;
        // Both borrow from the same text.
        let offset = value.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        members.push(Member { key, value, place: place(text, offset) });
    }
    Ok(members)
}

/// Passes over `null`. Whatever else is no object is an error, which does not repeat it: it may be
/// a secret.
fn nothing(reader: &mut Reader<'_>) -> Result<(), SyntaxError> {
    macro_rules! instead {
        ($what:literal) => {
            concat!(
                "invalid type: ",
                $what,
                ", expected an object of options, as in {\"mtu\": 1350}"
            )
        };
    }
    let value = match reader.peek() {
        Some(b'[') => {
            reader.eat();
            return Err(reader.error(instead!("sequence")));
        }
        Some(b'"') => {
            reader.string()?;
            return Err(reader.error(instead!("string")));
        }
        _ => reader.value()?,
    };
    let what = match value {
        "null" => return Ok(()),
        "true" => instead!("boolean `true`"),
        "false" => instead!("boolean `false`"),
        _ => instead!("number"),
    };
    Err(reader.error(what))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_core::de::{Deserializer as _, MapAccess, Visitor};
    use serde_json::value::RawValue;

    fn found(text: &str) -> Vec<(String, String, String)> {
        let found = members(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
        let triple = |it: Member<'_>| (it.key, it.value.to_owned(), it.place.to_string());
        found.into_iter().map(triple).collect()
    }

    #[track_caller]
    fn faulty(text: &str, place: &str, what: &str) {
        let fault = members(text).unwrap_err();
        assert_eq!((fault.place.to_string().as_str(), fault.what), (place, what));
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

    /// The same by `serde_json`.
    fn by_serde(text: &str) -> Result<Vec<(String, String)>, (usize, usize, String)> {
        struct Members;

        impl<'t> Visitor<'t> for Members {
            type Value = Vec<(String, String)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of options, as in {\"mtu\": 1350}")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((key, value.get().to_owned()));
                }
                Ok(members)
            }
        }

        serde_json::Deserializer::from_str(text).deserialize_any(Members).map_err(|error| {
            let words = error.to_string();
            let end = format!(" at line {} column {}", error.line(), error.column());
            (error.line(), error.column(), words.trim_end_matches(&end).to_owned())
        })
    }

    /// Both read the same, or find the same fault in the same place.
    fn compare(text: &str) {
        match (members(text), by_serde(text)) {
            (Ok(ours), Ok(theirs)) => {
                let ours = ours.into_iter().map(|it| (it.key, it.value.to_owned()));
                assert_eq!(ours.collect::<Vec<_>>(), theirs, "{text:?}");
            }
            (Err(ours), Err((line, column, words))) => {
                let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
                // A list or a number instead of an object is an error to both, at places and in
                // words of their own; text is not repeated by ours.
                if !text
                    .trim_start()
                    .starts_with(|c: char| c == '[' || c == '-' || c.is_ascii_digit())
                {
                    assert_eq!(
                        ours.place,
                        place(text, start + column.max(1) - 1),
                        "{text:?} {words}"
                    );
                    let is_text = words.starts_with("invalid type: string");
                    assert!(ours.what == words || is_text, "{text:?}: {}, {words}", ours.what);
                }
            }
            (ours, theirs) => panic!("{text:?}: {ours:?}, serde_json: {theirs:?}"),
        }
        if let Ok(members) = members(text) {
            for Member { value, .. } in members.iter().filter(|it| it.value.starts_with('"')) {
                let theirs = serde_json::from_str::<String>(value);
                match (string(value), theirs) {
                    (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs),
                    (Err(ours), Err(theirs)) => assert!(theirs.to_string().starts_with(ours)),
                    (ours, theirs) => panic!("{value}: {ours:?}, serde_json: {theirs:?}"),
                }
            }
        }
    }

    #[test]
    fn every_beginning_and_every_slip_is_read_as_serde_json_reads_it() {
        let text = "\n{\"mtu\" :\t1350,\n \"k\u{e9}\":\"\\u0041b\\ud83d\\ude00\\n\",\r\n\"x\": [1.5e-3, \
                    {\"y\": -20, \"z\":{}}, [], null, true],\"mtu\":false } x } \u{0}";
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            compare(&text[..end]);
            for wrong in [
                "", "\"", "\\", "\n", "{", "]", ",", ":", "0", "-", "e", "\u{1}", "\u{20ac}",
                "\\ud800",
            ] {
                let rest = text[end..].chars().next().map_or(0, char::len_utf8);
                compare(&format!("{}{wrong}{}", &text[..end], &text[end..]));
                compare(&format!("{}{wrong}{}", &text[..end], &text[end + rest..]));
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), text in "[{}\\[\\]\":,\\\\ue0-9\n -]{0,40}") {
            compare(&decode(&bytes));
            compare(&text);
        }

        #[test]
        fn what_looks_like_a_file_is_read_as_serde_json_reads_it(
            pieces in prop::collection::vec(
                prop::sample::select(&[
                    "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"mtu\":1", "\"\\u00e9\"", "\\ud800",
                    "\\udc00", "\\", "u12", "null", "true", "fals", "-", "0", "12", ".5", "e+1", " ",
                    "\n", "\u{e9}", "\u{1}", ",\"x\":",
                ][..]),
                0..24,
            )
        ) {
            let text = pieces.concat();
            compare(&text);
            compare(&format!("{{{text}"));
            compare(&format!("{{\"key\":{text}"));
            compare(&format!("{{\"key\":\"{text}"));
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
