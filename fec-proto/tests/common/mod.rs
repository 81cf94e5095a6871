//! What the test files share: both kinds of memory, and a sender.

#![allow(dead_code, reason = "each test file uses a part")]

use fec_proto::{
    DecoderStorage, Encoder, EncoderConfig, EncoderStorage, HEADROOM, Kernel, ParitySlot, Shape,
    ShardSlot,
};
use proto_base::{Instant, PageState, Pool};

pub(crate) const PAGE: usize = 4_096;
pub(crate) const PAGES: usize = 512;

pub(crate) fn shape(data: i64, parity: i64) -> Shape {
    Shape::new(data, parity).unwrap().unwrap()
}

/// Runs `test` in owned and in borrowed memory; the pool must be whole again at its end.
pub(crate) fn in_both_memories<E>(
    mut test: impl FnMut(&mut Pool<'_>, EncoderStorage<'_>, DecoderStorage<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut pool = Pool::owned(PAGES * PAGE, PAGE).unwrap();
    test(&mut pool, EncoderStorage::owned(), DecoderStorage::owned())?;
    assert_eq!(pool.used_pages(), 0, "owned memory");

    let mut arena = vec![0xaa; PAGES * PAGE];
    let mut pages = vec![PageState::new(); PAGES];
    let mut pool = Pool::fixed(&mut arena, &mut pages, PAGE).unwrap();
    let mut parity: Vec<ParitySlot> = (0..2 * 255).map(|_| ParitySlot::default()).collect();
    let mut shards: Vec<ShardSlot> = (0..4 * 255).map(|_| ShardSlot::default()).collect();
    test(&mut pool, EncoderStorage::fixed(&mut parity), DecoderStorage::fixed(&mut shards))?;
    assert_eq!(pool.used_pages(), 0, "borrowed memory");
    Ok(())
}

pub(crate) fn encoder(
    shape: Shape,
    config: EncoderConfig,
    storage: EncoderStorage<'_>,
) -> Encoder<'_> {
    Encoder::new(shape, Kernel::PORTABLE, config, storage).unwrap()
}

/// Seals `payload` and gives the packet and the parity that follows it.
pub(crate) fn send(
    encoder: &mut Encoder<'_>,
    pool: &mut Pool<'_>,
    now: Instant,
    payload: &[u8],
) -> Vec<Vec<u8>> {
    let mut packet = [&[0; HEADROOM], payload].concat();
    encoder.seal(now, pool, &mut packet).unwrap();
    let mut packets = vec![packet];
    let mut out = [0; 1500];
    while let Some(len) = encoder.poll_transmit(pool, &mut out).unwrap() {
        packets.push(out[..len].to_vec());
    }
    packets
}

pub(crate) fn id_of(packet: &[u8]) -> u32 {
    u32::from_le_bytes(packet[..4].try_into().unwrap())
}

pub(crate) fn is_parity(packet: &[u8]) -> bool {
    packet[4] == 0xf2
}
