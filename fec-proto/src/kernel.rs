//! The arithmetic on whole shards, as a value chosen by the caller.

use core::fmt;

use crate::galois::double;
use crate::scalar;

/// `target += coefficient * source`, byte by byte in GF(2^8) with polynomial 0x11d, over the first
/// `min(source.len(), target.len())` bytes.
pub type MulAdd = fn(coefficient: u8, source: &[u8], target: &mut [u8]);

/// `row[i] += coefficients[i] * source` for all `i`: one source into several targets.
pub type MulAddRows = fn(coefficients: &[u8], source: &[u8], rows: &mut dyn Rows);

/// `target += Σ coefficients[i] * sources[i]`: several sources into one target. Sources shorter
/// than the target count as padded with zeros.
pub type Combine = fn(coefficients: &[u8], sources: &[&[u8]], target: &mut [u8]);

/// Targets of a [`MulAddRows`] that need not lie together in memory.
pub trait Rows {
    /// The bytes of row `index`; at least as many as the source has.
    fn row(&mut self, index: usize) -> &mut [u8];

    /// The three rows from `first` on at once, if they can be lent together: kernels that work on
    /// several rows in one go do less work for each.
    fn three(&mut self, first: usize) -> Option<[&mut [u8]; 3]> {
        let _ = first;
        None
    }
}

/// How shards are multiplied and added: portable code, or the vector unit of some CPU.
///
/// The core never asks which CPU it runs on; who knows passes the kernel that fits (the crate
/// `fec-simd` has them and a detection). All kernels compute the same bytes. Lengths and alignment are arbitrary.
///
/// ```
/// use fec_proto::Kernel;
///
/// let mut target = [1, 2, 3];
/// Kernel::PORTABLE.mul_add(2, &[1, 0x80, 0], &mut target);
/// assert_eq!(target, [1 ^ 2, 2 ^ 0x1d, 3]);
/// ```
#[derive(Clone, Copy)]
pub struct Kernel {
    name: &'static str,
    mul_add: MulAdd,
    mul_add_rows: MulAddRows,
    combine: Combine,
}

impl Kernel {
    /// Safe code without byte tables that compilers turn into vector instructions.
    ///
    /// Measured at baseline x86-64 (SSE2) on 1,344-byte shards, one core of a 2020s server CPU:
    /// one source into three rows takes 0.41 µs here, against 0.87 µs with a table of 256 products
    /// and 1.3 µs with two of 16 for each coefficient; ten sources into one target take 1.0 µs
    /// against 2.9 and 4.4 µs. A single source into a single target is a tie with the table.
    ///
    /// On processors that have no vector unit for sure (MIPS, ARM without NEON and others) it is
    /// [`SCALAR`](Self::SCALAR), as far as the target of the build tells.
    pub const PORTABLE: Self = if HAS_VECTORS {
        Self {
            name: "portable",
            mul_add: portable_mul_add,
            mul_add_rows: portable_mul_add_rows,
            combine: portable_combine,
        }
    } else {
        Self::SCALAR
    };

    /// Safe code with a table of products for each coefficient, for processors without a vector
    /// unit. Which entries are read depends on the shards, so to code that shares the cache its
    /// timing may tell something of packets before their encryption.
    pub const SCALAR: Self = Self {
        name: "scalar",
        mul_add: scalar::mul_add,
        mul_add_rows: scalar::mul_add_rows,
        combine: scalar::combine,
    };

    /// A kernel of its three forms; `name` is for logs.
    pub const fn new(
        name: &'static str,
        mul_add: MulAdd,
        mul_add_rows: MulAddRows,
        combine: Combine,
    ) -> Self {
        Self { name, mul_add, mul_add_rows, combine }
    }

    /// What the kernel is called, such as `"portable"`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// `target += coefficient * source`, over as many bytes as both have.
    #[inline]
    pub fn mul_add(&self, coefficient: u8, source: &[u8], target: &mut [u8]) {
        (self.mul_add)(coefficient, source, target);
    }

    /// `rows[i] += coefficients[i] * source` for all `i`.
    #[inline]
    pub fn mul_add_rows(&self, coefficients: &[u8], source: &[u8], rows: &mut dyn Rows) {
        (self.mul_add_rows)(coefficients, source, rows);
    }

    /// `target += Σ coefficients[i] * sources[i]`; shorter sources count as padded with zeros.
    #[inline]
    pub fn combine(&self, coefficients: &[u8], sources: &[&[u8]], target: &mut [u8]) {
        (self.combine)(coefficients, sources, target);
    }
}

/// Whether compilers can turn loops over bytes into vector instructions here.
const HAS_VECTORS: bool = cfg!(any(
    target_feature = "sse2",
    target_feature = "neon",
    target_feature = "simd128",
    target_feature = "altivec",
    target_feature = "lsx",
    target_feature = "v",
    target_feature = "vector",
));

impl Default for Kernel {
    fn default() -> Self {
        Self::PORTABLE
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kernel").field(&self.name).finish()
    }
}

/// Bytes that the portable kernel works on at once. Measured: with 32 `combine` takes twice as long,
/// with 128 a few rows take a sixth longer.
const CHUNK: usize = 64;

/// A piece of a shard.
type Chunk = [u8; CHUNK];

/// A single target as [`Rows`].
struct Single<'t>(&'t mut [u8]);

impl Rows for Single<'_> {
    fn row(&mut self, _: usize) -> &mut [u8] {
        self.0
    }
}

fn portable_mul_add(coefficient: u8, source: &[u8], target: &mut [u8]) {
    let len = source.len().min(target.len());
    portable_mul_add_rows(&[coefficient], &source[..len], &mut Single(&mut target[..len]));
}

/// The multiples of a chunk by the four values of each pair of coefficient bits. Any multiple is
/// the sum of four of them, so a row costs four additions, and the doublings are shared by all.
struct Multiples([[Chunk; 4]; 4]);

impl Multiples {
    #[inline(always)]
    fn fill(&mut self, source: &Chunk) {
        let mut power = *source;
        for pair in &mut self.0 {
            pair[1] = power;
            pair[2] = doubled(&power);
            pair[3] = sum(&pair[1], &pair[2]);
            power = doubled(&pair[2]);
        }
    }

    /// `coefficient` times the chunk.
    #[inline(always)]
    fn times(&self, coefficient: u8) -> Chunk {
        let [a, b, c, d] = &self.0;
        let at = |shift: u8| usize::from(coefficient >> shift & 3);
        let (a, b, c, d) = (&a[at(0)], &b[at(2)], &c[at(4)], &d[at(6)]);
        core::array::from_fn(|i| a[i] ^ b[i] ^ c[i] ^ d[i])
    }
}

fn portable_mul_add_rows(coefficients: &[u8], source: &[u8], rows: &mut dyn Rows) {
    if coefficients == [1] {
        // The only parity of 1+1, 3+1 and some other shapes is a plain sum.
        rows.row(0).iter_mut().zip(source).for_each(|(to, from)| *to ^= from);
        return;
    }
    if let &[a, b, c] = coefficients
        && let Some(rows) = rows.three(0)
    {
        // The usual parity; rows lent one by one for each chunk would cost a third more.
        portable_into(&[a, b, c], source, rows);
        return;
    }
    let mut multiples = Multiples([[[0; CHUNK]; 4]; 4]);
    let (chunks, rest) = source.as_chunks::<CHUNK>();
    for (number, chunk) in chunks.iter().enumerate() {
        multiples.fill(chunk);
        for (row, &coefficient) in coefficients.iter().enumerate() {
            let target = &mut rows.row(row)[number * CHUNK..][..CHUNK];
            add(target, &multiples.times(coefficient));
        }
    }
    if !rest.is_empty() {
        multiples.fill(&padded(rest));
        for (row, &coefficient) in coefficients.iter().enumerate() {
            let target = &mut rows.row(row)[chunks.len() * CHUNK..][..rest.len()];
            add(target, &multiples.times(coefficient));
        }
    }
}

/// As [`portable_mul_add_rows`], with rows that are at hand.
fn portable_into<const N: usize>(coefficients: &[u8; N], source: &[u8], rows: [&mut [u8]; N]) {
    let mut multiples = Multiples([[[0; CHUNK]; 4]; 4]);
    for (number, chunk) in source.chunks(CHUNK).enumerate() {
        match chunk.first_chunk() {
            Some(chunk) => multiples.fill(chunk),
            None => multiples.fill(&padded(chunk)),
        }
        for (row, &coefficient) in coefficients.iter().enumerate() {
            let target = &mut rows[row][number * CHUNK..][..chunk.len()];
            add(target, &multiples.times(coefficient));
        }
    }
}

/// Horner's rule over the bits of all coefficients together: seven doublings of the sum serve all
/// sources.
fn portable_combine(coefficients: &[u8], sources: &[&[u8]], target: &mut [u8]) {
    for (number, target) in target.chunks_mut(CHUNK).enumerate() {
        let mut total: Chunk = [0; CHUNK];
        for bit in (0..8).rev() {
            total = doubled(&total);
            for (&coefficient, source) in coefficients.iter().zip(sources) {
                if coefficient >> bit & 1 == 0 {
                    continue;
                }
                let rest = source.get(number * CHUNK..).unwrap_or(&[]);
                match rest.first_chunk::<CHUNK>() {
                    Some(chunk) => total = sum(&total, chunk),
                    None => total = sum(&total, &padded(rest)),
                }
            }
        }
        add(target, &total);
    }
}

#[inline(always)]
fn doubled(chunk: &Chunk) -> Chunk {
    core::array::from_fn(|i| double(chunk[i]))
}

#[inline(always)]
fn sum(a: &Chunk, b: &Chunk) -> Chunk {
    core::array::from_fn(|i| a[i] ^ b[i])
}

#[inline(always)]
fn add(target: &mut [u8], chunk: &Chunk) {
    for (to, from) in target.iter_mut().zip(chunk) {
        *to ^= from;
    }
}

#[cold]
fn padded(rest: &[u8]) -> Chunk {
    let mut chunk = [0; CHUNK];
    chunk[..rest.len()].copy_from_slice(rest);
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portable_kernel_computes_the_field() {
        crate::check_kernel(&Kernel::PORTABLE);
    }

    /// Also where it is not the portable one.
    #[test]
    fn kernel_for_vectors_computes_the_field() {
        let combine = portable_combine;
        let kernel = Kernel::new("vectors", portable_mul_add, portable_mul_add_rows, combine);
        crate::check_kernel(&kernel);
    }
}
