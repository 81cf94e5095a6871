//! Salsa20/20 with a 256-bit key.

use cipher::{KeyIvInit, StreamCipher};
use salsa20::Salsa20 as Stream;

use crate::batch::Datagrams;

/// The first 8 datagram bytes, half of the packet nonce, are the nonce of the stream and stay
/// clear; the rest is xored with the stream (kcp-go 5.6.1, crypt.go, `salsa20BlockCrypt`).
#[derive(Clone)]
pub(super) struct Salsa20 {
    key: [u8; 32],
}

impl Salsa20 {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { key: *key }
    }

    /// Encrypts or decrypts each datagram in place. Datagrams of 8 bytes or less stay as they are.
    pub(super) fn apply(&self, datagrams: Datagrams<'_>) {
        for datagram in datagrams {
            let Some((nonce, rest)) = datagram.split_first_chunk_mut::<8>() else { continue };
            let mut stream = Stream::new((&self.key).into(), (&*nonce).into());
            stream.apply_keystream(rest);
        }
    }
}
