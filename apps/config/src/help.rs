//! The page of `-h`.

use crate::options::{Group, Kind, OptionSpec, Program, Side};

/// Width of the description column, so that the page fits 100 columns.
const COLUMN: usize = 64;

/// Stands for a space that must not become a line break.
const NO_BREAK: &str = "\u{a0}";

const NOTES: &str = "\
Options take one dash or two, and their value as the next word or after `=`. Numbers may be
decimal, 0x hexadecimal or 0 octal. For an option given twice the last value counts. The keys
of a JSON file are the long names, QPP and QPPCount are qpp and qpp-count there.";

/// The help page of one of the ordinary programs.
#[must_use]
pub fn help(side: Side) -> String {
    help_of(side.into())
}

pub(crate) fn help_of(program: Program) -> String {
    let side = program.side;
    let mut page = format!("{}\n\nUsage: {} [OPTIONS]\n", side.about(), program.call);
    for group in Group::ALL {
        let rows: Vec<_> = program
            .offered()
            .filter(|spec| spec.group == group)
            .map(|spec| (left(spec), description(spec, spec.default_for(side).unwrap_or(""))))
            .collect();
        if !rows.is_empty() {
            section(&mut page, group.heading(), &rows);
        }
    }
    let rows =
        [("help", "print this page"), ("version", "print the version")].map(|(name, help)| {
            (format!("  -{}, --{name}", name.get(..1).unwrap_or(name)), help.to_owned())
        });
    section(&mut page, "Information", &rows);
    page.push_str(&format!("\n{NOTES}\n"));
    page
}

/// What an option does, its range, its default and its other name.
pub(crate) fn description(spec: &OptionSpec, default: &str) -> String {
    let mut text = spec.help.to_owned();
    if !spec.allowed.is_empty() {
        text.push_str(&format!(" ({})", spec.allowed));
    }
    if !spec.kind.stands_alone() && !default.is_empty() {
        text.push_str(&format!(" {}", together(&format!("[default: {default}]"))));
    }
    if let (Some(alias), None) = (spec.alias, spec.short()) {
        text.push_str(&format!(" {}", together(&format!("[also --{alias}]"))));
    }
    text
}

fn section(page: &mut String, heading: &str, rows: &[(String, String)]) {
    let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    page.push_str(&format!("\n{heading}:\n"));
    for (left, text) in rows {
        let mut left = left.as_str();
        for line in wrap(text) {
            page.push_str(&format!("{left:width$}  {line}\n"));
            left = "";
        }
    }
}

/// The letter, the name and what stands for the value.
fn left(spec: &OptionSpec) -> String {
    let names = match spec.short() {
        Some(letter) if spec.name.len() == 1 => format!("  -{letter}"),
        Some(letter) => format!("  -{letter}, --{}", spec.name),
        None => format!("      --{}", spec.name),
    };
    match spec.kind {
        Kind::Boolean | Kind::BooleanOrText => format!("{names}[=<{}>]", spec.value_name),
        Kind::Text | Kind::Integer => format!("{names} <{}>", spec.value_name),
    }
}

/// The same text, unbreakable for [`wrap`].
fn together(text: &str) -> String {
    text.replace(' ', NO_BREAK)
}

/// Lines of at most [`COLUMN`] characters, unless a word is longer.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(last) if line == 0 || line + 1 + word.chars().count() <= COLUMN => {
                last.extend((line > 0).then_some(' '));
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().map(|line| line.replace(NO_BREAK, " ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_fit_and_hold_every_option_with_range_and_default() {
        let ordinary = [Side::Client, Side::Server].map(Program::from);
        let called = ["kcptun-router client", "kcptun-server"];
        let router = |(program, call)| Program { is_router: true, call, ..program };
        let routers = std::iter::zip(ordinary, called).map(router);
        for program in ordinary.into_iter().chain(routers) {
            let page = help_of(program);
            assert_eq!(page.contains("--mem <SIZE>"), program.is_router);
            for line in page.lines() {
                assert!(line.chars().count() <= 100 && line.trim_end() == line, "{line}");
            }
            let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(page.contains(&format!("\n\nUsage: {} [OPTIONS]\n", program.call)), "{page}");
            for missing in ["--pprof", "--status", "--shards"] {
                let is_there = page.contains(&format!(" {missing}"));
                assert!(!(is_there && program.is_router), "{missing} is not in the router");
            }
            for spec in program.offered() {
                let default = spec.default_for(program.side).unwrap();
                let text = description(spec, default).replace(NO_BREAK, " ");
                assert!(page.contains(&spec.flag()) && flat.contains(&text), "{}", spec.name);
                let said = spec.kind.stands_alone() || default.is_empty();
                assert!(said || text.contains(&format!("[default: {default}]")), "{text}");
            }
        }
    }
}
