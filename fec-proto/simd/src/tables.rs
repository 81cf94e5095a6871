//! Constants of the field GF(2^8) with polynomial 0x11d, in the forms that vector units take.

/// For each coefficient its products with the low nibbles `0..16`, then with the high nibbles
/// `0x00, 0x10 .. 0xf0`: two look-ups and an addition make any product. 8 KiB, of which a group
/// uses 32 bytes for each coefficient.
#[cfg(any(test, target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) static NIBBLES: [[[u8; 16]; 2]; 256] = nibbles();

/// For each coefficient the bit matrix of multiplication by it, as GF2P8AFFINEQB takes it. (Its
/// neighbour GF2P8MULB multiplies modulo 0x11b, the polynomial of AES, and is of no use here.)
#[cfg(any(test, target_arch = "x86_64"))]
pub(crate) static MATRICES: [u64; 256] = matrices();

#[cfg(any(test, target_arch = "x86_64", target_arch = "aarch64"))]
const fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 == 0 { 0 } else { 0x1d };
        b >>= 1;
    }
    product
}

#[cfg(any(test, target_arch = "x86_64", target_arch = "aarch64"))]
const fn nibbles() -> [[[u8; 16]; 2]; 256] {
    let mut tables = [[[0; 16]; 2]; 256];
    let mut coefficient = 0;
    while coefficient < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            let products = &mut tables[coefficient];
            products[0][nibble] = multiply(coefficient as u8, nibble as u8);
            products[1][nibble] = multiply(coefficient as u8, (nibble as u8) << 4);
            nibble += 1;
        }
        coefficient += 1;
    }
    tables
}

/// Bit `i` of a product is the parity of the factor's bits under byte `7 - i` of the matrix (Intel's
/// manual, GF2P8AFFINEQB). So bit `j` of that byte is bit `i` of the coefficient times 2^j.
#[cfg(any(test, target_arch = "x86_64"))]
const fn matrices() -> [u64; 256] {
    let mut matrices = [0; 256];
    let mut coefficient = 0;
    while coefficient < 256 {
        let mut j = 0;
        while j < 8 {
            let column = multiply(coefficient as u8, 1 << j);
            let mut i = 0;
            while i < 8 {
                matrices[coefficient] |= ((column >> i & 1) as u64) << (8 * (7 - i) + j);
                i += 1;
            }
            j += 1;
        }
        coefficient += 1;
    }
    matrices
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GF2P8AFFINEQB on one byte, word for word from Intel's manual.
    fn affine(matrix: u64, byte: u8) -> u8 {
        (0..8).fold(0, |out, i| {
            let row = matrix.to_le_bytes()[7 - i];
            out | ((row & byte).count_ones() as u8 & 1) << i
        })
    }

    #[test]
    fn both_forms_give_the_products_of_the_portable_kernel() {
        let source: [u8; 256] = core::array::from_fn(|byte| byte as u8);
        for coefficient in 0..=255 {
            let mut products = [0; 256];
            fec_proto::Kernel::PORTABLE.mul_add(coefficient, &source, &mut products);
            let [low, high] = &NIBBLES[usize::from(coefficient)];
            for byte in source {
                let product = products[usize::from(byte)];
                assert_eq!(low[usize::from(byte & 15)] ^ high[usize::from(byte >> 4)], product);
                assert_eq!(affine(MATRICES[usize::from(coefficient)], byte), product);
            }
        }
    }
}
