//! Packet nonces from a seed.

use core::fmt;

use crate::datagrams::{Datagrams, MAX_SEGMENTS};
use crate::random::Random;

/// Bytes of a nonce at the front of each protected datagram.
pub const NONCE_LEN: usize = 16;

/// Unpredictable packet nonces, made from a seed.
///
/// The nonce hides equal beginnings of packets behind the constant IV of the ciphers; a receiver
/// never looks at it. kcp-go iterates AES-128 on a random seed (kcp-go 5.6.1, entropy.go,
/// `nonceAES128`); any generator that cannot be predicted is as good.
///
/// Two sources with one seed give the same nonces: seed each from the system's random source.
#[derive(Clone)]
pub struct NonceSource {
    random: Random,
}

impl NonceSource {
    /// A source that is wholly determined by `seed`.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { random: Random::new(seed) }
    }

    /// Writes a fresh nonce into the first `LEN` bytes of each datagram: [`NONCE_LEN`] for all
    /// ciphers but `aes-128-gcm`, which has 12. Shorter datagrams are filled as far as they go.
    pub fn fill<const LEN: usize>(&mut self, mut datagrams: Datagrams<'_>) {
        const { assert!(LEN <= NONCE_LEN, "the longest nonce there is") };
        let mut fresh = [0; NONCE_LEN * MAX_SEGMENTS];
        let mut rest = datagrams.iter_mut();
        while rest.len() > 0 {
            let part = rest.len().min(MAX_SEGMENTS);
            let fresh = &mut fresh[..part * LEN];
            self.random.fill(fresh);
            for (nonce, datagram) in fresh.chunks_exact(LEN).zip(rest.by_ref()) {
                let len = datagram.len().min(LEN);
                datagram[..len].copy_from_slice(&nonce[..len]);
            }
        }
    }
}

impl fmt::Debug for NonceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceSource")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::{format, vec};

    #[test]
    fn every_datagram_gets_a_nonce_of_its_own() {
        let mut source = NonceSource::new([1; 32]);
        let mut seen = BTreeSet::new();
        let mut bytes = vec![0; 20 * 150 + 3];
        for _ in 0..20 {
            let mut datagrams = Datagrams::new(&mut bytes, 20);
            source.fill::<NONCE_LEN>(datagrams.reborrow());
            for datagram in datagrams.iter_mut().take(150) {
                assert_eq!(datagram[16..], [0; 4], "only the nonce is written");
                assert!(seen.insert(datagram[..16].to_vec()));
            }
        }
    }

    #[test]
    fn a_seed_decides_the_nonces_and_is_not_shown() {
        let nonces = |seed| {
            let mut bytes = [0; 64];
            NonceSource::new(seed).fill::<NONCE_LEN>(Datagrams::new(&mut bytes, 16));
            bytes
        };
        assert_eq!(nonces([9; 32]), nonces([9; 32]));
        assert_ne!(nonces([9; 32]), nonces([8; 32]));
        assert_eq!(format!("{:?}", NonceSource::new([9; 32])), "NonceSource");
    }
}
