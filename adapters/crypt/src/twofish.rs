//! Twofish with a 256-bit key, on tables.
//!
//! The `twofish` crate computes its key-dependent S-boxes anew for every byte and encrypts 3 MB/s.
//! This kernel keeps them as four tables of words (4 KiB, "full keying" in the Twofish paper) and
//! steps several blocks side by side. The crate is its oracle in the tests.

use cipher::consts::{U4, U16};

use crate::cfb::Cfb;
use crate::side_by_side::{SideBySide, side_by_side_cipher};

pub(crate) type Twofish = Cfb<TwofishBlock>;

/// `twofish`: all 32 key bytes.
pub(crate) fn twofish(key: &[u8; 32]) -> Twofish {
    Cfb::new(TwofishBlock::new(key))
}

/// The Twofish block cipher, encryption only.
#[derive(Clone)]
pub(crate) struct TwofishBlock {
    /// For each byte of a word: S-box, then the byte's column of the MDS matrix.
    tables: [[u32; 256]; 4],
    /// Words for whitening (0..8) and rounds (8..40).
    subkeys: [u32; 40],
}

impl TwofishBlock {
    fn new(key: &[u8; 32]) -> Self {
        let (words, _) = key.as_chunks::<4>();
        let even = [words[6], words[4], words[2], words[0]];
        let odd = [words[7], words[5], words[3], words[1]];
        let mut subkeys = [0; 40];
        for (i, pair) in (0u8..).zip(subkeys.as_chunks_mut::<2>().0) {
            let a = h(2 * i, &even);
            let b = h(2 * i + 1, &odd).rotate_left(8);
            *pair = [a.wrapping_add(b), a.wrapping_add(b << 1).rotate_left(9)];
        }
        let (octets, _) = key.as_chunks::<8>();
        let box_words = core::array::from_fn(|i| reed_solomon(&octets[i]));
        let tables = core::array::from_fn(|position| {
            core::array::from_fn(|byte| column(position, byte as u8, &box_words))
        });
        Self { tables, subkeys }
    }

    #[inline(always)]
    fn g(&self, word: u32) -> u32 {
        let [b0, b1, b2, b3] = word.to_le_bytes();
        let [t0, t1, t2, t3] = &self.tables;
        t0[usize::from(b0)] ^ t1[usize::from(b1)] ^ t2[usize::from(b2)] ^ t3[usize::from(b3)]
    }

    /// One round: words a and b change c and d.
    #[inline(always)]
    fn round(&self, a: u32, b: u32, c: &mut u32, d: &mut u32, keys: [u32; 2]) {
        let t1 = self.g(b.rotate_left(8));
        let t0 = self.g(a).wrapping_add(t1);
        *c = (*c ^ t0.wrapping_add(keys[0])).rotate_right(1);
        *d = d.rotate_left(1) ^ t0.wrapping_add(t1).wrapping_add(keys[1]);
    }
}

impl SideBySide<4> for TwofishBlock {
    #[inline(always)]
    fn load(word: [u8; 4]) -> u32 {
        u32::from_le_bytes(word)
    }

    #[inline(always)]
    fn store(word: u32) -> [u8; 4] {
        word.to_le_bytes()
    }

    #[inline(always)]
    fn encrypt<const N: usize>(&self, [a, b, c, d]: &mut [[u32; N]; 4]) {
        let (keys, _) = self.subkeys.as_chunks::<4>();
        let (k, out) = (keys[0], keys[1]);
        for i in 0..N {
            (a[i], b[i], c[i], d[i]) = (a[i] ^ k[0], b[i] ^ k[1], c[i] ^ k[2], d[i] ^ k[3]);
        }
        for &[k0, k1, k2, k3] in &keys[2..] {
            for i in 0..N {
                self.round(a[i], b[i], &mut c[i], &mut d[i], [k0, k1]);
            }
            for i in 0..N {
                self.round(c[i], d[i], &mut a[i], &mut b[i], [k2, k3]);
            }
        }
        for i in 0..N {
            // The last swap is undone while whitening.
            (a[i], b[i], c[i], d[i]) = (c[i] ^ out[0], d[i] ^ out[1], a[i] ^ out[2], b[i] ^ out[3]);
        }
    }
}

side_by_side_cipher!(TwofishBlock, U16, U4, 4);

/// Which of the two fixed permutations each byte position passes, first to last.
const ORDER: [[usize; 5]; 4] = [[1, 1, 0, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1], [1, 0, 1, 1, 0]];

/// The MDS matrix, as columns.
const MDS: [[u8; 4]; 4] = [
    [0x01, 0x5b, 0xef, 0xef],
    [0xef, 0xef, 0x5b, 0x01],
    [0x5b, 0xef, 0x01, 0xef],
    [0x5b, 0x01, 0xef, 0x5b],
];
const MDS_POLYNOMIAL: u8 = 0x69;

const RS: [[u8; 8]; 4] = [
    [0x01, 0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e],
    [0xa4, 0x56, 0x82, 0xf3, 0x1e, 0xc6, 0x68, 0xe5],
    [0x02, 0xa1, 0xfc, 0xc1, 0x47, 0xae, 0x3d, 0x19],
    [0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e, 0x03],
];
const RS_POLYNOMIAL: u8 = 0x4d;

/// The four nibble tables of each fixed permutation.
const NIBBLES: [[[u8; 16]; 4]; 2] = [
    [
        [0x8, 0x1, 0x7, 0xd, 0x6, 0xf, 0x3, 0x2, 0x0, 0xb, 0x5, 0x9, 0xe, 0xc, 0xa, 0x4],
        [0xe, 0xc, 0xb, 0x8, 0x1, 0x2, 0x3, 0x5, 0xf, 0x4, 0xa, 0x6, 0x7, 0x0, 0x9, 0xd],
        [0xb, 0xa, 0x5, 0xe, 0x6, 0xd, 0x9, 0x0, 0xc, 0x8, 0xf, 0x3, 0x2, 0x4, 0x7, 0x1],
        [0xd, 0x7, 0xf, 0x4, 0x1, 0x2, 0x6, 0xe, 0x9, 0xb, 0x3, 0x0, 0x8, 0x5, 0xc, 0xa],
    ],
    [
        [0x2, 0x8, 0xb, 0xd, 0xf, 0x7, 0x6, 0xe, 0x3, 0x1, 0x9, 0x4, 0x0, 0xa, 0xc, 0x5],
        [0x1, 0xe, 0x2, 0xb, 0x4, 0xc, 0x3, 0x7, 0x6, 0xd, 0xa, 0x5, 0xf, 0x9, 0x0, 0x8],
        [0x4, 0xc, 0x7, 0x5, 0x1, 0x6, 0x9, 0xa, 0x0, 0xe, 0xd, 0x8, 0x2, 0xb, 0x3, 0xf],
        [0xb, 0x9, 0x5, 0x1, 0xc, 0x3, 0xd, 0xe, 0x6, 0x4, 0x7, 0xf, 0x2, 0x0, 0x8, 0xa],
    ],
];

/// The function h on a word of four equal bytes.
fn h(byte: u8, words: &[[u8; 4]; 4]) -> u32 {
    (0..4).fold(0, |sum, position| sum ^ column(position, byte, words))
}

/// What a byte at `position` of a word adds to h: keyed S-box, then column of the MDS matrix.
fn column(position: usize, byte: u8, words: &[[u8; 4]; 4]) -> u32 {
    let [first, keyed @ ..] = ORDER[position];
    let mut y = permute(first, byte);
    for (permutation, word) in keyed.into_iter().zip(words) {
        y = permute(permutation, y ^ word[position]);
    }
    u32::from_le_bytes(MDS[position].map(|factor| multiply(y, factor, MDS_POLYNOMIAL)))
}

/// The fixed permutations q0 and q1.
fn permute(which: usize, byte: u8) -> u8 {
    let [t0, t1, t2, t3] = &NIBBLES[which];
    let mix = |a: u8, b: u8| (a ^ b, (a ^ (b << 3 | b >> 1) ^ a << 3) & 15);
    let (a, b) = mix(byte >> 4, byte & 15);
    let (a, b) = mix(t0[usize::from(a)], t1[usize::from(b)]);
    t3[usize::from(b)] << 4 | t2[usize::from(a)]
}

/// Eight key bytes to one word of S-box key.
fn reed_solomon(octet: &[u8; 8]) -> [u8; 4] {
    RS.map(|row| {
        row.into_iter()
            .zip(octet)
            .fold(0, |sum, (factor, &byte)| sum ^ multiply(byte, factor, RS_POLYNOMIAL))
    })
}

/// Product in GF(2^8); `polynomial` without its highest bit.
fn multiply(mut a: u8, mut b: u8, polynomial: u8) -> u8 {
    let mut product = 0;
    while a > 0 {
        product ^= b & 0u8.wrapping_sub(a & 1);
        b = b << 1 ^ polynomial & 0u8.wrapping_sub(b >> 7);
        a >>= 1;
    }
    product
}
