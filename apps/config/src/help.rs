//! The page of `-h`.

use crate::options::{Group, Kind, OptionSpec, Program, Side};

/// Width of the description column, so that the page fits 100 columns.
const COLUMN: usize = 64;

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
    let options = program.offered();
    let mut page = format!("{}\n\nUsage: {} [OPTIONS]\n", side.about(), program.call);
    for group in Group::ALL {
        let mut rows = Vec::new();
        for spec in options.iter().filter(|spec| spec.group == group) {
            rows.push((left(spec), description(spec, spec.default_for(side).unwrap_or(""))));
        }
        section(&mut page, group.heading(), &rows);
    }
    let mut rows = Vec::new();
    for (names, help) in [("-h, --help", "print this page"), ("-v, --version", "print the version")]
    {
        rows.push((format!("  {names}"), words(help)));
    }
    section(&mut page, "Information", &rows);
    page.push_str(&format!("\n{NOTES}\n"));
    page
}

/// What an option does, its range, its default and its other name, in parts that stay in one line.
fn description(spec: &OptionSpec, default: &str) -> Vec<String> {
    let mut parts = words(spec.help);
    if !spec.allowed.is_empty() {
        parts.extend(words(&format!("({})", spec.allowed)));
    }
    if !spec.kind.stands_alone() && !default.is_empty() {
        parts.push(format!("[default: {default}]"));
    }
    if let (Some(alias), None) = (spec.alias, spec.short()) {
        parts.push(format!("[also --{alias}]"));
    }
    parts
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Lines of at most [`COLUMN`] characters beside the names, unless a part is longer.
fn section(page: &mut String, heading: &str, rows: &[(String, Vec<String>)]) {
    let Some(width) = rows.iter().map(|(left, _)| left.chars().count()).max() else { return };
    page.push_str(&format!("\n{heading}:\n"));
    for (left, parts) in rows {
        page.push_str(&format!("{left:width$} "));
        let mut length = 0;
        for part in parts {
            let more = 1 + part.chars().count();
            if length > 0 && length + more > 1 + COLUMN {
                page.push_str(&format!("\n{:width$} ", ""));
                length = 0;
            }
            page.push_str(&format!(" {part}"));
            length += more;
        }
        page.push('\n');
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
                let text = description(spec, default).join(" ");
                assert!(page.contains(&spec.flag()) && flat.contains(&text), "{}", spec.name);
                let said = spec.kind.stands_alone() || default.is_empty();
                assert!(said || text.contains(&format!("[default: {default}]")), "{text}");
            }
        }
    }
}
