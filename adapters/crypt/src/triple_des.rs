//! Triple DES, encrypt-decrypt-encrypt, on tables.
//!
//! The `des` crate computes every permutation bit by bit and encrypts 16 MB/s. This kernel merges
//! S-boxes and the permutation behind them into eight tables of 64 words, leaves out the final and
//! initial permutations that cancel between the three passes, and steps several blocks side by
//! side. The crate is its oracle in the tests. Bits are numbered from 1, the highest, as in
//! FIPS 46-3.

use cipher::consts::{U4, U8};

use crate::cfb::Cfb;
use crate::side_by_side::{SideBySide, side_by_side_cipher};

pub(crate) type TripleDes = Cfb<TripleDesBlock>;

/// `3des`: the first 24 key bytes as K1, K2, K3; parity bits are ignored.
pub(crate) fn triple_des(key: &[u8; 32]) -> TripleDes {
    Cfb::new(TripleDesBlock::new(key))
}

/// The triple DES block cipher, encryption only.
#[derive(Clone)]
pub(crate) struct TripleDesBlock {
    /// Keys of the three passes in the order of use.
    passes: [[RoundKey; ROUNDS]; 3],
}

const ROUNDS: usize = 16;

/// 48 key bits of a round in groups of six, one group per byte: those for S-boxes 1, 3, 5, 7 and
/// those for 2, 4, 6, 8.
type RoundKey = [u32; 2];

impl TripleDesBlock {
    fn new(key: &[u8; 32]) -> Self {
        let (keys, _) = key.as_chunks::<8>();
        let mut passes = core::array::from_fn(|pass| key_schedule(keys[pass]));
        // The second pass decrypts: the same rounds backwards.
        passes[1].reverse();
        Self { passes }
    }
}

impl SideBySide<2> for TripleDesBlock {
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
        for (l, r) in left.iter_mut().zip(right.iter_mut()) {
            initial_permutation(l, r);
        }
        for pass in &self.passes {
            for [odd, even] in pass.as_chunks::<2>().0 {
                for (l, r) in left.iter_mut().zip(right.iter()) {
                    *l ^= f(*r, odd);
                }
                for (r, l) in right.iter_mut().zip(left.iter()) {
                    *r ^= f(*l, even);
                }
            }
            // DES ends without the swap that its rounds have between them.
            core::mem::swap(left, right);
        }
        for (l, r) in left.iter_mut().zip(right.iter_mut()) {
            final_permutation(l, r);
        }
    }
}

side_by_side_cipher!(TripleDesBlock, U8, U4, 2);

/// The round function: expansion, key, S-boxes, permutation.
#[inline(always)]
fn f(half: u32, key: &RoundKey) -> u32 {
    // S-box i of 1..=8 reads bits 4i-4 to 4i+1. One rotation brings the groups of every other box
    // to the low six bits of each byte.
    let a = (half.rotate_left(29) ^ key[0]).to_be_bytes();
    let b = (half.rotate_left(1) ^ key[1]).to_be_bytes();
    let [s1, s2, s3, s4, s5, s6, s7, s8] = &TABLES;
    s1[usize::from(a[0] & 63)]
        ^ s3[usize::from(a[1] & 63)]
        ^ s5[usize::from(a[2] & 63)]
        ^ s7[usize::from(a[3] & 63)]
        ^ s2[usize::from(b[0] & 63)]
        ^ s4[usize::from(b[1] & 63)]
        ^ s6[usize::from(b[2] & 63)]
        ^ s8[usize::from(b[3] & 63)]
}

/// The permutation IP, as five exchanges of bits between the halves.
#[inline(always)]
fn initial_permutation(l: &mut u32, r: &mut u32) {
    exchange(l, r, 4, 0x0f0f_0f0f);
    exchange(l, r, 16, 0x0000_ffff);
    exchange(r, l, 2, 0x3333_3333);
    exchange(r, l, 8, 0x00ff_00ff);
    exchange(l, r, 1, 0x5555_5555);
}

/// The inverse of [`initial_permutation`].
#[inline(always)]
fn final_permutation(l: &mut u32, r: &mut u32) {
    exchange(l, r, 1, 0x5555_5555);
    exchange(r, l, 8, 0x00ff_00ff);
    exchange(r, l, 2, 0x3333_3333);
    exchange(l, r, 16, 0x0000_ffff);
    exchange(l, r, 4, 0x0f0f_0f0f);
}

/// Exchanges the bits of `a` at `mask << shift` with those of `b` at `mask`.
#[inline(always)]
fn exchange(a: &mut u32, b: &mut u32, shift: u32, mask: u32) {
    let differ = (*a >> shift ^ *b) & mask;
    *b ^= differ;
    *a ^= differ << shift;
}

/// The 16 round keys of one DES key.
fn key_schedule(key: [u8; 8]) -> [RoundKey; ROUNDS] {
    let chosen = select(u64::from_be_bytes(key), 64, &KEY_CHOICE_1);
    let (mut c, mut d) = (chosen >> 28, chosen & LOW_28);
    SHIFTS.map(|shift| {
        (c, d) = (rotate_28(c, shift), rotate_28(d, shift));
        let bits = select(c << 28 | d, 56, &KEY_CHOICE_2);
        let group = |s_box: u32| (bits >> (48 - 6 * s_box) & 63) as u8;
        [[1, 3, 5, 7], [2, 4, 6, 8]].map(|boxes| u32::from_be_bytes(boxes.map(group)))
    })
}

const LOW_28: u64 = (1 << 28) - 1;

fn rotate_28(half: u64, by: u32) -> u64 {
    (half << by | half >> (28 - by)) & LOW_28
}

/// The bits of `value` (`width` bits wide) with the numbers in `choice`, in that order.
fn select(value: u64, width: u8, choice: &[u8]) -> u64 {
    choice.iter().fold(0, |bits, &number| bits << 1 | value >> (width - number) & 1)
}

/// S-boxes followed by the permutation P, for all values of six bits.
static TABLES: [[u32; 64]; 8] = merge_tables();

const fn merge_tables() -> [[u32; 64]; 8] {
    let mut tables = [[0; 64]; 8];
    let mut s_box = 0;
    while s_box < 8 {
        let mut six = 0;
        while six < 64 {
            let nibble = S_BOXES[s_box][six / 16] >> (60 - 4 * (six % 16)) & 15;
            let word = (nibble as u32) << (28 - 4 * s_box);
            let mut bit = 0;
            while bit < 32 {
                tables[s_box][six] |= (word >> (32 - PERMUTATION[bit]) & 1) << (31 - bit);
                bit += 1;
            }
            six += 1;
        }
        s_box += 1;
    }
    tables
}

const SHIFTS: [u32; ROUNDS] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// PC-1, both halves.
const KEY_CHOICE_1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60,
    52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29,
    21, 13, 5, 28, 20, 12, 4,
];

/// PC-2.
const KEY_CHOICE_2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52,
    31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];

/// P.
const PERMUTATION: [u32; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19,
    13, 30, 6, 22, 11, 4, 25,
];

/// The S-boxes, one hex digit for each value of the six bits taken as a plain number. (FIPS 46-3
/// takes the outer two bits as the row, so its rows 0 and 1, and 2 and 3, alternate here.)
const S_BOXES: [[u64; 4]; 8] = [
    [0xe04f_d714_2ef2_bd81, 0x3aa6_6ccb_5995_0378, 0x4f1c_e882_d469_21b7, 0xf5cb_937e_3aa0_560d],
    [0xf31d_84e7_6fb2_384e, 0x9c70_21da_c609_5ba5, 0x0de8_7ab1_a34f_d412, 0x5b86_c76c_9035_2ef9],
    [0xad07_90e9_6334_f65a, 0x12d8_c57e_bc4b_2f81, 0xd16a_4d90_86f9_3807, 0xb41f_2ec3_5ba5_e27c],
    [0x7dd8_eb35_066f_90a3, 0x1427_825c_b1ca_4ef9, 0xa36f_9006_cab1_7dd8, 0xf914_35eb_5c27_824e],
    [0x2ecb_421c_74a7_bd61, 0x8550_3ffa_d309_e896, 0x4b28_1cb7_a1de_728d, 0xf69f_c059_6a34_05e3],
    [0xca1f_a4f2_972c_6985, 0x06d1_3d4e_e07b_53b8, 0x94e3_f25c_2985_cf3a, 0x7b0e_41a7_16d0_b86d],
    [0x4db0_2be7_f409_81da, 0x3ec3_957c_52af_6816, 0x164b_bdd8_c134_7ae7, 0xa9f5_608f_0e52_932c],
    [0xd12f_8d48_6af3_b714, 0xac95_36eb_500e_c972, 0x72b1_4e17_94ca_e82d, 0x0f6c_a9d0_f335_568b],
];
