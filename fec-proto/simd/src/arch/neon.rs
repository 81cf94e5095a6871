//! NEON: nibbles looked up by TBL, 16 bytes at once. All 64-bit ARM CPUs.

use core::arch::aarch64::{
    uint8x16_t, vandq_u8, vdupq_n_u8, veorq_u8, vld1q_u8, vqtbl1q_u8, vshrq_n_u8, vst1q_u8,
};

use crate::tables::NIBBLES;

const WIDTH: usize = 16;

type Vector = uint8x16_t;
/// Products with the low nibbles and with the high nibbles.
type Factor = [uint8x16_t; 2];

kernel!("neon", "neon");

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; WIDTH]) -> Vector {
    // SAFETY: the array has as many bytes as are read; alignment is not asked for.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(bytes: &mut [u8; WIDTH], vector: Vector) {
    // SAFETY: the array has as many bytes as are written; alignment is not asked for.
    unsafe {
        vst1q_u8(bytes.as_mut_ptr(), vector);
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn zero() -> Vector {
    vdupq_n_u8(0)
}

#[inline]
#[target_feature(enable = "neon")]
fn add(a: Vector, b: Vector) -> Vector {
    veorq_u8(a, b)
}

#[inline]
#[target_feature(enable = "neon")]
fn factor(coefficient: u8) -> Factor {
    let [low, high] = &NIBBLES[usize::from(coefficient)];
    [load(low), load(high)]
}

#[inline]
#[target_feature(enable = "neon")]
fn times(factor: Factor, vector: Vector) -> Vector {
    let low = vandq_u8(vector, vdupq_n_u8(0x0f));
    let high = vshrq_n_u8::<4>(vector);
    veorq_u8(vqtbl1q_u8(factor[0], low), vqtbl1q_u8(factor[1], high))
}
