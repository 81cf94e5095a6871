//! Session compression.

use kcptun_tunnel::snappy::{
    Compressor, Decompressor, MAX_COMPRESSED, MAX_PLAIN, Scratch, SnappyError,
};

use crate::input::Input;

/// Decompresses the bytes at once and in pieces. A flag in front puts the stream identifier before
/// them.
///
/// # Panics
/// When the split makes a difference, an error does not last, or memory grows beyond its bound.
pub fn snappy_decompress(data: &[u8]) {
    let mut input = Input::new(data);
    let identifier: &[u8] = if input.flag() { b"\xff\x06\x00\x00sNaPpY" } else { b"" };
    let stream = [identifier, input.rest()].concat();
    let whole = decompress([&stream[..]]);
    let mut pieces = Input::new(&stream);
    assert!(decompress(pieces.pieces()) == whole, "the split made a difference");
}

/// Compresses pieces and decompresses the stream, split elsewhere.
///
/// # Panics
/// When what comes out is not what went in, or a frame is longer than told.
pub fn snappy_round_trip(data: &[u8]) {
    let mut input = Input::new(data);
    let repeats = 1 + input.below(64);
    let (mut plain, mut stream) = (Vec::new(), Vec::new());
    let (mut compressor, mut scratch) = (Compressor::new(), Scratch::new());
    for piece in input.pieces() {
        let piece = piece.repeat(repeats);
        let before = stream.len();
        compressor.compress(&mut scratch, &piece, &mut stream);
        assert!(stream.len() - before <= Compressor::max_framed_len(piece.len()));
        plain.extend(piece);
    }
    let mut pieces = Input::new(&stream);
    assert!(decompress(pieces.pieces()) == (plain, None), "other bytes came out");
}

/// What comes out, and what stopped it.
fn decompress<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<u8>, Option<SnappyError>) {
    // Twice, as vectors grow by doubling.
    let bound = 2 * (MAX_PLAIN + MAX_COMPRESSED + 64);
    let mut decompressor = Decompressor::new();
    let mut plain = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let result = decompressor.push(piece);
            let output = decompressor.output();
            match result {
                Ok(taken) => {
                    assert!(taken > 0, "neither input nor output moves");
                    piece = &piece[taken..];
                }
                Err(error) => {
                    assert!(output.is_empty());
                    assert_eq!(decompressor.push(b"more"), Err(error), "errors last");
                    return (plain, Some(error));
                }
            }
            plain.extend_from_slice(output);
            // In two steps, to see that a part can be used as well.
            let len = output.len();
            decompressor.consume(len / 2);
            assert_eq!(decompressor.output().len(), len - len / 2);
            decompressor.consume(len);
            assert!(decompressor.memory() <= bound, "{} bytes held", decompressor.memory());
        }
    }
    decompressor.shrink();
    (plain, None)
}
