//! The loops that all kernels share.

/// Sources whose factors are prepared at once, on the stack.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) const BATCH: usize = 16;

/// Vectors that one pass over the sources sums up: enough to hide the latency of the arithmetic and
/// to share the look-up of a factor, few enough for the registers.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) const BLOCK: usize = 4;

/// Makes `KERNEL` of a module that has
///
/// - `WIDTH`, the bytes of a vector, and the types `Vector` and `Factor`,
/// - `load(&[u8; WIDTH]) -> Vector` and `store(&mut [u8; WIDTH], Vector)`,
/// - `factor(u8) -> Factor`, the prepared coefficient, and `times(Factor, Vector) -> Vector`,
/// - `zero() -> Vector` and `add(Vector, Vector) -> Vector`.
///
/// A macro and not a trait, because the functions of a trait cannot have CPU features and so would
/// all be unsafe.
///
/// Three rows are worked on together when they can be lent together, as the encoder does: measured
/// on 10+3, that takes a fifth off the encoder's time with GFNI and AVX2, half with SSSE3.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! kernel {
    ($name:literal, $features:literal) => {
        /// Must be given away only where the CPU has the features of this module.
        pub(super) const KERNEL: fec_proto::Kernel =
            fec_proto::Kernel::new($name, mul_add, mul_add_rows, combine);

        fn mul_add(coefficient: u8, source: &[u8], target: &mut [u8]) {
            // SAFETY: reached only through `KERNEL`, so the CPU has the features.
            unsafe { into_rows(&[coefficient], source, [target]) }
        }

        fn mul_add_rows(coefficients: &[u8], source: &[u8], rows: &mut dyn fec_proto::Rows) {
            for (number, coefficients) in coefficients.chunks(3).enumerate() {
                if let Some(three) = coefficients.first_chunk()
                    && let Some(rows) = rows.three(3 * number)
                {
                    // SAFETY: reached only through `KERNEL`, so the CPU has the features.
                    unsafe { into_rows(three, source, rows) }
                    continue;
                }
                for (at, &coefficient) in coefficients.iter().enumerate() {
                    mul_add(coefficient, source, rows.row(3 * number + at));
                }
            }
        }

        fn combine(coefficients: &[u8], sources: &[&[u8]], target: &mut [u8]) {
            // SAFETY: reached only through `KERNEL`, so the CPU has the features.
            unsafe { vector_combine(coefficients, sources, target) }
        }

        /// Adds the products of the source to `N` rows, over as many bytes as all of them have.
        #[target_feature(enable = $features)]
        fn into_rows<const N: usize>(
            coefficients: &[u8; N],
            source: &[u8],
            mut rows: [&mut [u8]; N],
        ) {
            let mut len = source.len();
            for row in &rows {
                len = len.min(row.len());
            }
            let source = &source[..len];
            let mut factors = [factor(0); N];
            for (factor_of, &coefficient) in factors.iter_mut().zip(coefficients) {
                *factor_of = factor(coefficient);
            }
            let Some(from) = source.last_chunk() else {
                let from = load(&padded(source));
                for (row, factor) in rows.into_iter().zip(factors) {
                    let row = &mut row[..len];
                    let sum = add(load(&padded(row)), times(factor, from));
                    store_front(row, sum);
                }
                return;
            };
            // The last vector may overlap the one before it. It is computed from the old bytes and
            // stored after all others, over bytes equal to its own.
            let from = load(from);
            let mut last = [zero(); N];
            for ((last, row), factor) in last.iter_mut().zip(&rows).zip(factors) {
                if let Some(to) = row[..len].last_chunk() {
                    *last = add(load(to), times(factor, from));
                }
            }
            let from = source.as_chunks::<WIDTH>().0;
            let to = whole_vectors(&mut rows, from.len());
            for (number, from) in from.iter().enumerate() {
                let from = load(from);
                for row in 0..N {
                    let to = &mut to[row][number];
                    store(to, add(load(to), times(factors[row], from)));
                }
            }
            for (row, last) in rows.into_iter().zip(last) {
                if let Some(to) = row[..len].last_chunk_mut() {
                    store(to, last);
                }
            }
        }

        /// Prepares the factors, some sources at a time.
        #[target_feature(enable = $features)]
        fn vector_combine(coefficients: &[u8], sources: &[&[u8]], target: &mut [u8]) {
            use super::generic::BATCH;
            for (coefficients, sources) in coefficients.chunks(BATCH).zip(sources.chunks(BATCH)) {
                let mut factors = [factor(0); BATCH];
                for (factor_of, &coefficient) in factors.iter_mut().zip(coefficients) {
                    *factor_of = factor(coefficient);
                }
                combine_batch(&factors[..coefficients.len()], sources, target);
            }
        }

        /// Sums up the sources in registers, a few vectors at a time, and adds them to the target.
        #[target_feature(enable = $features)]
        fn combine_batch(factors: &[Factor], sources: &[&[u8]], target: &mut [u8]) {
            use super::generic::BLOCK;
            let len = target.len();
            let Some(to) = target.last_chunk() else {
                let [sum] = sums(factors, sources, 0);
                store_front(target, add(load(&padded(target)), sum));
                return;
            };
            // As in `into_rows`.
            let [sum] = sums(factors, sources, len - WIDTH);
            let last = add(load(to), sum);
            let mut at = 0;
            let (blocks, singles) = target.as_chunks_mut().0.as_chunks_mut::<BLOCK>();
            for block in blocks {
                let sums: [Vector; BLOCK] = sums(factors, sources, at);
                for (to, sum) in block.iter_mut().zip(sums) {
                    store(to, add(load(to), sum));
                }
                at += BLOCK * WIDTH;
            }
            for to in singles {
                let [sum] = sums(factors, sources, at);
                store(to, add(load(to), sum));
                at += WIDTH;
            }
            if let Some(to) = target.last_chunk_mut() {
                store(to, last);
            }
        }

        /// Sums of the products at `N` vectors from byte `at` on.
        #[inline]
        #[target_feature(enable = $features)]
        fn sums<const N: usize>(factors: &[Factor], sources: &[&[u8]], at: usize) -> [Vector; N] {
            let mut sums = [zero(); N];
            for (&factor, source) in factors.iter().zip(sources) {
                let Some(rest) = source.get(at..) else { continue };
                let short;
                let from = match rest.as_chunks::<WIDTH>().0.first_chunk::<N>() {
                    Some(from) => from,
                    None if rest.is_empty() => continue,
                    None => {
                        short = padded_block(rest);
                        &short
                    }
                };
                for (sum, from) in sums.iter_mut().zip(from) {
                    *sum = add(*sum, times(factor, load(from)));
                }
            }
            sums
        }

        /// The first `count` vectors of each row. Not inside a function with CPU features, whose
        /// closures would have them too and could not be inlined into `map`.
        #[inline(always)]
        fn whole_vectors<'r, const N: usize>(
            rows: &'r mut [&mut [u8]; N],
            count: usize,
        ) -> [&'r mut [[u8; WIDTH]]; N] {
            rows.each_mut().map(|row| &mut row.as_chunks_mut().0[..count])
        }

        /// The bytes with zeros behind them; `bytes` are less than a vector.
        fn padded(bytes: &[u8]) -> [u8; WIDTH] {
            let mut padded = [0; WIDTH];
            padded[..bytes.len()].copy_from_slice(bytes);
            padded
        }

        /// The bytes with zeros behind them; `bytes` may be more than the block.
        #[cold]
        fn padded_block<const N: usize>(bytes: &[u8]) -> [[u8; WIDTH]; N] {
            let mut padded = [[0; WIDTH]; N];
            let len = bytes.len().min(N * WIDTH);
            padded.as_flattened_mut()[..len].copy_from_slice(&bytes[..len]);
            padded
        }

        /// Stores as much of a vector as there is room for.
        #[inline]
        #[target_feature(enable = $features)]
        fn store_front(target: &mut [u8], vector: Vector) {
            let mut bytes = [0; WIDTH];
            store(&mut bytes, vector);
            target.copy_from_slice(&bytes[..target.len()]);
        }
    };
}
