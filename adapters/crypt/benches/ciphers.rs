//! All ciphers on the batch of a busy tunnel: 44 datagrams of 1350 bytes.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use kcptun_crypt::Datagrams;
use kcptun_crypt::{CipherKind, PacketCipher, Protection, TunnelKey};

const LEN: usize = 1350;
const BATCH: usize = 44;

fn main() {
    divan::main();
}

fn cipher(name: &str) -> PacketCipher {
    let kind = CipherKind::from_name(name).unwrap();
    PacketCipher::from_key(kind, &TunnelKey::from([0x5a; 32])).unwrap()
}

const NAMES: [&str; 13] = [
    "aes",
    "aes-128",
    "aes-128-gcm",
    "aes-192",
    "salsa20",
    "blowfish",
    "twofish",
    "cast5",
    "3des",
    "tea",
    "xtea",
    "xor",
    "sm4",
];

#[divan::bench(args = NAMES)]
fn encrypt_batch(bencher: Bencher<'_, '_>, name: &str) {
    let cipher = cipher(name);
    let mut bytes = vec![7; LEN * BATCH];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| cipher.encrypt(Datagrams::new(black_box(&mut bytes), LEN)));
}

#[divan::bench(args = NAMES)]
fn decrypt_batch(bencher: Bencher<'_, '_>, name: &str) {
    let cipher = cipher(name);
    let mut bytes = vec![7; LEN * BATCH];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| cipher.decrypt(Datagrams::new(black_box(&mut bytes), LEN)));
}

#[divan::bench(args = [1, 2, 4, 8, 16, 32, 64])]
fn encrypt_aes_datagrams(bencher: Bencher<'_, '_>, count: usize) {
    let cipher = cipher("aes");
    let mut bytes = vec![7; LEN * count];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| cipher.encrypt(Datagrams::new(black_box(&mut bytes), LEN)));
}

#[divan::bench(args = [64, 200, 600, 1350])]
fn decrypt_aes_length(bencher: Bencher<'_, '_>, len: usize) {
    let cipher = cipher("aes");
    let mut bytes = vec![7; len * BATCH];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| cipher.decrypt(Datagrams::new(black_box(&mut bytes), len)));
}

#[divan::bench(args = ["aes", "aes-128-gcm", "none"])]
fn seal(bencher: Bencher<'_, '_>, name: &str) {
    let kind = CipherKind::from_name(name).unwrap();
    let mut protection = Protection::new(kind, b"bench", [1; 32]).unwrap();
    let mut bytes = vec![7; LEN * BATCH];
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| protection.seal(Datagrams::new(black_box(&mut bytes), LEN)));
}

#[divan::bench(args = ["aes", "aes-128-gcm", "none"])]
fn open(bencher: Bencher<'_, '_>, name: &str) {
    let kind = CipherKind::from_name(name).unwrap();
    let mut protection = Protection::new(kind, b"bench", [1; 32]).unwrap();
    let mut sealed = vec![7; LEN * BATCH];
    protection.seal(Datagrams::new(&mut sealed, LEN));
    let mut bytes = sealed.clone();
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        bytes.copy_from_slice(&sealed);
        let opened = protection.open(Datagrams::new(black_box(&mut bytes), LEN));
        assert_eq!(opened.filter(Result::is_ok).count(), BATCH);
    });
}
