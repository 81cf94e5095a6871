//! Throughput of every kernel that this CPU can run, alone and through the FEC machines, in bytes
//! of data: 10+3 groups of the packets that the default mtu makes.

#![allow(missing_docs, reason = "benches are no library")]

use divan::{Bencher, black_box, counter::BytesCount};
use fec_proto::{Decoder, DecoderStorage, Encoder, EncoderStorage, Kernel, Rows, Shape};
use proto_base::{Instant, Pool};

/// Length of a datagram from its FEC header on, behind 20 bytes of packet protection.
const PACKET: usize = 1_330;
/// Groups in a batch.
const GROUPS: usize = 16;
/// Parity and losses of a group.
const PARITY: usize = 3;

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

fn shape() -> Shape {
    Shape::new(10, PARITY as i64).unwrap().unwrap()
}

fn pool() -> Pool<'static> {
    Pool::owned(1 << 22, 16_384).unwrap()
}

#[divan::bench(args = names())]
fn encode(bencher: Bencher<'_, '_>, name: &str) {
    let mut pool = pool();
    let storage = EncoderStorage::owned();
    let mut encoder = Encoder::new(shape(), kernel(name), Default::default(), storage).unwrap();
    let mut packets = vec![[7u8; PACKET]; GROUPS * shape().data()];
    let mut out = [0; 1500];
    bencher.counter(BytesCount::new(packets.len() * PACKET)).bench_local(|| {
        for packet in &mut packets {
            encoder.seal(Instant::ZERO, &mut pool, black_box(packet)).unwrap();
            while encoder.poll_transmit(&mut pool, &mut out).unwrap().is_some() {}
        }
    });
}

/// All packets of a few groups, in the order sent.
fn sealed() -> Vec<Vec<u8>> {
    let mut pool = pool();
    let storage = EncoderStorage::owned();
    let mut encoder = Encoder::new(shape(), Kernel::PORTABLE, Default::default(), storage).unwrap();
    let mut out = Vec::new();
    for number in 0..GROUPS * shape().data() {
        let mut packet: Vec<u8> = (0..PACKET).map(|at| (at * 31 + number * 7) as u8).collect();
        encoder.seal(Instant::ZERO, &mut pool, &mut packet).unwrap();
        out.push(packet);
        let mut parity = vec![0; 1500];
        while let Some(len) = encoder.poll_transmit(&mut pool, &mut parity).unwrap() {
            out.push(parity[..len].to_vec());
        }
    }
    out
}

/// Every group loses its first three data packets.
#[divan::bench(args = names())]
fn decode_with_3_losses(bencher: Bencher<'_, '_>, name: &str) {
    let kernel = kernel(name);
    let packets = sealed();
    let mut pool = pool();
    let mut out = [0; 1500];
    bencher.counter(BytesCount::new(GROUPS * shape().data() * PACKET)).bench_local(|| {
        let mut decoder = Decoder::new(Some(shape()), kernel, DecoderStorage::owned()).unwrap();
        for (at, packet) in packets.iter().enumerate() {
            if at % shape().total() >= PARITY {
                decoder.handle_packet(Instant::ZERO, &mut pool, black_box(packet)).unwrap();
                while decoder.poll_recovered(&mut pool, &mut out).unwrap().is_some() {}
            }
        }
        assert_eq!(decoder.stats().recovered as usize, GROUPS * PARITY);
        decoder.release(&mut pool);
    });
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
