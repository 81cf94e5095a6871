//! Unpredictable numbers from a seed.

use core::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Numbers that nobody can predict who does not know the seed: ChaCha with 8 rounds, which needs no
/// table and no key schedule.
///
/// ```
/// use kcptun_crypt::Random;
///
/// let (mut one, mut same) = (Random::new([7; 32]), Random::new([7; 32]));
/// assert_eq!(one.next_u64(), same.next_u64());
/// assert_eq!(one.next_seed(), same.next_seed());
/// ```
#[derive(Clone)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// A source that is wholly determined by `seed`, which should come from the system's random
    /// source and serve no one else.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Fills `bytes`.
    // One copy of the cipher in a small program, not one for each caller.
    #[inline(never)]
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// The next 32 bits.
    pub fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.next())
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.next())
    }

    /// The seed of another source.
    pub fn next_seed(&mut self) -> [u8; 32] {
        self.next()
    }

    fn next<const LEN: usize>(&mut self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        self.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
