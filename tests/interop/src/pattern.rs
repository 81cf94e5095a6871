//! Bytes that both ends of a transfer can make from a seed.

const BLOCK: usize = 4096;

/// An endless stream of bytes: blocks of noise, which do not compress, and blocks of a repeated
/// word, which do, in random order. So compression meets both, and a lost, doubled or swapped
/// piece shows as a difference.
#[derive(Debug)]
pub struct Pattern {
    seed: u64,
    block: [u8; BLOCK],
    position: u64,
}

impl Pattern {
    /// The stream of this seed, from its beginning.
    pub fn new(seed: u64) -> Self {
        Self { seed, block: [0; BLOCK], position: 0 }
    }

    /// Bytes made so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Writes the next bytes of the stream.
    pub fn fill(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            let at = (self.position % BLOCK as u64) as usize;
            if at == 0 {
                self.make_block();
            }
            let len = out.len().min(BLOCK - at);
            let (head, rest) = out.split_at_mut(len);
            head.copy_from_slice(&self.block[at..at + len]);
            self.position += len as u64;
            out = rest;
        }
    }

    /// Compares `bytes` with the next bytes of the stream.
    ///
    /// # Errors
    ///
    /// The offset in the stream of the first byte that differs.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), u64> {
        let mut expected = [0; BLOCK];
        for piece in bytes.chunks(BLOCK) {
            let start = self.position;
            let expected = &mut expected[..piece.len()];
            self.fill(expected);
            if piece != expected {
                let differing = piece.iter().zip(expected.iter()).position(|(a, b)| a != b);
                return Err(start + differing.unwrap_or(0) as u64);
            }
        }
        Ok(())
    }

    fn make_block(&mut self) {
        let mut state =
            self.seed ^ (self.position / BLOCK as u64).wrapping_mul(0x9fb2_1c65_1e98_df25);
        let is_noise = mix(&mut state) & 1 == 0;
        let word = mix(&mut state);
        for chunk in self.block.chunks_exact_mut(8) {
            let value = if is_noise { mix(&mut state) } else { word };
            chunk.copy_from_slice(&value.to_le_bytes());
        }
    }
}

/// One step of SplitMix64.
pub(crate) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_stream_and_a_change_is_found() {
        let mut whole = vec![0; 50_000];
        Pattern::new(9).fill(&mut whole);
        let mut checker = Pattern::new(9);
        for piece in whole.chunks(777) {
            assert_eq!(checker.check(piece), Ok(()));
        }
        for at in [0, 4095, 4096, 33_333, 49_999] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(Pattern::new(9).check(&damaged), Err(at as u64));
        }
        assert!(Pattern::new(10).check(&whole).is_err());
    }
}
