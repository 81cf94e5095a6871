//! Numbers and booleans as Go's `strconv` reads them.

/// A whole number as `strconv.ParseInt(text, 0, 64)` reads it: an optional sign, then decimal
/// digits, or `0x`, `0o`, `0b` or `0` and digits of that base. Underscores may stand between
/// digits and after the prefix.
///
/// # Errors
///
/// What is wrong, as the end of a sentence.
pub(crate) fn parse_integer(text: &str) -> Result<i64, &'static str> {
    const NOT_A_NUMBER: &str = "not a whole number";
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    let after_prefix = digits.len() < unsigned.len();
    let mut value: u64 = 0;
    let mut after_digit = after_prefix;
    let mut any = false;
    for byte in digits.bytes() {
        if byte == b'_' {
            if !after_digit {
                return Err(NOT_A_NUMBER);
            }
            after_digit = false;
            continue;
        }
        let digit = char::from(byte).to_digit(radix).ok_or(NOT_A_NUMBER)?;
        value = value.saturating_mul(radix.into()).saturating_add(digit.into());
        (after_digit, any) = (true, true);
    }
    if !any || !after_digit {
        return Err(NOT_A_NUMBER);
    }
    let signed = match negative {
        true => 0_i64.checked_sub_unsigned(value),
        false => 0_i64.checked_add_unsigned(value),
    };
    signed.ok_or("too large")
}

/// A boolean as `strconv.ParseBool` reads it.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    const WORDS: [[&str; 2]; 6] = [
        ["0", "1"],
        ["f", "t"],
        ["F", "T"],
        ["FALSE", "TRUE"],
        ["false", "true"],
        ["False", "True"],
    ];
    WORDS.iter().find_map(|[no, yes]| match text {
        _ if text == *no => Some(false),
        _ if text == *yes => Some(true),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_as_go_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("1350", 1350),
            ("+7", 7),
            ("-7", -7),
            ("0x10", 16),
            ("-0X1f", -31),
            ("010", 8),
            ("0o17", 15),
            ("0b101", 5),
            ("1_000", 1000),
            ("0_7", 7),
            ("0x_ff", 255),
            ("00", 0),
            ("-9223372036854775808", i64::MIN),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse_integer(text), Ok(value), "{text}");
        }
        for text in [
            "", "-", "+", "abc", "1.5", "1e3", " 1", "1 ", "0x", "08", "_1", "1_", "1__0", "--1",
            "0_", "٣", "0b2", "1k",
        ] {
            assert_eq!(parse_integer(text), Err("not a whole number"), "{text}");
        }
        for text in [
            "9223372036854775808",
            "-9223372036854775809",
            "0xffffffffffffffffffffffffffffffffffffffff",
        ] {
            assert_eq!(parse_integer(text), Err("too large"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value: i64) {
            prop_assert_eq!(parse_integer(&value.to_string()), Ok(value));
            prop_assert_eq!(parse_integer(&format!("{:#x}", value & i64::MAX)), Ok(value & i64::MAX));
        }

        #[test]
        fn no_text_panics(text in ".{0,30}|[-+]?0[xXoObB_]?[0-9a-f_]{0,40}") {
            let _ = parse_integer(&text);
            let _ = parse_boolean(&text);
        }
    }
}
