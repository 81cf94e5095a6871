//! The table of options, from which everything else about them is derived: the help page, the
//! defaults, the keys of a JSON file, the allowed ranges in messages, the table of the README.

mod table;

use table::{OPTIONS, ROUTER_OPTIONS};

/// Which of the two programs an option table is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `kcptun-client`.
    Client,
    /// `kcptun-server`.
    Server,
}

impl Side {
    /// The name of the program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Client => "kcptun-client",
            Self::Server => "kcptun-server",
        }
    }

    /// The program at the other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// One sentence on what the program does.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Client => "Accepts TCP connections and carries them over KCP to a kcptun server.",
            Self::Server => {
                "Takes connections carried over KCP by kcptun clients and hands them to a TCP target."
            }
        }
    }
}

/// Whose options are meant: those of a side, in the ordinary programs or in `kcptun-router`, which
/// has some of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) side: Side,
    pub(crate) is_router: bool,
    /// How it was called, as help page and messages name it.
    pub(crate) call: &'static str,
}

/// What `kcptun-router` reads, so that command lines of the others work, and does not have.
pub(crate) const NOT_IN_ROUTER: [&str; 3] = ["pprof", "status", "shards"];

impl Program {
    /// The options, in the order of the help page.
    pub(crate) fn options(self) -> Vec<&'static OptionSpec> {
        let mut options = Vec::new();
        for spec in OPTIONS {
            if spec.default_for(self.side).is_some() {
                options.push(spec);
            }
        }
        if self.is_router {
            options.extend(ROUTER_OPTIONS);
        }
        options
    }

    /// The options of the help page.
    pub(crate) fn offered(self) -> Vec<&'static OptionSpec> {
        let mut options = self.options();
        options.retain(|spec| !self.is_router || !NOT_IN_ROUTER.contains(&spec.name));
        options
    }

    /// The name of the program that has an option which this one lacks, by what tells the option.
    pub(crate) fn who_has(self, is_it: &dyn Fn(&OptionSpec) -> bool) -> Option<&'static str> {
        let other = Program::from(self.side.other());
        if other.options().into_iter().any(is_it) {
            return Some(other.call);
        }
        ROUTER_OPTIONS.iter().any(is_it).then_some("kcptun-router")
    }
}

impl From<Side> for Program {
    fn from(side: Side) -> Self {
        Self { side, is_router: false, call: side.program() }
    }
}

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, taken as it stands.
    Text,
    /// A whole number as Go writes them: decimal, `0x`, `0b`, `0o` or `0` for octal, sign, `_`.
    Integer,
    /// `true` when given without value; else `=true` or `=false` as Go spells them.
    Boolean,
    /// A boolean that takes any other text behind `=` as well.
    BooleanOrText,
}

impl Kind {
    /// Whether the option takes a value only behind `=`, and without one means `true`.
    #[must_use]
    pub fn stands_alone(self) -> bool {
        matches!(self, Self::Boolean | Self::BooleanOrText)
    }
}

/// The purposes by which the help page groups the options, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where to listen and where to connect.
    Addresses,
    /// What has to be equal at the other end.
    MustMatch,
    /// Delay against bandwidth.
    Speed,
    /// Forward error correction.
    Loss,
    /// The four values that `--mode manual` leaves to the user.
    Manual,
    /// Sessions to the other end, and how connections end.
    Sessions,
    /// Sockets, memory and threads.
    Resources,
    /// The configuration file, the log and the counters.
    Operation,
    /// What only `kcptun-router` has.
    Router,
    /// What is read so that command lines of the original work, and does nothing.
    Accepted,
}

impl Group {
    /// All of them, in the order of the help page.
    pub const ALL: [Self; 10] = [
        Self::Addresses,
        Self::MustMatch,
        Self::Speed,
        Self::Loss,
        Self::Manual,
        Self::Sessions,
        Self::Resources,
        Self::Operation,
        Self::Router,
        Self::Accepted,
    ];

    /// The heading on the help page.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Addresses => "Addresses",
            Self::MustMatch => "Must be the same at both ends",
            Self::Speed => "Speed and delay",
            Self::Loss => "Repair of losses (works best the same at both ends)",
            Self::Manual => "Only with --mode manual",
            Self::Sessions => "Sessions and connections",
            Self::Resources => "Sockets, memory, threads",
            Self::Operation => "Files, log and counters",
            Self::Router => "Only in kcptun-router",
            Self::Accepted => "Accepted, but not built",
        }
    }
}

/// One option.
#[derive(Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// The long name; that of `-c` is one letter.
    pub name: &'static str,
    /// A second spelling; one letter makes it a short option.
    pub alias: Option<&'static str>,
    /// The key in a JSON file; `None`: on the command line only.
    pub key: Option<&'static str>,
    /// The kind of value.
    pub kind: Kind,
    /// The word that stands for the value on the help page.
    pub value_name: &'static str,
    /// The default at the client; `None`: the client has no such option.
    pub client: Option<&'static str>,
    /// The default at the server; `None`: the server has no such option.
    pub server: Option<&'static str>,
    /// The environment variable that replaces the default.
    pub environment: Option<&'static str>,
    /// Where it stands on the help page.
    pub group: Group,
    /// What it does.
    pub help: &'static str,
    /// Units and range, as told on the help page and in messages; may be empty.
    pub allowed: &'static str,
}

impl OptionSpec {
    /// The default at `side`, if that program has the option.
    #[must_use]
    pub fn default_for(&self, side: Side) -> Option<&'static str> {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    /// The key in a JSON file, if `word` is a spelling of it: case does not count.
    pub(crate) fn key_called(&self, word: &str) -> Option<&'static str> {
        self.key.filter(|key| key.eq_ignore_ascii_case(word))
    }

    /// The single letter that it can be written as.
    #[must_use]
    pub fn short(&self) -> Option<char> {
        let letter = |word: &str| {
            let mut letters = word.chars();
            letters.next().filter(|_| letters.next().is_none())
        };
        letter(self.name).or_else(|| letter(self.alias?))
    }

    /// The long name with its dashes, as it is written in messages.
    #[must_use]
    pub fn flag(&self) -> String {
        let dashes = if self.name.len() == 1 { "-" } else { "--" };
        format!("{dashes}{}", self.name)
    }
}

/// The options of one of the ordinary programs, in the order of its help page.
pub fn options(side: Side) -> impl Iterator<Item = &'static OptionSpec> {
    OPTIONS.iter().filter(move |spec| spec.default_for(side).is_some())
}

/// What only `kcptun-router` has, beside the options of both programs.
pub fn router_options() -> impl Iterator<Item = &'static OptionSpec> {
    ROUTER_OPTIONS.iter()
}

/// The options of both programs, in the order of the help pages.
pub fn all_options() -> impl Iterator<Item = &'static OptionSpec> {
    OPTIONS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_and_keys_are_unique_per_program() {
        for side in [Side::Client, Side::Server] {
            let mut seen = std::collections::HashSet::from(["help", "h", "version", "v"]);
            let mut keys = std::collections::HashSet::new();
            for spec in options(side) {
                assert!(seen.insert(spec.name), "{} twice", spec.name);
                if let Some(alias) = spec.alias {
                    assert!(seen.insert(alias), "{alias} twice");
                }
                if let Some(key) = spec.key {
                    assert!(keys.insert(key.to_ascii_lowercase()), "{key} twice");
                }
            }
        }
    }

    #[test]
    fn the_groups_stand_together_in_order() {
        let order: Vec<usize> = OPTIONS
            .iter()
            .map(|spec| Group::ALL.iter().position(|group| *group == spec.group).unwrap())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    /// Names and values as in kcptun 20230214, `client/main.go` and `server/main.go`; ratelimit and
    /// closewait as in 2025. Ours: framesize (8192 there), pprof at the client, status, shards.
    #[test]
    fn the_defaults_are_those_of_the_original() {
        let defaults = |side| -> Vec<String> {
            options(side)
                .map(|spec| format!("{}={}", spec.name, spec.default_for(side).unwrap_or("?")))
                .collect()
        };
        let shared = "key=it's a secrect,crypt=aes,nocomp=false,smuxver=1,mode=fast";
        let rest = "mtu=1350,ratelimit=0,acknodelay=false,datashard=10,parityshard=3,nodelay=0,\
                    interval=50,resend=0,nc=0";
        let memory = "dscp=0,sockbuf=4194304,smuxbuf=4194304,streambuf=2097152,framesize=16384";
        let end = "c=,quiet=false,log=,snmplog=,snmpperiod=60,pprof=false,status=,\
                   tcp=false,QPP=false,QPPCount=61";
        assert_eq!(
            defaults(Side::Client).join(","),
            format!(
                "localaddr=:12948,remoteaddr=vps:29900,{shared},sndwnd=128,rcvwnd=512,{rest},\
                 conn=1,autoexpire=0,scavengettl=600,keepalive=10,closewait=0,{memory},{end}"
            )
        );
        assert_eq!(
            defaults(Side::Server).join(","),
            format!(
                "listen=:29900,target=127.0.0.1:12948,{shared},sndwnd=1024,rcvwnd=1024,{rest},\
                 keepalive=10,closewait=30,{memory},shards=1,{end}"
            )
        );
    }
}
