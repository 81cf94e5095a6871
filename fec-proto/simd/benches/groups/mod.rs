//! Groups of 10+3 packets, as long as the default mtu makes them, through the FEC machines.

use core::hint::black_box;

use fec_proto::{Decoder, DecoderStorage, Encoder, EncoderStorage, Kernel, Shape};
use proto_base::{Instant, Pool};

/// Length of a datagram from its FEC header on, behind 20 bytes of packet protection.
pub(crate) const PACKET: usize = 1_330;
/// Groups in a batch.
const GROUPS: usize = 16;
const DATA: usize = 10;
/// Parity and losses of a group.
pub(crate) const PARITY: usize = 3;
/// Bytes of data in a batch.
pub(crate) const BYTES: usize = GROUPS * DATA * PACKET;

/// Encodes a batch again and again.
pub(crate) struct Encoding {
    encoder: Encoder<'static>,
    pool: Pool<'static>,
    packets: Vec<[u8; PACKET]>,
}

impl Encoding {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self { encoder: encoder(kernel), pool: pool(), packets: vec![[7; PACKET]; GROUPS * DATA] }
    }

    /// Seals all packets and takes the parity.
    pub(crate) fn run(&mut self) {
        let mut out = [0; 1500];
        for packet in &mut self.packets {
            self.encoder.seal(Instant::ZERO, &mut self.pool, black_box(packet)).unwrap();
            while self.encoder.poll_transmit(&mut self.pool, &mut out).unwrap().is_some() {}
        }
    }
}

/// Decodes a batch again and again, of which every group has lost its first [`PARITY`] packets.
pub(crate) struct Decoding {
    kernel: Kernel,
    pool: Pool<'static>,
    packets: Vec<Vec<u8>>,
}

impl Decoding {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self { kernel, pool: pool(), packets: sealed() }
    }

    /// Takes what has arrived of all groups and rebuilds the rest.
    pub(crate) fn run(&mut self) {
        let (mut out, pool) = ([0; 1500], &mut self.pool);
        let storage = DecoderStorage::owned();
        let mut decoder = Decoder::new(Some(shape()), self.kernel, storage).unwrap();
        for (at, packet) in self.packets.iter().enumerate() {
            if at % shape().total() >= PARITY {
                decoder.handle_packet(Instant::ZERO, pool, black_box(packet)).unwrap();
                while decoder.poll_recovered(pool, &mut out).unwrap().is_some() {}
            }
        }
        assert_eq!(decoder.stats().recovered as usize, GROUPS * PARITY);
        decoder.release(pool);
    }
}

fn shape() -> Shape {
    Shape::new(DATA as i64, PARITY as i64).unwrap().unwrap()
}

fn pool() -> Pool<'static> {
    Pool::owned(1 << 22, 16_384).unwrap()
}

fn encoder(kernel: Kernel) -> Encoder<'static> {
    Encoder::new(shape(), kernel, Default::default(), EncoderStorage::owned()).unwrap()
}

/// All packets of the batch, in the order sent.
fn sealed() -> Vec<Vec<u8>> {
    let mut pool = pool();
    let mut encoder = encoder(Kernel::PORTABLE);
    let mut out = Vec::new();
    for number in 0..GROUPS * DATA {
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
