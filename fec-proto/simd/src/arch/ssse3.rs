//! SSSE3: nibbles looked up by PSHUFB, 16 bytes at once. All x86-64 CPUs since 2011.

use core::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_loadu_si128, _mm_set1_epi8, _mm_setzero_si128, _mm_shuffle_epi8,
    _mm_srli_epi16, _mm_storeu_si128, _mm_xor_si128,
};

use crate::tables::NIBBLES;

const WIDTH: usize = 16;

type Vector = __m128i;
/// Products with the low nibbles and with the high nibbles.
type Factor = [__m128i; 2];

kernel!("ssse3", "ssse3");

#[inline]
#[target_feature(enable = "ssse3")]
fn load(bytes: &[u8; WIDTH]) -> Vector {
    // SAFETY: the array has as many bytes as are read; alignment is not asked for.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn store(bytes: &mut [u8; WIDTH], vector: Vector) {
    // SAFETY: the array has as many bytes as are written; alignment is not asked for.
    unsafe {
        _mm_storeu_si128(bytes.as_mut_ptr().cast(), vector);
    }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn zero() -> Vector {
    _mm_setzero_si128()
}

#[inline]
#[target_feature(enable = "ssse3")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm_xor_si128(a, b)
}

#[inline]
#[target_feature(enable = "ssse3")]
fn factor(coefficient: u8) -> Factor {
    let [low, high] = &NIBBLES[usize::from(coefficient)];
    [load(low), load(high)]
}

#[inline]
#[target_feature(enable = "ssse3")]
fn times(factor: Factor, vector: Vector) -> Vector {
    let nibble = _mm_set1_epi8(0x0f);
    let low = _mm_and_si128(vector, nibble);
    let high = _mm_and_si128(_mm_srli_epi16::<4>(vector), nibble);
    _mm_xor_si128(_mm_shuffle_epi8(factor[0], low), _mm_shuffle_epi8(factor[1], high))
}
