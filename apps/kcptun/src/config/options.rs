//! The table of command-line options, from which everything else about them is derived.
//!
//! Names, aliases, types and defaults: kcptun 20210624, `client/main.go` and `server/main.go`.

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

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, taken as it stands.
    Text,
    /// A whole number as Go writes them: decimal, `0x`, `0b`, `0o` or `0` for octal, sign, `_`.
    Integer,
    /// `true` when given without value; else `=true` or `=false` as Go spells them.
    Boolean,
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
    /// Sockets and memory.
    Resources,
    /// Sessions and the log.
    Operation,
}

impl Group {
    /// The heading on the help page.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Addresses => "Addresses",
            Self::MustMatch => "Must be the same at both ends",
            Self::Speed => "Speed and delay",
            Self::Loss => "Repair of losses (works best the same at both ends)",
            Self::Manual => "Only with --mode manual",
            Self::Resources => "Sockets and memory",
            Self::Operation => "Operation",
        }
    }
}

/// One command-line option.
#[derive(Debug, PartialEq, Eq)]
pub struct OptionSpec {
    /// The long name, which is also its key in a JSON file of the original.
    pub name: &'static str,
    /// A second spelling; one letter makes it a short option.
    pub alias: Option<&'static str>,
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

    /// The alias, if it is a single letter.
    #[must_use]
    pub fn short(&self) -> Option<char> {
        let mut letters = self.alias?.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Some(letter),
            _ => None,
        }
    }
}

/// The options of one program, in the order of its help page.
pub fn options(side: Side) -> impl Iterator<Item = &'static OptionSpec> {
    OPTIONS.iter().filter(move |spec| spec.default_for(side).is_some())
}

const fn text(
    name: &'static str,
    group: Group,
    value_name: &'static str,
    default: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        alias: None,
        kind: Kind::Text,
        value_name,
        client: Some(default),
        server: Some(default),
        environment: None,
        group,
        help: "",
        allowed: "",
    }
}

const fn integer(name: &'static str, group: Group, default: &'static str) -> OptionSpec {
    OptionSpec { kind: Kind::Integer, ..text(name, group, "N", default) }
}

const fn boolean(name: &'static str, group: Group) -> OptionSpec {
    OptionSpec { kind: Kind::Boolean, ..text(name, group, "BOOL", "false") }
}

/// All options of both programs.
static OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        alias: Some("l"),
        server: None,
        help: "accept TCP connections here",
        allowed: "host:port, :port for all addresses, or the path of a unix socket",
        ..text("localaddr", Group::Addresses, "ADDRESS", ":12948")
    },
    OptionSpec {
        alias: Some("r"),
        server: None,
        help: "UDP address of the kcptun server; of a range of ports each session draws one",
        allowed: "host:port or host:first-last",
        ..text("remoteaddr", Group::Addresses, "ADDRESS", "vps:29900")
    },
    OptionSpec {
        alias: Some("l"),
        client: None,
        help: "receive UDP packets here; a range of ports is received on all of them",
        allowed: "host:port, :port for all addresses, or either with first-last as port",
        ..text("listen", Group::Addresses, "ADDRESS", ":29900")
    },
    OptionSpec {
        alias: Some("t"),
        client: None,
        help: "hand connections to this TCP address or unix socket",
        allowed: "host:port, :port for this machine, or the path of a unix socket",
        ..text("target", Group::Addresses, "ADDRESS", "127.0.0.1:12948")
    },
    OptionSpec {
        environment: Some("KCPTUN_KEY"),
        help: "the secret; better given in the environment variable KCPTUN_KEY, which others \
               cannot see in the process list",
        ..text("key", Group::MustMatch, "SECRET", "it's a secrect")
    },
    OptionSpec {
        help: "cipher",
        allowed: "aes, aes-128, aes-192, salsa20, blowfish, twofish, cast5, 3des, tea, xtea, xor, \
                  sm4, none, null",
        ..text("crypt", Group::MustMatch, "NAME", "aes")
    },
    OptionSpec { help: "do not compress", ..boolean("nocomp", Group::MustMatch) },
    OptionSpec {
        help: "version of the stream protocol",
        allowed: "1 or 2",
        ..integer("smuxver", Group::MustMatch, "1")
    },
    OptionSpec {
        help: "how eagerly to resend and how often to look",
        allowed: "normal, fast, fast2, fast3, manual",
        ..text("mode", Group::Speed, "NAME", "fast")
    },
    OptionSpec {
        client: Some("128"),
        server: Some("1024"),
        help: "send window",
        allowed: "1 to 65535 packets",
        ..integer("sndwnd", Group::Speed, "")
    },
    OptionSpec {
        client: Some("512"),
        server: Some("1024"),
        help: "receive window",
        allowed: "1 to 65535 packets",
        ..integer("rcvwnd", Group::Speed, "")
    },
    OptionSpec {
        help: "largest UDP payload to send",
        allowed: "50 to 1500 bytes",
        ..integer("mtu", Group::Speed, "1350")
    },
    OptionSpec {
        help: "acknowledge every packet at once, at the price of more packets",
        ..boolean("acknodelay", Group::Speed)
    },
    OptionSpec {
        alias: Some("ds"),
        help: "data packets per group",
        allowed: "1 to 255; 0: no repair",
        ..integer("datashard", Group::Loss, "10")
    },
    OptionSpec {
        alias: Some("ps"),
        help: "parity packets per group: that many losses are repaired without resending",
        allowed: "1 to 255, with datashard at most 256; 0: no repair",
        ..integer("parityshard", Group::Loss, "3")
    },
    OptionSpec {
        help: "1: shorter resend timeouts",
        allowed: "0 or 1",
        ..integer("nodelay", Group::Manual, "0")
    },
    OptionSpec {
        help: "how long acknowledgements may wait",
        allowed: "10 to 5000 ms",
        ..integer("interval", Group::Manual, "50")
    },
    OptionSpec {
        help: "resend after this many acknowledgements of later packets",
        allowed: "0 or more; 0: never",
        ..integer("resend", Group::Manual, "0")
    },
    OptionSpec {
        help: "1: no congestion control",
        allowed: "0 or 1",
        ..integer("nc", Group::Manual, "0")
    },
    OptionSpec {
        help: "mark packets with this traffic class",
        allowed: "0 to 63",
        ..integer("dscp", Group::Resources, "0")
    },
    OptionSpec {
        help: "socket buffer, each way",
        allowed: "1 to 2147483647 bytes",
        ..integer("sockbuf", Group::Resources, "4194304")
    },
    OptionSpec {
        help: "received data waiting to be read, all connections of a session together",
        allowed: "1 to 2147483647 bytes",
        ..integer("smuxbuf", Group::Resources, "4194304")
    },
    OptionSpec {
        help: "received data waiting to be read, per connection; used with smuxver 2",
        allowed: "1 to 2147483647 bytes, at most smuxbuf",
        ..integer("streambuf", Group::Resources, "2097152")
    },
    OptionSpec {
        server: None,
        help: "sessions (UDP sockets) to the server, used in turn",
        allowed: "1 to 65535",
        ..integer("conn", Group::Operation, "1")
    },
    OptionSpec {
        help: "time between signs of life",
        allowed: "1 to 30 seconds",
        ..integer("keepalive", Group::Operation, "10")
    },
    OptionSpec { help: "no lines about single connections", ..boolean("quiet", Group::Operation) },
    OptionSpec {
        help: "append the log to this file instead of standard error",
        ..text("log", Group::Operation, "FILE", "")
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_unique_per_program() {
        for side in [Side::Client, Side::Server] {
            let mut seen = std::collections::HashSet::from(["help", "h", "version", "v"]);
            for spec in options(side) {
                assert!(seen.insert(spec.name), "{} twice", spec.name);
                if let Some(alias) = spec.alias {
                    assert!(seen.insert(alias), "{alias} twice");
                }
            }
        }
    }

    #[test]
    fn the_defaults_are_those_of_kcptun_20210624() {
        let defaults = |side| -> Vec<String> {
            options(side)
                .map(|spec| format!("{}={}", spec.name, spec.default_for(side).unwrap_or("?")))
                .collect()
        };
        let shared = "key=it's a secrect,crypt=aes,nocomp=false,smuxver=1,mode=fast";
        let rest = "mtu=1350,acknodelay=false,datashard=10,parityshard=3,nodelay=0,interval=50,\
                    resend=0,nc=0,dscp=0,sockbuf=4194304,smuxbuf=4194304,streambuf=2097152";
        let end = "keepalive=10,quiet=false,log=";
        assert_eq!(
            defaults(Side::Client).join(","),
            format!(
                "localaddr=:12948,remoteaddr=vps:29900,{shared},sndwnd=128,rcvwnd=512,{rest},conn=1,{end}"
            )
        );
        assert_eq!(
            defaults(Side::Server).join(","),
            format!(
                "listen=:29900,target=127.0.0.1:12948,{shared},sndwnd=1024,rcvwnd=1024,{rest},{end}"
            )
        );
    }
}
