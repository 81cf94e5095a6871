//! Every cipher of the original, and `null` and `aes-128-gcm`, which its 2021 version does not have.

use kcptun_interop::{Case, Job, OURS_ALONE};

fn works_with(cipher: &str, megabytes: u64) {
    let job = Job { up: megabytes << 20, down: megabytes << 20, ..Job::default() };
    Case::new(cipher).both(&format!("--crypt {cipher}")).job(job).run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn aes_family() {
    for cipher in ["aes", "aes-128", "aes-192"] {
        works_with(cipher, 4);
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn fast_ciphers() {
    for cipher in ["salsa20", "xor", "none", "sm4", "blowfish"] {
        works_with(cipher, 4);
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn slow_ciphers() {
    for cipher in ["twofish", "cast5", "3des", "tea", "xtea"] {
        works_with(cipher, 1);
    }
}

#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn null_between_our_own() {
    Case::new("null").both("--crypt null").run(OURS_ALONE);
}

/// A cipher of kcptun 2025.
#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn aes_128_gcm_between_our_own() {
    Case::new("aes-128-gcm").both("--crypt aes-128-gcm").run(OURS_ALONE);
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn a_key_of_one_s_own() {
    Case::new("key").both("--key this-is-a-key-of-our-own").run_both_ways();
}
