//! Commands with options of their own beside the flags of `kcptun-client`.

use std::ffi::{OsStr, OsString};

use clap::Command;

use crate::config::options::{Kind, Side, options};

/// The words of one command line, told apart.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Words {
    /// Options of the command itself, one word each: `--name` or `--name=value`.
    pub(crate) own: Vec<OsString>,
    /// All others, as they were: for `ClientConfig::parse`.
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
            let takes_value = flag.is_some_and(|flag| !matches!(flag.kind, Kind::Boolean));
            words.client.push(word);
            if takes_value && !has_value {
                words.client.extend(rest.next());
            }
        }
    }
    words
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
    use clap::{Arg, ArgAction};

    fn command() -> Command {
        Command::new("test")
            .arg(Arg::new("time").long("time"))
            .arg(Arg::new("quick").long("quick").action(ArgAction::SetTrue))
    }

    fn split_text(text: &str) -> [String; 2] {
        let words = split(&command(), text.split_whitespace().map(OsString::from));
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
            ("--unknown --time 7 word -", "--time=7", "--unknown word -"),
            ("-h", "--help", ""),
            ("--time", "--time", ""),
        ] {
            assert_eq!(split_text(text), [own, client], "{text}");
        }
    }
}
