//! The small types a checked configuration is made of.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The pre-shared secret. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The key that both ends of the original use when none is given (spelled so).
    pub const DEFAULT: &'static str = "it's a secrect";

    pub(crate) fn new(text: OsString) -> Self {
        Self(text.into_encoded_bytes())
    }

    /// The bytes that go into the key derivation.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The packet protection asked for, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypt {
    given: String,
    name: &'static str,
}

impl Crypt {
    /// The names this program knows: those of kcptun 2025.
    pub const NAMES: [&'static str; 15] = [
        "aes",
        "aes-128",
        "aes-128-gcm",
        "aes-192",
        "salsa20",
        "blowfish",
        "twofish",
        "cast5",
        "3des",
        "tea",
        "xtea",
        "xor",
        "sm4",
        "none",
        "null",
    ];

    /// The packet protection called `given`; unknown names mean `aes`, as in the original.
    #[must_use]
    pub fn from_word(given: &str) -> Self {
        let known = Self::NAMES.into_iter().find(|name| *name == given);
        Self { given: given.to_owned(), name: known.unwrap_or("aes") }
    }

    /// The name in effect, one of [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The word as the user gave it, for the start-up lines.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }

    /// Bytes added to each packet: nonce and checksum or tag, or nothing with `null`.
    #[must_use]
    pub fn overhead_bytes(&self) -> u16 {
        match self.name {
            "null" => 0,
            "aes-128-gcm" => 28,
            _ => 20,
        }
    }
}

/// The named compromises between delay and bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 40 ms between looks.
    Normal,
    /// 30 ms between looks: the default.
    Fast,
    /// 20 ms and shorter timeouts.
    Fast2,
    /// 10 ms and shorter timeouts.
    Fast3,
    /// The four values as given with `--nodelay`, `--interval`, `--resend`, `--nc`.
    Manual,
}

impl Mode {
    /// The mode called `word`; `None` for unknown words, which the original reads as manual.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        const WORDS: [(&str, Mode); 5] = [
            ("normal", Mode::Normal),
            ("fast", Mode::Fast),
            ("fast2", Mode::Fast2),
            ("fast3", Mode::Fast3),
            ("manual", Mode::Manual),
        ];
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, mode)| *mode)
    }

    /// The four values of a named mode (kcptun 20210624, `main.go`): nodelay, interval in
    /// milliseconds, resend, nc. `None` for [`Manual`](Self::Manual).
    #[must_use]
    pub fn parameters(self) -> Option<[i64; 4]> {
        match self {
            Self::Normal => Some([0, 40, 2, 1]),
            Self::Fast => Some([0, 30, 2, 1]),
            Self::Fast2 => Some([1, 20, 2, 1]),
            Self::Fast3 => Some([1, 10, 2, 1]),
            Self::Manual => None,
        }
    }
}

/// When KCP sends, acknowledges and resends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Shorter timeouts: 30 ms at least instead of 100, and slower growth.
    pub nodelay: bool,
    /// How long acknowledgements may wait: 10 ms to 5 s.
    pub interval: Duration,
    /// Acknowledgements of later packets after which one is resent; 0: never.
    pub resend: u32,
    /// Whether the congestion window limits sending (`--nc 0`).
    pub congestion_control: bool,
}

/// A forward-error-correction group: both counts at least 1, at most 256 together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FecShape {
    /// Data packets per group.
    pub data: u8,
    /// Parity packets per group.
    pub parity: u8,
}

impl FecShape {
    /// Bytes in front of each packet.
    pub const HEADER_BYTES: u16 = 8;
}

/// The version of the stream protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmuxVersion {
    /// One budget for all streams of a session.
    V1,
    /// A window for each stream.
    V2,
}

impl SmuxVersion {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// The traffic class of outgoing packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dscp(u8);

impl Dscp {
    pub(crate) fn new(value: u8) -> Self {
        Self(value)
    }

    /// The IPv4 type-of-service byte: the value shifted over the two congestion bits.
    #[must_use]
    pub fn ipv4_tos(self) -> u8 {
        self.0 << 2
    }

    /// The IPv6 traffic class: the value as it is, unshifted, as kcp-go 5.6.1 `SetDSCP` sets it.
    #[must_use]
    pub fn ipv6_traffic_class(self) -> u8 {
        self.0
    }
}

/// The file that rows of counters are appended to, by [`SnmpWriter`](crate::snmp_log::SnmpWriter).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnmpLog {
    /// The path as given. Its last part is a Go time layout; the rest is used as it is.
    pub path: PathBuf,
    /// Time between two rows, at least 1 s.
    pub period: Duration,
}

/// The memory of a tunnel that has a fixed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it, in bytes.
    pub bytes: usize,
    /// Whether it is touched at the start and kept from being swapped.
    pub is_locked: bool,
}
