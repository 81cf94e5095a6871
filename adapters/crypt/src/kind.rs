//! Names of the ciphers.

use core::fmt;

use crate::protect::HEADER_LEN;

/// Bytes of the nonce of `aes-128-gcm`, in front.
pub(crate) const GCM_NONCE_LEN: usize = 12;
/// Bytes of its tag, at the end.
pub(crate) const GCM_TAG_LEN: usize = 16;

/// The ciphers of kcptun, by their names on the command line. Those of kcptun 20210922 (Debian's)
/// and one more each of 20230103 and of 2025.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CipherKind {
    /// `aes`: AES-256. The default, and what the original takes for a name it does not know.
    Aes,
    /// `aes-128`.
    Aes128,
    /// `aes-128-gcm`: shows forgeries. Of kcptun 2025 (kcp-go 5.6.49).
    Aes128Gcm,
    /// `aes-192`.
    Aes192,
    /// `salsa20`.
    Salsa20,
    /// `blowfish`.
    Blowfish,
    /// `twofish`.
    Twofish,
    /// `cast5`.
    Cast5,
    /// `3des`.
    TripleDes,
    /// `tea`, with 8 cycles.
    Tea,
    /// `xtea`.
    Xtea,
    /// `xor`.
    Xor,
    /// `sm4`.
    Sm4,
    /// `none`: header with nonce and checksum, no cipher.
    None,
    /// `null`: neither header nor cipher. Of kcptun 20230103.
    Null,
}

impl CipherKind {
    /// Every cipher, in the order of the original's help text.
    pub const ALL: [Self; 15] = [
        Self::Aes,
        Self::Aes128,
        Self::Aes128Gcm,
        Self::Aes192,
        Self::Salsa20,
        Self::Blowfish,
        Self::Twofish,
        Self::Cast5,
        Self::TripleDes,
        Self::Tea,
        Self::Xtea,
        Self::Xor,
        Self::Sm4,
        Self::None,
        Self::Null,
    ];

    /// The cipher of this exact name, if there is one. The original treats every other name as
    /// `aes`; a caller that wants this should say so to its user.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What protection adds to each payload.
    #[must_use]
    pub const fn margins(self) -> Margins {
        match self {
            Self::Null => Margins { front: 0, back: 0 },
            Self::Aes128Gcm => Margins { front: GCM_NONCE_LEN, back: GCM_TAG_LEN },
            _ => Margins { front: HEADER_LEN, back: 0 },
        }
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes => "aes",
            Self::Aes128 => "aes-128",
            Self::Aes128Gcm => "aes-128-gcm",
            Self::Aes192 => "aes-192",
            Self::Salsa20 => "salsa20",
            Self::Blowfish => "blowfish",
            Self::Twofish => "twofish",
            Self::Cast5 => "cast5",
            Self::TripleDes => "3des",
            Self::Tea => "tea",
            Self::Xtea => "xtea",
            Self::Xor => "xor",
            Self::Sm4 => "sm4",
            Self::None => "none",
            Self::Null => "null",
        }
    }
}

/// Bytes that protection adds to each payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Margins {
    /// In front: nonce and checksum ([`HEADER_LEN`]), the nonce of `aes-128-gcm`, or nothing.
    pub front: usize,
    /// Behind: the tag of `aes-128-gcm`, or nothing.
    pub back: usize,
}

impl Margins {
    /// Bytes of a datagram with a payload of `len` bytes.
    #[must_use]
    pub const fn around(self, len: usize) -> usize {
        self.front + len + self.back
    }

    /// Where the payload of a datagram of `len` bytes ends; 0 when it is too short for one.
    #[must_use]
    pub const fn end_of_payload(self, len: usize) -> usize {
        len.saturating_sub(self.back)
    }
}

impl fmt::Display for CipherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
