//! Blowfish with a 256-bit key.

use blowfish::Blowfish as Cipher;
use cipher::KeyInit;

use crate::cfb::Cfb;

pub(crate) type Blowfish = Cfb<Cipher>;

/// `blowfish`: all 32 key bytes.
pub(crate) fn blowfish(key: &[u8; 32]) -> Blowfish {
    // The crate's fixed-size key is 56 bytes; a slice may have any legal length, and 32 is one.
    let cipher = Cipher::new_from_slice(key).expect("Blowfish takes keys of 4 to 56 bytes");
    Cfb::new(cipher)
}
