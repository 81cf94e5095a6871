//! The command line.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::case::Group;
use crate::failure::Failure;
use crate::tunnel::Binaries;

/// Where our binaries are when no flag says so; set by xtask.
const OUR_DIRECTORY: &str = "KCPTUN_BIN_DIR";
/// Where the peer's binaries are when no flag says so.
const PEER_DIRECTORY: &str = "KCPTUN_PEER_DIR";
/// The program of ours without sockets.
const FUNCTIONS: &str = "kcptun-functions";
/// The name of the peer that Debian has.
const DEBIAN: &str = "Debian";
/// Where Debian puts it.
const DEBIAN_DIRECTORY: &str = "/usr/bin";
/// Where results go, besides `--out`; set by xtask.
const RESULTS_DIRECTORY: &str = "KCPTUN_BENCH_DIR";

pub(crate) const MAX_ROUNDS: u32 = 99;
pub(crate) const MAX_SECONDS: u32 = 600;

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench [FLAGS]

Runs our binaries and the peer's (Debian's kcptun unless told otherwise) in turn on the same
work, prints a table and writes it with JSON and SVG charts to target/bench. Parts without sockets
run against the libraries that the original stands on, as far as their packages are installed.

  --quick             fewer rows, one round of 2 s each: two minutes
  --rows NAME,...     only these: loopback, requests, ping, links, idle, memory, mixed, wrk,
                      shards, ciphers, openssl, fec, kcp, stages (default: all but wrk)
  --with-wrk          requests with wrk and nginx too (packages wrk and nginx-light)
  --rounds N          rounds of every row, 1 to 99 (default 3; 1 with --quick)
  --seconds N         length of one measurement, 1 to 600 (default 5; 2 with --quick)
  --peer-client PATH  the peer's kcptun-client, with --peer-server
  --peer-server PATH  the peer's kcptun-server, with --peer-client
  --client PATH       our kcptun-client, with --server (default: built from this checkout)
  --server PATH       our kcptun-server, with --client
  --out DIR           write the results there too
  --help              this text";

/// What to run, on which binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) is_quick: bool,
    pub(crate) groups: Vec<Group>,
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) ours: Option<Binaries>,
    pub(crate) peer: Option<Binaries>,
    pub(crate) out: Option<PathBuf>,
}

impl Options {
    /// Reads the flags; a value follows its flag or stands behind `=`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let (mut is_quick, mut has_wrk) = (false, false);
        let (mut groups, mut rounds, mut seconds, mut out) = (None, None, None, None);
        let (mut client, mut server, mut peer_client, mut peer_server) = (None, None, None, None);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (flag, joined) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (argument.as_str(), None),
            };
            if flag == "--quick" && joined.is_none() {
                is_quick = true;
                continue;
            }
            if flag == "--with-wrk" && joined.is_none() {
                has_wrk = true;
                continue;
            }
            let mut value = || {
                let value = joined.or_else(|| rest.next().map(String::as_str));
                let value = value.filter(|value| !value.is_empty());
                value.ok_or_else(|| Failure(format!("{flag}: a value has to follow")))
            };
            match flag {
                "--rows" => groups = Some(parse_groups(value()?)?),
                "--rounds" => rounds = Some(number(flag, value()?, MAX_ROUNDS)?),
                "--seconds" => seconds = Some(number(flag, value()?, MAX_SECONDS)?),
                "--out" => out = Some(value()?.into()),
                "--client" => client = Some(value()?.into()),
                "--server" => server = Some(value()?.into()),
                "--peer-client" => peer_client = Some(value()?.into()),
                "--peer-server" => peer_server = Some(value()?.into()),
                _ => return Err(Failure(format!("{argument}: no such flag; see --help"))),
            }
        }
        let mut groups = groups.unwrap_or_else(Group::usual);
        if has_wrk && !groups.contains(&Group::Wrk) {
            groups.push(Group::Wrk);
        }
        Ok(Self {
            is_quick,
            groups,
            rounds: rounds.unwrap_or(if is_quick { 1 } else { 3 }),
            seconds: seconds.unwrap_or(if is_quick { 2 } else { 5 }),
            ours: both("--client", client, "--server", server)?,
            peer: both("--peer-client", peer_client, "--peer-server", peer_server)?,
            out,
        })
    }

    /// Our binaries, there and executable.
    pub(crate) fn our_binaries(&self) -> Result<Binaries, Failure> {
        let given = || directory_from(OUR_DIRECTORY).map(|directory| in_directory(&directory));
        let ours = self.ours.clone().or_else(given).ok_or_else(|| {
            Failure(format!(
                "where are our binaries? run `cargo xtask bench`, set {OUR_DIRECTORY}, or name \
                 them by --client PATH --server PATH"
            ))
        })?;
        check(&ours, "build them with `cargo build --release -p kcptun`")?;
        Ok(ours)
    }

    /// Whether our parts are to be measured without sockets.
    pub(crate) fn wants_functions(&self) -> bool {
        self.groups.iter().any(|group| group.is_of_functions())
    }

    /// Our program for that.
    pub(crate) fn our_functions(&self) -> Result<PathBuf, Failure> {
        let directory = directory_from(OUR_DIRECTORY).unwrap_or_else(|| "target/release".into());
        let program = directory.join(FUNCTIONS);
        check_program(
            &program,
            "build it with `cargo build --release -p kcptun-bench`, or leave out the rows ciphers, \
             openssl, fec and kcp",
        )?;
        Ok(program)
    }

    /// The peer's binaries, there and executable, and a short name of it.
    pub(crate) fn peer_binaries(&self) -> Result<(Binaries, &'static str), Failure> {
        let (peer, name) = match (&self.peer, directory_from(PEER_DIRECTORY)) {
            (Some(peer), _) => (peer.clone(), "peer"),
            (None, Some(directory)) => (in_directory(&directory), "peer"),
            (None, None) => (in_directory(Path::new(DEBIAN_DIRECTORY)), DEBIAN),
        };
        check(
            &peer,
            "run `apt-get install kcptun` as root, or name another peer by --peer-client PATH \
             --peer-server PATH",
        )?;
        // Whoever names a peer may mean to compare two of ours.
        if name == DEBIAN && kcptun_interop::is_ours(&peer.client) {
            return Err(Failure(format!(
                "{} is of this project, not Debian's: remove the package kcptun-rs and run \
                 `apt-get install kcptun`, or name the peer by --peer-client PATH --peer-server PATH",
                peer.client.display()
            )));
        }
        Ok((peer, name))
    }

    /// The directories that get the results.
    pub(crate) fn results(&self) -> Vec<PathBuf> {
        let usual = directory_from(RESULTS_DIRECTORY);
        let usual = usual.unwrap_or_else(|| Path::new("target").join("bench"));
        [Some(usual), self.out.clone()].into_iter().flatten().collect()
    }
}

fn parse_groups(text: &str) -> Result<Vec<Group>, Failure> {
    let group = |name: &str| {
        Group::ALL.into_iter().find(|group| group.name() == name.trim()).ok_or_else(|| {
            let all = Group::ALL.map(Group::name).join(", ");
            Failure(format!("--rows {name}: no such rows; there are {all}"))
        })
    };
    text.split(',').map(group).collect()
}

fn number(flag: &str, text: &str, most: u32) -> Result<u32, Failure> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| Failure(format!("{flag} {text}: has to be a number from 1 to {most}")))
}

fn both(
    client_flag: &str,
    client: Option<PathBuf>,
    server_flag: &str,
    server: Option<PathBuf>,
) -> Result<Option<Binaries>, Failure> {
    match (client, server) {
        (Some(client), Some(server)) => Ok(Some(Binaries { client, server })),
        (None, None) => Ok(None),
        _ => Err(Failure(format!("{client_flag} and {server_flag} go together; give both"))),
    }
}

fn in_directory(directory: &Path) -> Binaries {
    Binaries { client: directory.join("kcptun-client"), server: directory.join("kcptun-server") }
}

fn check(binaries: &Binaries, remedy: &str) -> Result<(), Failure> {
    [&binaries.client, &binaries.server].iter().try_for_each(|path| check_program(path, remedy))
}

fn check_program(path: &Path, remedy: &str) -> Result<(), Failure> {
    let is_program =
        |file: std::fs::Metadata| file.is_file() && file.permissions().mode() & 0o111 != 0;
    if !path.metadata().is_ok_and(is_program) {
        return Err(Failure(format!("no program at {}: {remedy}", path.display())));
    }
    Ok(())
}

fn directory_from(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Options, Failure> {
        Options::parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_understood() {
        let options = parsed("--quick --rows=links,ping --rounds 7 --out there").unwrap();
        assert!(options.is_quick);
        assert_eq!(options.groups, [Group::Links, Group::Ping]);
        assert_eq!((options.rounds, options.seconds), (7, 2));
        assert_eq!(options.out, Some("there".into()));
        let options = parsed("--peer-client a --peer-server=b").unwrap();
        assert_eq!((options.rounds, options.seconds), (3, 5));
        assert_eq!(options.groups, Group::usual());
        assert!(options.wants_functions() && !options.groups.contains(&Group::Wrk));
        let options = parsed("--with-wrk --rows requests").unwrap();
        assert_eq!(options.groups, [Group::Requests, Group::Wrk]);
        assert!(!options.wants_functions());
        let options = parsed("--peer-client a --peer-server=b").unwrap();
        let peer = Binaries { client: "a".into(), server: "b".into() };
        assert_eq!((options.peer, options.ours), (Some(peer), None));
    }

    #[test]
    fn a_wrong_flag_is_named_with_what_is_allowed() {
        for (wrong, words) in [
            ("--rounds 0", &["--rounds 0", "1 to 99"][..]),
            ("--rounds 100", &["--rounds 100", "1 to 99"]),
            ("--rounds -1", &["--rounds -1", "1 to 99"]),
            ("--seconds 601", &["--seconds 601", "1 to 600"]),
            ("--seconds two", &["--seconds two", "1 to 600"]),
            ("--seconds", &["--seconds", "value"]),
            ("--out=", &["--out", "value"]),
            ("--rows links,pings", &["pings", "loopback", "ping,", "stages"]),
            ("--peer-client a", &["--peer-client", "--peer-server"]),
            ("--server a", &["--client", "--server"]),
            ("--fast", &["--fast", "--help"]),
            ("--quick=yes", &["--quick=yes", "--help"]),
            ("--with-wrk=1", &["--with-wrk=1", "--help"]),
            ("links", &["links", "--help"]),
        ] {
            let message = parsed(wrong).unwrap_err().to_string();
            for word in words {
                assert!(message.contains(word), "{wrong}: {message}");
            }
        }
    }

    #[test]
    fn a_missing_binary_is_named_with_how_to_get_it() {
        let options = parsed("--peer-client /no/such/client --peer-server /no/such").unwrap();
        let message = options.peer_binaries().unwrap_err().to_string();
        assert!(message.contains("/no/such/client") && message.contains("apt-get"), "{message}");
        let options = parsed("--client / --server /").unwrap();
        assert!(options.our_binaries().unwrap_err().to_string().contains("cargo build"));
    }
}
