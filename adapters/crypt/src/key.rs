//! From the shared secret to cipher keys.

use core::fmt;

use sha1::Sha1;

/// Salt of kcptun (kcptun 20230103, client/main.go, `SALT`).
const SALT: &[u8] = b"kcp-go";

/// Rounds of PBKDF2 (kcptun 20230103, client/main.go).
const ROUNDS: u32 = 4096;

/// The 32 bytes that all cipher keys are cut from: PBKDF2-HMAC-SHA1 of the shared secret, 4096
/// rounds, salt `kcp-go`.
///
/// Making one takes milliseconds, by design; make it once and build ciphers from it with
/// [`PacketCipher::from_key`](crate::PacketCipher::from_key).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TunnelKey([u8; 32]);

impl TunnelKey {
    /// Derives the key from the bytes of `--key`.
    #[must_use]
    pub fn derive(password: &[u8]) -> Self {
        Self(pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(password, SALT, ROUNDS))
    }

    /// The key bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TunnelKey {
    /// Takes bytes that were derived already.
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for TunnelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TunnelKey(..)")
    }
}
