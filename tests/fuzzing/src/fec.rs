//! Forward error correction.

use std::collections::HashSet;
use std::time::Duration;

use fec_proto::{
    Accepted, Decoder, DecoderStorage, Encoder, EncoderStorage, GROUPS_KEPT, HEADROOM, Kernel,
    MAX_PACKET, PARITY_OVERHEAD, Shape,
};
use proto_base::{Instant, Pool};

use crate::input::{Input, patterned};

/// Memory for the shards of one end, in bytes.
const MEMORY: usize = 1 << 20;

/// Hands arbitrary packets to a decoder: raw bytes, or packets whose header is well-formed.
///
/// # Panics
/// When memory grows beyond its bound or does not come back, a deadline lies in the past, or a
/// rebuilt packet is longer than any.
pub fn fec_decoder(data: &[u8]) {
    let mut input = Input::new(data);
    let mut pool = Pool::owned(MEMORY, 4096).expect("a pool");
    let expected = shape(&mut input);
    let decoder = Decoder::new(expected, Kernel::PORTABLE, DecoderStorage::owned());
    let mut decoder = decoder.expect("owned storage suits every shape");
    if input.flag() {
        decoder = decoder.in_doubt();
    }
    let (mut now, mut id) = (Instant::ZERO, 0_u32);
    while let Some(operation) = input.operation() {
        let mut packet = Vec::new();
        match operation % 8 {
            0 => packet.extend_from_slice(input.bytes(usize::from(operation / 8) * 48)),
            1 => now += Duration::from_millis(u64::from(input.u16())),
            2 => id = input.u32(),
            3 => decoder.release(&mut pool),
            _ => {
                id = id.wrapping_add(u32::from(input.byte() % 4));
                let kind = [0xf1, 0xf1, 0xf1, 0xf2, 0xf2, 0xf3][input.below(6)];
                packet.extend_from_slice(&id.to_le_bytes());
                packet.extend_from_slice(&[kind, 0]);
                packet.extend_from_slice(input.bytes(usize::from(operation / 8)));
            }
        }
        if !packet.is_empty() {
            let accepted = decoder.handle_packet(now, &mut pool, &packet);
            if let Ok(Accepted::Data(bytes)) = accepted {
                assert_eq!(bytes, &packet[HEADROOM..]);
            }
            id = id.wrapping_add(1);
        }
        drain(&mut decoder, &mut pool, |_| {});
        decoder.handle_timeout(now, &mut pool);
        assert!(decoder.poll_timeout().is_none_or(|at| at > now), "a deadline in the past");
        let most = decoder.shape().map_or(0, |shape| GROUPS_KEPT * shape.data());
        assert!(decoder.kept() <= most, "{} packets kept", decoder.kept());
    }
    decoder.release(&mut pool);
    assert_eq!(pool.used_pages(), 0);
}

/// Sends groups through a path that loses, copies and disturbs the order of packets.
///
/// # Panics
/// When something is rebuilt that was not sent or had arrived, or a group is not rebuilt although
/// enough of it arrived.
pub fn fec_groups(data: &[u8]) {
    let mut input = Input::new(data);
    let Some(shape) = shape(&mut input) else { return };
    let mut pool = Pool::owned(4 * MEMORY, 4096).expect("a pool");
    let storage = EncoderStorage::owned();
    let encoder = Encoder::new(shape, Kernel::PORTABLE, Default::default(), storage);
    let mut encoder = encoder.expect("owned storage suits every shape");
    let decoder = Decoder::new(Some(shape), Kernel::PORTABLE, DecoderStorage::owned());
    let mut decoder = decoder.expect("owned storage suits every shape");
    for number in 0..24 {
        let group = seal_group(&mut encoder, &mut pool, shape, number, &mut input);
        let mut arrivals = Vec::new();
        for at in 0..group.len() {
            match input.byte() % 8 {
                0 | 1 => {}
                2 => arrivals.extend([at, at]),
                3 => arrivals.insert(arrivals.len() / 2, at),
                _ => arrivals.push(at),
            }
        }
        let whole: HashSet<&[u8]> =
            group[..shape.data()].iter().map(|it| &it[HEADROOM..]).collect();
        let arrived: HashSet<usize> = arrivals.iter().copied().collect();
        let mut got: HashSet<Vec<u8>> = HashSet::new();
        for at in arrivals {
            let accepted = decoder.handle_packet(Instant::ZERO, &mut pool, &group[at]);
            if let Accepted::Data(bytes) = accepted.expect("a packet of the encoder") {
                got.insert(bytes.to_vec());
            }
            drain(&mut decoder, &mut pool, |rebuilt| {
                assert!(whole.contains(rebuilt), "rebuilt what was not sent");
                assert!(got.insert(rebuilt.to_vec()), "rebuilt what was there");
            });
        }
        if arrived.len() >= shape.data() {
            assert_eq!(got.len(), shape.data(), "{} of {shape:?} arrived", arrived.len());
        }
    }
    encoder.release(&mut pool);
    decoder.release(&mut pool);
    assert_eq!(pool.used_pages(), 0);
}

/// All packets of a group, data first. No two have the same data.
fn seal_group(
    encoder: &mut Encoder<'_>,
    pool: &mut Pool<'_>,
    shape: Shape,
    number: u32,
    input: &mut Input<'_>,
) -> Vec<Vec<u8>> {
    let mut group = Vec::new();
    for position in 0..shape.data() {
        let len = 8 + usize::from(input.byte()) * 5;
        let lane = number * 256 + position as u32;
        let mut packet = [vec![0; HEADROOM], lane.to_le_bytes().to_vec()].concat();
        packet.extend(patterned(lane, 0, len));
        encoder.seal(Instant::ZERO, pool, &mut packet).expect("a packet of a legal length");
        group.push(packet);
    }
    let mut out = [0; MAX_PACKET + PARITY_OVERHEAD + HEADROOM];
    while let Some(len) = encoder.poll_transmit(pool, &mut out).expect("room enough") {
        group.push(out[..len].to_vec());
    }
    assert_eq!(group.len(), shape.total());
    group
}

fn shape(input: &mut Input<'_>) -> Option<Shape> {
    let (data, parity) = (i64::from(input.byte() % 24), i64::from(input.byte() % 12));
    Shape::new(data, parity).expect("far below 256")
}

fn drain(decoder: &mut Decoder<'_>, pool: &mut Pool<'_>, mut use_packet: impl FnMut(&[u8])) {
    let mut out = [0; MAX_PACKET];
    while let Some(len) = decoder.poll_recovered(pool, &mut out).expect("room enough") {
        use_packet(&out[..len]);
    }
}
