//! The options themselves.
//!
//! Names, aliases, types and defaults: kcptun 20230214, `client/main.go` and `server/main.go`;
//! `ratelimit`, `framesize`, `closewait`, `QPP` and `QPPCount` came later; `status`, `shards` and
//! the address of `pprof` are ours.

use super::{Group, Kind, OptionSpec};
use crate::kinds::Secret;

const fn text(
    name: &'static str,
    group: Group,
    value_name: &'static str,
    default: &'static str,
) -> OptionSpec {
    OptionSpec {
        name,
        alias: None,
        key: Some(name),
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

/// What only `kcptun-router` has.
pub(super) static ROUTER_OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        help: "all memory of the tunnel: windows, streams and sessions are fitted into it",
        allowed: "bytes, or a number with K, M or G",
        ..text("mem", Group::Router, "SIZE", "8M")
    },
    OptionSpec {
        help: "touch that memory at the start and keep it from being swapped",
        ..boolean("lock", Group::Router)
    },
];

/// All options of both programs.
pub(super) static OPTIONS: &[OptionSpec] = &[
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
        allowed: "host:port, :port for all addresses, or either with first-last as port; \
                  port 0: one that the system chooses",
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
        help: "the secret; better given in the environment variable KCPTUN_KEY or in a file, \
               which others cannot see in the process list",
        ..text("key", Group::MustMatch, "SECRET", Secret::DEFAULT)
    },
    OptionSpec {
        help: "cipher",
        allowed: "aes, aes-128, aes-128-gcm, aes-192, salsa20, blowfish, twofish, cast5, 3des, \
                  tea, xtea, xor, sm4, none, null",
        ..text("crypt", Group::MustMatch, "NAME", "aes")
    },
    OptionSpec { help: "do not compress", ..boolean("nocomp", Group::MustMatch) },
    OptionSpec {
        help: "version of the stream protocol; the newest kcptun begins with 2",
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
        help: "most to send in each session, parity included",
        allowed: "1 byte per second or more; 0: no limit",
        ..integer("ratelimit", Group::Speed, "0")
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
        server: None,
        help: "sessions (UDP sockets) to the server, used in turn",
        allowed: "1 to 65535",
        ..integer("conn", Group::Sessions, "1")
    },
    OptionSpec {
        server: None,
        help: "age at which a session takes no more connections and another is dialed",
        allowed: "1 second or more; 0: never",
        ..integer("autoexpire", Group::Sessions, "0")
    },
    OptionSpec {
        server: None,
        help: "how long a session then lives on for the connections it has",
        allowed: "0 seconds or more, best at most autoexpire",
        ..integer("scavengettl", Group::Sessions, "600")
    },
    OptionSpec {
        help: "time between signs of life",
        allowed: "1 to 30 seconds",
        ..integer("keepalive", Group::Sessions, "10")
    },
    OptionSpec {
        client: Some("0"),
        server: Some("30"),
        help: "how long a half-closed connection may go on without a sign of life",
        allowed: "1 second or more; 0: 600",
        ..integer("closewait", Group::Sessions, "")
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
        help: "longest frame sent, which is what one connection may put in front of another's \
               data; none is longer than 16376 bytes, so larger values change nothing",
        allowed: "1 to 65535 bytes",
        ..integer("framesize", Group::Resources, "16384")
    },
    OptionSpec {
        client: None,
        help: "UDP sockets for each port, with a thread each, to use more than one CPU",
        allowed: "1 to 64",
        ..integer("shards", Group::Resources, "1")
    },
    OptionSpec {
        key: None,
        help: "read options from this JSON file; they override the command line",
        ..text("c", Group::Operation, "FILE", "")
    },
    OptionSpec { help: "no lines about single connections", ..boolean("quiet", Group::Operation) },
    OptionSpec {
        help: "append the log to this file instead of standard error",
        ..text("log", Group::Operation, "FILE", "")
    },
    OptionSpec {
        help: "append the counters to this CSV file; its name is a Go time layout, as in \
               snmp-20060102.log",
        ..text("snmplog", Group::Operation, "FILE", "")
    },
    OptionSpec {
        help: "time between two rows of it",
        allowed: "1 second or more; 0: none",
        ..integer("snmpperiod", Group::Operation, "60")
    },
    OptionSpec {
        kind: Kind::BooleanOrText,
        help: "profiles and counters by HTTP on 127.0.0.1:6060, or on the address given. Not on \
               all addresses like the original: whoever reaches it can read what the program \
               does, and keep it busy",
        allowed: "true, false, host:port, or :port for all addresses",
        ..text("pprof", Group::Operation, "BOOL|ADDRESS", "false")
    },
    OptionSpec {
        help: "status page and metrics by HTTP on this address",
        allowed: "host:port, or :port for all addresses",
        ..text("status", Group::Operation, "ADDRESS", "")
    },
    OptionSpec {
        help: "packets that look like TCP; UDP is used instead, and a peer that runs with --tcp \
               cannot be reached",
        ..boolean("tcp", Group::Accepted)
    },
    OptionSpec {
        key: Some("qpp"),
        help: "quantum permutation pads of kcptun 2024 and later",
        allowed: "false",
        ..boolean("QPP", Group::Accepted)
    },
    OptionSpec {
        key: Some("qpp-count"),
        help: "number of those pads; no effect",
        ..integer("QPPCount", Group::Accepted, "61")
    },
];
