//! The `xor` cipher: a table as long as the longest datagram.

use alloc::vec;
use alloc::vec::Vec;

use sha1::Sha1;

use crate::datagrams::{Datagrams, MAX_DATAGRAM_LEN};

/// Salt and rounds of the table (kcp-go 5.6.1, crypt.go, `NewSimpleXORBlockCrypt`).
const SALT: &[u8] = b"sH3CIVoF#rWLtJo6";
const ROUNDS: u32 = 32;

/// Byte i of a datagram is xored with byte i of the table.
#[derive(Clone)]
pub(crate) struct Xor {
    table: Vec<u8>,
}

impl Xor {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut table = vec![0; MAX_DATAGRAM_LEN];
        pbkdf2::pbkdf2_hmac::<Sha1>(key, SALT, ROUNDS, &mut table);
        Self { table }
    }

    /// Encrypts or decrypts each datagram in place. Bytes behind [`MAX_DATAGRAM_LEN`] stay as they
    /// are: no datagram of kcptun has them.
    pub(crate) fn apply(&self, datagrams: Datagrams<'_>) {
        for datagram in datagrams {
            for (byte, key) in datagram.iter_mut().zip(&self.table) {
                *byte ^= key;
            }
        }
    }
}
