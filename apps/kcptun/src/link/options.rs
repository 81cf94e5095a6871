//! The command line of `kcptun link`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Command, value_parser};
use kcptun_link::LinkConfig;
use kcptun_net::address::HostPort;

use super::BadLinkConfig;
use crate::front::{self, option};

/// The name of the program in messages.
pub(super) const PROGRAM: &str = "kcptun link";

const ABOUT: &str = "\
Puts any UDP program behind a bad link: what is sent to --listen goes on to --to, late, lost or
damaged as told, and the answers come back the same way.";

const NOTES: &str = "\
A link is described by settings with commas between them; what is not named is perfect:
  delay=50ms         time each datagram takes             jitter=10ms    up to this much more
  rate=50mbit        bandwidth (bit kbit mbit gbit)       queue=100ms    in front of it, or 64kb
  loss=10%           losses, each on its own              burst=1%/25%   in bursts: enter/leave
  duplicate=1%       copies                               corrupt=1%     damage
  reorder=1%         held back by hold=10ms               order=free     jitter may reorder
  down=2s@5s/30s     nothing for 2 s, after 5 s, each 30 s        mtu=1252  longer ones vanish

Example: a server at vps:29900, as if it were behind a bad line of 20 Mbit/s:
  kcptun link --listen :4000 --to vps:29900 --link delay=80ms,loss=5%,rate=20mbit
  kcptun-client --remoteaddr 127.0.0.1:4000 ...

Ends with a summary on SIGINT or SIGTERM. Exit status: 0 after a signal, 1 when the listening
socket failed, 2 when it could not start.";

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Options {
    pub(super) listen: HostPort,
    pub(super) to: HostPort,
    pub(super) config: BadLinkConfig,
}

impl Options {
    pub(super) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let mut found = command().no_binary_name(true).try_get_matches_from(arguments)?;
        let both = found.remove_one::<LinkConfig>("link").unwrap_or_default();
        let mut link = |name| found.remove_one::<LinkConfig>(name).unwrap_or_else(|| both.clone());
        let (there, back) = (link("there"), link("back"));
        let number = |name| found.get_one::<u64>(name).copied().unwrap_or_default();
        let address = |name| found.get_one::<HostPort>(name).cloned();
        let missing = || command().error(clap::error::ErrorKind::MissingRequiredArgument, "--to");
        Ok(Self {
            listen: address("listen").ok_or_else(missing)?,
            to: address("to").ok_or_else(missing)?,
            config: BadLinkConfig {
                there,
                back,
                seed: number("seed"),
                max_clients: usize::try_from(number("clients")).unwrap_or(usize::MAX),
                idle: Duration::from_secs(number("idle")),
            },
        })
    }
}

fn command() -> Command {
    let link = |name, help| option(name, "LINK", help).value_parser(link);
    front::command(PROGRAM, ABOUT, NOTES, "--listen ADDRESS --to ADDRESS [--link LINK] [OPTIONS]")
        .arg(
            option("listen", "ADDRESS", "receive UDP here (host:port, :port for all addresses)")
                .default_value(":4000")
                .value_parser(|text: &str| text.parse::<HostPort>()),
        )
        .arg(
            option("to", "ADDRESS", "send on to this UDP address (host:port)")
                .required(true)
                .value_parser(target),
        )
        .arg(link("link", "the link, both ways alike"))
        .arg(link("there", "the way to the target, instead of --link"))
        .arg(link("back", "the way back to the clients, instead of --link"))
        .arg(
            option("seed", "N", "same seed and traffic, same fate (0 to 18446744073709551615)")
                .default_value("1")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            option("clients", "N", "clients at once (1 to 1024)")
                .default_value("256")
                .value_parser(value_parser!(u64).range(1..=1024)),
        )
        .arg(
            option("idle", "SECONDS", "forget a silent client after this long (1 to 86400)")
                .default_value("300")
                .value_parser(value_parser!(u64).range(1..=86_400)),
        )
}

fn link(text: &str) -> Result<LinkConfig, kcptun_link::ParseError> {
    text.parse()
}

fn target(text: &str) -> Result<HostPort, String> {
    let address: HostPort = text.parse().map_err(|error| format!("{error}"))?;
    if address.port() == 0 {
        return Err("a port of 1 to 65535 is needed".to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        let words = text.split_whitespace().map(OsString::from);
        Options::parse(words).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn one_text_serves_both_ways_unless_a_way_has_its_own() {
        let options = parse("--to :9 --link delay=50ms --back loss=10% --seed 7").unwrap();
        assert_eq!(options.config.there, "delay=50ms".parse().unwrap());
        assert_eq!(options.config.back, "loss=10%".parse().unwrap());
        assert_eq!((options.config.seed, options.listen.port()), (7, 4000));
        let options = parse("--to vps:9 --listen [::1]:0").unwrap();
        assert_eq!(options.config.there, LinkConfig::default());
        assert_eq!((options.config.max_clients, options.config.idle.as_secs()), (256, 300));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_is_allowed() {
        for (text, named, allowed) in [
            ("", "--to", "required"),
            ("--to vps", "--to", "malformed address"),
            ("--to vps:0", "--to", "1 to 65535"),
            ("--to :9 --listen nowhere", "--listen", "malformed address"),
            ("--to :9 --link loss=101%", "--link", "0% to 100%"),
            ("--to :9 --there speed=1", "--there", "known: mtu, rate"),
            ("--to :9 --back delay=61s", "--back", "at most 60s"),
            ("--to :9 --clients 0", "--clients", "1..=1024"),
            ("--to :9 --idle 0", "--idle", "1..=86400"),
            ("--to :9 --seed=-1", "--seed", "invalid digit"),
            ("--to :9 --speed 1", "--speed", "unexpected argument"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(named) && message.contains(allowed), "{text}: {message}");
        }
    }
}
