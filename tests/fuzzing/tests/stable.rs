//! All targets over the committed seeds and over pseudo-random bytes, without a fuzzer.

use std::path::Path;

use kcptun_fuzzing::{TARGETS, Target};

/// A small seeded generator (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Bytes of any value, or mostly small ones, which as operations differ more.
    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let bits = 8 - self.below(4) as u32;
        (0..self.below(longest)).map(|_| (self.next() >> 32) as u8 >> (8 - bits)).collect()
    }

    /// A seed with some bytes changed, a part cut out, or the begin of another behind it.
    fn variation(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => {
                    let other = &seeds[self.below(seeds.len())];
                    bytes.extend_from_slice(&other[..self.below(other.len())]);
                }
                2 => {
                    let end = at + self.below(bytes.len() - at);
                    bytes.drain(at..end);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.next() as u8;
                    }
                }
            }
        }
        bytes
    }
}

/// Runs one input; what it was is told when it fails, ready to become a seed.
fn run(name: &str, target: Target, input: &[u8], origin: &str) {
    if let Err(panic) = std::panic::catch_unwind(|| target(input)) {
        eprintln!("{name} failed with {origin}: {input:02x?}");
        std::panic::resume_unwind(panic);
    }
}

fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut seeds: Vec<(String, Vec<u8>)> = files
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 3, "{name}: too few seeds");
    seeds
}

fn exercise(name: &str, runs: usize, longest: usize) {
    let (_, target) = TARGETS.into_iter().find(|target| target.0 == name).unwrap();
    let seeds = seeds(name);
    for (file, seed) in &seeds {
        run(name, target, seed, file);
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    for number in 0..runs as u64 {
        let mut random = Random(number << 8);
        let input = if number % 2 == 0 { random.bytes(longest) } else { random.variation(&seeds) };
        run(name, target, &input, &format!("pseudo-random input {number}"));
    }
}

#[test]
fn address_text() {
    exercise("address_text", 100_000, 24);
}

#[test]
fn endpoint_datagrams() {
    exercise("endpoint_datagrams", 6_000, 2_000);
}

#[test]
fn fec_decoder() {
    exercise("fec_decoder", 10_000, 2_000);
}

#[test]
fn fec_groups() {
    exercise("fec_groups", 2_000, 1_000);
}

#[test]
fn kcp_operations() {
    exercise("kcp_operations", 4_000, 1_000);
}

#[test]
fn kcp_packets() {
    exercise("kcp_packets", 10_000, 2_000);
}

#[test]
fn smux_bytes() {
    exercise("smux_bytes", 10_000, 4_000);
}

#[test]
fn smux_operations() {
    exercise("smux_operations", 1_000, 1_000);
}

#[test]
fn snappy_decompress() {
    exercise("snappy_decompress", 20_000, 2_000);
}

#[test]
fn snappy_round_trip() {
    exercise("snappy_round_trip", 2_000, 2_000);
}

#[test]
fn every_target_has_its_test_and_its_binary() {
    let here = include_str!("stable.rs");
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(here.contains(&format!("exercise(\"{name}\", ")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).exists(), "{name}");
    }
}
