//! AES with 256, 192 or 128-bit keys. AES-256 is the default of kcptun.
//!
//! With the AES instructions of the processor, where it has them. Elsewhere bitsliced: two or four
//! blocks at once, which are those of several datagrams, since CFB encryption is serial within one.
//! Tables would take a third fewer instructions on a 32-bit MIPS core, but which of their entries
//! are in the cache depends on the key; `salsa20` is the fast choice there. Counts:
//! `tests/cost/README.md`.

use cipher::KeyInit;

use crate::cfb::Cfb;
use crate::head;

#[cfg(feature = "aes-128")]
pub(crate) type Aes128 = Cfb<aes::Aes128Enc>;
#[cfg(feature = "aes-192")]
pub(crate) type Aes192 = Cfb<aes::Aes192Enc>;
#[cfg(feature = "aes")]
pub(crate) type Aes256 = Cfb<aes::Aes256Enc>;

/// `aes-128`: the first 16 key bytes.
#[cfg(feature = "aes-128")]
pub(crate) fn aes_128(key: &[u8; 32]) -> Aes128 {
    Cfb::new(aes::Aes128Enc::new(&head(key)))
}

/// `aes-192`: the first 24 key bytes.
#[cfg(feature = "aes-192")]
pub(crate) fn aes_192(key: &[u8; 32]) -> Aes192 {
    Cfb::new(aes::Aes192Enc::new(&head(key)))
}

/// `aes`: all 32 key bytes.
#[cfg(feature = "aes")]
pub(crate) fn aes_256(key: &[u8; 32]) -> Aes256 {
    Cfb::new(aes::Aes256Enc::new(&head(key)))
}
