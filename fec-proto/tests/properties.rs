//! Properties of both machines, in owned and in borrowed memory.

mod common;

use std::collections::BTreeSet;

use common::{encoder, id_of, in_both_memories, is_parity, send, shape};
use fec_proto::{
    Accepted, Decoder, DecoderStorage, EncoderConfig, EncoderStorage, HEADROOM, Kernel, Shape,
    ShardId, ShardSlot, TooSmall,
};
use proptest::prelude::*;
use proto_base::{Instant, PageState, Pool};
use reed_solomon_erasure::galois_8::ReedSolomon;

const NOW: Instant = Instant::ZERO;

fn shapes() -> impl Strategy<Value = Shape> {
    let any = (1i64..=255).prop_flat_map(|data| (Just(data), 1..=256 - data));
    prop_oneof![4 => (1i64..=20, 1i64..=8), 1 => any].prop_map(|(data, parity)| shape(data, parity))
}

/// A payload that tells its number, of a length that depends on it.
fn payload(number: usize, lengths: &[usize]) -> Vec<u8> {
    let len = 4 + lengths[number % lengths.len()];
    let mut bytes: Vec<u8> =
        (0..len).map(|at| (at * 7 + number * 13 + at * at / 5) as u8).collect();
    bytes[..4].copy_from_slice(&(number as u32).to_le_bytes());
    bytes
}

/// The numbers of all payloads that a packet brings; each must have the right bytes.
fn receive(
    decoder: &mut Decoder<'_>,
    pool: &mut Pool<'_>,
    packet: &[u8],
    lengths: &[usize],
) -> Result<Vec<(usize, bool)>, TestCaseError> {
    let mut found = Vec::new();
    let mut check = |bytes: &[u8], rebuilt| {
        let number = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        prop_assert!(
            bytes == payload(number, lengths),
            "payload {} (rebuilt: {})",
            number,
            rebuilt
        );
        found.push((number, rebuilt));
        Ok(())
    };
    if let Accepted::Data(bytes) = decoder.handle_packet(NOW, pool, packet).unwrap() {
        check(bytes, false)?;
    }
    let mut out = [0; 1500];
    while let Some(len) = decoder.poll_recovered(pool, &mut out).unwrap() {
        check(&out[..len], true)?;
    }
    Ok(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The parity is that of reed-solomon-erasure, for any shape and unequal lengths.
    #[test]
    fn parity_equals_the_oracle(
        shape in shapes(),
        lengths in prop::collection::vec(0usize..300, 1..12),
    ) {
        let oracle = ReedSolomon::new(shape.data(), shape.parity()).unwrap();
        in_both_memories(|pool, storage, _| {
            let mut encoder = encoder(shape, EncoderConfig::default(), storage);
            let sent: Vec<Vec<u8>> = (0..shape.data())
                .flat_map(|number| send(&mut encoder, pool, NOW, &payload(number, &lengths)))
                .collect();
            prop_assert_eq!(sent.len(), shape.total());
            let longest = sent.iter().map(Vec::len).max().unwrap() - 6;
            let shards: Vec<Vec<u8>> = sent
                .iter()
                .map(|packet| {
                    let mut shard = packet[6..].to_vec();
                    shard.resize(longest, 0);
                    shard
                })
                .collect();
            prop_assert!(oracle.verify(&shards).unwrap());
            prop_assert!(sent[shape.data()..].iter().all(|packet| packet.len() == longest + 6));
            encoder.release(pool);
            Ok(())
        })?;
    }

    /// Whatever is lost (no more than the parity), in whatever order it comes and however often:
    /// every payload arrives, and none is rebuilt that had come.
    #[test]
    fn every_loss_within_the_parity_is_made_good(
        shape in shapes(),
        lengths in prop::collection::vec(0usize..600, 1..12),
        seed in any::<[usize; 8]>(),
    ) {
        let mut order: Vec<usize> = (0..shape.total()).collect();
        for at in 0..order.len() {
            order.swap(at, (seed[at % 8] / (at + 1)) % shape.total());
        }
        order.truncate(shape.total() - seed[0] % (shape.parity() + 1));
        let repeated = order[..seed[1] % order.len()].to_vec();
        order.extend(repeated);
        in_both_memories(|pool, storage, decoder_storage| {
            let mut encoder = encoder(shape, EncoderConfig::default(), storage);
            let mut decoder = Decoder::new(Some(shape), Kernel::PORTABLE, decoder_storage).unwrap();
            for group in 0..3 {
                let first = group * shape.data();
                let sent: Vec<Vec<u8>> = (first..first + shape.data())
                    .flat_map(|number| send(&mut encoder, pool, NOW, &payload(number, &lengths)))
                    .collect();
                let mut arrived = BTreeSet::new();
                for &at in &order {
                    for (number, rebuilt) in receive(&mut decoder, pool, &sent[at], &lengths)? {
                        prop_assert!(arrived.insert(number) || !rebuilt, "{} twice", number);
                    }
                    prop_assert!(decoder.kept() <= DecoderStorage::slots_for(shape));
                }
                prop_assert!(arrived.into_iter().eq(first..first + shape.data()));
                prop_assert_eq!(decoder.kept(), 0);
            }
            prop_assert_eq!(decoder.stats().errors, 0);
            encoder.release(pool);
            decoder.release(pool);
            Ok(())
        })?;
    }

    /// Damaged and made-up packets cannot panic, hold memory without bound, or switch recovery off
    /// for good.
    #[test]
    fn damage_is_survived(
        shape in (1i64..=12, 1i64..=4).prop_map(|(data, parity)| shape(data, parity)),
        damage in prop::collection::vec((any::<u8>(), any::<u16>(), any::<u8>()), 60),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 60),
        expect: bool,
    ) {
        let lengths = [40];
        in_both_memories(|pool, storage, decoder_storage| {
            let mut encoder = encoder(shape, EncoderConfig::default(), storage);
            let expected = Some(shape).filter(|_| expect);
            let mut decoder = Decoder::new(expected, Kernel::PORTABLE, decoder_storage).unwrap();
            let mut out = [0; 1500];
            for ((number, &(which, at, flip)), noise) in damage.iter().enumerate().zip(&noise) {
                for mut packet in send(&mut encoder, pool, NOW, &payload(number, &lengths)) {
                    if which & 1 == 0 {
                        let at = usize::from(at) % packet.len();
                        packet[at] ^= flip;
                    }
                    let _ = decoder.handle_packet(NOW, pool, &packet);
                    let mut noise = noise.clone();
                    if let Some(kind) = noise.get_mut(4..6) {
                        kind.copy_from_slice(&[0xf1 + (which >> 1 & 1), 0]);
                    }
                    let _ = decoder.handle_packet(NOW, pool, &noise);
                    while decoder.poll_recovered(pool, &mut out).unwrap().is_some() {}
                    let now_bound = decoder.shape().map_or(0, DecoderStorage::slots_for);
                    prop_assert!(decoder.kept() <= now_bound);
                }
            }
            // Then the line is clean but for one loss in each group: soon all is made good.
            let rounds = (64 + 600 / shape.total()) * shape.data();
            let mut rebuilt_late = 0;
            for number in 0..rounds {
                for packet in send(&mut encoder, pool, NOW, &payload(number, &lengths)) {
                    let lose = id_of(&packet).is_multiple_of(shape.total() as u32);
                    let is_late = number >= rounds - 4 * shape.data();
                    if number < rounds / 2 || !lose {
                        decoder.handle_packet(NOW, pool, &packet).unwrap();
                        while decoder.poll_recovered(pool, &mut out).unwrap().is_some() {
                            rebuilt_late += u32::from(is_late);
                        }
                    }
                }
            }
            prop_assert_eq!(decoder.shape(), Some(shape));
            prop_assert!(rebuilt_late >= 4, "{} rebuilt", rebuilt_late);
            encoder.release(pool);
            decoder.release(pool);
            Ok(())
        })?;
    }

    /// A decoder that expects another shape, or none, finds the peer's, and from then on hands out
    /// only what was sent; one that expects none hands out nothing before.
    #[test]
    fn the_peers_shape_is_found(
        sent_shape in (1i64..=20, 1i64..=10).prop_map(|(data, parity)| shape(data, parity)),
        start in prop::option::of(shapes()),
        lost in prop::collection::vec(0u32..100, 64),
        percent in 0u32..8,
    ) {
        let lengths = [30, 3, 100];
        let lost_ids: Vec<bool> = lost.iter().map(|&roll| roll < percent).collect();
        in_both_memories(|pool, storage, decoder_storage| {
            let mut encoder = encoder(sent_shape, EncoderConfig::default(), storage);
            let mut decoder = Decoder::new(start, Kernel::PORTABLE, decoder_storage).unwrap();
            // Losses at first, then a few clean groups to learn from, then one loss in each group.
            let (rough, clean) = (8, 8 + PROOF_GROUPS);
            let mut arrived = BTreeSet::new();
            for number in 0..(clean + 6) * sent_shape.data() {
                for packet in send(&mut encoder, pool, NOW, &payload(number, &lengths)) {
                    let (group, position) = sent_shape.place(ShardId::new(id_of(&packet))).unwrap();
                    let group = group as usize;
                    let is_lost = if group < rough {
                        lost_ids[id_of(&packet) as usize % 64]
                    } else {
                        group >= clean && usize::from(position) == group % sent_shape.total()
                    };
                    if is_lost {
                        continue;
                    }
                    let known = decoder.shape() == Some(sent_shape) && decoder.is_certain();
                    if known {
                        for (number, _) in receive(&mut decoder, pool, &packet, &lengths)? {
                            arrived.insert(number);
                        }
                    } else {
                        decoder.handle_packet(NOW, pool, &packet).unwrap();
                        while decoder.poll_recovered(pool, &mut [0; 1500]).unwrap().is_some() {
                            prop_assert!(start.is_some() || decoder.stats().tuned > 0);
                        }
                    }
                }
            }
            prop_assert_eq!(decoder.shape(), Some(sent_shape));
            prop_assert!(decoder.is_certain());
            for number in clean * sent_shape.data()..(clean + 6) * sent_shape.data() {
                prop_assert!(arrived.contains(&number), "{} is missing", number);
            }
            encoder.release(pool);
            decoder.release(pool);
            Ok(())
        })?;
    }
}

/// Clean groups after which a shape must be found.
const PROOF_GROUPS: usize = 3;

#[test]
fn without_memory_data_still_flows() {
    // Two pages: not enough for three parity shards of this size, nor for many kept ones.
    let (mut arena, mut pages) = ([0; 4_096], [const { PageState::new() }; 2]);
    let mut pool = Pool::fixed(&mut arena, &mut pages, 2_048).unwrap();
    let mut sender = encoder(shape(10, 3), EncoderConfig::default(), EncoderStorage::owned());
    let mut decoder =
        Decoder::new(Some(shape(10, 3)), Kernel::PORTABLE, DecoderStorage::owned()).unwrap();
    for number in 0..30 {
        let sent = send(&mut sender, &mut pool, NOW, &payload(number, &[1000]));
        assert_eq!(sent.len(), 1);
        assert_eq!(id_of(&sent[0]) as usize, number + number / 10 * 3);
        let accepted = decoder.handle_packet(NOW, &mut pool, &sent[0]).unwrap();
        assert_eq!(accepted, Accepted::Data(&payload(number, &[1000])));
    }
    assert_eq!(sender.stats().parity_without_memory, 9);
    assert!(decoder.stats().without_memory > 0);
    assert_eq!(pool.used_pages(), 0);
}

#[test]
fn parity_left_waiting_is_not_corrupted_by_the_next_group() {
    let mut pool = Pool::owned(1 << 20, 4096).unwrap();
    let mut model = encoder(shape(2, 2), EncoderConfig::default(), EncoderStorage::owned());
    let mut lazy = encoder(shape(2, 2), EncoderConfig::default(), EncoderStorage::owned());
    let mut expected = Vec::new();
    for number in 0..4 {
        expected.push(send(&mut model, &mut pool, NOW, &payload(number, &[9, 700])));
    }
    let mut out = [0; 1500];
    for (number, sent) in expected.iter().enumerate().take(3) {
        let mut packet = [&[0; HEADROOM], payload(number, &[9, 700]).as_slice()].concat();
        lazy.seal(NOW, &mut pool, &mut packet).unwrap();
        assert_eq!(packet, sent[0]);
    }
    // The first group's parity waited while the second began.
    let need = expected[1][1].len();
    assert_eq!(lazy.poll_transmit(&mut pool, &mut [0; 8]), Err(TooSmall { need }));
    for parity in &expected[1][1..] {
        let len = lazy.poll_transmit(&mut pool, &mut out).unwrap().unwrap();
        assert_eq!(&out[..len], parity);
    }
    assert!(!lazy.has_parity());
    assert_eq!(send(&mut lazy, &mut pool, NOW, &payload(3, &[9, 700])), expected[3]);
    model.release(&mut pool);
    lazy.release(&mut pool);
    assert_eq!(pool.used_pages(), 0);
}

/// Feeds the packets of groups 0..8 that `keep` names.
fn feed(decoder: &mut Decoder<'_>, pool: &mut Pool<'_>, keep: impl Fn(&[u8]) -> bool) {
    let mut sender = encoder(shape(4, 2), EncoderConfig::default(), EncoderStorage::owned());
    for number in 0..32 {
        for packet in send(&mut sender, pool, NOW, &payload(number, &[50])) {
            if keep(&packet) {
                decoder.handle_packet(NOW, pool, &packet).unwrap();
            }
        }
    }
    sender.release(pool);
}

#[test]
fn groups_are_given_up_by_number_and_by_age() {
    let mut pool = Pool::owned(1 << 20, 4096).unwrap();
    let mut decoder =
        Decoder::new(Some(shape(4, 2)), Kernel::PORTABLE, DecoderStorage::owned()).unwrap();
    // One data packet of each of eight groups: four groups stay.
    feed(&mut decoder, &mut pool, |packet| id_of(packet).is_multiple_of(6));
    assert_eq!(decoder.kept(), 4);
    assert_eq!(decoder.stats().short, 4);
    // Packets of the others come too late.
    feed(&mut decoder, &mut pool, |packet| id_of(packet) == 1);
    assert_eq!(decoder.stats().late, 1);
    let deadline = decoder.poll_timeout().unwrap();
    assert_eq!(deadline, NOW + fec_proto::MAX_AGE);
    decoder.handle_timeout(deadline, &mut pool);
    assert_eq!((decoder.kept(), decoder.poll_timeout()), (0, None));
    assert_eq!(decoder.stats().short, 8);
    assert_eq!(pool.used_pages(), 0);
}

#[test]
fn late_parity_of_a_complete_group_costs_nothing() {
    let mut pool = Pool::owned(1 << 20, 4096).unwrap();
    let mut decoder =
        Decoder::new(Some(shape(4, 2)), Kernel::PORTABLE, DecoderStorage::owned()).unwrap();
    feed(&mut decoder, &mut pool, |_| true);
    assert_eq!(decoder.kept(), 0);
    assert_eq!(decoder.poll_recovered(&mut pool, &mut [0; 1500]), Ok(None));
    assert_eq!(decoder.stats().parity_unused, 16);
    assert_eq!(pool.used_pages(), 0);
}

#[test]
fn a_forged_id_does_not_stop_recovery() {
    let shape = shape(4, 2);
    let half_way = shape.id_limit() / 6 / 2;
    for forged_group in [1000, 1 << 28].into_iter().chain(half_way - 2..half_way + 5) {
        let mut pool = Pool::owned(1 << 20, 4096).unwrap();
        let mut decoder =
            Decoder::new(Some(shape), Kernel::PORTABLE, DecoderStorage::owned()).unwrap();
        let mut sender = encoder(shape, EncoderConfig::default(), EncoderStorage::owned());
        let mut recovered = 0;
        for number in 0..120 {
            for packet in send(&mut sender, &mut pool, NOW, &payload(number, &[50])) {
                if id_of(&packet) == 9 {
                    // A data packet of a group far ahead, while groups are being collected.
                    let mut forged = packet.clone();
                    forged[..4].copy_from_slice(&(forged_group * 6u32).to_le_bytes());
                    decoder.handle_packet(NOW, &mut pool, &forged).unwrap();
                }
                if id_of(&packet) % 6 != 2 {
                    let found = receive(&mut decoder, &mut pool, &packet, &[50]).unwrap();
                    let late = found.iter().filter(|(at, rebuilt)| *rebuilt && *at >= 80);
                    recovered += late.count();
                }
            }
        }
        assert_eq!(recovered, 10, "forged group {forged_group}");
        decoder.release(&mut pool);
        assert_eq!(pool.used_pages(), 0);
    }
}

#[test]
fn one_damaged_packet_costs_little_even_when_runs_are_never_whole() {
    let mut pool = Pool::owned(1 << 20, 4096).unwrap();
    let mut decoder =
        Decoder::new(Some(shape(10, 3)), Kernel::PORTABLE, DecoderStorage::owned()).unwrap();
    let mut sender = encoder(shape(10, 3), EncoderConfig::default(), EncoderStorage::owned());
    let mut recovered = [0; 2];
    for number in 0..400 {
        for mut packet in send(&mut sender, &mut pool, NOW, &payload(number, &[50])) {
            if id_of(&packet) == 40 {
                packet[4] ^= 3;
            }
            if id_of(&packet) % 13 != 5 {
                decoder.handle_packet(NOW, &mut pool, &packet).unwrap();
                while decoder.poll_recovered(&mut pool, &mut [0; 1500]).unwrap().is_some() {
                    recovered[number / 200] += 1;
                }
            }
        }
    }
    assert_eq!(decoder.stats().misfits, 1);
    assert_eq!(recovered[1], 20, "{recovered:?}");
    decoder.release(&mut pool);
}

#[test]
fn a_shape_beyond_borrowed_memory_is_refused_and_data_flows() {
    let mut pool = Pool::owned(1 << 20, 4096).unwrap();
    let mut slots: [ShardSlot; 16] = Default::default();
    let storage = DecoderStorage::fixed(&mut slots);
    let mut decoder = Decoder::new(Some(shape(4, 2)), Kernel::PORTABLE, storage).unwrap();
    let mut sender = encoder(shape(10, 3), EncoderConfig::default(), EncoderStorage::owned());
    let mut data = 0;
    for number in 0..60 {
        for packet in send(&mut sender, &mut pool, NOW, &payload(number, &[50])) {
            assert!(is_parity(&packet) || id_of(&packet) % 13 < 10);
            data += receive(&mut decoder, &mut pool, &packet, &[50]).unwrap().len();
        }
    }
    assert_eq!(data, 60);
    assert_eq!(decoder.shape(), Some(shape(4, 2)));
    assert!(decoder.stats().refused_shapes > 0);
    let storage = decoder.into_storage(&mut pool);
    assert_eq!(pool.used_pages(), 0);
    assert!(Decoder::new(Some(shape(10, 3)), Kernel::PORTABLE, storage).is_err());
}
