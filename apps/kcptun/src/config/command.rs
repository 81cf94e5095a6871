//! The clap command derived from the option table, and its help page.

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Command};

use super::options::{Kind, OptionSpec, Side, options};

/// Width of the description column, so that the page fits 100 columns.
const COLUMN: usize = 66;

/// Stands for a space that must not become a line break.
const NO_BREAK: &str = "\u{a0}";

const NOTES: &str = "\
Options take one dash or two, and their value as the next word or after `=`. Numbers may be
decimal, 0x hexadecimal or 0 octal. For an option given twice the last value counts.";

/// The command line of one program.
#[must_use]
pub fn command(side: Side) -> Command {
    Command::new(side.program())
        .bin_name(side.program())
        .version(env!("CARGO_PKG_VERSION"))
        .about(side.about())
        .override_usage(format!("{} [OPTIONS]", side.program()))
        .help_template("{about}\n\nUsage: {usage}\n\n{all-args}{after-help}")
        .after_help(NOTES)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(options(side).map(|spec| argument(spec, side)))
        .arg(page("help", 'h', "print this page"))
        .arg(page("version", 'v', "print the version"))
}

/// The help page of one program.
#[must_use]
pub fn help(side: Side) -> String {
    let page = command(side).render_help().to_string();
    let mut out: String = page.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn argument(spec: &'static OptionSpec, side: Side) -> Arg {
    let default = spec.default_for(side).unwrap_or_default();
    let argument = Arg::new(spec.name)
        .long(spec.name)
        .value_name(spec.value_name)
        .value_parser(ValueParser::os_string())
        .default_value(default)
        .hide_default_value(true)
        .action(ArgAction::Set)
        .overrides_with(spec.name)
        .help_heading(spec.group.heading())
        .help(description(spec, default));
    let argument = match spec.kind {
        Kind::Boolean => {
            argument.num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        Kind::Text | Kind::Integer => argument,
    };
    match spec.short() {
        Some(letter) => argument.short(letter),
        None => argument,
    }
}

fn page(name: &'static str, letter: char, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .short(letter)
        .action(ArgAction::SetTrue)
        .help_heading("Information")
        .help(help)
}

/// What the option does, its range, its default and its other name, in lines of the column.
fn description(spec: &OptionSpec, default: &str) -> String {
    let mut text = spec.help.to_owned();
    if !spec.allowed.is_empty() {
        text.push_str(&format!(" ({})", spec.allowed));
    }
    if spec.kind != Kind::Boolean && !default.is_empty() {
        text.push_str(&format!(" {}", together(&format!("[default: {default}]"))));
    }
    if let (Some(alias), None) = (spec.alias, spec.short()) {
        text.push_str(&format!(" {}", together(&format!("[also --{alias}]"))));
    }
    wrap(&text)
}

/// The same text, unbreakable for [`wrap`].
fn together(text: &str) -> String {
    text.replace(' ', NO_BREAK)
}

fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMN {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(&word.replace(NO_BREAK, " "));
        column += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_sound_and_the_pages_fit() {
        for side in [Side::Client, Side::Server] {
            command(side).debug_assert();
            let page = help(side);
            for line in page.lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
            for spec in options(side) {
                assert!(page.contains(&format!("--{}", spec.name)), "{}", spec.name);
            }
        }
    }
}
