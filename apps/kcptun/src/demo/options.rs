//! The command line of `kcptun demo`.

use std::ffi::OsString;
use std::time::Duration;

use clap::{ArgMatches, Command, value_parser};
use kcptun_link::{LinkConfig, Queue};

use crate::config::{ClientConfig, Crypt, Outcome, Problems, ServerConfig};
use crate::front::{self, option};

/// The name of the program in messages.
pub(super) const PROGRAM: &str = "kcptun demo";

const ABOUT: &str = "\
Shows the tunnel at work: downloads random bytes through a server, a bad link and a client, all on
free ports of this machine, verifies them, and says what a plain stream would have done.";

const NOTES: &str = "\
LINK is as for `kcptun link`: delay=50ms,jitter=5ms,loss=10%,rate=50mbit,... (each way; the round
trip is twice the delay). Exit status: 0 when all bytes were verified, 1 when not, 2 when it could
not start. It ends by itself: 15 seconds after --seconds at the latest.";

/// The link when nothing is said.
const LINK: &str = "delay=50ms,loss=10%,rate=50mbit,queue=250ms";
/// Longest round trip that makes sense in so short a time.
const MAX_RTT: Duration = Duration::from_secs(2);

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// The link, each way.
    pub(super) link: LinkConfig,
    pub(super) seed: u64,
    pub(super) time: Duration,
    /// The options of both programs, as they would be given for real.
    pub(super) words: Vec<String>,
}

/// The configurations of both programs.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) client: ClientConfig,
    pub(super) server: ServerConfig,
}

impl Options {
    pub(super) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let found = command().no_binary_name(true).try_get_matches_from(arguments)?;
        let link = link(&found);
        let number = |name| found.get_one::<u64>(name).copied();
        let text = |name| found.get_one::<String>(name).cloned().unwrap_or_default();
        if ["datashard", "parityshard"].into_iter().filter_map(number).sum::<u64>() > 256 {
            let text = "--datashard and --parityshard: at most 256 together are allowed";
            return Err(command().error(clap::error::ErrorKind::ValueValidation, text));
        }
        let window = number("window").unwrap_or_else(|| fitting_window(&link));
        let mut words = vec![format!("--crypt {}", text("crypt"))];
        words.push(format!("--mode {}", text("mode")));
        words.push(format!("--sndwnd {window} --rcvwnd {window}"));
        for (name, default) in [("datashard", 10), ("parityshard", 3)] {
            words.extend(
                number(name).filter(|&it| it != default).map(|it| format!("--{name} {it}")),
            );
        }
        words.push("--nocomp".to_owned());
        Ok(Self {
            link,
            seed: number("seed").unwrap_or_default(),
            time: Duration::from_secs(number("seconds").unwrap_or_default()),
            words,
        })
    }

    /// Both programs' own reading of the options.
    pub(super) fn ends(&self, key: &str) -> Result<Ends, Problems> {
        let words = || self.words.iter().flat_map(|words| words.split(' '));
        let environment = |name: &str| (name == "KCPTUN_KEY").then(|| key.into());
        let client = ClientConfig::parse(words(), &environment)?;
        let server = ServerConfig::parse(words(), &environment)?;
        match (client, server) {
            (Outcome::Run(client), Outcome::Run(server)) => {
                Ok(Ends { client: client.config, server: server.config })
            }
            _ => Err(Problems::new(Vec::new())),
        }
    }

    /// Delay there and back.
    pub(super) fn round_trip(&self) -> Duration {
        self.link.delay * 2
    }
}

/// `--link`, and what the short options change of it.
fn link(found: &ArgMatches) -> LinkConfig {
    let part = |name| found.get_one::<LinkConfig>(name);
    let mut link = part("link").cloned().unwrap_or_default();
    if let Some(given) = part("rtt") {
        link.delay = given.delay / 2;
    }
    if let Some(given) = part("loss") {
        link.loss = given.loss;
    }
    if let Some(given) = part("rate") {
        link.rate = given.rate;
    }
    link
}

/// What the link holds in a round trip, twice: the second time for what waits to be repaired. But
/// no more than link and queue hold, parity included: a repair lets a whole window go at once, and
/// what the queue does not take is lost. On 50 Mbit/s and 100 ms with 10 % loss, a queue of 250 ms
/// and windows of 640, 896, 1216 this was measured: 17, 23, 26 Mbit/s at 1.45, 1.46, 1.51 wire bytes
/// per byte; with a queue of 100 ms 20, 22, 21 Mbit/s at 1.7, 1.9, 2.6.
fn fitting_window(link: &LinkConfig) -> u64 {
    const UNKNOWN_RATE: u64 = 400_000_000;
    const PACKET: f64 = 1350.0;
    const WITH_PARITY: f64 = 1.3;
    let rate = link.rate.unwrap_or(UNKNOWN_RATE).min(UNKNOWN_RATE) as f64 / 8.0;
    let trip = rate * ((link.delay * 2 + link.jitter).as_secs_f64() + 0.02);
    let queue = match link.queue {
        Queue::Time(time) => rate * time.as_secs_f64(),
        Queue::Bytes(bytes) => bytes as f64,
    };
    let bytes = (2.0 * trip).min((trip + queue) / WITH_PARITY);
    ((bytes / PACKET) as u64).clamp(16, 16_384).next_multiple_of(16)
}

fn command() -> Command {
    let number = |name, help, least, most| {
        option(name, "N", help).value_parser(value_parser!(u64).range(least..=most))
    };
    front::command(PROGRAM, ABOUT, NOTES, "[OPTIONS]")
        .arg(option("link", "LINK", "the link, each way").default_value(LINK).value_parser(whole))
        .arg(
            option("rtt", "TIME", "its round trip instead (0ms to 2s)")
                .value_parser(|value: &str| setting("delay", value)),
        )
        .arg(
            option("loss", "SHARE", "its losses instead, each way (0% to 100%)")
                .value_parser(|value: &str| setting("loss", value)),
        )
        .arg(
            option("rate", "RATE", "its bandwidth instead, each way (1kbit to 1gbit)")
                .value_parser(|value: &str| setting("rate", value)),
        )
        .arg(number("seconds", "how long to download (1 to 60)", 1, 60).default_value("10"))
        .arg(
            option("seed", "N", "same seed, same losses (0 to 18446744073709551615)")
                .default_value("1")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            option("crypt", "NAME", "cipher")
                .default_value("aes")
                .value_parser(Crypt::NAMES.to_vec()),
        )
        .arg(
            option("mode", "NAME", "how eagerly to resend")
                .default_value("fast3")
                .value_parser(["normal", "fast", "fast2", "fast3"]),
        )
        .arg(number("datashard", "data packets per group (0 to 255)", 0, 255).default_value("10"))
        .arg(
            number("parityshard", "parity packets per group (0 to 255)", 0, 255).default_value("3"),
        )
        .arg(number(
            "window",
            "packets on their way (1 to 65535) [default: fits the link]",
            1,
            65_535,
        ))
}

fn whole(text: &str) -> Result<LinkConfig, String> {
    let link: LinkConfig = text.parse().map_err(|error| format!("{error}"))?;
    check(link)
}

/// A value of one setting of a link.
fn setting(name: &str, value: &str) -> Result<LinkConfig, String> {
    if value.contains(',') {
        return Err("one value is allowed; --link takes several settings".to_owned());
    }
    let mut link: LinkConfig = format!("{name}={value}").parse().map_err(|e| format!("{e}"))?;
    if name == "delay" {
        if link.delay > MAX_RTT {
            return Err("allowed: 0ms to 2s".to_owned());
        }
        link.delay /= 2;
        let checked = check(link.clone());
        link.delay *= 2;
        return checked.map(|_| link);
    }
    check(link)
}

/// The ranges of the demo, narrower than those of a link.
fn check(link: LinkConfig) -> Result<LinkConfig, String> {
    if link.delay * 2 > MAX_RTT {
        return Err("the demo allows round trips up to 2s: delay=0ms to delay=1s".to_owned());
    }
    if link.rate.is_some_and(|rate| !(1_000..=1_000_000_000).contains(&rate)) {
        return Err("the demo allows rates of 1kbit to 1gbit".to_owned());
    }
    Ok(link)
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
    fn short_options_change_the_link_and_the_window_follows() {
        let options = parse("--rtt 200ms --loss 5% --rate 10mbit").unwrap();
        let expected = "delay=100ms,loss=5%,rate=10mbit,queue=250ms".parse();
        assert_eq!(options.link, expected.unwrap());
        assert_eq!(options.round_trip(), Duration::from_millis(200));
        let options = parse("--link jitter=5ms --loss 0.2 --window 77 --parityshard 5").unwrap();
        assert_eq!(options.link, "jitter=5ms,loss=20%".parse().unwrap());
        let words = options.words.join(" ");
        assert_eq!(
            words,
            "--crypt aes --mode fast3 --sndwnd 77 --rcvwnd 77 --parityshard 5 --nocomp"
        );
    }

    #[test]
    fn windows_fit_the_link() {
        for (link, packets) in [
            ("delay=50ms,rate=50mbit,queue=250ms", 1120),
            ("delay=50ms,rate=50mbit,queue=100ms", 784),
            ("delay=50ms,rate=1mbit", 16),
            ("delay=1s", 16_384),
        ] {
            assert_eq!(fitting_window(&link.parse().unwrap()), packets, "{link}");
        }
    }

    #[test]
    fn every_choice_is_understood_by_both_programs() {
        for crypt in Crypt::NAMES {
            for mode in ["normal", "fast", "fast2", "fast3"] {
                let options = parse(&format!("--crypt {crypt} --mode {mode}")).unwrap();
                let ends = options.ends("secret").unwrap();
                assert_eq!(ends.client.common.crypt.name(), crypt);
                assert_eq!(ends.server.common.send_window, ends.client.common.receive_window);
                assert_eq!(ends.server.common.key.as_bytes(), b"secret");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_is_allowed() {
        for (text, named, allowed) in [
            ("--link loss=101%", "--link", "0% to 100%"),
            ("--link delay=2s", "--link", "delay=1s"),
            ("--link rate=2gbit", "--link", "1gbit"),
            ("--loss 10%,rate=5mbit", "--loss", "one value"),
            ("--loss much", "--loss", "10%"),
            ("--rtt 3s", "--rtt", "0ms to 2s"),
            ("--rtt 100", "--rtt", "50ms"),
            ("--rate 10", "--rate", "50mbit"),
            ("--seconds 0", "--seconds", "1..=60"),
            ("--crypt rot13", "--crypt", "salsa20"),
            ("--mode warp", "--mode", "fast3"),
            ("--datashard 256", "--datashard", "0..=255"),
            ("--parityshard 247", "--parityshard", "at most 256"),
            ("--window 0", "--window", "1..=65535"),
            ("now", "now", "unexpected argument"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(named) && message.contains(allowed), "{text}: {message}");
        }
    }
}
