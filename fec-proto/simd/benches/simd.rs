//! Throughput of every kernel that this CPU can run, alone and through the FEC machines, in bytes
//! of data: 10+3 groups of the packets that the default mtu makes.

#![allow(missing_docs, reason = "benches are no library")]

mod groups;

use divan::{Bencher, black_box, counter::BytesCount};
use fec_proto::{Kernel, Rows};

use self::groups::{BYTES, Decoding, Encoding, PACKET, PARITY};

fn main() {
    println!("kernel that would be taken here: {}", fec_simd::detect().name());
    divan::main();
}

fn kernel(name: &str) -> Kernel {
    fec_simd::by_name(name).unwrap()
}

fn names() -> impl Iterator<Item = &'static str> {
    fec_simd::available().map(|kernel| kernel.name())
}

#[divan::bench(args = names())]
fn encode(bencher: Bencher<'_, '_>, name: &str) {
    let mut encoding = Encoding::new(kernel(name));
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| encoding.run());
}

/// Every group loses its first three data packets.
#[divan::bench(args = names())]
fn decode_with_3_losses(bencher: Bencher<'_, '_>, name: &str) {
    let mut decoding = Decoding::new(kernel(name));
    bencher.counter(BytesCount::new(BYTES)).bench_local(|| decoding.run());
}

struct Table(Vec<Vec<u8>>);

impl Rows for Table {
    fn row(&mut self, index: usize) -> &mut [u8] {
        &mut self.0[index]
    }

    fn three(&mut self, first: usize) -> Option<[&mut [u8]; 3]> {
        let [a, b, c] = self.0[first..].first_chunk_mut()?;
        Some([a, b, c])
    }
}

/// One source into three rows.
#[divan::bench(args = names())]
fn kernel_3_rows(bencher: Bencher<'_, '_>, name: &str) {
    let kernel = kernel(name);
    let mut table = Table(vec![vec![0; PACKET]; PARITY]);
    let source = [7; PACKET];
    bencher.counter(BytesCount::new(source.len())).bench_local(|| {
        kernel.mul_add_rows(black_box(&[129, 150, 191]), black_box(&source), &mut table);
    });
}

/// One source into one row.
#[divan::bench(args = names())]
fn kernel_1_row(bencher: Bencher<'_, '_>, name: &str) {
    let kernel = kernel(name);
    let source = [7; PACKET];
    let mut target = [0; PACKET];
    bencher.counter(BytesCount::new(source.len())).bench_local(|| {
        kernel.mul_add(black_box(129), black_box(&source), &mut target);
    });
}

/// Ten sources into one target.
#[divan::bench(args = names())]
fn kernel_combine_10(bencher: Bencher<'_, '_>, name: &str) {
    let kernel = kernel(name);
    let bytes = vec![7; PACKET * 10];
    let sources: Vec<&[u8]> = bytes.chunks(PACKET).collect();
    let coefficients = [129, 150, 175, 184, 210, 196, 254, 232, 3, 2];
    let mut target = [0; PACKET];
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        kernel.combine(black_box(&coefficients), black_box(&sources), &mut target);
    });
}
