//! Block ciphers of ours, written for several blocks side by side.
//!
//! A cipher works on arrays of words, one element per block. Where the steps are plain arithmetic
//! the compiler turns the arrays into vectors; where they are table lookups, the independent
//! chains at least keep the machine busy while one of them waits for memory.

use cipher::array::{Array, ArraySize};

/// A block of `W` 32-bit words, and its encryption for any number of blocks.
pub(crate) trait SideBySide<const W: usize> {
    /// The word that four bytes of a block stand for.
    fn load(word: [u8; 4]) -> u32;

    /// The inverse of [`load`](Self::load).
    fn store(word: u32) -> [u8; 4];

    /// Encrypts N blocks: `words[w][i]` is word w of block i.
    fn encrypt<const N: usize>(&self, words: &mut [[u32; N]; W]);
}

/// Takes N blocks apart, encrypts them and puts them together again.
#[inline(always)]
pub(crate) fn encrypt<C: SideBySide<W>, S: ArraySize, const W: usize, const N: usize>(
    cipher: &C,
    input: &[Array<u8, S>; N],
    output: &mut [Array<u8, S>; N],
) {
    let mut words = [[0; N]; W];
    for (i, block) in input.iter().enumerate() {
        for (words, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            words[i] = C::load(*bytes);
        }
    }
    cipher.encrypt(&mut words);
    for (i, block) in output.iter_mut().enumerate() {
        for (words, bytes) in words.iter().zip(block.as_chunks_mut::<4>().0) {
            *bytes = C::store(words[i]);
        }
    }
}

/// Makes `$name`, which is `SideBySide<$words>`, a block cipher with `$size` bytes per block that
/// takes `$parallel` blocks at once.
macro_rules! side_by_side_cipher {
    ($name:ty, $size:ty, $parallel:ty, $words:literal) => {
        impl cipher::BlockSizeUser for $name {
            type BlockSize = $size;
        }

        impl cipher::ParBlocksSizeUser for $name {
            type ParBlocksSize = $parallel;
        }

        impl cipher::BlockCipherEncrypt for $name {
            fn encrypt_with_backend(
                &self,
                f: impl cipher::BlockCipherEncClosure<BlockSize = $size>,
            ) {
                f.call(self);
            }
        }

        impl cipher::BlockCipherEncBackend for $name {
            #[inline(always)]
            fn encrypt_block(&self, mut block: cipher::inout::InOut<'_, '_, cipher::Block<Self>>) {
                let input = [block.clone_in()];
                let output = core::array::from_mut(block.get_out());
                $crate::side_by_side::encrypt::<_, _, $words, 1>(self, &input, output);
            }

            #[inline(always)]
            fn encrypt_par_blocks(
                &self,
                mut blocks: cipher::inout::InOut<'_, '_, cipher::ParBlocks<Self>>,
            ) {
                let input = blocks.clone_in();
                let output = &mut blocks.get_out().0;
                $crate::side_by_side::encrypt::<_, _, $words, _>(self, &input.0, output);
            }
        }
    };
}

pub(crate) use side_by_side_cipher;
