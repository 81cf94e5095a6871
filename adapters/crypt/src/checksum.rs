//! CRC-32 of IEEE 802.3, the checksum behind the nonce.
//!
//! With the instructions of the processor, where `crc32fast` knows some. Elsewhere by four tables of
//! 1 KB, a word at a time: a look-up for each byte like those 16 KB of tables that it would use, which
//! is what an in-order core counts, and less of a small cache and of a small binary.

#[cfg(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"))]
pub(crate) use crc32fast::hash as checksum;

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use tables::checksum;

#[cfg(any(test, not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64"))))]
mod tables {
    /// The polynomial, its bits reversed.
    const POLYNOMIAL: u32 = 0xedb8_8320;

    /// `TABLES[n][b]`: what a byte `b` adds that is followed by n bytes of zero.
    static TABLES: [[u32; 256]; 4] = tables();

    const fn tables() -> [[u32; 256]; 4] {
        let mut tables = [[0; 256]; 4];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut table = 0;
            while table < 4 {
                let mut bit = 0;
                while bit < 8 {
                    crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
                    bit += 1;
                }
                tables[table][byte] = crc;
                table += 1;
            }
            byte += 1;
        }
        tables
    }

    /// The checksum of `bytes`.
    pub(crate) fn checksum(bytes: &[u8]) -> u32 {
        let (words, rest) = bytes.as_chunks::<4>();
        let mut crc = !0;
        for word in words {
            let [a, b, c, d] = (crc ^ u32::from_le_bytes(*word)).to_le_bytes().map(usize::from);
            crc = TABLES[3][a] ^ TABLES[2][b] ^ TABLES[1][c] ^ TABLES[0][d];
        }
        for &byte in rest {
            crc = (crc >> 8) ^ TABLES[0][usize::from(crc.to_le_bytes()[0] ^ byte)];
        }
        !crc
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn the_check_value_is_that_of_the_standard() {
        assert_eq!(super::tables::checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(super::tables::checksum(b""), 0);
    }

    proptest! {
        #[test]
        fn tables_give_what_crc32fast_gives(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(super::tables::checksum(&bytes), crc32fast::hash(&bytes));
        }
    }
}
