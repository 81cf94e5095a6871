//! Every layer in small portions, for binaries that run slowly: those built for another machine
//! and run under an emulator (`cargo xtask cross` puts scripts in `KCPTUN_BIN_DIR` that do so).
//!
//! What an emulated machine can get wrong is byte order, word size and alignment, in ciphers, FEC,
//! headers and checksums. So each cipher meets both smux versions, FEC and compression on and off,
//! on both sides of the original, over a path that loses datagrams.

use std::time::Duration;

use kcptun_interop::{Case, Job};

const JOB: Job =
    Job { connections: 2, up: 128 << 10, down: 128 << 10, patience: Duration::from_secs(60) };
const LOSSY: &str = "delay=5ms,jitter=1ms,loss=3%";

const FEC_OFF: &str = "--datashard 0 --parityshard 0";
const FEC_ON: &str = "--datashard 10 --parityshard 3";

/// The four settings in which each of the three choices is met with each other one.
fn settings() -> [(&'static str, String); 4] {
    [
        ("fec, smux 1, compressed", format!("{FEC_ON} --smuxver 1")),
        ("fec, smux 2, plain", format!("{FEC_ON} --smuxver 2 --nocomp")),
        ("no fec, smux 1, plain", format!("{FEC_OFF} --smuxver 1 --nocomp")),
        ("no fec, smux 2, compressed", format!("{FEC_OFF} --smuxver 2")),
    ]
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
