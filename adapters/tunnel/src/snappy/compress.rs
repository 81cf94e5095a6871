//! The sending side of session compression.

use alloc::vec::Vec;
use core::fmt;

use snap::raw::{Encoder, max_compress_len};

use super::{
    CRC_LEN, HEADER_LEN, IDENTIFIER_BODY, MAX_PLAIN, TYPE_COMPRESSED, TYPE_IDENTIFIER, TYPE_STORED,
    masked_crc,
};

/// Tables and work space for compression, shared by all sessions of a thread.
///
/// It keeps nothing from one call to the next. It grows to 32 KiB of tables and 75 KiB of work
/// space when chunks of full size pass.
pub struct Scratch {
    encoder: Encoder,
    block: Vec<u8>,
}

impl Scratch {
    /// A small scratch, which grows with the chunks it sees, up to its bound.
    #[must_use]
    pub fn new() -> Self {
        Self { encoder: Encoder::new(), block: Vec::new() }
    }

    /// A scratch that has all the memory that chunks of up to `longest` bytes need.
    #[must_use]
    pub fn reserved(longest: usize) -> Self {
        let mut scratch = Self::new();
        // The encoder takes its table with the first input of a size.
        let longest = longest.min(MAX_PLAIN);
        let _ = scratch.compress(&alloc::vec![0; longest]);
        scratch
    }

    /// Compresses at most [`MAX_PLAIN`] bytes; `None` when that saves less than one eighth.
    fn compress(&mut self, plain: &[u8]) -> Option<&[u8]> {
        let bound = max_compress_len(plain.len());
        if self.block.len() < bound {
            self.block.resize(bound, 0);
        }
        // The encoder fails only on a short buffer or on gigabytes; storing is right for both.
        let len = self.encoder.compress(plain, &mut self.block).ok()?;
        (len < plain.len() - plain.len() / 8).then(|| &self.block[..len])
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").field("block", &self.block.len()).finish_non_exhaustive()
    }
}

/// Makes the framed stream of one session and direction. It owns no memory.
#[derive(Clone, Debug, Default)]
pub struct Compressor {
    started: bool,
}

impl Compressor {
    /// A compressor at the beginning of its stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the chunks of `input` to `out`, with the stream identifier in front of the very
    /// first one. Nothing is held back: what was appended can be decompressed at once.
    ///
    /// Give it one smux frame at a time, as kcptun does. Each [`MAX_PLAIN`] bytes make one chunk;
    /// empty input makes none. A chunk is stored as it is when compression saves less than one
    /// eighth (golang/snappy 0.0.4, encode.go). `out` grows by at most [`max_framed_len`] bytes.
    ///
    /// [`max_framed_len`]: Self::max_framed_len
    pub fn compress(&mut self, scratch: &mut Scratch, input: &[u8], out: &mut Vec<u8>) {
        for plain in input.chunks(MAX_PLAIN) {
            if !self.started {
                self.started = true;
                push_header(out, TYPE_IDENTIFIER, IDENTIFIER_BODY.len());
                out.extend_from_slice(&IDENTIFIER_BODY);
            }
            let (chunk_type, body) = match scratch.compress(plain) {
                Some(block) => (TYPE_COMPRESSED, block),
                None => (TYPE_STORED, plain),
            };
            push_header(out, chunk_type, CRC_LEN + body.len());
            out.extend_from_slice(&masked_crc(plain));
            out.extend_from_slice(body);
        }
    }

    /// Most bytes that [`compress`](Self::compress) appends for `input_len` bytes of input.
    #[must_use]
    pub fn max_framed_len(input_len: usize) -> usize {
        let chunks = input_len.div_ceil(MAX_PLAIN);
        HEADER_LEN + IDENTIFIER_BODY.len() + chunks * (HEADER_LEN + CRC_LEN) + input_len
    }
}

fn push_header(out: &mut Vec<u8>, chunk_type: u8, len: usize) {
    // All lengths written here are below 2^17, so the three low bytes are the whole number.
    let [l0, l1, l2, ..] = len.to_le_bytes();
    out.extend_from_slice(&[chunk_type, l0, l1, l2]);
}
