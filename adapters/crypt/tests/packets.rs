//! Whole protected datagrams: against kcp-go 5.6.1, and whatever the network may deliver.
#![cfg(feature = "all-ciphers")]

use kcptun_crypt::Datagrams;
use kcptun_crypt::NonceSource;
use kcptun_crypt::{CipherKind, Margins, OpenError, PacketCipher, Protection, TunnelKey};
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    let path = format!("{}/../../tests/vectors/packets.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn protection(crypt: &str, key: TunnelKey) -> Protection {
    let kind = CipherKind::from_name(crypt).unwrap();
    Protection::with(PacketCipher::from_key(kind, &key).unwrap(), NonceSource::new([3; 32]))
}

/// Opens a datagram of kcp-go, then builds the same datagram again from nonce and payload.
fn check(protection: &Protection, packet: &[u8], nonce: Option<&[u8]>, payload: &[u8]) {
    let crypt = protection.cipher().kind();
    let mut bytes = packet.to_vec();
    let mut opened = protection.open(Datagrams::single(&mut bytes));
    assert_eq!(opened.next().unwrap().unwrap(), payload, "{crypt}");
    assert!(opened.next().is_none());
    if let Some(nonce) = nonce {
        assert_eq!(&bytes[..16], nonce, "{crypt}");
    }
    protection.cipher().encrypt(Datagrams::single(&mut bytes));
    assert_eq!(bytes, packet, "{crypt}");
}

#[test]
fn datagrams_of_kcp_go_open_and_seal_again() {
    let file = vectors();
    let key = TunnelKey::from(<[u8; 32]>::try_from(unhex(&file["pass"])).unwrap());
    let nonce = unhex(&file["nonce"]);
    let payload_of = |len: &Value| {
        let found = list(&file["payloads"]).iter().find(|payload| payload["len"] == *len);
        unhex(&found.unwrap()["payload"])
    };
    for entry in list(&file["ciphers"]) {
        let protection = protection(entry["crypt"].as_str().unwrap(), key);
        for packet in list(&entry["packets"]) {
            let payload = payload_of(&packet["payload_len"]);
            check(&protection, &unhex(&packet["packet"]), Some(&nonce), &payload);
        }
    }
    for entry in list(&file["other_keys"]) {
        let key = TunnelKey::derive(entry["key_utf8"].as_str().unwrap().as_bytes());
        let protection = protection(entry["crypt"].as_str().unwrap(), key);
        let payload = payload_of(&entry["payload_len"]);
        check(&protection, &unhex(&entry["packet"]), None, &payload);
    }
}

/// kcp-go 5.6.49 and later.
#[test]
fn datagrams_with_a_tag_open_and_seal_again() {
    let path = format!("{}/../../tests/vectors/aes_128_gcm.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut key = [9; 32];
    key[..16].copy_from_slice(&unhex(&file["key"]));
    let protection = protection("aes-128-gcm", TunnelKey::from(key));
    let margins = protection.margins();
    for vector in list(&file["vectors"]) {
        let (packet, payload) = (unhex(&vector["packet"]), unhex(&vector["payload"]));
        let mut bytes = packet.clone();
        let opened = protection.open(Datagrams::single(&mut bytes)).next().unwrap();
        assert_eq!(opened.unwrap(), payload);
        // The nonce stands, the tag is made anew.
        let tag = bytes.len() - margins.back;
        bytes[tag..].fill(0);
        protection.cipher().encrypt(Datagrams::single(&mut bytes));
        assert_eq!(bytes, packet);
    }
    assert_eq!(list(&file["vectors"]).len(), 8);
}

/// Unlike a checksum under CFB, a tag shows each change, wherever it is, and what fails is not
/// decrypted.
#[test]
fn no_bit_of_a_datagram_with_a_tag_can_be_changed() {
    let mut protection = protection("aes-128-gcm", TunnelKey::from([5; 32]));
    let mut sealed = [7; 12 + 30 + 16];
    protection.seal(Datagrams::single(&mut sealed));
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = bytes;
        let opened: Vec<_> = protection.open(Datagrams::single(&mut bytes)).collect();
        assert_eq!(opened, [Err(OpenError::Checksum)], "bit {bit}");
        assert_eq!(bytes, changed);
    }
}

#[test]
fn a_datagram_below_the_header_is_too_short_and_null_has_no_header() {
    let mut bytes = [0; 19];
    let none = protection("none", TunnelKey::from([0; 32]));
    let opened: Vec<_> = none.open(Datagrams::single(&mut bytes)).collect();
    assert_eq!(opened, [Err(OpenError::TooShort)]);
    let tagged = protection("aes-128-gcm", TunnelKey::from([0; 32]));
    let mut short = [0; 27];
    let opened: Vec<_> = tagged.open(Datagrams::single(&mut short)).collect();
    assert_eq!(opened, [Err(OpenError::TooShort)]);

    let mut null = protection("null", TunnelKey::from([0; 32]));
    assert_eq!(null.margins(), Margins::default());
    null.seal(Datagrams::single(&mut bytes));
    assert_eq!(bytes, [0; 19]);
    assert_eq!(null.open(Datagrams::single(&mut bytes)).next().unwrap().unwrap(), [0; 19]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Every payload of a sealed batch comes back, except those with a flipped bit behind the
    /// nonce, which fail their checksum; the same payload never looks the same twice.
    #[test]
    fn a_sealed_batch_opens_and_damage_shows(
        which in 0..CipherKind::ALL.len() - 1,
        payload in prop::collection::vec(any::<u8>(), 1..1473),
        count in 1usize..=40,
        hits in prop::collection::btree_map(0usize..40, (16usize..21, 0u32..8), 0..5),
    ) {
        let mut here = protection(CipherKind::ALL[which].name(), TunnelKey::from([5; 32]));
        let there = protection(CipherKind::ALL[which].name(), TunnelKey::from([5; 32]));
        let margins = here.margins();
        let len = margins.around(payload.len());
        let mut batch =
            [vec![0; margins.front], payload.clone(), vec![0; margins.back]].concat().repeat(count);
        here.seal(Datagrams::new(&mut batch, len));
        let mut seen: Vec<_> = batch.chunks(len).map(<[u8]>::to_vec).collect();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len(), count);

        let mut received = batch;
        for (&hit, &(at, bit)) in hits.range(..count) {
            received[hit * len + at] ^= 1 << bit;
        }
        let opened = there.open(Datagrams::new(&mut received, len));
        prop_assert_eq!(opened.len(), count);
        for (index, result) in opened.enumerate() {
            match result {
                Ok(opened) => prop_assert!(opened == payload && !hits.contains_key(&index)),
                Err(error) => {
                    prop_assert!(error == OpenError::Checksum && hits.contains_key(&index));
                }
            }
        }
    }

    /// No bytes of any shape make a cipher panic, and noise does not open.
    #[test]
    fn garbage_does_not_open(
        which in 0..CipherKind::ALL.len() - 1,
        mut bytes in prop::collection::vec(any::<u8>(), 0..6000),
        stride in 0usize..3000,
    ) {
        let there = protection(CipherKind::ALL[which].name(), TunnelKey::from([5; 32]));
        prop_assert!(there.open(Datagrams::new(&mut bytes, stride)).all(|result| result.is_err()));
    }
}
