//! The protected datagram: nonce, checksum and cipher in one.

use core::fmt;
use core::slice::ChunksMut;

use crate::checksum::checksum;
use crate::datagrams::Datagrams;
use crate::kind::Margins;
use crate::nonce::{NONCE_LEN, NonceSource};
use crate::{CipherKind, CipherUnavailable, PacketCipher};

/// Bytes of the checksum behind the nonce.
pub const CHECKSUM_LEN: usize = 4;

/// Bytes in front of each payload: nonce and checksum. `null` and `aes-128-gcm` have others:
/// [`CipherKind::margins`].
pub const HEADER_LEN: usize = NONCE_LEN + CHECKSUM_LEN;

/// Seals outgoing batches and opens incoming ones, in place.
///
/// The checksum is CRC-32/IEEE of the payload, little-endian (kcp-go 5.6.1, sess.go,
/// `postProcess` and `packetInput`). With [`CipherKind::Null`] datagrams pass as they are, and with
/// [`CipherKind::Aes128Gcm`] the tag behind the payload stands for the checksum.
#[derive(Clone, Debug)]
pub struct Protection {
    cipher: PacketCipher,
    nonces: NonceSource,
}

impl Protection {
    /// Protection with `kind`, keyed from the bytes of `--key`. `nonce_seed` must come from the
    /// system's random source and serve no one else.
    ///
    /// # Errors
    /// [`CipherUnavailable`] when the cipher's feature was not compiled in.
    pub fn new(
        kind: CipherKind,
        password: &[u8],
        nonce_seed: [u8; 32],
    ) -> Result<Self, CipherUnavailable> {
        Ok(Self::with(PacketCipher::new(kind, password)?, NonceSource::new(nonce_seed)))
    }

    /// Protection from its parts.
    #[must_use]
    pub fn with(cipher: PacketCipher, nonces: NonceSource) -> Self {
        Self { cipher, nonces }
    }

    /// Seals each datagram: writes nonce, checksum or tag into its [margins](Self::margins) and
    /// encrypts it. The payload stands between them already.
    ///
    /// A datagram shorter than that has no payload to protect, and no receiver takes it.
    pub fn seal(&mut self, mut datagrams: Datagrams<'_>) {
        match self.cipher.kind() {
            CipherKind::Null => return,
            #[cfg(feature = "aes-128-gcm")]
            CipherKind::Aes128Gcm => {
                self.nonces.fill::<{ crate::kind::GCM_NONCE_LEN }>(datagrams.reborrow());
            }
            _ => {
                self.nonces.fill::<NONCE_LEN>(datagrams.reborrow());
                for datagram in datagrams.iter_mut() {
                    if let Some((header, payload)) = datagram.split_first_chunk_mut::<HEADER_LEN>()
                    {
                        header[NONCE_LEN..].copy_from_slice(&checksum(payload).to_le_bytes());
                    }
                }
            }
        }
        self.cipher.encrypt(datagrams);
    }

    /// Decrypts the datagrams and yields the payload of each, or what is wrong with it. A datagram
    /// that fails is to be counted and dropped, without an answer.
    ///
    /// All are decrypted by this call, and checked one by one by the iterator; `aes-128-gcm` does
    /// both in the iterator.
    pub fn open<'a>(&'a self, mut datagrams: Datagrams<'a>) -> Opened<'a> {
        if self.cipher.kind() != CipherKind::Aes128Gcm {
            self.cipher.decrypt(datagrams.reborrow());
        }
        Opened { datagrams: datagrams.into_iter(), cipher: &self.cipher }
    }

    /// Bytes to leave free around each payload.
    #[must_use]
    pub fn margins(&self) -> Margins {
        self.cipher.kind().margins()
    }

    /// The cipher.
    #[must_use]
    pub fn cipher(&self) -> &PacketCipher {
        &self.cipher
    }
}

/// Payloads of opened datagrams, in order; see [`Protection::open`].
#[derive(Debug)]
pub struct Opened<'a> {
    datagrams: ChunksMut<'a, u8>,
    cipher: &'a PacketCipher,
}

impl<'a> Iterator for Opened<'a> {
    type Item = Result<&'a mut [u8], OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        let datagram = self.datagrams.next()?;
        Some(match self.cipher.kind() {
            CipherKind::Null => Ok(datagram),
            #[cfg(feature = "aes-128-gcm")]
            CipherKind::Aes128Gcm => self.cipher.open_tagged(datagram),
            _ => check(datagram),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.datagrams.size_hint()
    }
}

impl ExactSizeIterator for Opened<'_> {}

/// Splits the header off a decrypted datagram and compares the checksum.
fn check(datagram: &mut [u8]) -> Result<&mut [u8], OpenError> {
    let (header, payload) =
        datagram.split_first_chunk_mut::<HEADER_LEN>().ok_or(OpenError::TooShort)?;
    if header[NONCE_LEN..] != checksum(payload).to_le_bytes() {
        return Err(OpenError::Checksum);
    }
    Ok(payload)
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// Fewer bytes than protection adds. kcp-go ignores these without counting.
    TooShort,
    /// The checksum or the tag does not fit. kcp-go counts these as `InCsumErrors`.
    Checksum,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "datagram shorter than its header: not from a tunnel peer",
            Self::Checksum => {
                "datagram checksum differs: compare key and crypt on both ends, if all datagrams do"
            }
        })
    }
}

impl core::error::Error for OpenError {}
