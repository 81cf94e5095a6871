//! Every layer in small portions, for binaries that run slowly: those built for another machine
//! and run under an emulator. `cargo xtask cross` puts scripts in `KCPTUN_BIN_DIR` that do so, for
//! `kcptun-client` and `kcptun-server` and then for `kcptun-router` in both roles.
//!
//! What an emulated machine can get wrong is byte order, word size and alignment, in ciphers, FEC,
//! headers and checksums. So each cipher meets every combination of smux version, FEC and
//! compression, on both sides of the original, over a path that loses datagrams.

use std::time::Duration;

use kcptun_interop::{Case, Job};

const JOB: Job =
    Job { connections: 2, up: 128 << 10, down: 128 << 10, patience: Duration::from_secs(60) };
const LOSSY: &str = "delay=5ms,jitter=1ms,loss=3%";

/// Every combination, with a name.
fn settings() -> impl Iterator<Item = (String, String)> {
    let fec = [
        ("no FEC", "--datashard 0 --parityshard 0"),
        ("FEC 10+3", "--datashard 10 --parityshard 3"),
    ];
    let smux = [("smux 1", "--smuxver 1"), ("smux 2", "--smuxver 2")];
    let compression = [("compressed", ""), ("plain", "--nocomp")];
    fec.into_iter().flat_map(move |fec| {
        smux.into_iter().flat_map(move |smux| {
            compression.into_iter().map(move |compression| {
                let parts = [fec, smux, compression];
                (parts.map(|(name, _)| name).join(", "), parts.map(|(_, flags)| flags).join(" "))
            })
        })
    })
}

fn works_with(cipher: &str) {
    for (name, flags) in settings() {
        Case::new(format!("{cipher}, {name}"))
            .both(&format!("--crypt {cipher} --mode fast3"))
            .both(&flags)
            .link(LOSSY)
            .job(JOB)
            .run_both_ways();
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn small_portions_with_aes() {
    works_with("aes");
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn small_portions_with_salsa20() {
    works_with("salsa20");
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn small_portions_with_none() {
    works_with("none");
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn small_portions_with_tea() {
    works_with("tea");
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn small_portions_with_sm4() {
    works_with("sm4");
}
