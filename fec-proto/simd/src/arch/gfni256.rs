//! GFNI with vectors of 32 bytes (AVX2): CPUs whose AVX-512 is missing or switched off, such as
//! Intel's from Alder Lake on.

use core::arch::x86_64::{
    __m256i, _mm256_gf2p8affine_epi64_epi8, _mm256_loadu_si256, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_storeu_si256, _mm256_xor_si256,
};

use crate::tables::MATRICES;

const WIDTH: usize = 32;

type Vector = __m256i;
/// The bit matrix, once for each 8 bytes.
type Factor = __m256i;

kernel!("gfni256", "gfni,avx2");

#[inline]
#[target_feature(enable = "gfni,avx2")]
fn load(bytes: &[u8; WIDTH]) -> Vector {
    // SAFETY: the array has as many bytes as are read; alignment is not asked for.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "gfni,avx2")]
fn store(bytes: &mut [u8; WIDTH], vector: Vector) {
    // SAFETY: the array has as many bytes as are written; alignment is not asked for.
    unsafe {
        _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector);
    }
}

#[inline]
#[target_feature(enable = "gfni,avx2")]
fn zero() -> Vector {
    _mm256_setzero_si256()
}

#[inline]
#[target_feature(enable = "gfni,avx2")]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "gfni,avx2")]
fn factor(coefficient: u8) -> Factor {
    _mm256_set1_epi64x(MATRICES[usize::from(coefficient)].cast_signed())
}

#[inline]
#[target_feature(enable = "gfni,avx2")]
fn times(factor: Factor, vector: Vector) -> Vector {
    _mm256_gf2p8affine_epi64_epi8::<0>(vector, factor)
}
