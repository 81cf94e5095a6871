//! `--mem` and `--lock`, the options that only this program has.

use std::ffi::OsString;

use kcptun_config::options::{Side, options};

/// What may be used when `--mem` is not given, in bytes.
const DEFAULT: usize = 8 << 20;

/// What `--mem` and `--lock` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All memory that the tunnel may use, in bytes.
    pub bytes: usize,
    /// Whether it is touched at the start and kept from being swapped.
    pub is_locked: bool,
}

impl Memory {
    /// Takes the two options out of a command line (without the program's name), and gives the rest
    /// back. A word that is the value of another option is left alone.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn take(
        side: Side,
        words: impl IntoIterator<Item = OsString>,
    ) -> Result<(Self, Vec<OsString>), String> {
        let mut memory = Self { bytes: DEFAULT, is_locked: false };
        let mut rest = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
            match name.map(|name| name.split_once('=').map_or((name, None), |(n, v)| (n, Some(v))))
            {
                Some(("mem", value)) => {
                    let next = || words.next().map(|word| word.to_string_lossy().into_owned());
                    let value = value.map(str::to_owned).or_else(next);
                    memory.bytes = size(value.as_deref().unwrap_or_default())?;
                }
                Some(("lock", value)) => match value {
                    None | Some("true" | "1") => memory.is_locked = true,
                    Some("false" | "0") => memory.is_locked = false,
                    Some(value) => return Err(format!("--lock {value}: allowed: true or false")),
                },
                Some((name, value)) => {
                    let has_value = value.is_none() && takes_value(side, name);
                    rest.push(word);
                    rest.extend(if has_value { words.next() } else { None });
                }
                None => {
                    // Nothing is read behind the first plain word.
                    rest.push(word);
                    rest.extend(words.by_ref());
                }
            }
        }
        Ok((memory, rest))
    }
}

/// Whether an option takes the next word as its value.
fn takes_value(side: Side, name: &str) -> bool {
    let spec = options(side).find(|spec| spec.name == name || spec.alias == Some(name));
    spec.is_some_and(|spec| !spec.kind.stands_alone())
}

/// Bytes, or with K, M or G behind them (KB and KiB are the same here) units of 1024.
fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("--mem {text}: allowed: bytes, or a number with K, M or G, as in 8M");
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err(wrong()),
    };
    let number: usize = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).filter(|&bytes| bytes <= isize::MAX as usize);
    bytes.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(line: &str) -> Result<(Memory, Vec<String>), String> {
        let words = line.split_whitespace().map(OsString::from);
        let (memory, rest) = Memory::take(Side::Client, words)?;
        Ok((memory, rest.into_iter().map(|word| word.into_string().unwrap()).collect()))
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("8M", 8 << 20),
            ("8mb", 8 << 20),
            ("512K", 512 << 10),
            ("4194304", 4 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-8M", "8 M", "8X", "1.5M", "99999999999G", "0x8M"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_options_are_taken_out_and_values_left_alone() {
        let (memory, rest) = take("-mem=2M -r a:1 --lock --nocomp --key --mem --mtu 9").unwrap();
        assert_eq!(memory, Memory { bytes: 2 << 20, is_locked: true });
        assert_eq!(rest.join(" "), "-r a:1 --nocomp --key --mem --mtu 9");
        let (memory, rest) = take("--lock=false plain --lock --mem 1").unwrap();
        assert_eq!(memory, Memory { bytes: DEFAULT, is_locked: false });
        assert_eq!(rest.join(" "), "plain --lock --mem 1");
        assert!(take("--mem").unwrap_err().contains("--mem"));
        assert!(take("--lock=maybe").is_err());
    }
}
