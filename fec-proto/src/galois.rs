//! The field GF(2^8) of the code: polynomial 0x11d, generator 2.

/// The field polynomial without its x^8, as it is added when a product overflows.
pub(crate) const POLYNOMIAL: u8 = 0x1d;

/// Number of non-zero elements: exponents count modulo this.
const ORDER: usize = 255;

/// Powers of the generator, repeated so that a sum of three exponents needs no reduction.
static EXP: [u8; 3 * ORDER] = exponents();

/// Exponent of each element; that of 0, which has none, is 0.
static LOG: [u8; 256] = logarithms();

/// A non-zero field element, kept as its exponent: products are sums.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log(u8);

impl Log {
    /// The element 1.
    pub(crate) const ONE: Self = Self(0);

    /// The exponent of `value`, which must not be 0.
    #[inline]
    pub(crate) fn of(value: u8) -> Self {
        debug_assert!(value != 0, "0 has no logarithm");
        Self(LOG[usize::from(value)])
    }

    /// The product of non-zero elements.
    #[inline]
    pub(crate) fn of_product(values: impl Iterator<Item = u8>) -> Self {
        // At most 256 exponents of at most 254.
        let sum: usize = values.map(|value| usize::from(Self::of(value).0)).sum();
        Self((sum % ORDER) as u8)
    }

    /// The inverse element.
    #[inline]
    pub(crate) const fn inverse(self) -> Self {
        Self(if self.0 == 0 { 0 } else { ORDER as u8 - self.0 })
    }

    /// The product of three elements, as an element.
    #[inline]
    pub(crate) fn product(a: Self, b: Self, c: Self) -> u8 {
        EXP[usize::from(a.0) + usize::from(b.0) + usize::from(c.0)]
    }
}

/// The product of two elements.
#[inline]
pub(crate) fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { Log::product(Log::of(a), Log::of(b), Log::ONE) }
}

/// The element doubled, that is multiplied by the generator.
///
/// Written without a branch, so that loops over it become vector code (on SSE2 an addition, a
/// compare, an and, an xor for 16 bytes).
#[inline(always)]
pub(crate) const fn double(value: u8) -> u8 {
    (value << 1) ^ ((value.cast_signed() >> 7).cast_unsigned() & POLYNOMIAL)
}

const fn exponents() -> [u8; 3 * ORDER] {
    let mut table = [0; 3 * ORDER];
    let (mut value, mut at) = (1, 0);
    while at < table.len() {
        table[at] = value;
        value = double(value);
        at += 1;
    }
    table
}

const fn logarithms() -> [u8; 256] {
    let powers = exponents();
    let mut table = [0; 256];
    let mut at = 0;
    while at < ORDER {
        table[powers[at] as usize] = at as u8;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplication by its definition: polynomials over GF(2) modulo 0x11d.
    fn by_definition(a: u8, b: u8) -> u8 {
        let mut product = 0u16;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                product ^= u16::from(a) << bit;
            }
        }
        for bit in (8..16).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x11d << (bit - 8);
            }
        }
        product as u8
    }

    #[test]
    fn tables_equal_the_definition() {
        for a in 0..=255u8 {
            for b in 0..=255 {
                assert_eq!(multiply(a, b), by_definition(a, b), "{a} * {b}");
            }
            if a != 0 {
                let inverse = Log::product(Log::of(a).inverse(), Log::ONE, Log::ONE);
                assert_eq!(multiply(a, inverse), 1);
                assert_eq!(
                    Log::of_product([a, a, a].into_iter()),
                    Log::of(by_definition(by_definition(a, a), a))
                );
            }
        }
    }
}
