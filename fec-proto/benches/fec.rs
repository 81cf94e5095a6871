//! Throughput of the FEC machines with 10+3 groups of 1350-byte packets, in bytes of data.

#![allow(missing_docs, reason = "benches are no library")]

use divan::{Bencher, black_box, counter::BytesCount};
use fec_proto::{Decoder, DecoderStorage, Encoder, EncoderStorage, Kernel, Rows, Shape};
use proto_base::{Instant, Pool};

/// Length of a datagram from its FEC header on, as the default mtu makes it behind 20 bytes of
/// packet protection.
const PACKET: usize = 1_330;
/// Groups in a batch.
const GROUPS: usize = 16;

fn main() {
    divan::main();
}

fn shape(data: i64, parity: i64) -> Shape {
    Shape::new(data, parity).unwrap().unwrap()
}

fn pool() -> Pool<'static> {
    Pool::owned(1 << 22, 16_384).unwrap()
}

/// All packets of a few groups, in the order sent.
fn sealed(shape: Shape) -> Vec<Vec<u8>> {
    let mut pool = pool();
    let mut encoder =
        Encoder::new(shape, Kernel::PORTABLE, Default::default(), EncoderStorage::owned()).unwrap();
    let mut out = Vec::new();
    for number in 0..GROUPS * shape.data() {
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

#[divan::bench(args = [(10, 3), (3, 1), (20, 10), (70, 30)])]
fn encode(bencher: Bencher<'_, '_>, (data, parity): (i64, i64)) {
    let shape = shape(data, parity);
    let mut pool = pool();
    let mut encoder =
        Encoder::new(shape, Kernel::PORTABLE, Default::default(), EncoderStorage::owned()).unwrap();
    let mut packets = vec![[7u8; PACKET]; GROUPS * shape.data()];
    let mut out = [0; 1500];
    bencher.counter(BytesCount::new(packets.len() * PACKET)).bench_local(|| {
        for packet in &mut packets {
            encoder.seal(Instant::ZERO, &mut pool, black_box(packet)).unwrap();
            while encoder.poll_transmit(&mut pool, &mut out).unwrap().is_some() {}
        }
    });
}

/// Every group loses its first `lost` data packets.
#[divan::bench(args = [0, 1, 3])]
fn decode_10_3(bencher: Bencher<'_, '_>, lost: usize) {
    let shape = shape(10, 3);
    let packets = sealed(shape);
    let mut out = [0; 1500];
    let mut pool = pool();
    bencher.counter(BytesCount::new(GROUPS * shape.data() * PACKET)).bench_local(|| {
        let mut decoder =
            Decoder::new(Some(shape), Kernel::PORTABLE, DecoderStorage::owned()).unwrap();
        for (at, packet) in packets.iter().enumerate() {
            if at % shape.total() >= lost {
                decoder.handle_packet(Instant::ZERO, &mut pool, black_box(packet)).unwrap();
                while decoder.poll_recovered(&mut pool, &mut out).unwrap().is_some() {}
            }
        }
        assert_eq!(decoder.stats().recovered as usize, GROUPS * lost);
        decoder.release(&mut pool);
    });
}

/// The worst for the search for a shape: types that never fit, in runs as long as can be.
#[divan::bench]
fn decode_in_doubt(bencher: Bencher<'_, '_>) {
    let mut pool = pool();
    let mut decoder = Decoder::new(None, Kernel::PORTABLE, DecoderStorage::owned()).unwrap();
    let mut id = 0u32;
    bencher.bench_local(|| {
        let kind = if id.is_multiple_of(256) { 0xf2 } else { 0xf1 };
        let mut packet = [0, 0, 0, 0, kind, 0, 2, 0];
        packet[..4].copy_from_slice(&id.to_le_bytes());
        id = id.wrapping_add(1);
        decoder.handle_packet(Instant::ZERO, &mut pool, black_box(&packet)).map(|_| ()).unwrap();
    });
}

struct Table(Vec<Vec<u8>>);

impl Rows for Table {
    fn row(&mut self, index: usize) -> &mut [u8] {
        &mut self.0[index]
    }
}

/// One 1,344-byte source into several rows.
#[divan::bench(args = [1, 2, 3, 5, 30])]
fn kernel_rows(bencher: Bencher<'_, '_>, count: usize) {
    let mut table = Table(vec![vec![0; 1344]; count]);
    let source = [7; 1344];
    let coefficients: Vec<u8> = (0..count).map(|row| [129, 150, 191][row % 3]).collect();
    bencher.counter(BytesCount::new(source.len())).bench_local(|| {
        Kernel::PORTABLE.mul_add_rows(black_box(&coefficients), black_box(&source), &mut table);
    });
}

/// Several 1,344-byte sources into one target.
#[divan::bench(args = [1, 3, 10, 16])]
fn kernel_combine(bencher: Bencher<'_, '_>, count: usize) {
    let bytes = vec![7; 1344 * count];
    let sources: Vec<&[u8]> = bytes.chunks(1344).collect();
    let coefficients: Vec<u8> =
        (0..count).map(|at| [129, 150, 175, 184, 210, 196, 254, 232, 3, 2][at % 10]).collect();
    let mut target = [0; 1344];
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        Kernel::PORTABLE.combine(black_box(&coefficients), black_box(&sources), &mut target);
    });
}
