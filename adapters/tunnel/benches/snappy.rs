//! Session compression: frames of 16 KB, of text and of noise.
//!
//! `cargo bench -p kcptun-tunnel --bench snappy`

use divan::Bencher;
use divan::counter::BytesCount;
use kcptun_tunnel::snappy::{Compressor, Decompressor, Scratch};

const FRAME: usize = 16_384;

/// What a frame is made of.
#[derive(Debug, Clone, Copy)]
enum Content {
    Text,
    Noise,
}

const CONTENTS: [Content; 2] = [Content::Text, Content::Noise];

fn frame(content: Content) -> Vec<u8> {
    let mut state = 1u64;
    (0..FRAME)
        .map(|at| match content {
            Content::Text => b"GET /index.html HTTP/1.1\r\nHost: example.org\r\n"[at % 45],
            Content::Noise => {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            }
        })
        .collect()
}

#[divan::bench(args = CONTENTS)]
fn compress(bencher: Bencher<'_, '_>, content: Content) {
    let (plain, mut out) = (frame(content), Vec::new());
    let (mut compressor, mut scratch) = (Compressor::new(), Scratch::new());
    bencher.counter(BytesCount::new(FRAME)).bench_local(|| {
        out.clear();
        compressor.compress(&mut scratch, &plain, &mut out);
        out.len()
    });
}

#[divan::bench(args = CONTENTS)]
fn decompress(bencher: Bencher<'_, '_>, content: Content) {
    let plain = frame(content);
    let (mut compressor, mut scratch) = (Compressor::new(), Scratch::new());
    // The first frame carries the stream identifier, the second one repeats for ever.
    let (mut first, mut next) = (Vec::new(), Vec::new());
    compressor.compress(&mut scratch, &plain, &mut first);
    compressor.compress(&mut scratch, &plain, &mut next);
    let mut decompressor = Decompressor::new();
    let take = |decompressor: &mut Decompressor, bytes: &[u8]| {
        let mut taken = 0;
        while taken < bytes.len() {
            taken += decompressor.push(&bytes[taken..]).expect("a valid stream");
            let len = decompressor.output().len();
            decompressor.consume(len);
        }
    };
    take(&mut decompressor, &first);
    bencher.counter(BytesCount::new(FRAME)).bench_local(|| take(&mut decompressor, &next));
}

fn main() {
    divan::main();
}
