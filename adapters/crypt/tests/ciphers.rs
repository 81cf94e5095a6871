//! Ciphers against the vectors of kcp-go 5.6.1 and against cfb-mode, one packet at a time.
#![cfg(feature = "all-ciphers")]

use cfb_mode::Encryptor;
use cfb_mode::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit};
use kcptun_crypt::Datagrams;
use kcptun_crypt::{CipherKind, PacketCipher, TunnelKey};
use proptest::prelude::*;
use serde_json::Value;

const IV: [u8; 16] = *b"\xa7\x73\x4f\x9c\x12\xac\x1b\x01\xa4\x15\xf2\xc1\xfc\x78\xe6\x6b";

fn vectors(name: &str) -> Value {
    let path = format!("{}/../../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

#[test]
fn keys_are_derived_as_kcptun_does() {
    let file = vectors("pbkdf2.json");
    for vector in list(&file["vectors"]) {
        let key = TunnelKey::derive(&unhex(&vector["key_hex"]));
        assert_eq!(key.as_bytes()[..], unhex(&vector["pass"]));
        assert_eq!(format!("{key:?}"), "TunnelKey(..)");
    }
    let pass: [u8; 32] = unhex(&file["vectors"][0]["pass"]).try_into().unwrap();
    let xor = PacketCipher::from_key(CipherKind::Xor, &TunnelKey::from(pass)).unwrap();
    let mut table = [0; 1500];
    xor.encrypt(Datagrams::single(&mut table));
    assert_eq!(table[..], unhex(&file["xor_table"]["table"]));
}

#[test]
fn every_cipher_gives_the_bytes_of_kcp_go() {
    let file = vectors("ciphers.json");
    let pass: [u8; 32] = unhex(&file["pass"]).try_into().unwrap();
    assert_eq!(unhex(&file["iv_hex"]), IV);
    let mut compared = 0;
    for entry in list(&file["ciphers"]) {
        let kind = CipherKind::from_name(entry["crypt"].as_str().unwrap()).unwrap();
        let cipher = PacketCipher::from_key(kind, &TunnelKey::from(pass)).unwrap();
        for (plain, output) in list(&file["plaintexts"]).iter().zip(list(&entry["outputs"])) {
            assert_eq!(plain["len"], output["len"]);
            let (plain, expected) = (unhex(&plain["plain"]), unhex(&output["cipher"]));
            let mut bytes = plain.clone();
            cipher.encrypt(Datagrams::single(&mut bytes));
            assert_eq!(bytes, expected, "{kind} of {} bytes", plain.len());
            cipher.decrypt(Datagrams::single(&mut bytes));
            assert_eq!(bytes, plain, "{kind} of {} bytes", plain.len());
            compared += 1;
        }
    }
    assert_eq!(compared, 13 * 32);
}

#[test]
fn names_are_those_of_the_command_line() {
    for kind in CipherKind::ALL {
        assert_eq!(CipherKind::from_name(kind.name()), Some(kind));
        let cipher = PacketCipher::from_key(kind, &TunnelKey::from([7; 32])).unwrap();
        assert_eq!(cipher.kind(), kind);
        let overhead = match kind {
            CipherKind::Null => 0,
            CipherKind::Aes128Gcm => 28,
            _ => 20,
        };
        assert_eq!(cipher.overhead(), overhead);
        assert!(!format!("{cipher:?}").contains('7'), "the key is not shown");
    }
    assert_eq!(CipherKind::from_name("AES"), None);
    assert_eq!(CipherKind::from_name("rot13"), None);
}

/// One packet through cfb-mode.
fn cfb<C: BlockCipherEncrypt>(cipher: C, packet: &mut [u8]) {
    let size = C::block_size();
    Encryptor::inner_iv_slice_init(cipher, &IV[..size]).unwrap().encrypt(packet);
}

/// One packet through a cipher written with 8-byte blocks and no lanes.
fn plain_cfb(encrypt: impl Fn([u32; 2]) -> [u32; 2], packet: &mut [u8]) {
    let mut chain: [u8; 8] = IV[..8].try_into().unwrap();
    for block in packet.chunks_mut(8) {
        let [left, right] = [0, 4].map(|i| u32::from_be_bytes(chain[i..i + 4].try_into().unwrap()));
        let stream: Vec<u8> =
            encrypt([left, right]).into_iter().flat_map(u32::to_be_bytes).collect();
        for ((byte, key), chained) in block.iter_mut().zip(stream).zip(&mut chain) {
            *byte ^= key;
            *chained = *byte;
        }
    }
}

fn words(key: &[u8; 32]) -> [u32; 4] {
    [0, 4, 8, 12].map(|i| u32::from_be_bytes(key[i..i + 4].try_into().unwrap()))
}

/// TEA after the paper of Wheeler and Needham (1994), with 8 cycles.
fn tea(key: &[u8; 32], [mut y, mut z]: [u32; 2]) -> [u32; 2] {
    let ([a, b, c, d], mut sum) = (words(key), 0u32);
    for _ in 0..8 {
        sum = sum.wrapping_add(0x9e37_79b9);
        let mix = (z << 4).wrapping_add(a) ^ z.wrapping_add(sum) ^ (z >> 5).wrapping_add(b);
        y = y.wrapping_add(mix);
        let mix = (y << 4).wrapping_add(c) ^ y.wrapping_add(sum) ^ (y >> 5).wrapping_add(d);
        z = z.wrapping_add(mix);
    }
    [y, z]
}

/// XTEA after Needham and Wheeler (1997), 32 cycles.
fn xtea(key: &[u8; 32], [mut y, mut z]: [u32; 2]) -> [u32; 2] {
    let (key, mut sum) = (words(key), 0u32);
    for _ in 0..32 {
        let mix = ((z << 4) ^ (z >> 5)).wrapping_add(z);
        y = y.wrapping_add(mix ^ sum.wrapping_add(key[(sum & 3) as usize]));
        sum = sum.wrapping_add(0x9e37_79b9);
        let mix = ((y << 4) ^ (y >> 5)).wrapping_add(y);
        z = z.wrapping_add(mix ^ sum.wrapping_add(key[(sum >> 11 & 3) as usize]));
    }
    [y, z]
}

/// One packet, the textbook way. `None` for ciphers that need no oracle.
fn oracle(kind: CipherKind, key: &[u8; 32], packet: &mut [u8]) -> Option<()> {
    match kind {
        CipherKind::Aes => cfb(aes::Aes256::new(key.into()), packet),
        CipherKind::Aes192 => cfb(aes::Aes192::new_from_slice(&key[..24]).unwrap(), packet),
        CipherKind::Aes128 => cfb(aes::Aes128::new_from_slice(&key[..16]).unwrap(), packet),
        CipherKind::Blowfish => {
            cfb(<blowfish::Blowfish as KeyInit>::new_from_slice(key).unwrap(), packet);
        }
        CipherKind::Twofish => cfb(twofish::Twofish::new_from_slice(key).unwrap(), packet),
        CipherKind::Cast5 => cfb(cast5::Cast5::new_from_slice(&key[..16]).unwrap(), packet),
        CipherKind::TripleDes => cfb(des::TdesEde3::new_from_slice(&key[..24]).unwrap(), packet),
        CipherKind::Sm4 => cfb(sm4::Sm4::new_from_slice(&key[..16]).unwrap(), packet),
        CipherKind::Tea => plain_cfb(|halves| tea(key, halves), packet),
        CipherKind::Xtea => plain_cfb(|halves| xtea(key, halves), packet),
        CipherKind::Salsa20 => {
            use cfb_mode::cipher::KeyIvInit;
            use salsa20::cipher::StreamCipher;
            if let Some((nonce, rest)) = packet.split_first_chunk_mut::<8>() {
                salsa20::Salsa20::new(key.into(), (&*nonce).into()).apply_keystream(rest);
            }
        }
        _ => return None,
    }
    Some(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    /// Any cipher on a batch of any shape: what cfb-mode gives packet by packet, and back.
    #[test]
    fn a_batch_is_its_packets_one_by_one(
        which in 0..CipherKind::ALL.len(),
        key in any::<[u8; 32]>(),
        stride in prop_oneof![1usize..40, 1usize..300, 1200usize..=1500],
        count in 0usize..=70,
        short in 0.0f64..1.0,
        fill in any::<u64>(),
    ) {
        let kind = CipherKind::ALL[which];
        let cipher = PacketCipher::from_key(kind, &TunnelKey::from(key)).unwrap();
        let last = if count == 0 { 0 } else { (stride as f64 * short) as usize };
        let plain: Vec<u8> = (0..stride * count.saturating_sub(1) + last)
            .map(|i| (fill.rotate_left(i as u32 % 64) ^ i as u64) as u8)
            .collect();

        let mut bytes = plain.clone();
        cipher.encrypt(Datagrams::new(&mut bytes, stride));
        let mut expected = plain.clone();
        let checked = expected.chunks_mut(stride).all(|p| oracle(kind, &key, p).is_some());
        if checked {
            prop_assert_eq!(&bytes, &expected, "{}", kind);
        }
        cipher.decrypt(Datagrams::new(&mut bytes, stride));
        // The room for a tag holds a tag now.
        let margins = kind.margins();
        for (datagram, plain) in bytes.chunks(stride).zip(plain.chunks(stride)) {
            let tag = if plain.len() < margins.around(0) { 0 } else { margins.back };
            let end = plain.len() - tag;
            prop_assert_eq!(&datagram[..end], &plain[..end], "{}", kind);
        }
    }
}
