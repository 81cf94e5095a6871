//! `aes-128-gcm`: the only protection of kcptun that shows forgeries (kcp-go 5.6.49 and later).
//!
//! ```text
//! 0            12                         n-16      n
//! +------------+--------------------------+---------+
//! | nonce      | ciphertext               | tag     |
//! +------------+--------------------------+---------+
//! ```
//!
//! No associated data. Nonces are random, so a key should protect no more than some 2^32 packets
//! (NIST SP 800-38D §8.3).

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes128Gcm as Gcm, KeyInit};

use crate::datagrams::Datagrams;
use crate::head;
use crate::kind::{GCM_NONCE_LEN, GCM_TAG_LEN};
use crate::protect::OpenError;

/// AES-128 in Galois/counter mode.
#[derive(Clone)]
pub(crate) struct Aes128Gcm(Gcm);

impl Aes128Gcm {
    /// The first 16 key bytes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Gcm::new(&head(key)))
    }

    /// Encrypts what stands between nonce and tag of each datagram, and writes the tag. A datagram
    /// too short for both stays as it is.
    pub(crate) fn encrypt(&self, mut datagrams: Datagrams<'_>) {
        for datagram in datagrams.iter_mut() {
            let Ok((nonce, payload, tag)) = split(datagram) else { continue };
            // It fails only for payloads of 64 GiB.
            if let Ok(made) = self.0.encrypt_inout_detached(nonce.into(), b"", payload.into()) {
                *tag = made.into();
            }
        }
    }

    /// Decrypts the datagrams whose tag fits; the others stay as they are.
    pub(crate) fn decrypt(&self, mut datagrams: Datagrams<'_>) {
        for datagram in datagrams.iter_mut() {
            let _ = self.open(datagram);
        }
    }

    /// Decrypts a datagram and yields its payload. One that fails stays as it is.
    pub(crate) fn open<'a>(&self, datagram: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let (nonce, payload, tag) = split(datagram)?;
        let tag: &Tag = tag;
        let opened = self.0.decrypt_inout_detached(
            nonce.into(),
            b"",
            InOutBuf::from(&mut *payload),
            tag.into(),
        );
        opened.map_err(|_| OpenError::Checksum)?;
        Ok(payload)
    }
}

type Parts<'a> = (&'a Nonce, &'a mut [u8], &'a mut Tag);
type Nonce = [u8; GCM_NONCE_LEN];
type Tag = [u8; GCM_TAG_LEN];

/// Nonce, payload and tag of a datagram.
fn split(datagram: &mut [u8]) -> Result<Parts<'_>, OpenError> {
    let (nonce, rest) = datagram.split_first_chunk_mut().ok_or(OpenError::TooShort)?;
    let (payload, tag) = rest.split_last_chunk_mut().ok_or(OpenError::TooShort)?;
    Ok((nonce, payload, tag))
}
