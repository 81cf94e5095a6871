//! Names that hold a time, as layouts of Go's `time` package.
//!
//! A layout shows how one certain moment would be written, *Mon Jan 2 15:04:05 MST 2006*; each part
//! of that moment found in it is replaced by the same part of the time at hand (Go 1.17,
//! `time/format.go`, `nextStdChunk` and `AppendFormat`). Everything else stays, so a digit from 1 to
//! 5 in a name is replaced too.

use std::fmt::Write as _;

use jiff::Zoned;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEK_DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// What is put in the place of a part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    LongMonth,
    ShortMonth,
    LongWeekDay,
    ShortWeekDay,
    Month(Fill),
    Day(Fill),
    YearDay(Fill),
    LongYear,
    ShortYear,
    Hour24,
    Hour12(Fill),
    Minute(Fill),
    Second(Fill),
    UpperHalf,
    LowerHalf,
    ZoneName,
    Zone(ZoneForm),
    Fraction { separator: char, digits: usize, is_trimmed: bool },
}

/// What stands in front of a short number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Nothing,
    Space,
    Zero,
}

/// How the distance from UTC is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ZoneForm {
    /// `Z` stands for UTC itself.
    has_z: bool,
    has_colons: bool,
    /// Hours; hours and minutes; all three.
    numbers: u8,
}

const fn zone(has_z: bool, has_colons: bool, numbers: u8) -> Part {
    Part::Zone(ZoneForm { has_z, has_colons, numbers })
}

/// All fixed parts; of those that fit in a place the first is meant.
const PARTS: [(&str, Part); 33] = [
    ("January", Part::LongMonth),
    ("Jan", Part::ShortMonth),
    ("Monday", Part::LongWeekDay),
    ("Mon", Part::ShortWeekDay),
    ("MST", Part::ZoneName),
    ("01", Part::Month(Fill::Zero)),
    ("02", Part::Day(Fill::Zero)),
    ("03", Part::Hour12(Fill::Zero)),
    ("04", Part::Minute(Fill::Zero)),
    ("05", Part::Second(Fill::Zero)),
    ("06", Part::ShortYear),
    ("002", Part::YearDay(Fill::Zero)),
    ("15", Part::Hour24),
    ("1", Part::Month(Fill::Nothing)),
    ("2006", Part::LongYear),
    ("2", Part::Day(Fill::Nothing)),
    ("_2", Part::Day(Fill::Space)),
    ("__2", Part::YearDay(Fill::Space)),
    ("3", Part::Hour12(Fill::Nothing)),
    ("4", Part::Minute(Fill::Nothing)),
    ("5", Part::Second(Fill::Nothing)),
    ("PM", Part::UpperHalf),
    ("pm", Part::LowerHalf),
    ("-070000", zone(false, false, 3)),
    ("-07:00:00", zone(false, true, 3)),
    ("-0700", zone(false, false, 2)),
    ("-07:00", zone(false, true, 2)),
    ("-07", zone(false, false, 1)),
    ("Z070000", zone(true, false, 3)),
    ("Z07:00:00", zone(true, true, 3)),
    ("Z0700", zone(true, false, 2)),
    ("Z07:00", zone(true, true, 2)),
    ("Z07", zone(true, false, 1)),
];

/// `layout` with the parts of Go's reference time replaced by those of `time`, in its time zone.
///
/// ```
/// let noon = jiff::civil::date(2026, 11, 9).at(12, 0, 0, 0);
/// let noon = noon.in_tz("UTC")?;
/// assert_eq!(kcptun::snmp::format_layout("snmp-20060102.log", &noon), "snmp-20261109.log");
/// # Ok::<(), jiff::Error>(())
/// ```
#[must_use]
pub fn format_layout(layout: &str, time: &Zoned) -> String {
    let mut text = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let (part, length) = match part_at(rest) {
            Some(found) => found,
            None => {
                text.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        push(&mut text, part, time);
        rest = &rest[length..];
    }
    text
}

/// The part that `layout` begins with, and its length in bytes.
fn part_at(layout: &str) -> Option<(Part, usize)> {
    // This underscore is text in front of a year, not the padding of a day.
    if layout.starts_with("_2006") {
        return None;
    }
    let fits = |word: &str| {
        let Some(rest) = layout.strip_prefix(word) else { return false };
        // "Janet" and "Money" are words of their own.
        let is_name = word == "Jan" || word == "Mon";
        !(is_name && rest.starts_with(|next: char| next.is_ascii_lowercase()))
    };
    let found = PARTS.iter().find(|(word, _)| fits(word));
    found.map(|&(word, part)| (part, word.len())).or_else(|| fraction(layout))
}

/// A point or comma with zeros or nines behind it, and no other digit behind those.
fn fraction(layout: &str) -> Option<(Part, usize)> {
    let separator = layout.chars().next().filter(|first| matches!(first, '.' | ','))?;
    let digit = layout[1..].chars().next().filter(|digit| matches!(digit, '0' | '9'))?;
    let rest = layout[1..].trim_start_matches(digit);
    if rest.starts_with(|next: char| next.is_ascii_digit()) {
        return None;
    }
    let digits = layout.len() - 1 - rest.len();
    Some((Part::Fraction { separator, digits, is_trimmed: digit == '9' }, digits + 1))
}

fn push(text: &mut String, part: Part, time: &Zoned) {
    let name = |names: &[&'static str], index: i8| {
        names.get(usize::try_from(index).unwrap_or_default()).copied().unwrap_or_default()
    };
    let month = || name(&MONTHS, time.month() - 1);
    let week_day = || name(&WEEK_DAYS, time.weekday().to_sunday_zero_offset());
    match part {
        Part::LongMonth => text.push_str(month()),
        Part::ShortMonth => text.extend(month().chars().take(3)),
        Part::LongWeekDay => text.push_str(week_day()),
        Part::ShortWeekDay => text.extend(week_day().chars().take(3)),
        Part::Month(fill) => number(text, time.month().into(), fill, 2),
        Part::Day(fill) => number(text, time.day().into(), fill, 2),
        Part::YearDay(fill) => number(text, time.day_of_year().into(), fill, 3),
        Part::LongYear => number(text, time.year().into(), Fill::Zero, 4),
        Part::ShortYear => number(text, (time.year() % 100).into(), Fill::Zero, 2),
        Part::Hour24 => number(text, time.hour().into(), Fill::Zero, 2),
        Part::Hour12(fill) => {
            let hour = match time.hour() % 12 {
                0 => 12,
                hour => hour,
            };
            number(text, hour.into(), fill, 2);
        }
        Part::Minute(fill) => number(text, time.minute().into(), fill, 2),
        Part::Second(fill) => number(text, time.second().into(), fill, 2),
        Part::UpperHalf => text.push_str(if time.hour() < 12 { "AM" } else { "PM" }),
        Part::LowerHalf => text.push_str(if time.hour() < 12 { "am" } else { "pm" }),
        Part::ZoneName => {
            let info = time.time_zone().to_offset_info(time.timestamp());
            text.push_str(info.abbreviation());
        }
        Part::Zone(form) => push_zone(text, form, time.offset().seconds()),
        Part::Fraction { separator, digits, is_trimmed } => {
            push_fraction(text, separator, digits, is_trimmed, time.subsec_nanosecond());
        }
    }
}

fn number(text: &mut String, value: i32, fill: Fill, width: usize) {
    let _ = match fill {
        Fill::Nothing => write!(text, "{value}"),
        Fill::Space => write!(text, "{value:width$}"),
        Fill::Zero => write!(text, "{value:0width$}"),
    };
}

fn push_zone(text: &mut String, form: ZoneForm, offset: i32) {
    if form.has_z && offset == 0 {
        text.push('Z');
        return;
    }
    text.push(if offset < 0 { '-' } else { '+' });
    let offset = offset.unsigned_abs();
    let numbers = [offset / 3600, offset / 60 % 60, offset % 60];
    for (index, value) in numbers.into_iter().take(form.numbers.into()).enumerate() {
        let colon = if form.has_colons && index > 0 { ":" } else { "" };
        let _ = write!(text, "{colon}{value:02}");
    }
}

/// Go writes nine digits at most, and with nines no zeros at the end (then not even the point).
fn push_fraction(text: &mut String, separator: char, digits: usize, is_trimmed: bool, nanos: i32) {
    let all = format!("{nanos:09}");
    let mut shown = &all[..digits.min(all.len())];
    if is_trimmed {
        shown = shown.trim_end_matches('0');
    }
    if !(is_trimmed && shown.is_empty()) {
        text.push(separator);
        text.push_str(shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::{Offset, TimeZone};
    use proptest::prelude::*;

    fn at(nanos: i32) -> Zoned {
        let civil = jiff::civil::date(2026, 3, 4).at(0, 6, 7, nanos);
        civil.to_zoned(TimeZone::fixed(Offset::from_seconds(-9 * 3600 - 1800).unwrap())).unwrap()
    }

    /// The expected texts are what Go's `Format` makes of these layouts; most were seen as names
    /// of files that Debian's kcptun wrote (`tests/interop/tests/operation.rs` compares there).
    #[test]
    fn every_part_is_replaced() {
        let time = at(120_000_000);
        for (layout, expected) in [
            ("snmp-20060102.log", "snmp-20260304.log"),
            ("15-04-05", "00-06-07"),
            ("3-4-5 PM pm", "12-6-7 AM am"),
            ("03:04:05", "12:06:07"),
            ("Jan January 1 01", "Mar March 3 03"),
            ("Mon Monday 2 02 _2 __2 002", "Wed Wednesday 4 04  4  63 063"),
            ("06 2006 _2006", "26 2026 _2026"),
            ("Janet Money", "Janet Money"),
            ("JanX MonX", "MarX WedX"),
            (".000 .999 ,00 .0000000000", ".120 .12 ,12 .120000000"),
            (".09 .00a .0x9", ".09 .12a .1x9"),
            ("-0700 -07:00 -07 -07:00:00 -070000", "-0930 -09:30 -09 -09:30:00 -093000"),
            ("Z0700 Z07:00 Z07 Z07:00:00 Z070000", "-0930 -09:30 -09 -09:30:00 -093000"),
            ("%Y é 7890", "%Y é 7890"),
            ("stats12.csv", "stats34.csv"),
            ("", ""),
        ] {
            assert_eq!(format_layout(layout, &time), expected, "{layout}");
        }
        assert_eq!(format_layout("a.999b,9c", &at(0)), "abc");
    }

    #[test]
    fn utc_has_its_letter_and_zones_their_names() {
        let utc = jiff::civil::date(1999, 12, 31).at(13, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap();
        let layout = "Z0700 Z07:00 Z07 -07 MST 3 PM 02 _2 __2 06";
        assert_eq!(format_layout(layout, &utc), "Z Z Z +00 UTC 1 PM 31 31 365 99");
    }

    proptest! {
        #[test]
        fn any_layout_is_a_text(layout in ".{0,40}|[-0-9JanMoSTZ_.,:]{0,30}", nanos in 0..1_000_000_000) {
            let _ = format_layout(&layout, &at(nanos));
        }

        #[test]
        fn text_without_parts_stays(text in "[a-z%/ é]{0,40}") {
            prop_assume!(!text.contains("pm"));
            prop_assert_eq!(format_layout(&text, &at(0)), text);
        }
    }
}
