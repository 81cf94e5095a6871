//! `kcptun keygen`: a key that nobody can guess.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Command;

use crate::front;
use crate::terminal::{Screen, complain, refuse, usage};

/// The name of the program in messages.
const PROGRAM: &str = "kcptun keygen";

const ABOUT: &str = "\
Prints a fresh key for a tunnel: 256 random bits of the system, in 43 letters, digits, - and _,
which need no quotes.";

const NOTES: &str = "\
The key is all that protects a tunnel: whoever has it can read and forge its packets. Give the same
one to client and server, out of sight of others:
  KCPTUN_KEY=$(kcptun keygen) kcptun-server ...    in the environment
  kcptun keygen --json                             as a line for the JSON file of -c";

/// Random bytes in a key.
const BYTES: usize = 32;
/// URL-safe base64 (RFC 4648, section 5).
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Runs the command with its `arguments` (without the names of program and command).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let found = match command().no_binary_name(true).try_get_matches_from(arguments) {
        Ok(found) => found,
        Err(error) => return usage(PROGRAM, &error),
    };
    let key = match fresh_key() {
        Ok(key) => key,
        Err(error) => return refuse(PROGRAM, &format_args!("no random key can be made: {error}")),
    };
    let (line, advice) = if found.get_flag("json") {
        let line = format!("\"key\": \"{key}\",");
        (line, "put this line into both JSON files (-c), and let nobody else read them: chmod 600")
    } else {
        (
            key,
            "give this key to both ends, client and server: KCPTUN_KEY=..., or \"key\" in the file of -c",
        )
    };
    Screen::plain().line(line);
    complain(PROGRAM, &advice);
    ExitCode::SUCCESS
}

fn command() -> Command {
    front::command(PROGRAM, ABOUT, NOTES, "[--json]")
        .arg(front::switch("json", "print a line for the JSON files of both ends"))
}

/// A key of 256 random bits. It begins with a letter or a digit, so that it never looks like an
/// option, and needs no quotes anywhere.
///
/// # Errors
/// When the system has no random bytes to give.
pub(crate) fn fresh_key() -> Result<String, getrandom::Error> {
    loop {
        let mut random = [0; BYTES];
        getrandom::fill(&mut random)?;
        let key = url_safe(&random);
        if key.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Ok(key);
        }
    }
}

/// `bytes` in base64 without padding.
fn url_safe(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let index = bits >> (18 - 6 * place) & 63;
            text.push(char::from(LETTERS[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn keys_are_fresh_and_plain() {
        let [one, other] = [fresh_key().unwrap(), fresh_key().unwrap()];
        assert_ne!(one, other);
        assert_eq!(one.len(), 43);
        assert!(one.starts_with(|first: char| first.is_ascii_alphanumeric()), "{one}");
        assert!(one.bytes().all(|byte| LETTERS.contains(&byte)), "{one}");
    }

    /// RFC 4648, section 10, without the padding; and the two letters that differ.
    #[test]
    fn text_is_as_in_the_standard() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (b"foobar", "Zm9vYmFy"),
            (b"\xfb\xff", "-_8"),
        ] {
            assert_eq!(url_safe(bytes), text);
        }
    }

    proptest! {
        /// Different bytes are different texts.
        #[test]
        fn no_bit_is_lost(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let place = |letter: u8| LETTERS.iter().position(|&it| it == letter).unwrap() as u32;
            let mut back = Vec::new();
            for group in url_safe(&bytes).as_bytes().chunks(4) {
                let bits = group.iter().fold(0, |bits, &letter| bits << 6 | place(letter));
                let bits = bits << (6 * (4 - group.len()));
                back.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
            }
            prop_assert_eq!(back, bytes);
        }
    }
}
