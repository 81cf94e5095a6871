//! The command line of `kcptun load`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgMatches, Command, value_parser};

use crate::front::{self, option};

/// The name of the program in messages.
pub(super) const PROGRAM: &str = "kcptun load";

const ABOUT: &str = "\
Opens many sessions to a server at once, each from a UDP port of its own, carries a little through
each and keeps them: what a server costs when many clients are there.";

const NOTES: &str = "\
All other flags are those of kcptun-client; --key, --crypt, --nocomp and --smuxver must be the
server's. The server's target must send back what it gets; --target-listen is such a target:
  kcptun server --listen :29900 --target 127.0.0.1:7007 &
  kcptun load --sessions 2000 --remote 127.0.0.1:29900 --target-listen 127.0.0.1:7007 \\
      --server-pid $! --time 10m
Without --rate a session carries --bytes there and back, closes its stream and stays idle. With
--rate it keeps its stream and goes on sending. Each session takes one UDP socket: `ulimit -n` and
net.ipv4.ip_local_port_range bound their number.
Exit status: 0 when every session carried its bytes and none was lost, 1 when not, 2 when it could
not start.";

/// What was asked for.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) sessions: u32,
    /// Sessions opened per second.
    pub(super) open_rate: u32,
    /// Bytes that each carries once, there and back.
    pub(super) bytes: u64,
    /// Bytes per second that each goes on sending.
    pub(super) rate: Option<u64>,
    /// How long to stay after all were opened.
    pub(super) time: Duration,
    /// Keep the streams open though nothing is sent.
    pub(super) hold: bool,
    pub(super) server_pid: Option<u32>,
    pub(super) target: Option<SocketAddr>,
    /// For [`front::client`].
    pub(super) client: Vec<OsString>,
}

impl Options {
    pub(super) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let words = front::split(&command(), arguments);
        let found = command().no_binary_name(true).try_get_matches_from(words.own)?;
        let mut client = words.client;
        if let Some(remote) = found.get_one::<String>("remote") {
            client.extend(["--remoteaddr".into(), remote.into()]);
        }
        let number = |name| get::<u32>(&found, name).unwrap_or_default();
        Ok(Self {
            sessions: number("sessions"),
            open_rate: number("open-rate"),
            bytes: get(&found, "bytes").unwrap_or_default(),
            rate: get(&found, "rate"),
            time: get(&found, "time").unwrap_or_default(),
            hold: found.get_flag("hold"),
            server_pid: get(&found, "server-pid"),
            target: get(&found, "target-listen"),
            client,
        })
    }
}

fn get<T: Copy + Send + Sync + 'static>(found: &ArgMatches, name: &str) -> Option<T> {
    found.get_one::<T>(name).copied()
}

fn command() -> Command {
    let usage = "--sessions N --remote HOST:PORT [OPTIONS] [FLAGS OF A CLIENT]";
    front::command(PROGRAM, ABOUT, NOTES, usage)
        .arg(
            option("sessions", "N", "sessions to open (1 to 1000000)")
                .default_value("1000")
                .value_parser(value_parser!(u32).range(1..=1_000_000)),
        )
        .arg(option("remote", "HOST:PORT", "the server; the same as --remoteaddr"))
        .arg(
            option("open-rate", "N", "sessions to open each second (1 to 100000)")
                .default_value("1000")
                .value_parser(value_parser!(u32).range(1..=100_000)),
        )
        .arg(
            option(
                "bytes",
                "N",
                "bytes that each session carries once, there and back (1 to 16777216)",
            )
            .default_value("4096")
            .value_parser(value_parser!(u64).range(1..=16_777_216)),
        )
        .arg(
            option("rate", "RATE", "what each session goes on sending, such as 50kbit")
                .value_parser(bytes_per_second),
        )
        .arg(
            option("time", "TIME", "how long to stay once all are open, such as 60s or 10m")
                .default_value("60s")
                .value_parser(time),
        )
        .arg(front::switch("hold", "keep the streams open while they are idle"))
        .arg(
            option("server-pid", "PID", "watch this process: memory, CPU and wake-ups (Linux)")
                .value_parser(value_parser!(u32)),
        )
        .arg(
            option("target-listen", "ADDRESS", "be the server's target, too: send back what comes")
                .value_parser(value_parser!(SocketAddr)),
        )
}

/// A rate in bits as `kcptun link` writes it, in bytes.
fn bytes_per_second(text: &str) -> Result<u64, String> {
    let link: Result<kcptun_link::LinkConfig, _> = format!("rate={text}").parse();
    match link.map(|link| link.rate) {
        Ok(Some(bits)) if bits >= 8 => Ok(bits / 8),
        Ok(_) => Err("a rate of at least 8bit is needed".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// `90`, `90s` or `10m`, up to a day.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("a time of 1s to 1440m is needed, such as 60s or 10m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(OsString::from))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn options_stand_among_the_flags_of_a_client() {
        let options =
            parse("--crypt none --sessions 20 --remote vps:1 --rate 50kbit --nocomp --time 10m")
                .unwrap();
        assert_eq!((options.sessions, options.rate), (20, Some(6250)));
        assert_eq!(options.time, Duration::from_secs(600));
        assert_eq!(options.client, ["--crypt", "none", "--nocomp", "--remoteaddr", "vps:1"]);
        let options = parse("").unwrap();
        assert_eq!((options.bytes, options.rate, options.hold), (4096, None, false));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_is_allowed() {
        for (text, named, allowed) in [
            ("--sessions 0", "--sessions", "1..=1000000"),
            ("--rate fast", "--rate", "rate"),
            ("--rate 1bit", "--rate", "at least"),
            ("--time 0", "--time", "1s to 1440m"),
            ("--time 99999999999999999999m", "--time", "1s to 1440m"),
            ("--target-listen here", "--target-listen", "invalid"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(named) && message.contains(allowed), "{text}: {message}");
        }
    }
}
