//! Our side of the rows without sockets: ciphers, FEC and KCP alone.
//!
//! A program of its own because it is built as the tunnels are, with all optimisation, and each
//! measurement begins with a fresh process. One measurement a run:
//!
//! ```text
//! kcptun-functions cipher NAME MS     MB/s encrypted and decrypted, in batches of full packets
//! kcptun-functions fec KERNEL MS      GB/s of data encoded and decoded, 10+3, three lost
//! kcptun-functions kcp WINDOW MS      ns per segment queued, sent, received, acknowledged
//! ```
//!
//! Times are those that the thread had the processor, and every figure is the best of three times
//! MS milliseconds: what the rest of the machine disturbed least. The benches of `kcp-proto` and `fec-simd` do the same work.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kcptun_tunnel::batch::{Datagrams, MAX_BATCH_LEN, MAX_DATAGRAM_LEN};
use kcptun_tunnel::crypt::{CipherKind, PacketCipher, TunnelKey};
use rustix::time::{ClockId, clock_gettime};

#[allow(dead_code, reason = "the benches use all of it")]
#[path = "../../../../fec-proto/simd/benches/groups/mod.rs"]
mod groups;
#[allow(dead_code, reason = "the benches use all of it")]
#[path = "../../../../kcp-proto/benches/pair/mod.rs"]
mod pair;

const USAGE: &str = "usage: kcptun-functions cipher NAME MS | fec KERNEL MS | kcp WINDOW MS";
const TRIES: usize = 3;
/// Calls between two looks at the time.
const CALLS: usize = 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match measure(&arguments) {
        Ok(figures) => {
            let figures: Vec<String> =
                figures.iter().map(|figure| format!("{figure:.3}")).collect();
            println!("{}", figures.join(" "));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("kcptun-functions: {message}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<Vec<f64>, String> {
    let [what, which, time] = arguments else { return Err(USAGE.into()) };
    let time = time.parse().ok().filter(|time| (1..=10_000).contains(time));
    let time = time.ok_or_else(|| format!("{USAGE}; MS is 1 to 10000"))?;
    let time = Duration::from_millis(time);
    match what.as_str() {
        "cipher" => cipher(which, time),
        "fec" => fec(which, time),
        "kcp" => {
            let window = which.parse().ok().filter(|window| (64..=u16::MAX).contains(window));
            Ok(kcp(window.ok_or_else(|| format!("{USAGE}; WINDOW is 64 to 65535"))?, time))
        }
        _ => Err(USAGE.into()),
    }
}

/// Batches as long as a send takes, of the longest datagrams.
fn cipher(name: &str, time: Duration) -> Result<Vec<f64>, String> {
    let kind = CipherKind::from_name(name).ok_or_else(|| format!("{name}: no such cipher"))?;
    let cipher = PacketCipher::from_key(kind, &TunnelKey::from([0x5a; 32]));
    let cipher = cipher.map_err(|error| error.to_string())?;
    let mut bytes = vec![7; MAX_BATCH_LEN / MAX_DATAGRAM_LEN * MAX_DATAGRAM_LEN];
    let len = bytes.len();
    let mut apply = |way: fn(&PacketCipher, Datagrams<'_>)| {
        speed(time, len, || way(&cipher, Datagrams::new(black_box(&mut bytes), MAX_DATAGRAM_LEN)))
    };
    let encrypted = apply(PacketCipher::encrypt);
    let decrypted = apply(PacketCipher::decrypt);
    Ok(vec![encrypted / 1e6, decrypted / 1e6])
}

fn fec(name: &str, time: Duration) -> Result<Vec<f64>, String> {
    let kernel = fec_simd::by_name(name).ok_or_else(|| format!("{name}: not on this CPU"))?;
    let (mut encoding, mut decoding) =
        (groups::Encoding::new(kernel), groups::Decoding::new(kernel));
    let encoded = speed(time, groups::BYTES, || encoding.run());
    let decoded = speed(time, groups::BYTES, || decoding.run());
    Ok(vec![encoded / 1e9, decoded / 1e9])
}

/// The parts take turns, so each finds the caches as the others leave them. The median of the
/// rounds: they are many, and some of them find work that others left.
fn kcp(window: u16, time: Duration) -> Vec<f64> {
    let mut pair = pair::Pair::new(window, false);
    let mut samples = [const { Vec::new() }; pair::PARTS.len()];
    let start = Instant::now();
    while start.elapsed() < time * TRIES as u32 {
        for (part, samples) in pair::PARTS.iter().zip(&mut samples) {
            let start = Instant::now();
            part(&mut pair);
            samples.push(start.elapsed());
        }
    }
    let median = |mut samples: Vec<Duration>| {
        let middle = samples.len() / 2;
        *samples.select_nth_unstable(middle).1
    };
    samples.map(|samples| median(samples).as_secs_f64() * 1e9 / pair::ROUND as f64).into()
}

/// Bytes per second of the processor, of calls that work on `len` bytes each.
fn speed(time: Duration, len: usize, mut call: impl FnMut()) -> f64 {
    let mut best = 0.0;
    for _ in 0..TRIES {
        let start = thread_time();
        let mut count = 0;
        let mut spent = Duration::ZERO;
        while spent < time {
            for _ in 0..CALLS {
                call();
            }
            count += CALLS;
            spent = thread_time() - start;
        }
        best = f64::max(best, (count * len) as f64 / spent.as_secs_f64());
    }
    best
}

/// How long this thread has had the processor.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
