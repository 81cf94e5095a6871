//! TEA and XTEA, written for lanes: both are shifts and adds with a key schedule that does not
//! depend on the data, so blocks side by side become vector instructions on any machine that has
//! them. 32 blocks at once: with 16 the compiler unrolled the loops and no longer saw the vectors,
//! which measured less than half as fast.

use cipher::consts::{U8, U32};

use crate::cfb::Cfb;
use crate::side_by_side::{SideBySide, side_by_side_cipher};

pub(crate) type Tea = Cfb<TeaBlock>;
pub(crate) type Xtea = Cfb<XteaBlock>;

const DELTA: u32 = 0x9e37_79b9;

/// kcptun asks for 16 rounds in the words of Go (kcp-go 5.6.1, crypt.go, `NewTEABlockCrypt`),
/// where a round updates one half of the block: 8 cycles, a quarter of the usual 32.
const TEA_CYCLES: usize = 8;

const XTEA_CYCLES: usize = 32;

/// `tea`: the first 16 key bytes.
pub(crate) fn tea(key: &[u8; 32]) -> Tea {
    Cfb::new(TeaBlock::new(key))
}

/// `xtea`: the first 16 key bytes.
pub(crate) fn xtea(key: &[u8; 32]) -> Xtea {
    Cfb::new(XteaBlock::new(key))
}

/// The TEA block cipher with 8 cycles, big-endian words.
#[derive(Clone)]
pub(crate) struct TeaBlock {
    key: [u32; 4],
}

impl TeaBlock {
    fn new(key: &[u8; 32]) -> Self {
        Self { key: key_words(key) }
    }
}

impl SideBySide<2> for TeaBlock {
    #[inline(always)]
    fn load(word: [u8; 4]) -> u32 {
        u32::from_be_bytes(word)
    }

    #[inline(always)]
    fn store(word: u32) -> [u8; 4] {
        word.to_be_bytes()
    }

    #[inline(always)]
    fn encrypt<const N: usize>(&self, [left, right]: &mut [[u32; N]; 2]) {
        let [k0, k1, k2, k3] = self.key;
        let mut sum = 0u32;
        for _ in 0..TEA_CYCLES {
            sum = sum.wrapping_add(DELTA);
            for i in 0..N {
                left[i] = left[i].wrapping_add(tea_mix(right[i], k0, k1, sum));
            }
            for i in 0..N {
                right[i] = right[i].wrapping_add(tea_mix(left[i], k2, k3, sum));
            }
        }
    }
}

#[inline(always)]
fn tea_mix(v: u32, a: u32, b: u32, sum: u32) -> u32 {
    (v << 4).wrapping_add(a) ^ v.wrapping_add(sum) ^ (v >> 5).wrapping_add(b)
}

/// The XTEA block cipher with 32 cycles, big-endian words.
#[derive(Clone)]
pub(crate) struct XteaBlock {
    /// What each cycle adds to the left and to the right half.
    schedule: [(u32, u32); XTEA_CYCLES],
}

impl XteaBlock {
    fn new(key: &[u8; 32]) -> Self {
        let key = key_words(key);
        let mut sum = 0u32;
        let schedule = core::array::from_fn(|_| {
            let left = sum.wrapping_add(key[(sum & 3) as usize]);
            sum = sum.wrapping_add(DELTA);
            (left, sum.wrapping_add(key[(sum >> 11 & 3) as usize]))
        });
        Self { schedule }
    }
}

impl SideBySide<2> for XteaBlock {
    #[inline(always)]
    fn load(word: [u8; 4]) -> u32 {
        u32::from_be_bytes(word)
    }

    #[inline(always)]
    fn store(word: u32) -> [u8; 4] {
        word.to_be_bytes()
    }

    #[inline(always)]
    fn encrypt<const N: usize>(&self, [left, right]: &mut [[u32; N]; 2]) {
        for &(k0, k1) in &self.schedule {
            for i in 0..N {
                left[i] = left[i].wrapping_add(xtea_mix(right[i]) ^ k0);
            }
            for i in 0..N {
                right[i] = right[i].wrapping_add(xtea_mix(left[i]) ^ k1);
            }
        }
    }
}

#[inline(always)]
fn xtea_mix(v: u32) -> u32 {
    ((v << 4) ^ (v >> 5)).wrapping_add(v)
}

side_by_side_cipher!(TeaBlock, U8, U32, 2);
side_by_side_cipher!(XteaBlock, U8, U32, 2);

/// The first 16 key bytes as big-endian words.
fn key_words(key: &[u8; 32]) -> [u32; 4] {
    let (words, _) = key.as_chunks::<4>();
    core::array::from_fn(|i| u32::from_be_bytes(words[i]))
}
