//! Session compression: against golang/snappy 0.0.4 (vectors), the frame coder of the snap crate,
//! any split, and garbage.
#![cfg(feature = "snappy")]

use std::io::{Read, Write};

use kcptun_tunnel::snappy::{Compressor, Decompressor, MAX_COMPRESSED, Scratch, SnappyError};
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    let path = format!("{}/../../tests/vectors/snappy.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

/// Input of a recorded write, or the bytes that its recipe makes.
fn input_of(write: &Value) -> Vec<u8> {
    let recipe = &write["input_recipe"];
    if recipe.is_null() {
        return unhex(&write["input"]);
    }
    let len = recipe["len"].as_u64().unwrap() as usize;
    if let Some(seed) = recipe["lcg_seed"].as_u64() {
        let mut x = seed as u32;
        return std::iter::repeat_with(|| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        })
        .take(len)
        .collect();
    }
    unhex(&recipe["repeat_hex"]).into_iter().cycle().take(len).collect()
}

/// Bytes that one recorded write put on the wire.
fn wire_of(write: &Value, input: &[u8]) -> Vec<u8> {
    let piece = |piece: &Value| match &piece["same_as_input"] {
        Value::Null if piece.is_string() => unhex(piece),
        Value::Null => panic!("unknown shape of a recorded write: {piece}"),
        range => {
            let [from, to] = [0, 1].map(|i| range[i].as_u64().unwrap() as usize);
            input[from..to].to_vec()
        }
    };
    list(&write["underlying_writes"]).iter().flat_map(piece).collect()
}

/// Feeds `wire` in pieces of the given lengths, in turn.
fn decompress(
    receiver: &mut Decompressor,
    wire: &[u8],
    pieces: &[usize],
) -> (Vec<u8>, Option<SnappyError>) {
    let (mut plain, mut rest) = (Vec::new(), wire);
    for &piece in pieces.iter().cycle() {
        let mut now = &rest[..piece.min(rest.len())];
        rest = &rest[now.len()..];
        while !now.is_empty() {
            match receiver.push(now) {
                Ok(taken) => now = &now[taken..],
                Err(error) => {
                    assert_eq!(receiver.push(b"more"), Err(error), "errors are final");
                    return (plain, Some(error));
                }
            }
            // In two helpings, and nothing is taken while some is left.
            let half = receiver.output().len() / 2;
            plain.extend_from_slice(&receiver.output()[..half]);
            receiver.consume(half);
            if !receiver.output().is_empty() {
                assert_eq!(receiver.push(now), Ok(0));
            }
            plain.extend_from_slice(receiver.output());
            receiver.consume(receiver.output().len());
        }
        if rest.is_empty() {
            break;
        }
    }
    (plain, None)
}

#[test]
fn streams_of_the_original_decompress_and_the_layout_is_the_same() {
    for stream in list(&vectors()["streams"]) {
        let mut scratch = Scratch::new();
        let (mut sender, mut receiver) = (Compressor::new(), Decompressor::new());
        for write in list(&stream["writes"]) {
            let input = input_of(write);
            let theirs = wire_of(write, &input);
            assert_eq!(decompress(&mut receiver, &theirs, &[usize::MAX]), (input.clone(), None));
            let mut ours = Vec::new();
            sender.compress(&mut scratch, &input, &mut ours);
            assert_eq!(chunks(&ours), chunks(&theirs), "{}", stream["name"]);
        }
    }
}

/// Type of each chunk, and the crc of those with data.
fn chunks(mut wire: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let [chunk_type, l0, l1, l2, rest @ ..] = wire {
        let len = u32::from_le_bytes([*l0, *l1, *l2, 0]) as usize;
        found.push((*chunk_type, rest[..4].to_vec()));
        wire = &rest[len..];
    }
    found
}

#[test]
fn the_reader_is_as_tolerant_as_the_original() {
    for case in list(&vectors()["reader_checks"]) {
        let (plain, error) =
            decompress(&mut Decompressor::new(), &unhex(&case["stream"]), &[usize::MAX]);
        assert_eq!(plain, unhex(&case["output"]), "{}", case["name"]);
        assert_eq!(error.is_none(), case["result"] == "ok", "{}", case["name"]);
    }
}

fn broken(stream: &[u8]) -> Option<SnappyError> {
    decompress(&mut Decompressor::new(), stream, &[3]).1
}

#[test]
fn each_fault_has_its_error() {
    const ID: &[u8] = b"\xff\x06\0\0sNaPpY";
    let with = |bytes: &[u8]| broken(&[ID, bytes].concat());
    assert_eq!(broken(b"\x01\x00\x00\x00\x03\0\0\0"), Some(SnappyError::NoIdentifier));
    assert_eq!(broken(b"\xff\x06\0\0sNaPpy"), Some(SnappyError::NoIdentifier));
    assert_eq!(broken(b"\xff\x05\0\0sNaPp"), Some(SnappyError::BadLength));
    assert_eq!(with(b"\x02\0\0\0"), Some(SnappyError::ReservedChunk(2)));
    assert_eq!(with(b"\x7f\0\0\0"), Some(SnappyError::ReservedChunk(0x7f)));
    assert_eq!(with(b"\x80\0\0\0\xfe\x01\0\0x"), None);
    assert_eq!(with(b"\x01\x03\0\0"), Some(SnappyError::BadLength));
    assert_eq!(with(b"\x01\x05\0\x01"), Some(SnappyError::BadLength));
    assert_eq!(with(b"\x01\x05\0\0....x"), Some(SnappyError::BadChecksum));
    assert_eq!(with(b"\x00\x05\0\0....\xff"), Some(SnappyError::BadBlock));
    assert_eq!(with(b"\x00\xcf\x2a\x01"), Some(SnappyError::BadLength));
    // An empty stored chunk is legal, and a claim of 65,536 plain bytes in ten is not.
    assert_eq!(with(b"\x01\x04\0\0\xd8\xea\x82\xa2"), None);
    assert_eq!(with(b"\x00\x0a\0\0....\x80\x80\x04\xfe\x01\x00"), Some(SnappyError::BadLength));
}

#[test]
fn memory_follows_what_arrived_and_goes_back() {
    let mut receiver = Decompressor::new();
    receiver.push(b"\xff\x06\0\0sNaPpY\x00\xce\x2a\x01").unwrap();
    receiver.push(&[0; 100]).unwrap();
    assert!(receiver.memory() < 300, "a claimed length reserves nothing");

    let mut wire = Vec::new();
    let plain: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    Compressor::new().compress(&mut Scratch::new(), &plain, &mut wire);
    let mut receiver = Decompressor::new();
    assert_eq!(decompress(&mut receiver, &wire, &[1000]), (plain, None));
    assert!(receiver.memory() <= 2 * (MAX_COMPRESSED + 4) * 2);
    receiver.shrink();
    assert_eq!(receiver.memory(), 0);
    assert!(size_of::<Decompressor>() + size_of::<Compressor>() < 256);
}

#[test]
fn shrinking_keeps_unread_bytes() {
    let mut wire = Vec::new();
    Compressor::new().compress(&mut Scratch::new(), b"unread bytes", &mut wire);
    let mut receiver = Decompressor::new();
    assert_eq!(receiver.push(&wire), Ok(wire.len()));
    receiver.consume(2);
    receiver.shrink();
    assert_eq!(receiver.output(), b"read bytes");
    receiver.consume(usize::MAX);
    assert_eq!(receiver.output(), b"");
}

/// Bytes of every compressibility.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..3000),
        (prop::collection::vec(any::<u8>(), 1..50), 0usize..140_000).prop_map(|(unit, len)| unit
            .into_iter()
            .cycle()
            .take(len)
            .collect()),
        (any::<u64>(), 0usize..140_000, 0u32..60).prop_map(|(seed, len, shift)| {
            let mut x = seed | 1;
            std::iter::repeat_with(|| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (x >> shift) as u8
            })
            .take(len)
            .collect()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Frames of any kind and split: what came out is what went in, for us and for snap.
    #[test]
    fn any_split_gives_the_same_bytes(
        frames in prop::collection::vec(content(), 0..4),
        pieces in prop::collection::vec(1usize..70_000, 1..6),
        small in prop::collection::vec(1usize..40, 1..6),
        by_byte in any::<bool>(),
    ) {
        let plain = frames.concat();
        let (mut sender, mut scratch, mut wire) = (Compressor::new(), Scratch::new(), Vec::new());
        for frame in &frames {
            let before = wire.len();
            sender.compress(&mut scratch, frame, &mut wire);
            prop_assert!(wire.len() - before <= Compressor::max_framed_len(frame.len()));
        }
        let pieces = if by_byte { small } else { pieces };
        let ours = decompress(&mut Decompressor::new(), &wire, &pieces);
        prop_assert_eq!((ours.0 == plain, ours.1), (true, None));

        let mut theirs = Vec::new();
        snap::read::FrameDecoder::new(&wire[..]).read_to_end(&mut theirs).unwrap();
        prop_assert!(theirs == plain);

        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(&plain).unwrap();
        let wire = encoder.into_inner().unwrap();
        let ours = decompress(&mut Decompressor::new(), &wire, &pieces);
        prop_assert_eq!((ours.0 == plain, ours.1), (true, None));
    }

    /// Damage and garbage end in an error or in other bytes, never in a panic or in much memory.
    #[test]
    fn garbage_is_survived(
        garbage in prop::collection::vec(any::<u8>(), 0..400),
        frame in content(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        pieces in prop::collection::vec(1usize..5000, 1..4),
    ) {
        let mut wire = Vec::new();
        Compressor::new().compress(&mut Scratch::new(), &frame, &mut wire);
        for (at, byte) in hits {
            if !wire.is_empty() {
                let at = at.index(wire.len().min(40));
                wire[at] = byte;
            }
        }
        wire.extend_from_slice(&garbage);
        let mut receiver = Decompressor::new();
        let (plain, error) = decompress(&mut receiver, &wire, &pieces);
        prop_assert!(error.is_some() || plain.len() <= frame.len() + garbage.len() * 22);
        prop_assert!(receiver.memory() <= 4 * (MAX_COMPRESSED + 4));
    }
}
