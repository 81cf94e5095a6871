//! Manual pages: of the programs from the table of options, of the toolbox from what it says of
//! itself.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kcptun_config::options::{Group, Kind, OptionSpec, Side, options, router_options};

use crate::dist;
use crate::step::{Failure, Workspace, output, run};

/// Commands of the toolbox that need no section of their own: the first two have a page.
const EXPLAINED_ELSEWHERE: [&str; 4] = ["client", "server", "help", "version"];

const OPTION_RULES: &str = "\
Options take one dash or two, and their value as the next word or after an equals sign. Numbers
may be decimal, hexadecimal with 0x, or octal with a leading 0. Of an option given twice the last
value counts. A value in the JSON file of
.B \\-c
overrides the command line, which overrides the environment.
";

const ENVIRONMENT: &str = "\
.TP
.B KCPTUN_LOG
What the log holds: a level (\\fBerror\\fR, \\fBwarn\\fR, \\fBinfo\\fR, \\fBdebug\\fR,
\\fBtrace\\fR), or levels by module such as \\fBinfo,kcptun_tunnel=trace\\fR.
";

/// How `kcptun-router` presents itself.
const ROUTER: &str = "kcptun-router";
const ROUTER_ABOUT: &str = "client and server of kcptun in one small program with fixed memory";
const ROUTER_TEXT: &str = "\
.SH SYNOPSIS
.B kcptun\\-router client
.RI [ OPTIONS ]
.br
.B kcptun\\-router server
.RI [ OPTIONS ]
.SH DESCRIPTION
.BR kcptun\\-client (1)
and
.BR kcptun\\-server (1)
in one program for routers: it runs on one thread, in memory that it takes at the start, and
allocates nothing afterwards.
Called by the name of either, as through a link, it is that program.
.PP
Its options, and the JSON file of
.BR \\-c ,
are those of the two programs, but for
.B \\-\\-pprof
and
.BR \\-\\-status ,
which are not built in, and
.BR \\-\\-shards ,
as there is one thread.
The two below are its own, and may stand in the file, too.
.SH OPTIONS
";
const ROUTER_ENVIRONMENT: &str = "\
.SH ENVIRONMENT
.TP
.B KCPTUN_KEY
Takes the place of the default of
.BR \\-\\-key .
.TP
.B KCPTUN_LOG
What the log holds: \\fBerror\\fR, \\fBwarn\\fR, \\fBinfo\\fR, \\fBdebug\\fR or \\fBtrace\\fR.
";

const FILES: &str = "\
.SH FILES
The JSON file of
.B \\-c
is one object whose keys are the long names of the options, case ignored, as in files of the
original. With the systemd units of the package it is
.I /etc/kcptun/NAME.json
for the instance NAME.
";

const ENDINGS: &str = "\
.SH SIGNALS
.TP
.B SIGUSR1
Writes all counters to the log, in one line.
.TP
.B SIGHUP
Opens the file of
.B \\-\\-log
anew, for logrotate.
Without that option it ends the program, as it ends the original, unless
.BR nohup (1)
shields it.
.TP
.BR SIGINT \", \" SIGTERM
Ends the program.
.SH EXIT STATUS
0 after a signal that ends it, 1 when it cannot start or go on: the reason stands on standard
error, for all wrong values together.
";

/// Writes the pages; answers a summary.
pub(crate) fn run_task(workspace: &Workspace) -> Result<String, Failure> {
    let program = toolbox(workspace)?;
    let pages = write(workspace, &program)?;
    let names: Vec<_> = pages.iter().map(|page| page.display().to_string()).collect();
    Ok(names.join(", "))
}

/// The toolbox for this machine, quickly built; answers its path.
pub(crate) fn toolbox(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let mut build = workspace.cargo("build --locked -p kcptun --bin kcptun");
    build.arg("--target-dir").arg(&workspace.target);
    run("build of the toolbox, for its manual page", &mut build)?;
    Ok(workspace.target.join("debug/kcptun"))
}

/// Writes the pages, that of the toolbox by asking `toolbox`; answers their paths.
pub(crate) fn write(workspace: &Workspace, toolbox: &Path) -> Result<Vec<PathBuf>, Failure> {
    let date = dist::date(dist::source_date(workspace)?, "%Y-%m-%d")?;
    let folder = workspace.target.join("man");
    let pages = [
        ("kcptun-client.1", program_page(Side::Client, &date)),
        ("kcptun-server.1", program_page(Side::Server, &date)),
        ("kcptun-router.1", router_page(&date)),
        ("kcptun.1", toolbox_page(&date, &|words| ask(toolbox, words))?),
    ];
    let failed = |error| Failure(format!("{}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    let put = |(name, text)| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(failed)?;
        Ok(path)
    };
    pages.into_iter().map(put).collect()
}

/// What the toolbox prints when it is given `words`.
fn ask(toolbox: &Path, words: &[&str]) -> Result<String, Failure> {
    output(Command::new(toolbox).args(words))
}

fn program_page(side: Side, date: &str) -> String {
    let (name, about) = (side.program(), side.about());
    let mut page = heading(name, about, date);
    let _ = write!(
        page,
        ".SH SYNOPSIS\n.B {name}\n.RI [ OPTIONS ]\n.SH DESCRIPTION\n{about}\nThe other end is\n\
         .BR {other} (1),\nof this project or of the original kcptun.\n.PP\n{OPTION_RULES}\
         .SH OPTIONS\n",
        name = escaped(name),
        about = escaped(about),
        other = escaped(side.other().program()),
    );
    for group in Group::ALL {
        let mut found = options(side).filter(|spec| spec.group == group).peekable();
        if found.peek().is_some() {
            let _ = writeln!(page, ".SS {}", escaped(group.heading()));
        }
        found.for_each(|spec| page.push_str(&option(spec, side)));
    }
    page.push_str(
        ".SS Information\n.TP\n.BR \\-\\-help \", \" \\-h\nPrints a page like this one.\n.TP\n\
         .BR \\-\\-version \", \" \\-v\nPrints the version.\n.SH ENVIRONMENT\n",
    );
    for spec in options(side) {
        if let Some(variable) = spec.environment {
            let flag = escaped(&spec.flag());
            let _ = write!(
                page,
                ".TP\n.B {variable}\nTakes the place of the default of\n.BR {flag} .\n"
            );
        }
    }
    page.push_str(ENVIRONMENT);
    page.push_str(FILES);
    page.push_str(ENDINGS);
    let _ = write!(
        page,
        ".SH SEE ALSO\n.BR kcptun (1),\n.BR {} (1)\n",
        escaped(side.other().program())
    );
    page
}

fn router_page(date: &str) -> String {
    let mut page = heading(ROUTER, ROUTER_ABOUT, date);
    page.push_str(ROUTER_TEXT);
    router_options().for_each(|spec| page.push_str(&option(spec, Side::Client)));
    page.push_str(ROUTER_ENVIRONMENT);
    page.push_str(ENDINGS);
    page.push_str(".SH SEE ALSO\n.BR kcptun\\-client (1),\n.BR kcptun\\-server (1)\n");
    page
}

fn option(spec: &OptionSpec, side: Side) -> String {
    let value = format!("\\fI{}\\fR", escaped(spec.value_name));
    let with_value = |flag: &str| match spec.kind {
        kind if kind.stands_alone() => format!("\\fB{}\\fR[=\\:{value}]", escaped(flag)),
        _ => format!("\\fB{}\\fR {value}", escaped(flag)),
    };
    let mut forms = vec![with_value(&spec.flag())];
    if let Some(alias) = spec.alias {
        let dashes = if alias.len() == 1 { "-" } else { "--" };
        forms.push(with_value(&format!("{dashes}{alias}")));
    }
    let mut text = sentence(spec.help);
    if !spec.allowed.is_empty() {
        let _ = writeln!(text, "Allowed: {}.", escaped(spec.allowed));
    }
    let default = spec.default_for(side).unwrap_or_default();
    if !default.is_empty() && spec.kind != Kind::Boolean {
        let _ = writeln!(text, "Default: \\fB{}\\fR.", escaped(default));
    }
    if let Some(key) = spec.key.filter(|key| *key != spec.name) {
        let _ = writeln!(text, "In a JSON file: {}.", escaped(key));
    }
    format!(".TP\n{}\n{text}", forms.join(", "))
}

/// The page of the toolbox; `ask` answers what it prints when given some words.
fn toolbox_page(
    date: &str,
    ask: &dyn Fn(&[&str]) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let help = ask(&["help"])?;
    let commands = commands(&help);
    if commands.is_empty() {
        return Err(Failure("`kcptun help` lists no commands".into()));
    }
    let about = help.lines().next().unwrap_or_default();
    let about = about.split_once(": ").map_or(about, |(_, about)| about);
    let mut page = heading("kcptun", about, date);
    let _ = write!(
        page,
        ".SH SYNOPSIS\n.B kcptun\n.RI [ COMMAND ]\n.RI [ OPTIONS ]\n.SH DESCRIPTION\n{}\n\
         .SH COMMANDS\n",
        escaped(about)
    );
    for (name, description) in &commands {
        let _ = write!(page, ".TP\n.B {}\n{}", escaped(name), sentence(description));
    }
    for (name, _) in &commands {
        if EXPLAINED_ELSEWHERE.contains(name) {
            continue;
        }
        let text = ask(&[name, "-h"])?;
        let title = format!("kcptun {name}").to_uppercase();
        let _ = writeln!(page, ".SH {}\n.nf", escaped(&title));
        text.trim().lines().for_each(|line| page.extend([escaped(line).as_str(), "\n"]));
        page.push_str(".fi\n");
    }
    page.push_str(".SH SEE ALSO\n.BR kcptun\\-client (1),\n.BR kcptun\\-server (1)\n");
    Ok(page)
}

/// The list under `Commands:`, by name and description. Further lines of a description are
/// indented as deep as its first.
fn commands(help: &str) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in lines.take_while(|line| line.starts_with("  ")) {
        match (line.trim().split_once("  "), found.last_mut()) {
            (None, Some((_, description))) if line.starts_with("      ") => {
                description.extend([" ", line.trim()]);
            }
            (Some((name, description)), _) => found.push((name, description.trim().to_owned())),
            (None, _) => found.push((line.trim(), String::new())),
        }
    }
    found
}

fn heading(name: &str, about: &str, date: &str) -> String {
    format!(
        ".TH {} 1 {date} \"kcptun {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
        escaped(&name.to_uppercase()),
        env!("CARGO_PKG_VERSION"),
        escaped(name),
        escaped(lowercase(about).trim_end_matches('.'))
    )
}

/// A line that begins with a capital letter, unless that would change a word such as `host:port`
/// or a flag, and ends with a full stop.
fn sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let first = text.split(' ').next().unwrap_or_default().trim_end_matches(['.', ',']);
    let mut letters = text.chars();
    let begun = match letters.next() {
        Some(letter) if first.chars().all(char::is_alphabetic) => {
            letter.to_uppercase().chain(letters).collect()
        }
        _ => text.clone(),
    };
    let stop = if begun.ends_with(['.', ':']) { "" } else { "." };
    // One sentence to a line, as the formatters like it.
    format!("{}{stop}\n", escaped(&begun).replace(". ", ".\n"))
}

fn lowercase(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // But not an abbreviation.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.into(),
    }
}

/// The same text for the formatters, whose language it must not be taken for.
fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    if line.starts_with(['.', '\'']) {
        out.push_str("\\&");
    }
    for letter in line.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => out.push_str("\\(ga"),
            '\'' => out.push_str("\\(aq"),
            '"' => out.push_str("\\(dq"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_a_program_stands_on_its_page() {
        for side in [Side::Client, Side::Server] {
            let page = program_page(side, "2026-01-02");
            for spec in options(side) {
                let flag = format!("\n\\fB{}\\fR", escaped(&spec.flag()));
                assert!(page.contains(&flag), "{} of {side:?}", spec.name);
            }
            assert!(page.starts_with(".TH KCPTUN\\-"), "{page}");
            assert!(page.lines().all(|line| !line.is_empty()), "an empty line is a warning");
        }
    }

    #[test]
    fn the_page_of_the_router_has_its_own_options_and_no_others() {
        let page = router_page("2026-01-02");
        let flags: Vec<_> = page.lines().filter(|line| line.starts_with("\\fB\\-\\-")).collect();
        assert_eq!(
            flags,
            ["\\fB\\-\\-mem\\fR \\fISIZE\\fR", "\\fB\\-\\-lock\\fR[=\\:\\fIBOOL\\fR]"]
        );
        assert!(
            page.contains(".SH SIGNALS\n") && page.starts_with(".TH KCPTUN\\-ROUTER 1 "),
            "{page}"
        );
        assert!(page.lines().all(|line| !line.is_empty()), "an empty line is a warning");
    }

    #[test]
    fn the_page_of_the_toolbox_has_what_the_toolbox_says() {
        let ask = |words: &[&str]| {
            Ok(match words {
                ["help"] => "kcptun: a tunnel.\n\nUsage: kcptun\n\nCommands:\n  \
                             demo    shows it,\n          at work\n  help    this\n"
                    .into(),
                [name, "-h"] => format!(".explains {name}\n\n  --flag\n"),
                _ => return Err(Failure("asked for something else".into())),
            })
        };
        let page = toolbox_page("2026-01-02", &ask).unwrap();
        assert!(page.contains(".TP\n.B demo\nShows it, at work.\n.TP\n.B help\nThis.\n"), "{page}");
        let section = ".SH KCPTUN DEMO\n.nf\n\\&.explains demo\n\n  \\-\\-flag\n.fi\n";
        assert!(page.contains(section), "{page}");
        assert!(!page.contains("KCPTUN HELP"), "{page}");
        assert!(toolbox_page("2026-01-02", &|_| Ok("nothing".into())).is_err());
    }

    #[test]
    fn text_is_not_taken_for_commands() {
        assert_eq!(escaped(".TH a\\b -c 'd'"), "\\&.TH a\\eb \\-c \\(aqd\\(aq");
        assert_eq!(sentence("host:port, or\n a path"), "host:port, or a path.\n");
        assert_eq!(sentence("one. two"), "One.\ntwo.\n");
        assert_eq!(lowercase("TCP over links"), "TCP over links");
    }
}
