//! Names that hold a time, as layouts of Go's `time` package.
//!
//! A layout shows how one certain moment would be written, *Mon Jan 2 15:04:05 MST 2006*; each part
//! of that moment found in it is replaced by the same part of the time at hand (Go 1.17,
//! `time/format.go`, `nextStdChunk` and `AppendFormat`). Everything else stays, so a digit from 1 to
//! 5 in a name is replaced too.

use std::fmt::{self, Write};

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

/// A moment in some time zone, in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CivilTime<'z> {
    /// The year, as in 2006.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
    /// The day of the week: 0 is Sunday.
    pub week_day: u8,
    /// The day of the year, from 1.
    pub year_day: u16,
    /// The hour, 0 to 23.
    pub hour: u8,
    /// The minute.
    pub minute: u8,
    /// The second; 60 is a leap second.
    pub second: u8,
    /// Nanoseconds since that second began.
    pub nanosecond: u32,
    /// How far local time is ahead of UTC, in seconds.
    pub offset: i32,
    /// What the zone is called then, as in `CET`.
    pub zone: &'z str,
}

/// What is put in the place of a part of the layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Month(Length),
    WeekDay(Length),
    Number(Number, Fill),
    /// Of the day; the words for the first and the second.
    Half([&'static str; 2]),
    ZoneName,
    Zone(ZoneForm),
    Fraction {
        separator: char,
        digits: usize,
        is_trimmed: bool,
    },
}

/// How much of a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Long,
    Short,
}

/// A part of a time that is written as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    LongYear,
    ShortYear,
    Month,
    Day,
    YearDay,
    Hour24,
    Hour12,
    Minute,
    Second,
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

const fn number(number: Number, fill: Fill) -> Part {
    Part::Number(number, fill)
}

/// All fixed parts; of those that fit in a place the first is meant.
const PARTS: [(&str, Part); 33] = [
    ("January", Part::Month(Length::Long)),
    ("Jan", Part::Month(Length::Short)),
    ("Monday", Part::WeekDay(Length::Long)),
    ("Mon", Part::WeekDay(Length::Short)),
    ("MST", Part::ZoneName),
    ("01", number(Number::Month, Fill::Zero)),
    ("02", number(Number::Day, Fill::Zero)),
    ("03", number(Number::Hour12, Fill::Zero)),
    ("04", number(Number::Minute, Fill::Zero)),
    ("05", number(Number::Second, Fill::Zero)),
    ("06", number(Number::ShortYear, Fill::Zero)),
    ("002", number(Number::YearDay, Fill::Zero)),
    ("15", number(Number::Hour24, Fill::Zero)),
    ("1", number(Number::Month, Fill::Nothing)),
    ("2006", number(Number::LongYear, Fill::Zero)),
    ("2", number(Number::Day, Fill::Nothing)),
    ("_2", number(Number::Day, Fill::Space)),
    ("__2", number(Number::YearDay, Fill::Space)),
    ("3", number(Number::Hour12, Fill::Nothing)),
    ("4", number(Number::Minute, Fill::Nothing)),
    ("5", number(Number::Second, Fill::Nothing)),
    ("PM", Part::Half(["AM", "PM"])),
    ("pm", Part::Half(["am", "pm"])),
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

/// Writes `layout` with the parts of Go's reference time replaced by those of `time`. The result has
/// at most twice the bytes of the layout, and the name of the zone for each `MST` in it.
pub(super) fn write_layout(out: &mut dyn Write, layout: &str, time: &CivilTime<'_>) -> fmt::Result {
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let length = match part_at(rest) {
            Some((part, length)) => {
                write_part(out, part, time)?;
                length
            }
            None => {
                out.write_char(first)?;
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Ok(())
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

fn write_part(out: &mut dyn Write, part: Part, time: &CivilTime<'_>) -> fmt::Result {
    match part {
        Part::Month(length) => {
            write_name(out, &MONTHS, usize::from(time.month.wrapping_sub(1)), length)
        }
        Part::WeekDay(length) => write_name(out, &WEEK_DAYS, time.week_day.into(), length),
        Part::Number(number, fill) => write_number(out, number, fill, time),
        Part::Half(words) => out.write_str(words[usize::from(time.hour >= 12)]),
        Part::ZoneName => out.write_str(time.zone),
        Part::Zone(form) => write_zone(out, form, time.offset),
        Part::Fraction { separator, digits, is_trimmed } => {
            write_fraction(out, separator, digits, is_trimmed, time.nanosecond)
        }
    }
}

fn write_name(out: &mut dyn Write, names: &[&str], index: usize, length: Length) -> fmt::Result {
    let name = names.get(index).copied().unwrap_or_default();
    out.write_str(match length {
        Length::Long => name,
        Length::Short => name.get(..3).unwrap_or(name),
    })
}

fn write_number(
    out: &mut dyn Write,
    number: Number,
    fill: Fill,
    time: &CivilTime<'_>,
) -> fmt::Result {
    let (value, width) = match number {
        Number::LongYear => (time.year, 4),
        Number::ShortYear => (time.year % 100, 2),
        Number::Month => (time.month.into(), 2),
        Number::Day => (time.day.into(), 2),
        Number::YearDay => (time.year_day.into(), 3),
        Number::Hour24 => (time.hour.into(), 2),
        // The twelve comes first.
        Number::Hour12 => ((i32::from(time.hour) + 11) % 12 + 1, 2),
        Number::Minute => (time.minute.into(), 2),
        Number::Second => (time.second.into(), 2),
    };
    match fill {
        Fill::Nothing => write!(out, "{value}"),
        Fill::Space => write!(out, "{value:width$}"),
        Fill::Zero => write!(out, "{value:0width$}"),
    }
}

fn write_zone(out: &mut dyn Write, form: ZoneForm, offset: i32) -> fmt::Result {
    if form.has_z && offset == 0 {
        return out.write_char('Z');
    }
    out.write_char(if offset < 0 { '-' } else { '+' })?;
    let offset = offset.unsigned_abs();
    let numbers = [offset / 3600, offset / 60 % 60, offset % 60];
    for (index, value) in numbers.into_iter().take(form.numbers.into()).enumerate() {
        let colon = if form.has_colons && index > 0 { ":" } else { "" };
        write!(out, "{colon}{value:02}")?;
    }
    Ok(())
}

/// Go writes nine digits at most, and with nines no zeros at the end (then not even the point).
fn write_fraction(
    out: &mut dyn Write,
    separator: char,
    digits: usize,
    is_trimmed: bool,
    nanos: u32,
) -> fmt::Result {
    let mut digits = digits.min(9);
    let at = |place: usize| nanos / 10_u32.pow(8 - u32::try_from(place).unwrap_or(8)) % 10;
    while is_trimmed && digits > 0 && at(digits - 1) == 0 {
        digits -= 1;
    }
    if digits > 0 {
        out.write_char(separator)?;
    }
    (0..digits).try_for_each(|place| write!(out, "{}", at(place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Wednesday, 2026-03-04 00:06:07, on the Marquesas.
    fn at(nanosecond: u32) -> CivilTime<'static> {
        let (hour, minute, second, offset) = (0, 6, 7, -9 * 3600 - 1800);
        let (year, month, day, week_day, year_day) = (2026, 3, 4, 3, 63);
        let zone = "-0930";
        CivilTime {
            year,
            month,
            day,
            week_day,
            year_day,
            hour,
            minute,
            second,
            nanosecond,
            offset,
            zone,
        }
    }

    fn format_layout(layout: &str, time: &CivilTime<'_>) -> String {
        let mut text = String::new();
        write_layout(&mut text, layout, time).unwrap();
        let stamps = layout.matches("MST").count() * time.zone.len();
        assert!(text.len() <= 2 * layout.len() + stamps, "{layout} became {text}");
        text
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
        let (year, month, day, year_day, week_day) = (1999, 12, 31, 365, 5);
        let date = CivilTime { year, month, day, year_day, week_day, ..CivilTime::default() };
        let utc = CivilTime { hour: 13, zone: "UTC", ..date };
        let layout = "Z0700 Z07:00 Z07 -07 MST 3 PM 02 _2 __2 06";
        assert_eq!(format_layout(layout, &utc), "Z Z Z +00 UTC 1 PM 31 31 365 99");
    }

    proptest! {
        #[test]
        fn any_layout_is_a_text(layout in ".{0,40}|[-0-9JanMoSTZ_.,:]{0,30}", nanos in 0..1_000_000_000_u32) {
            let _ = format_layout(&layout, &at(nanos));
        }

        #[test]
        fn text_without_parts_stays(text in "[a-z%/ é]{0,40}") {
            prop_assume!(!text.contains("pm"));
            prop_assert_eq!(format_layout(&text, &at(0)), text);
        }
    }
}
