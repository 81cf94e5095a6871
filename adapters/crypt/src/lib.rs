//! Packet protection: ciphers on batches, and the header of nonce and checksum.
//!
//! [`Protection`] is what a tunnel uses. It joins the three parts of the format of kcp-go 5.6.1
//! (sess.go, crypt.go):
//!
//! ```text
//! 0                16        20
//! +----------------+---------+---------------------------+
//! | nonce          | crc32   | payload (FEC or KCP)      |
//! +----------------+---------+---------------------------+
//! |<--------------- ciphered as one unit ---------------->|
//! ```
//!
//! There is one module per cipher family. All work on [batches](Datagrams), in place, and the
//! cipher is chosen once per batch. Block ciphers run in CFB mode with a constant IV; the random
//! nonce in the first block makes that harmless. None of this authenticates a packet: the format
//! has only a CRC, so whoever needs protection against forgery needs it above the tunnel, or
//! [`CipherKind::Aes128Gcm`], which has a format of its own (nonce, ciphertext, tag).
//!
//! ```
//! use kcptun_crypt::{CipherKind, Datagrams, Protection};
//!
//! let kind = CipherKind::from_name("aes-128").unwrap_or(CipherKind::Aes);
//! let mut here = Protection::new(kind, b"it's a secret", [1; 32])?;
//! let mut there = Protection::new(kind, b"it's a secret", [2; 32])?;
//!
//! let mut packet = [0; 20 + 5];
//! packet[here.margins().front..].copy_from_slice(b"hello");
//! here.seal(Datagrams::single(&mut packet));
//! for payload in there.open(Datagrams::single(&mut packet)) {
//!     assert_eq!(payload?, b"hello");
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! No socket, clock or random source is touched: the seed of the nonces comes in as an argument.
//! It is a crate of its own because it is most of what a packet costs: builds for routers, small in
//! all else, compile this for speed.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(any(feature = "aes", feature = "aes-128", feature = "aes-192"))]
mod aes;
#[cfg(feature = "aes-128-gcm")]
mod aes_gcm;
#[cfg(feature = "blowfish")]
mod blowfish;
#[cfg(feature = "cast5")]
mod cast5;
#[allow(dead_code, reason = "unused without block ciphers")]
mod cfb;
mod checksum;
mod datagrams;
mod key;
mod kind;
mod nonce;
mod protect;
mod random;
#[cfg(feature = "salsa20")]
mod salsa20;
#[allow(dead_code, unused, reason = "unused without block ciphers")]
mod side_by_side;
#[cfg(feature = "sm4")]
mod sm4;
#[cfg(any(feature = "tea", feature = "xtea"))]
#[allow(dead_code, reason = "one of the two may be left out")]
mod tea;
#[cfg(feature = "des")]
mod triple_des;
#[cfg(feature = "twofish")]
mod twofish;
#[cfg(feature = "xor")]
mod xor;

#[allow(unused_imports, reason = "unused without block ciphers")]
use alloc::boxed::Box;
use core::fmt;

pub use self::datagrams::{Datagrams, MAX_DATAGRAM_LEN, MAX_SEGMENTS};
pub use self::key::TunnelKey;
pub use self::kind::{CipherKind, Margins};
pub use self::nonce::{NONCE_LEN, NonceSource};
pub use self::protect::{CHECKSUM_LEN, HEADER_LEN, OpenError, Opened, Protection};
pub use self::random::Random;

/// A keyed cipher of kcptun, for batches in both directions.
///
/// It holds no state besides the key, so one value can serve all connections of a thread. Clones
/// are cheap compared with deriving the key.
#[derive(Clone)]
pub struct PacketCipher {
    kind: CipherKind,
    family: Family,
}

/// Every cipher with its key schedule. Boxed, because some schedules are kilobytes.
#[derive(Clone)]
enum Family {
    #[cfg(feature = "aes")]
    Aes256(Box<aes::Aes256>),
    #[cfg(feature = "aes-192")]
    Aes192(Box<aes::Aes192>),
    #[cfg(feature = "aes-128")]
    Aes128(Box<aes::Aes128>),
    #[cfg(feature = "aes-128-gcm")]
    Aes128Gcm(Box<aes_gcm::Aes128Gcm>),
    #[cfg(feature = "blowfish")]
    Blowfish(Box<blowfish::Blowfish>),
    #[cfg(feature = "twofish")]
    Twofish(Box<twofish::Twofish>),
    #[cfg(feature = "cast5")]
    Cast5(Box<cast5::Cast5>),
    #[cfg(feature = "des")]
    TripleDes(Box<triple_des::TripleDes>),
    #[cfg(feature = "sm4")]
    Sm4(Box<sm4::Sm4>),
    #[cfg(feature = "tea")]
    Tea(Box<tea::Tea>),
    #[cfg(feature = "xtea")]
    Xtea(Box<tea::Xtea>),
    #[cfg(feature = "salsa20")]
    Salsa20(salsa20::Salsa20),
    #[cfg(feature = "xor")]
    Xor(xor::Xor),
    Clear,
}

/// Calls the method `$direction` (`encrypt` or `decrypt`) of the cipher, whichever it is; those with
/// one direction have `apply` for both.
macro_rules! dispatch {
    ($family:expr, $direction:ident, $datagrams:expr) => {
        match $family {
            #[cfg(feature = "aes")]
            Family::Aes256(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "aes-192")]
            Family::Aes192(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "aes-128")]
            Family::Aes128(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "aes-128-gcm")]
            Family::Aes128Gcm(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "blowfish")]
            Family::Blowfish(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "twofish")]
            Family::Twofish(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "cast5")]
            Family::Cast5(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "des")]
            Family::TripleDes(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "sm4")]
            Family::Sm4(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "tea")]
            Family::Tea(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "xtea")]
            Family::Xtea(cipher) => cipher.$direction($datagrams),
            #[cfg(feature = "salsa20")]
            Family::Salsa20(cipher) => cipher.apply($datagrams),
            #[cfg(feature = "xor")]
            Family::Xor(cipher) => cipher.apply($datagrams),
            Family::Clear => _ = $datagrams,
        }
    };
}

impl PacketCipher {
    /// The cipher `kind`, keyed from the bytes of `--key`. Takes milliseconds, see [`TunnelKey`].
    ///
    /// # Errors
    /// [`CipherUnavailable`] when the cipher's feature was not compiled in.
    pub fn new(kind: CipherKind, password: &[u8]) -> Result<Self, CipherUnavailable> {
        Self::from_key(kind, &TunnelKey::derive(password))
    }

    /// The cipher `kind` with a derived key.
    ///
    /// # Errors
    /// [`CipherUnavailable`] when the cipher's feature was not compiled in.
    #[cfg_attr(not(feature = "all-ciphers"), allow(unused_variables))]
    pub fn from_key(kind: CipherKind, key: &TunnelKey) -> Result<Self, CipherUnavailable> {
        let key = key.as_bytes();
        let family = match kind {
            #[cfg(feature = "aes")]
            CipherKind::Aes => Family::Aes256(Box::new(aes::aes_256(key))),
            #[cfg(feature = "aes-192")]
            CipherKind::Aes192 => Family::Aes192(Box::new(aes::aes_192(key))),
            #[cfg(feature = "aes-128")]
            CipherKind::Aes128 => Family::Aes128(Box::new(aes::aes_128(key))),
            #[cfg(feature = "aes-128-gcm")]
            CipherKind::Aes128Gcm => Family::Aes128Gcm(Box::new(aes_gcm::Aes128Gcm::new(key))),
            #[cfg(feature = "blowfish")]
            CipherKind::Blowfish => Family::Blowfish(Box::new(blowfish::blowfish(key))),
            #[cfg(feature = "twofish")]
            CipherKind::Twofish => Family::Twofish(Box::new(twofish::twofish(key))),
            #[cfg(feature = "cast5")]
            CipherKind::Cast5 => Family::Cast5(Box::new(cast5::cast5(key))),
            #[cfg(feature = "des")]
            CipherKind::TripleDes => Family::TripleDes(Box::new(triple_des::triple_des(key))),
            #[cfg(feature = "sm4")]
            CipherKind::Sm4 => Family::Sm4(Box::new(sm4::sm4(key))),
            #[cfg(feature = "tea")]
            CipherKind::Tea => Family::Tea(Box::new(tea::tea(key))),
            #[cfg(feature = "xtea")]
            CipherKind::Xtea => Family::Xtea(Box::new(tea::xtea(key))),
            #[cfg(feature = "salsa20")]
            CipherKind::Salsa20 => Family::Salsa20(salsa20::Salsa20::new(key)),
            #[cfg(feature = "xor")]
            CipherKind::Xor => Family::Xor(xor::Xor::new(key)),
            CipherKind::None | CipherKind::Null => Family::Clear,
            #[allow(unreachable_patterns, reason = "reached when a cipher feature is off")]
            _ => return Err(CipherUnavailable { kind }),
        };
        Ok(Self { kind, family })
    }

    /// Encrypts each datagram in place, header included; lengths do not change. With
    /// [`CipherKind::Aes128Gcm`] that is all between the nonce and the room for the tag, which is
    /// written too.
    pub fn encrypt(&self, datagrams: Datagrams<'_>) {
        dispatch!(&self.family, encrypt, datagrams);
    }

    /// Undoes [`encrypt`](Self::encrypt). Any bytes can be decrypted; only the checksum tells
    /// whether they made sense. With [`CipherKind::Aes128Gcm`], datagrams whose tag does not fit
    /// stay as they are. [`Protection::open`] tells which are good.
    pub fn decrypt(&self, datagrams: Datagrams<'_>) {
        dispatch!(&self.family, decrypt, datagrams);
    }

    /// Decrypts a datagram with a tag, and yields its payload.
    #[cfg(feature = "aes-128-gcm")]
    fn open_tagged<'a>(&self, datagram: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        match &self.family {
            Family::Aes128Gcm(cipher) => cipher.open(datagram),
            _ => Ok(datagram),
        }
    }

    /// Which cipher this is.
    #[must_use]
    pub fn kind(&self) -> CipherKind {
        self.kind
    }

    /// Bytes that protection adds to each payload, in front and behind.
    #[must_use]
    pub fn overhead(&self) -> usize {
        self.kind.margins().around(0)
    }
}

impl fmt::Debug for PacketCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacketCipher").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// This build has no such cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CipherUnavailable {
    /// The cipher that was asked for.
    pub kind: CipherKind,
}

impl fmt::Display for CipherUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cipher {} is not in this build: choose another, or enable its feature",
            self.kind
        )
    }
}

impl core::error::Error for CipherUnavailable {}

/// The first bytes of the tunnel key, as the key of a cipher with shorter keys.
#[allow(dead_code, reason = "unused when every cipher feature is off")]
fn head<N: cipher::array::ArraySize>(key: &[u8; 32]) -> cipher::array::Array<u8, N> {
    cipher::array::Array::from_fn(|i| key.get(i).copied().unwrap_or_default())
}
