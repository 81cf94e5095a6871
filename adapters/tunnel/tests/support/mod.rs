//! What the tests on recorded vectors share.

use kcptun_tunnel::batch::Datagrams;
use kcptun_tunnel::crypt::{NONCE_LEN, NonceSource};
use kcptun_tunnel::crypt::{PacketCipher, Protection};
use proto_base::Pool;
use serde_json::Value;

/// A file of recorded vectors.
pub(crate) fn vectors(name: &str) -> Value {
    let path = format!("{}/../../tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

pub(crate) fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

pub(crate) fn pool() -> Pool<'static> {
    Pool::owned(1 << 20, 16_384).unwrap()
}

/// Protection whose own nonces do not matter: [`seal_with`] replaces them.
pub(crate) fn protection(cipher: PacketCipher) -> Protection {
    Protection::with(cipher, NonceSource::new([3; 32]))
}

/// Seals a payload, then puts the known nonce in the place of the random one.
pub(crate) fn seal_with(protection: &mut Protection, nonce: &[u8], payload: &[u8]) -> Vec<u8> {
    let front = protection.margins().front;
    let mut datagram = [&vec![0; front], payload].concat();
    protection.seal(Datagrams::single(&mut datagram));
    if front > 0 {
        protection.cipher().decrypt(Datagrams::single(&mut datagram));
        datagram[..NONCE_LEN].copy_from_slice(nonce);
        protection.cipher().encrypt(Datagrams::single(&mut datagram));
    }
    datagram
}

/// Opens a datagram: its nonce, empty without protection, and its payload.
pub(crate) fn open(protection: &Protection, datagram: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut bytes = datagram.to_vec();
    let mut opened = protection.open(Datagrams::single(&mut bytes));
    let payload = opened.next().unwrap().unwrap().to_vec();
    assert!(opened.next().is_none());
    bytes.truncate(protection.margins().front.min(NONCE_LEN));
    (bytes, payload)
}
