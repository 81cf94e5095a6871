//! The checks that every kernel has to pass, whoever brings it.

use std::vec;
use std::vec::Vec;

use crate::galois::multiply;
use crate::{Kernel, Rows};

/// Compares all forms of a kernel with byte-wise multiplication: every coefficient, lengths around
/// every vector width up to a whole packet, misaligned slices, targets longer than their source.
///
/// # Panics
/// When a byte differs; the message names the form, the length and the coefficient.
pub fn check_kernel(kernel: &Kernel) {
    let lengths = (0..=70).chain([127, 128, 129, 255, 256, 257, 511, 513, 1344, 1494]);
    for len in lengths {
        let step = if len % 64 == 1 { 1 } else { 37 };
        for coefficient in (0..=255u8).step_by(step) {
            single(kernel, len, coefficient);
        }
        for count in [1, 2, 3, 5, 17, 40] {
            rows(kernel, len, count);
            combine(kernel, len, count);
        }
    }
}

/// Bytes without a short period.
fn bytes(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|at| ((at + seed * 977 + 1) as u32).wrapping_mul(2_654_435_761).to_be_bytes()[1])
        .collect()
}

fn single(kernel: &Kernel, len: usize, coefficient: u8) {
    for (skew_from, skew_to) in [(0, 0), (1, 0), (0, 3), (7, 5)] {
        let source = bytes(len + skew_from, 1);
        let mut target = bytes(len + skew_to + 9, 2);
        let mut expected = target.clone();
        for (to, &from) in expected[skew_to..].iter_mut().zip(&source[skew_from..]) {
            *to ^= multiply(coefficient, from);
        }
        kernel.mul_add(coefficient, &source[skew_from..], &mut target[skew_to..]);
        assert!(target == expected, "{kernel:?} mul_add: {len} bytes times {coefficient}");
    }
}

struct Table {
    rows: Vec<Vec<u8>>,
    /// Whether rows are lent by threes.
    together: bool,
}

impl Rows for Table {
    fn row(&mut self, index: usize) -> &mut [u8] {
        &mut self.rows[index][index % 5..]
    }

    fn three(&mut self, first: usize) -> Option<[&mut [u8]; 3]> {
        let [a, b, c] = self.rows[first..].first_chunk_mut().filter(|_| self.together)?;
        Some([&mut a[first % 5..], &mut b[(first + 1) % 5..], &mut c[(first + 2) % 5..]])
    }
}

fn rows(kernel: &Kernel, len: usize, count: usize) {
    let source = bytes(len, 3);
    let mut coefficients = bytes(count, len + 4);
    coefficients[0] = 1;
    let rows: Vec<_> = (0..count).map(|row| bytes(len + 10, row)).collect();
    let mut expected = rows.clone();
    for (row, target) in expected.iter_mut().enumerate() {
        for (to, &from) in target[row % 5..].iter_mut().zip(&source) {
            *to ^= multiply(coefficients[row], from);
        }
    }
    for together in [false, true] {
        let mut table = Table { rows: rows.clone(), together };
        kernel.mul_add_rows(&coefficients, &source, &mut table);
        assert!(table.rows == expected, "{kernel:?} mul_add_rows: {len} bytes into {count} rows");
    }
}

fn combine(kernel: &Kernel, len: usize, count: usize) {
    let coefficients = bytes(count, len + 5);
    // Shorter and longer than the target, and empty.
    let sources: Vec<Vec<u8>> =
        (0..count).map(|at| bytes([len, len + 3, len / 2, 0, len][at % 5], at)).collect();
    let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
    let mut expected = vec![0x5a; len];
    let mut target = expected.clone();
    for (&coefficient, source) in coefficients.iter().zip(&sources) {
        for (to, &from) in expected.iter_mut().zip(*source) {
            *to ^= multiply(coefficient, from);
        }
    }
    kernel.combine(&coefficients, &sources, &mut target);
    assert!(target == expected, "{kernel:?} combine: {len} bytes of {count} sources");
}
