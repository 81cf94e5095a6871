//! The Reed–Solomon code as interpolation: every coefficient comes from two numbers, no matrix is
//! stored and none inverted.
//!
//! klauspost/reedsolomon (and Backblaze before it) makes its encoding matrix from the Vandermonde
//! matrix `[r][c] = r^c` times the inverse of its top square. The square takes the values of a
//! polynomial at the points `0..data` to its coefficients, the full matrix takes coefficients to
//! values at all points `0..data + parity`. So the shards of a group are, byte by byte, the values
//! of one polynomial of degree below `data`, and any `data` of them give any other by Lagrange's
//! formula, with `X` the points that are known:
//!
//! ```text
//! f(y) = Σ f(x) · Π(y - k) / ((y - x) · Π(x - k))      x in X; products over k in X (second: k ≠ x)
//! ```
//!
//! Encoding is the case of `X = 0..data`. A group of n shards costs n products of logarithms,
//! where a matrix would cost up to 64 KiB.

use crate::Shape;
use crate::galois::Log;

/// `1 / Π(x - k)` over all known points `k` other than `x`.
pub(crate) fn weight(x: u8, known: impl Iterator<Item = u8>) -> Log {
    Log::of_product(known.filter(|&k| k != x).map(|k| x ^ k)).inverse()
}

/// `Π(y - k)` over all known points `k`, of which `y` must not be one.
pub(crate) fn product(y: u8, known: impl Iterator<Item = u8>) -> Log {
    Log::of_product(known.map(|k| y ^ k))
}

/// What the value at `x` counts in the value at `y`.
#[inline]
pub(crate) fn coefficient(y: u8, product: Log, x: u8, weight: Log) -> u8 {
    Log::product(product, Log::of(y ^ x).inverse(), weight)
}

/// The coefficients of all parity shards of a shape.
#[derive(Debug, Clone)]
pub(crate) struct ParityRows {
    /// Weights of the data points, then products at the parity points.
    logs: [Log; 256],
}

impl ParityRows {
    pub(crate) fn new(shape: Shape) -> Self {
        let mut logs = [Log::ONE; 256];
        for position in shape.positions() {
            let data = shape.data_positions();
            logs[usize::from(position)] = if shape.is_parity(position) {
                product(position, data)
            } else {
                weight(position, data)
            };
        }
        Self { logs }
    }

    /// What data shard `data` counts in the parity shard at position `parity` of the group.
    #[inline]
    pub(crate) fn coefficient(&self, parity: u8, data: u8) -> u8 {
        let [product, weight] = [parity, data].map(|at| self.logs[usize::from(at)]);
        coefficient(parity, product, data, weight)
    }
}
