//! Every kernel that this CPU can run computes the bytes of the field, and the machines make the
//! same packets with it.

#![allow(missing_docs, reason = "tests are no library")]

use fec_proto::{Decoder, DecoderStorage, Encoder, EncoderStorage, HEADROOM, Kernel, Shape};
use fec_simd::{NAMES, available, by_name, detect};
use proptest::prelude::*;
use proto_base::{Instant, Pool};

/// Runs `fec-proto`'s suite, or says that this CPU cannot.
fn check(name: &str) {
    match by_name(name) {
        Some(kernel) => {
            assert_eq!(kernel.name(), name);
            fec_proto::check_kernel(&kernel);
        }
        None => println!("skipped: this CPU cannot run the kernel {name}"),
    }
}

macro_rules! suite {
    ($($name:ident),+) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })+

        #[test]
        fn the_suite_knows_every_kernel() {
            let known = [$(stringify!($name)),+];
            assert!(NAMES.iter().all(|name| known.contains(name)));
        }
    };
}

suite!(gfni512, gfni256, avx2, ssse3, neon, portable);

#[test]
fn detection_takes_the_first_that_runs() {
    let first = NAMES.iter().find_map(|name| by_name(name)).unwrap();
    assert_eq!(detect().name(), first.name());
    assert_eq!(available().last().unwrap().name(), "portable");
    #[cfg(target_arch = "aarch64")]
    assert_eq!(first.name(), "neon");
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("ssse3") {
        assert_ne!(first.name(), "portable");
    }
}

/// Sends a group, loses the packets of the bits of `lost`, and tells all bytes that came out.
fn through(kernel: Kernel, shape: Shape, data: &[Vec<u8>], lost: u32) -> Vec<Vec<u8>> {
    let mut pool = Pool::owned(1 << 20, 4_096).unwrap();
    let mut encoder =
        Encoder::new(shape, kernel, Default::default(), EncoderStorage::owned()).unwrap();
    let mut decoder = Decoder::new(Some(shape), kernel, DecoderStorage::owned()).unwrap();
    let mut sent = Vec::new();
    for bytes in data {
        let mut packet = [&[0; HEADROOM], bytes.as_slice()].concat();
        encoder.seal(Instant::ZERO, &mut pool, &mut packet).unwrap();
        sent.push(packet);
    }
    let mut out = [0; 1500];
    while let Some(len) = encoder.poll_transmit(&mut pool, &mut out).unwrap() {
        sent.push(out[..len].to_vec());
    }
    let mut seen = sent.clone();
    for (_, packet) in sent.iter().enumerate().filter(|(at, _)| lost >> at & 1 == 0) {
        decoder.handle_packet(Instant::ZERO, &mut pool, packet).unwrap();
        while let Some(len) = decoder.poll_recovered(&mut pool, &mut out).unwrap() {
            seen.push(out[..len].to_vec());
        }
    }
    encoder.release(&mut pool);
    decoder.release(&mut pool);
    assert_eq!(pool.used_pages(), 0);
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Packets of any length, any losses: every kernel sends and rebuilds what the portable one
    /// does, and what was sent when few enough are lost.
    #[test]
    fn all_kernels_send_and_rebuild_the_same(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..1_400), 1..12),
        parity in 1i64..5,
        lost in any::<u32>(),
    ) {
        let shape = Shape::new(data.len() as i64, parity).unwrap().unwrap();
        let lost = lost & lost.rotate_left(7);
        let expected = through(Kernel::PORTABLE, shape, &data, lost);
        let total = shape.total();
        if (lost & ((1 << total) - 1)).count_ones() as usize <= shape.parity() {
            let missing = data.iter().enumerate().filter(|(at, _)| lost >> at & 1 == 1);
            prop_assert_eq!(
                &expected[total..],
                missing.map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>()
            );
        }
        for kernel in available() {
            prop_assert_eq!(&through(kernel, shape, &data, lost), &expected, "{:?}", kernel);
        }
    }
}
