//! AVX2: nibbles looked up by PSHUFB, 32 bytes at once.

use core::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_loadu_si256,
    _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_storeu_si256, _mm256_xor_si256,
};

use crate::tables::NIBBLES;

const WIDTH: usize = 32;

type Vector = __m256i;
/// Products with the low nibbles and with the high nibbles, each in both halves.
type Factor = [__m256i; 2];

kernel!("avx2", "avx2");

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; WIDTH]) -> Vector {
    // SAFETY: the array has as many bytes as are read; alignment is not asked for.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(bytes: &mut [u8; WIDTH], vector: Vector) {
    // SAFETY: the array has as many bytes as are written; alignment is not asked for.
    unsafe {
        _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero() -> Vector {
    _mm256_setzero_si256()
}

#[inline]
#[target_feature(enable = "avx2")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn factor(coefficient: u8) -> Factor {
    let [low, high] = &NIBBLES[usize::from(coefficient)];
    // SAFETY: each table has the 16 bytes that are read; alignment is not asked for.
    let (low, high) =
        unsafe { (_mm_loadu_si128(low.as_ptr().cast()), _mm_loadu_si128(high.as_ptr().cast())) };
    [_mm256_broadcastsi128_si256(low), _mm256_broadcastsi128_si256(high)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn times(factor: Factor, vector: Vector) -> Vector {
    let nibble = _mm256_set1_epi8(0x0f);
    let low = _mm256_and_si256(vector, nibble);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(vector), nibble);
    _mm256_xor_si256(_mm256_shuffle_epi8(factor[0], low), _mm256_shuffle_epi8(factor[1], high))
}
