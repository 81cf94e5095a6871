//! AES-256 by tables, the way small processors usually do it. For comparison only: which table
//! entries are in the cache depends on the key, so its timing tells of it.

/// Key schedule and tables. One table of 1 KiB serves all four columns, rotated: small caches like
/// that better than four.
pub(crate) struct TableAes256 {
    keys: [[u32; 4]; ROUNDS + 1],
    mixed: [u32; 256],
    substitution: [u8; 256],
}

const ROUNDS: usize = 14;

impl TableAes256 {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let substitution = substitution();
        let mixed = substitution.map(|s| u32::from_le_bytes([double(s), s, s, double(s) ^ s]));
        Self { keys: schedule(key, &substitution), mixed, substitution }
    }

    /// Encrypts one packet in CFB mode, block after block.
    pub(crate) fn encrypt_cfb(&self, iv: &[u8; 16], packet: &mut [u8]) {
        let mut stream = self.block(iv);
        let (blocks, rest) = packet.as_chunks_mut::<16>();
        for block in blocks {
            block.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
            stream = self.block(block);
        }
        rest.iter_mut().zip(stream).for_each(|(byte, key)| *byte ^= key);
    }

    fn block(&self, block: &[u8; 16]) -> [u8; 16] {
        let mut state = [0; 4];
        for (column, bytes) in state.iter_mut().zip(block.as_chunks::<4>().0) {
            *column = u32::from_le_bytes(*bytes);
        }
        let [first, middle @ .., last] = &self.keys;
        (0..4).for_each(|i| state[i] ^= first[i]);
        for key in middle {
            state = core::array::from_fn(|i| {
                let entry = |row: usize| {
                    let byte = state[(i + row) % 4] >> (8 * row) & 0xff;
                    self.mixed[byte as usize].rotate_left(8 * row as u32)
                };
                entry(0) ^ entry(1) ^ entry(2) ^ entry(3) ^ key[i]
            });
        }
        let mut out = [0; 16];
        for (i, bytes) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let byte = |row: usize| {
                let byte = state[(i + row) % 4] >> (8 * row) & 0xff;
                self.substitution[byte as usize]
            };
            let column = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]) ^ last[i];
            *bytes = column.to_le_bytes();
        }
        out
    }
}

/// FIPS 197, 5.2: key expansion, words as little-endian columns.
fn schedule(key: &[u8; 32], substitution: &[u8; 256]) -> [[u32; 4]; ROUNDS + 1] {
    let mut words = [0; 4 * (ROUNDS + 1)];
    for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let substitute =
        |word: u32| u32::from_le_bytes(word.to_le_bytes().map(|b| substitution[usize::from(b)]));
    let mut constant = 1;
    for i in 8..words.len() {
        let mut word = words[i - 1];
        if i % 8 == 0 {
            word = substitute(word.rotate_right(8)) ^ u32::from(constant);
            constant = double(constant);
        } else if i % 8 == 4 {
            word = substitute(word);
        }
        words[i] = words[i - 8] ^ word;
    }
    core::array::from_fn(|round| core::array::from_fn(|i| words[4 * round + i]))
}

/// FIPS 197, 5.1.1: inverse in GF(2^8), then an affine map.
fn substitution() -> [u8; 256] {
    core::array::from_fn(|byte| {
        // The inverse is the 254th power.
        let mut inverse = 1;
        for _ in 0..254 {
            inverse = multiply(inverse, byte as u8);
        }
        let spread = (1..5).fold(inverse, |sum, turn| sum ^ inverse.rotate_left(turn));
        spread ^ 0x63
    })
}

fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = double(a);
        b >>= 1;
    }
    product
}

fn double(a: u8) -> u8 {
    a << 1 ^ if a & 0x80 == 0 { 0 } else { 0x1b }
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockCipherEncrypt, KeyInit};

    use super::*;

    #[test]
    fn equals_the_crate() {
        for seed in 0..50u8 {
            let key: [u8; 32] = core::array::from_fn(|i| seed.wrapping_mul(31) ^ (i as u8 * 7));
            let block: [u8; 16] = core::array::from_fn(|i| seed.wrapping_add(i as u8 * 13));
            let mut expected = block.into();
            aes::Aes256Enc::new(&key.into()).encrypt_block(&mut expected);
            assert_eq!(TableAes256::new(&key).block(&block), expected.0);
        }
    }
}
