//! The table of what is measured.

use std::time::Duration;

use crate::functions::Function;
use crate::measure::Work;

/// Every packet protected and coded as most users have it, windows wide enough for loopback.
pub(crate) const FULL: &str = "--mode fast3 --sndwnd 2048 --rcvwnd 2048 --nocomp";
/// The least that a tunnel does for a packet while it still encrypts.
const LEAN: &str = "--mode fast3 --sndwnd 2048 --rcvwnd 2048 --nocomp --crypt aes-128 \
                    --datashard 0 --parityshard 0";
/// Windows that 64 sessions can fill without overflowing a socket's buffer.
const MANY: &str = "--mode fast3 --sndwnd 128 --rcvwnd 128 --nocomp";
/// Windows of about twice what the links hold at 100 ms and 200 ms.
const FITTED_100_MS: &str = "--mode fast3 --sndwnd 1024 --rcvwnd 1024";
const FITTED_200_MS: &str = "--mode fast3 --sndwnd 2048 --rcvwnd 2048";

/// The links: name, text form, flags that fit.
const LINKS: [(&str, &str, &str); 5] = [
    ("100 ms, no loss", "delay=50ms,rate=50mbit", FITTED_100_MS),
    ("100 ms, 1 % loss", "delay=50ms,rate=50mbit,loss=1%", FITTED_100_MS),
    ("100 ms, 10 % loss", "delay=50ms,rate=50mbit,loss=10%", FITTED_100_MS),
    ("100 ms, 30 % loss", "delay=50ms,rate=50mbit,loss=30%", FITTED_100_MS),
    // Bursts of ten datagrams, 4.8 % of all.
    ("200 ms, bursts", "delay=100ms,rate=50mbit,burst=0.5%/10%", FITTED_200_MS),
];
/// The ciphers that the original has, in the order of its help text.
const CIPHERS: [&str; 12] = [
    "aes", "aes-128", "aes-192", "salsa20", "blowfish", "twofish", "cast5", "3des", "tea", "xtea",
    "xor", "sm4",
];
/// Windows of KCP: the default of the original's client, and the widest that there is.
const WINDOWS: [u16; 2] = [128, 65_535];
/// Of the links, `--quick` takes these with default flags, and those with fitted ones.
const QUICK_LINKS: [&[usize]; 2] = [&[2], &[0, 2, 3, 4]];

/// Rows that belong together; `--rows` selects by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Loopback,
    Requests,
    Ping,
    Links,
    Idle,
    Memory,
    Mixed,
    Wrk,
    Shards,
    Ciphers,
    OneByOne,
    Fec,
    Kcp,
    /// Has no rows, but a table of its own.
    Stages,
}

/// Which ends are ours in the column "ours"; the other column is always the peer alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ours {
    Both,
    Client,
    Server,
}

/// One row: a work for two tunnels in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) group: Group,
    pub(crate) name: String,
    pub(crate) flags: &'static str,
    pub(crate) work: Work,
    pub(crate) ours: Ours,
    /// How long to measure.
    pub(crate) time: Duration,
}

impl Group {
    pub(crate) const ALL: [Self; 14] = [
        Self::Loopback,
        Self::Requests,
        Self::Ping,
        Self::Links,
        Self::Idle,
        Self::Memory,
        Self::Mixed,
        Self::Wrk,
        Self::Shards,
        Self::Ciphers,
        Self::OneByOne,
        Self::Fec,
        Self::Kcp,
        Self::Stages,
    ];

    /// What is measured unless flags say otherwise: all that needs no packages besides the peer's
    /// to be of use.
    pub(crate) fn usual() -> Vec<Self> {
        Self::ALL.into_iter().filter(|group| *group != Self::Wrk).collect()
    }

    /// Whether `kcptun-functions` measures it.
    pub(crate) fn is_of_functions(self) -> bool {
        matches!(self, Self::Ciphers | Self::OneByOne | Self::Fec | Self::Kcp)
    }

    /// What stands in the other column, if it is not the peer.
    pub(crate) fn rival(self) -> Option<&'static str> {
        match self {
            Self::Shards => Some("one shard"),
            Self::Ciphers => Some("kcp-go"),
            Self::OneByOne => Some("OpenSSL"),
            Self::Fec => Some("klauspost"),
            Self::Kcp => Some("-"),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Requests => "requests",
            Self::Ping => "ping",
            Self::Links => "links",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::Mixed => "mixed",
            Self::Wrk => "wrk",
            Self::Shards => "shards",
            Self::Ciphers => "ciphers",
            Self::OneByOne => "openssl",
            Self::Fec => "fec",
            Self::Kcp => "kcp",
            Self::Stages => "stages",
        }
    }

    /// What the rows are, for a heading.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Loopback => "bulk on loopback, one TCP connection",
            Self::Requests => "small requests on 8 kept connections",
            Self::Ping => "a 64-byte message each 20 ms, over a direct connection",
            Self::Links => "links of 50 Mbit/s, both directions alike",
            Self::Idle => "idle, 10 streams open, default flags",
            Self::Memory => "most memory under bulk both ways, default flags",
            Self::Mixed => "one end ours, against the peer at both ends",
            Self::Wrk => "requests, wrk and nginx: 8 kept connections",
            Self::Shards => "a server of two shards, 64 sessions, bulk to the client",
            Self::Ciphers => "packets of 1500 bytes, ours in batches, kcp-go's one by one",
            Self::OneByOne => "AES in batches against OpenSSL's CFB, packet by packet",
            Self::Fec => "10+3, full packets, of data; of klauspost's the code alone",
            Self::Kcp => "the machine alone, full segments",
            Self::Stages => "where the processor time goes",
        }
    }
}

/// All rows of the groups, in order. `seconds` is the time of one measurement.
pub(crate) fn cases(groups: &[Group], is_quick: bool, seconds: u32) -> Vec<Case> {
    let mut cases = Vec::new();
    for group in Group::ALL.into_iter().filter(|group| groups.contains(group)) {
        cases.extend(match group {
            Group::Loopback => loopback(is_quick),
            Group::Requests => vec![case(group, "fast3, FEC 10+3", FULL, Work::Requests)],
            Group::Ping => {
                let settings = [("fast3, FEC 10+3", FULL), ("default flags", "")];
                let count = if is_quick { 1 } else { settings.len() };
                let one = |(name, flags)| case(group, name, flags, Work::Ping);
                settings.into_iter().take(count).map(one).collect()
            }
            Group::Links => links(is_quick),
            Group::Idle => vec![case(group, "default flags", "", Work::Idle)],
            Group::Memory => vec![case(group, "default flags", "", Work::Memory)],
            Group::Mixed => mixed(is_quick),
            Group::Wrk => vec![case(group, "fast3, FEC 10+3", FULL, Work::Wrk)],
            Group::Shards => vec![case(group, "fast3, aes, FEC 10+3", MANY, Work::Shards)],
            Group::Ciphers | Group::OneByOne | Group::Fec | Group::Kcp => functions(group),
            Group::Stages => Vec::new(),
        });
    }
    for case in &mut cases {
        case.time = match case.work {
            // Three tries of two directions, and the start of a process.
            Work::Function(_) => Duration::from_millis(250),
            _ => Duration::from_secs(seconds.into()),
        };
        if case.work == Work::Idle {
            // A keepalive is due each 10 s.
            case.time = if is_quick { case.time } else { case.time.max(Duration::from_secs(10)) };
        }
    }
    cases
}

/// How long it takes to run all, about.
pub(crate) fn estimate(cases: &[Case], rounds: u32) -> Duration {
    // Start and end of the processes, and the warm-up.
    let overhead = |case: &Case| match case.work {
        Work::Link { .. } => Duration::from_millis(1900),
        Work::Idle => Duration::from_millis(1300),
        Work::Function(Function::CipherOneByOne(_) | Function::Kcp(_)) => {
            Duration::from_millis(400)
        }
        Work::Function(_) => Duration::ZERO,
        _ => Duration::from_millis(700),
    };
    cases.iter().map(|case| (case.time + overhead(case)) * 2 * rounds).sum()
}

fn case(group: Group, name: &str, flags: &'static str, work: Work) -> Case {
    let (name, time) = (name.into(), Duration::ZERO);
    Case { group, name, flags, work, ours: Ours::Both, time }
}

fn way(is_upload: bool) -> &'static str {
    if is_upload { "up" } else { "down" }
}

fn loopback(is_quick: bool) -> Vec<Case> {
    let settings = [("fast3, aes, FEC 10+3", FULL), ("fast3, aes-128, no FEC", LEAN)];
    let one = |(name, flags): (&str, &'static str), is_upload| {
        let name = format!("{name}, {}", way(is_upload));
        case(Group::Loopback, &name, flags, Work::Loopback { is_upload })
    };
    let both = settings.into_iter().flat_map(|setting| [false, true].map(|up| one(setting, up)));
    both.take(if is_quick { 3 } else { 4 }).collect()
}

fn links(is_quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for is_default in [true, false] {
        for (number, (name, link, fitted)) in LINKS.into_iter().enumerate() {
            if is_quick && !QUICK_LINKS[usize::from(!is_default)].contains(&number) {
                continue;
            }
            let (setting, flags) = if is_default { ("default", "") } else { ("fast3", fitted) };
            for is_upload in if is_quick { &[false][..] } else { &[false, true] } {
                let name = format!("{setting}, {name}, {}", way(*is_upload));
                let work = Work::Link { link: link.into(), is_upload: *is_upload };
                cases.push(case(Group::Links, &name, flags, work));
            }
        }
    }
    cases
}

fn mixed(is_quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (ours, who) in [(Ours::Client, "our client"), (Ours::Server, "our server")] {
        for is_upload in if is_quick { &[false][..] } else { &[false, true] } {
            let name = format!("{who}, loopback, {}", way(*is_upload));
            let work = Work::Loopback { is_upload: *is_upload };
            cases.push(Case { ours, ..case(Group::Mixed, &name, FULL, work) });
        }
        if !is_quick {
            let (name, link, flags) = LINKS[2];
            let name = format!("{who}, {name}, down");
            let work = Work::Link { link: link.into(), is_upload: false };
            cases.push(Case { ours, ..case(Group::Mixed, &name, flags, work) });
        }
    }
    cases
}

fn functions(group: Group) -> Vec<Case> {
    let row = |name: &str, function| case(group, name, "", Work::Function(function));
    match group {
        Group::Ciphers => CIPHERS.map(|name| row(name, Function::Cipher(name))).into(),
        Group::OneByOne => {
            let aes = CIPHERS.into_iter().take(3);
            aes.map(|name| row(name, Function::CipherOneByOne(name))).collect()
        }
        Group::Fec => {
            let kernels = fec_simd::available().map(|kernel| kernel.name());
            kernels.map(|name| row(name, Function::Fec(name))).collect()
        }
        _ => {
            let name = |window| format!("window of {window}");
            WINDOWS.map(|window| row(&name(window), Function::Kcp(window))).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_takes_two_minutes() {
        let cases = cases(&Group::usual(), true, 2);
        let time = estimate(&cases, 1);
        assert!(time <= Duration::from_secs(116), "{time:?}");
        for group in Group::usual().into_iter().filter(|group| *group != Group::Stages) {
            assert!(cases.iter().any(|case| case.group == group), "{group:?}");
        }
    }

    #[test]
    fn names_are_unique_and_links_are_valid() {
        let cases = cases(&Group::ALL, false, 5);
        for (number, case) in cases.iter().enumerate() {
            let same = |other: &&Case| (other.group, &other.name) == (case.group, &case.name);
            assert_eq!(cases[number..].iter().filter(same).count(), 1, "{}", case.name);
            if let Work::Link { link, .. } = &case.work {
                link.parse::<kcptun_link::LinkConfig>().unwrap();
            }
        }
    }
}
