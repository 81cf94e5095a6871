//! Encryption alone.

use std::error::Error;

use kcptun_tunnel::batch::Datagrams;
use kcptun_tunnel::crypt::{CipherKind, PacketCipher, TunnelKey};

use crate::session::PACKETS;
use crate::table_aes::TableAes256;

/// Bytes of a full packet.
const LEN: usize = 1350;

/// Encrypts so many rounds of packets.
pub(crate) fn run(way: &str, rounds: usize) -> Result<String, Box<dyn Error>> {
    let mut bytes = vec![0x2a; PACKETS * LEN];
    let tunnel = |kind| PacketCipher::from_key(kind, &TunnelKey::from([0x5a; 32]));
    match way {
        "lanes" => {
            let cipher = tunnel(CipherKind::Aes)?;
            (0..rounds).for_each(|_| cipher.encrypt(Datagrams::new(&mut bytes, LEN)));
        }
        "single" => {
            let cipher = tunnel(CipherKind::Aes)?;
            for _ in 0..rounds {
                bytes.chunks_mut(LEN).for_each(|one| cipher.encrypt(Datagrams::single(one)));
            }
        }
        "salsa20" => {
            let cipher = tunnel(CipherKind::Salsa20)?;
            (0..rounds).for_each(|_| cipher.encrypt(Datagrams::new(&mut bytes, LEN)));
        }
        "table" => {
            let cipher = TableAes256::new(&[0x5a; 32]);
            for _ in 0..rounds {
                bytes.chunks_mut(LEN).for_each(|one| cipher.encrypt_cfb(&IV, one));
            }
        }
        _ => return Err("ways are lanes, single, table and salsa20".into()),
    }
    let sum = bytes.iter().fold(0u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte));
    Ok(format!("{way}: {rounds} rounds of {PACKETS} packets, sum {sum:08x}"))
}

/// The IV of every datagram (kcp-go 5.6.1, crypt.go, `initialVector`).
const IV: [u8; 16] = [
    0xa7, 0x73, 0x4f, 0x9c, 0x12, 0xac, 0x1b, 0x01, 0xa4, 0x15, 0xf2, 0xc1, 0xfc, 0x78, 0xe6, 0x6b,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_of_aes_give_the_same() {
        let sums = ["lanes", "single", "table"].map(|way| {
            let line = run(way, 2).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        });
        assert_eq!(sums[0], sums[1]);
        assert_eq!(sums[0], sums[2]);
    }
}
