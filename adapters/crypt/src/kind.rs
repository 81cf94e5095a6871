//! Names of the ciphers.

use core::fmt;

/// The ciphers of kcptun 20230103, by their names on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CipherKind {
    /// `aes`: AES-256. The default, and what the original takes for a name it does not know.
    Aes,
    /// `aes-128`.
    Aes128,
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
    /// `null`: neither header nor cipher.
    Null,
}

impl CipherKind {
    /// Every cipher, in the order of the original's help text.
    pub const ALL: [Self; 14] = [
        Self::Aes,
        Self::Aes128,
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

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes => "aes",
            Self::Aes128 => "aes-128",
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

impl fmt::Display for CipherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
