//! The arithmetic for processors without a vector unit.
//!
//! What a vector unit does to sixteen bytes at once in a few steps costs a small in-order core a
//! few steps for each byte. Products from a table cost it one load. A table of 256 products is made
//! for each coefficient and shard, a byte of products for each target in an element, so that one
//! load serves up to three targets: [`Entry`].

use crate::Rows;
use crate::galois::double;

/// Products of one byte by three coefficients, lowest byte first. The upper bytes of a `u32` that
/// stand for no target are 0.
type Entry = u32;

/// Rows that one table serves.
const GROUP: usize = 3;

/// All products of a byte by up to [`GROUP`] coefficients.
struct Products([Entry; 256]);

impl Products {
    /// Each entry is the sum of two made before: the products are linear in the byte.
    fn of(coefficients: &[u8]) -> Self {
        let mut power = [0; 4];
        power[..coefficients.len()].copy_from_slice(coefficients);
        let mut table = [0; 256];
        let mut size = 1;
        while size < table.len() {
            let step = Entry::from_le_bytes(power);
            let (known, next) = table.split_at_mut(size);
            for (next, known) in next.iter_mut().zip(known) {
                *next = *known ^ step;
            }
            power = power.map(double);
            size *= 2;
        }
        Self(table)
    }

    #[inline(always)]
    fn get(&self, byte: u8) -> Entry {
        self.0[usize::from(byte)]
    }
}

pub(crate) fn mul_add(coefficient: u8, source: &[u8], target: &mut [u8]) {
    match coefficient {
        0 => {}
        1 => add(source, target),
        _ => {
            let products = Products::of(&[coefficient]);
            for (to, &from) in target.iter_mut().zip(source) {
                *to ^= products.get(from) as u8;
            }
        }
    }
}

pub(crate) fn mul_add_rows(coefficients: &[u8], source: &[u8], rows: &mut dyn Rows) {
    let mut first = 0;
    while first < coefficients.len() {
        if let Some(&three) = coefficients[first..].first_chunk::<GROUP>()
            && let Some([a, b, c]) = rows.three(first)
        {
            let products = Products::of(&three);
            for (((from, a), b), c) in source.iter().zip(a).zip(b).zip(c) {
                let [x, y, z, _] = products.get(*from).to_le_bytes();
                *a ^= x;
                *b ^= y;
                *c ^= z;
            }
            first += GROUP;
        } else {
            mul_add(coefficients[first], source, rows.row(first));
            first += 1;
        }
    }
}

pub(crate) fn combine(coefficients: &[u8], sources: &[&[u8]], target: &mut [u8]) {
    for (&coefficient, source) in coefficients.iter().zip(sources) {
        mul_add(coefficient, source, target);
    }
}

fn add(source: &[u8], target: &mut [u8]) {
    for (to, from) in target.iter_mut().zip(source) {
        *to ^= from;
    }
}

#[cfg(test)]
mod tests {
    use crate::Kernel;

    #[test]
    fn scalar_kernel_computes_the_field() {
        crate::check_kernel(&Kernel::SCALAR);
    }
}
