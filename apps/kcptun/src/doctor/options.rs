//! The command line of `kcptun doctor`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Command, value_parser};
use kcptun_net::address::HostPort;

use crate::front::{self, option};

/// The name of the program in messages.
pub(super) const PROGRAM: &str = "kcptun doctor";

const ABOUT: &str = "\
Run on a client's machine with the client's flags (or its file: -c): looks at the settings, the
name, the way to the server and the server itself, and says what to set at both ends. It speaks as
a client does, so a server needs nothing for it, and sends nothing to the server's target.";

const NOTES: &str = "\
Throughput to be measured needs something that takes and gives bytes behind the server. For the
time of the measurement, let the server's target be one that does:
  kcptun doctor --answer 127.0.0.1:7007          on the server's machine
  kcptun-server --target 127.0.0.1:7007 ...      as usual in all else
Exit status: 0 when the tunnel is usable, 1 when it is not, 2 when the flags cannot be used.";

/// What was asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To look at a tunnel.
    Examine(Options),
    /// To be the target that measurements need.
    Answer(HostPort),
}

/// How to look.
#[derive(Debug)]
pub(super) struct Options {
    /// How long each measurement of throughput goes on.
    pub(super) time: Duration,
    /// Without throughput, and with fewer probes.
    pub(super) is_quick: bool,
    /// For [`front::client`].
    pub(super) client: Vec<OsString>,
}

impl Asked {
    pub(super) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let words = front::split(&command(), arguments);
        let found = command().no_binary_name(true).try_get_matches_from(words.own)?;
        if let Some(address) = found.get_one::<HostPort>("answer") {
            if let Some(word) = words.client.first() {
                let text = format!("--answer goes alone; not with {}", word.to_string_lossy());
                return Err(command().error(clap::error::ErrorKind::ArgumentConflict, text));
            }
            return Ok(Self::Answer(address.clone()));
        }
        let seconds = found.get_one::<u64>("seconds").copied().unwrap_or_default();
        Ok(Self::Examine(Options {
            time: Duration::from_secs(seconds),
            is_quick: found.get_flag("quick"),
            client: words.client,
        }))
    }
}

fn command() -> Command {
    let usage = "[OPTIONS] FLAGS OF THE CLIENT\n       kcptun doctor --answer ADDRESS";
    front::command(PROGRAM, ABOUT, NOTES, usage)
        .arg(
            option("seconds", "N", "how long to measure throughput each way (1 to 60)")
                .default_value("5")
                .value_parser(value_parser!(u64).range(1..=60)),
        )
        .arg(front::switch("quick", "no throughput, fewer probes"))
        .arg(
            option("answer", "ADDRESS", "be the target that measurements need (host:port)")
                .value_parser(|text: &str| text.parse::<HostPort>()),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Asked, String> {
        Asked::parse(text.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn own_options_stand_among_the_flags_of_a_client() {
        let asked = parse("-r vps:29900 --seconds 7 --nocomp --quick").unwrap();
        let Asked::Examine(options) = asked else { panic!("{asked:?}") };
        assert_eq!((options.time.as_secs(), options.is_quick), (7, true));
        assert_eq!(options.client, ["-r", "vps:29900", "--nocomp"]);
        let asked = parse("--answer 127.0.0.1:7007").unwrap();
        assert!(matches!(asked, Asked::Answer(address) if address.port() == 7007));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, named, why) in [
            ("--seconds 0", "--seconds", "1..=60"),
            ("--answer here", "--answer", "malformed address"),
            ("--answer :7007 --nocomp", "--answer", "goes alone"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(named) && message.contains(why), "{text}: {message}");
        }
    }
}
