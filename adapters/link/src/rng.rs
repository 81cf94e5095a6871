//! The link's own small random generator.

/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, passes BigCrush, one multiply chain
/// per draw. Its weakness, the small state, does not matter for choosing which datagram to lose.
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// A generator for one purpose of one link. Each effect draws from its own generator, so
    /// that switching jitter on does not change which datagrams are lost under the same seed.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut mixed = Self { state: seed ^ purpose.wrapping_mul(0xd6e8_feb8_6659_fd93) };
        Self { state: mixed.next() }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; `bound` 0 gives 0. Multiply-shift: the bias is below 2⁻³² for
    /// bounds below 2³², and costs no division.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True with the given chance.
    pub(crate) fn happens(&mut self, chance: Chance) -> bool {
        // Certain outcomes draw nothing, so that an effect left out costs nothing.
        match chance.0 {
            0 => false,
            threshold => u128::from(self.next()) < threshold,
        }
    }
}

/// A probability as a threshold for a 64-bit draw; 2⁶⁴ is "always".
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance(u128);

impl Chance {
    /// `probability` must have been checked to lie in 0..=1.
    pub(crate) fn new(probability: f64) -> Self {
        const ONE: f64 = 18_446_744_073_709_551_616.0; // 2^64
        Self((probability * ONE) as u128)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_and_impossible_are_exact() {
        let mut rng = Rng::new(1, 2);
        assert!((0..10_000).all(|_| rng.happens(Chance::new(1.0))));
        assert!((0..10_000).all(|_| !rng.happens(Chance::new(0.0))));
    }

    #[test]
    fn below_is_even() {
        let mut rng = Rng::new(7, 0);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[rng.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (9_500..10_500).contains(c)), "{counts:?}");
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn purposes_differ() {
        let draws: Vec<u64> = (0..8).map(|purpose| Rng::new(3, purpose).next()).collect();
        let mut unique = draws.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), draws.len());
    }
}
