//! What the commands of the toolbox have in common: how their options are made, how they are told
//! apart from the flags of `kcptun-client`, and what they run on.

use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use crate::config::options::{Side, options};
use crate::config::{ClientConfig, Outcome, Parsed};
use crate::host::Host as _;
use crate::on_tokio::OnTokio;
use crate::terminal::{EXIT_USAGE, Screen, complain, refuse};

/// A command by its whole name, such as `kcptun link`; `usage` is what stands behind the name.
pub(crate) fn command(
    program: &'static str,
    about: &'static str,
    notes: &'static str,
    usage: &'static str,
) -> Command {
    Command::new(program)
        .bin_name(program)
        .about(about)
        .after_help(notes)
        .override_usage(format!("{program} {usage}"))
}

/// An option with a value.
pub(crate) fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

/// An option without.
pub(crate) fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// The words of one command line, told apart.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Words {
    /// Options of the command itself, one word each: `--name` or `--name=value`.
    pub(crate) own: Vec<OsString>,
    /// All others, as they were: for [`client`].
    pub(crate) client: Vec<OsString>,
}

/// Picks the options of `command` out of `arguments`, in whatever order they stand. A word that is
/// the value of a client's flag is left alone, whatever it looks like.
pub(crate) fn split(command: &Command, arguments: impl IntoIterator<Item = OsString>) -> Words {
    let mut words = Words::default();
    let mut rest = arguments.into_iter();
    while let Some(word) = rest.next() {
        let Some(name) = name(&word) else {
            words.client.push(word);
            continue;
        };
        let has_value = word.as_encoded_bytes().contains(&b'=');
        if matches!(name.as_str(), "h" | "help") {
            words.own.push("--help".into());
        } else if let Some(own) = command.get_arguments().find(|own| own.get_long() == Some(&name))
        {
            let mut whole =
                OsString::from(if word.as_encoded_bytes()[1] == b'-' { "" } else { "-" });
            whole.push(&word);
            if own.get_action().takes_values()
                && !has_value
                && let Some(value) = rest.next()
            {
                whole.push("=");
                whole.push(value);
            }
            words.own.push(whole);
        } else {
            let flag = options(Side::Client)
                .find(|flag| flag.name == name || flag.alias == Some(name.as_str()));
            let takes_value = flag.is_some_and(|flag| !flag.kind.stands_alone());
            words.client.push(word);
            if takes_value && !has_value {
                words.client.extend(rest.next());
            }
        }
    }
    words
}

/// Reads the flags of a client for the command `program`.
///
/// # Errors
/// The status to end with, when there is nothing to run: all has been said by then.
pub(crate) fn client(program: &str, words: &[OsString]) -> Result<Parsed<ClientConfig>, ExitCode> {
    match ClientConfig::parse(words.iter().cloned(), &|name| std::env::var_os(name)) {
        Ok(Outcome::Run(parsed)) => Ok(parsed),
        Ok(Outcome::Print(text)) => {
            Screen::plain().line(text.trim_end());
            Err(ExitCode::SUCCESS)
        }
        Err(problems) => {
            problems.iter().for_each(|problem| complain(program, problem));
            complain(program, &format_args!("`{program} -h` has the options of its own"));
            Err(ExitCode::from(EXIT_USAGE))
        }
    }
}

/// Runs `task` to its end.
///
/// # Errors
/// The status to end with, when no runtime can start: that has been said by then.
pub(crate) fn run<F: Future>(program: &str, task: F) -> Result<F::Output, ExitCode> {
    OnTokio::run(|_| task)
        .map_err(|error| refuse(program, &format_args!("the runtime cannot start: {error}")))
}

/// The name in `-name`, `--name` and either with `=value`; `None` for other words.
fn name(word: &OsStr) -> Option<String> {
    let text = word.to_string_lossy();
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let name = name.split('=').next().unwrap_or_default();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_text(text: &str) -> [String; 2] {
        let command =
            command("test", "", "", "").arg(option("time", "TIME", "")).arg(switch("quick", ""));
        let words = split(&command, text.split_whitespace().map(OsString::from));
        let joined = |words: Vec<OsString>| words.join(OsStr::new(" ")).into_string().unwrap();
        [joined(words.own), joined(words.client)]
    }

    #[test]
    fn own_options_are_found_wherever_they_stand() {
        for (text, own, client) in [
            ("", "", ""),
            ("-r vps:1 --time 5 -nocomp", "--time=5", "-r vps:1 -nocomp"),
            ("-time=5 -quick --mtu=1 --quick", "--time=5 --quick --quick", "--mtu=1"),
            ("--key --quick --quick", "--quick", "--key --quick"),
            ("--nocomp --quick -l -h", "--quick", "--nocomp -l -h"),
            // Like `--nocomp`, it takes a value behind `=` only.
            ("--pprof --time 5", "--time=5", "--pprof"),
            ("--pprof=:6060 --quick", "--quick", "--pprof=:6060"),
            ("--unknown --time 7 word -", "--time=7", "--unknown word -"),
            ("-h", "--help", ""),
            ("--time", "--time", ""),
        ] {
            assert_eq!(split_text(text), [own, client], "{text}");
        }
    }
}
