//! What the commands of the toolbox share in talking to people: usage errors, and output that lives
//! in a terminal and is plain in a pipe.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

/// Exit status of a command that was not understood or could not start.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Prints what clap has to say: a help page, or in one line what is wrong.
pub(crate) fn usage(program: &str, error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        Screen::plain().line(text.trim_end());
        return ExitCode::SUCCESS;
    }
    // The first paragraph; the others repeat the usage line.
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let sentence = words.join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    refuse(program, &format_args!("{sentence}; `{program} -h` explains the options"))
}

/// Says on standard error why nothing was started.
pub(crate) fn refuse(program: &str, reason: &dyn fmt::Display) -> ExitCode {
    complain(program, reason);
    ExitCode::from(EXIT_USAGE)
}

/// Says something on standard error, where nothing can be done about a failure.
pub(crate) fn complain(program: &str, text: &dyn fmt::Display) {
    let _ = writeln!(io::stderr(), "{program}: {text}");
}

/// Standard output: lines, and in a terminal a last line that changes.
///
/// That nobody reads is no failure: the command does its work and its exit status tells.
#[derive(Debug)]
pub(crate) struct Screen {
    is_terminal: bool,
    /// Whether the changing line stands there.
    is_drawn: bool,
}

impl Screen {
    /// As standard output is.
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), is_drawn: false }
    }

    /// Without control codes.
    pub(crate) fn plain() -> Self {
        Self { is_terminal: false, is_drawn: false }
    }

    /// Whether lines can change.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes a line that stays, in the place of the changing one if there is one.
    pub(crate) fn line(&mut self, text: impl fmt::Display) {
        let start = if self.is_drawn { "\r\x1b[K" } else { "" };
        self.is_drawn = false;
        let _ = writeln!(io::stdout(), "{start}{text}");
    }

    /// Changes the last line; nothing in a pipe.
    pub(crate) fn status(&mut self, text: impl fmt::Display) {
        if self.is_terminal {
            self.is_drawn = true;
            let mut out = io::stdout();
            let _ = write!(out, "\r{text}\x1b[K");
            let _ = out.flush();
        }
    }
}

/// A bar of up to `width` characters, in eighths of one; `share` is kept within 0 to 1.
pub(crate) fn bar(share: f64, width: usize) -> String {
    const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    text.extend(eighths.checked_rem(8).filter(|&rest| rest > 0).map(|rest| PARTS[rest - 1]));
    let shown = text.chars().count();
    text.extend(std::iter::repeat_n(' ', width - shown));
    text
}

/// A number with its thousands apart: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_their_width_and_length() {
        assert_eq!(bar(0.0, 3), "   ");
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(0.52, 10), "█████▎    ");
        assert_eq!(bar(7.0, 2), "██");
        assert_eq!(bar(f64::NAN, 2), "  ");
        for step in 0..=1000 {
            assert_eq!(bar(f64::from(step) / 1000.0, 7).chars().count(), 7);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
