//! The receiving side of session compression.

use alloc::vec::Vec;
use core::fmt;

use snap::raw::{Decoder, decompress_len};

use super::{
    CRC_LEN, HEADER_LEN, IDENTIFIER_BODY, MAX_COMPRESSED, MAX_PLAIN, TYPE_COMPRESSED,
    TYPE_IDENTIFIER, TYPE_STORED, masked_crc,
};

/// Reads the framed stream of one session and direction, split anywhere.
///
/// ```text
///            header complete              body complete, not skipped
///   Header ------------------> Body ------------------> output pending
///      ^                        |                            |
///      +---- skipped, checked --+            consumed        |
///      +-----------------------------------------------------+
/// ```
///
/// Memory: the bytes received of one chunk (at most [`MAX_COMPRESSED`] and a little) and the plain
/// bytes of one chunk (at most [`MAX_PLAIN`]). Both buffers grow with what really arrived, not
/// with what a header claims; [`shrink`](Self::shrink) gives them back.
///
/// Any error is final: later calls answer with it again.
#[derive(Default)]
pub struct Decompressor {
    /// Bytes of the current header, `header_len` of them valid.
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// The chunk whose body is being read.
    chunk: Option<Chunk>,
    /// Body bytes that came so far, when the body did not come in one piece.
    staged: Vec<u8>,
    /// Plain bytes `output[begin..end]` wait to be consumed; the rest is only memory.
    output: Vec<u8>,
    begin: usize,
    end: usize,
    identified: bool,
    failed: Option<SnappyError>,
}

/// A chunk between its header and the last byte of its body.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    kind: ChunkKind,
    /// Body bytes, crc included; for a skipped chunk, those still to come.
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkKind {
    Identifier,
    Compressed,
    Stored,
    Skipped,
}

/// Memory that a quiet session keeps, in bytes.
const KEPT_WHEN_IDLE: usize = 256;

impl Decompressor {
    /// A decompressor at the beginning of its stream, without memory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decompressor that has taken all the memory it can ever need: twice the longest chunk, as the
    /// two buffers change places.
    #[must_use]
    pub fn reserved() -> Self {
        let longest = || Vec::with_capacity(CRC_LEN + MAX_COMPRESSED);
        Self { staged: longest(), output: longest(), ..Self::default() }
    }

    /// At the beginning of another stream, in the same memory.
    #[must_use]
    pub fn restart(mut self) -> Self {
        self.staged.clear();
        self.output.clear();
        Self { staged: self.staged, output: self.output, ..Self::default() }
    }

    /// Takes bytes of the stream and says how many it took: all of them, or those up to the end of
    /// the next chunk with plain bytes. While [`output`](Self::output) is not empty it takes none.
    ///
    /// So the loop is: push, use and consume the output, push the rest, until all is taken.
    ///
    /// # Errors
    /// [`SnappyError`], for good: the session cannot go on.
    pub fn push(&mut self, input: &[u8]) -> Result<usize, SnappyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = input;
        while self.output().is_empty() && !rest.is_empty() {
            if let Err(error) = self.step(&mut rest) {
                self.failed = Some(error);
                return Err(error);
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Marks the first `len` bytes of [`output`](Self::output) as used (all, if it has fewer).
    pub fn consume(&mut self, len: usize) {
        self.begin = self.end.min(self.begin.saturating_add(len));
    }

    /// Gives back memory that holds no bytes, but for the little that signs of life need: call it
    /// when the session has gone quiet.
    pub fn shrink(&mut self) {
        if self.memory() <= KEPT_WHEN_IDLE {
            return;
        }
        self.output.copy_within(self.begin..self.end, 0);
        self.end -= self.begin;
        self.begin = 0;
        self.output.truncate(self.end);
        self.output.shrink_to_fit();
        self.staged.shrink_to_fit();
    }

    /// Plain bytes to be used next.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output[self.begin..self.end]
    }

    /// Bytes of memory held besides the struct.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.staged.capacity() + self.output.capacity()
    }

    /// Goes on by one part: a header, a body, or as much of it as there is.
    fn step(&mut self, rest: &mut &[u8]) -> Result<(), SnappyError> {
        let Some(chunk) = self.chunk else { return self.read_header(rest) };
        if chunk.kind == ChunkKind::Skipped {
            let skipped = chunk.len.min(rest.len());
            *rest = &rest[skipped..];
            let len = chunk.len - skipped;
            self.chunk = (len > 0).then_some(Chunk { len, ..chunk });
            return Ok(());
        }
        if self.staged.is_empty() && rest.len() >= chunk.len {
            // The whole body lies in the input: decode it from there.
            let (body, behind) = rest.split_at(chunk.len);
            *rest = behind;
            self.chunk = None;
            return self.finish(chunk.kind, body);
        }
        let wanted = (chunk.len - self.staged.len()).min(rest.len());
        self.staged.extend_from_slice(&rest[..wanted]);
        *rest = &rest[wanted..];
        if self.staged.len() == chunk.len {
            self.chunk = None;
            self.finish_staged(chunk.kind)?;
        }
        Ok(())
    }

    fn read_header(&mut self, rest: &mut &[u8]) -> Result<(), SnappyError> {
        let wanted = (HEADER_LEN - self.header_len).min(rest.len());
        self.header[self.header_len..self.header_len + wanted].copy_from_slice(&rest[..wanted]);
        self.header_len += wanted;
        *rest = &rest[wanted..];
        if self.header_len == HEADER_LEN {
            self.header_len = 0;
            let chunk = parse_header(self.header, self.identified)?;
            self.chunk = (chunk.len > 0).then_some(chunk);
        }
        Ok(())
    }

    /// Finishes a chunk whose body was put together in `staged`.
    fn finish_staged(&mut self, kind: ChunkKind) -> Result<(), SnappyError> {
        if kind == ChunkKind::Stored {
            // The body is the output: the buffers change places instead of copying.
            check_crc(&self.staged)?;
            core::mem::swap(&mut self.staged, &mut self.output);
            (self.begin, self.end) = (CRC_LEN, self.output.len());
            self.staged.clear();
            return Ok(());
        }
        let mut staged = core::mem::take(&mut self.staged);
        let result = self.finish(kind, &staged);
        staged.clear();
        self.staged = staged;
        result
    }

    fn finish(&mut self, kind: ChunkKind, body: &[u8]) -> Result<(), SnappyError> {
        match kind {
            ChunkKind::Identifier if *body == IDENTIFIER_BODY => self.identified = true,
            ChunkKind::Identifier => return Err(SnappyError::NoIdentifier),
            ChunkKind::Stored => {
                let plain = check_crc(body)?;
                self.output.clear();
                self.output.extend_from_slice(plain);
                (self.begin, self.end) = (0, plain.len());
            }
            ChunkKind::Compressed => self.decompress(body)?,
            ChunkKind::Skipped => {}
        }
        Ok(())
    }

    fn decompress(&mut self, body: &[u8]) -> Result<(), SnappyError> {
        let (crc, block) = body.split_first_chunk::<CRC_LEN>().ok_or(SnappyError::BadLength)?;
        let len = decompress_len(block).map_err(|_| SnappyError::BadBlock)?;
        // The densest element of a block makes 64 bytes from 3, so a larger claim is a lie and
        // must not reserve memory.
        if len > MAX_PLAIN || len > block.len().saturating_mul(22) {
            return Err(SnappyError::BadLength);
        }
        if self.output.len() < len {
            self.output.resize(len, 0);
        }
        let plain = &mut self.output[..len];
        Decoder::new().decompress(block, plain).map_err(|_| SnappyError::BadBlock)?;
        if *crc != masked_crc(plain) {
            return Err(SnappyError::BadChecksum);
        }
        (self.begin, self.end) = (0, len);
        Ok(())
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("chunk", &self.chunk)
            .field("staged", &self.staged.len())
            .field("output", &(self.end - self.begin))
            .field("identified", &self.identified)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// What a header announces, when that is legal here.
fn parse_header(header: [u8; HEADER_LEN], identified: bool) -> Result<Chunk, SnappyError> {
    let [chunk_type, l0, l1, l2] = header;
    let len = u32::from_le_bytes([l0, l1, l2, 0]) as usize;
    if !identified && chunk_type != TYPE_IDENTIFIER {
        return Err(SnappyError::NoIdentifier);
    }
    let (kind, legal) = match chunk_type {
        TYPE_IDENTIFIER => (ChunkKind::Identifier, len == IDENTIFIER_BODY.len()),
        TYPE_COMPRESSED => {
            (ChunkKind::Compressed, len > CRC_LEN && len <= CRC_LEN + MAX_COMPRESSED)
        }
        TYPE_STORED => (ChunkKind::Stored, (CRC_LEN..=CRC_LEN + MAX_PLAIN).contains(&len)),
        0x80..=0xfe => (ChunkKind::Skipped, true),
        reserved => return Err(SnappyError::ReservedChunk(reserved)),
    };
    if legal { Ok(Chunk { kind, len }) } else { Err(SnappyError::BadLength) }
}

/// Splits the crc off a stored body and compares it.
fn check_crc(body: &[u8]) -> Result<&[u8], SnappyError> {
    let (crc, plain) = body.split_first_chunk::<CRC_LEN>().ok_or(SnappyError::BadLength)?;
    if *crc == masked_crc(plain) { Ok(plain) } else { Err(SnappyError::BadChecksum) }
}

/// Why a stream cannot be decompressed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnappyError {
    /// The stream does not begin with the identifier, or a later one is wrong. The peer probably
    /// runs with `--nocomp`.
    NoIdentifier,
    /// A chunk of this type, `02`..`7f`, must not be skipped and is not known.
    ReservedChunk(u8),
    /// A chunk is longer or shorter than its type can be.
    BadLength,
    /// The compressed bytes are not a Snappy block.
    BadBlock,
    /// The plain bytes do not fit their CRC-32C.
    BadChecksum,
}

impl fmt::Display for SnappyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::NoIdentifier => {
                return f.write_str("no snappy stream: compare nocomp on both ends");
            }
            Self::ReservedChunk(chunk_type) => {
                return write!(f, "snappy chunk type {chunk_type:#04x}: close the session");
            }
            Self::BadLength => "length of a snappy chunk",
            Self::BadBlock => "snappy block",
            Self::BadChecksum => "snappy checksum",
        };
        write!(f, "wrong {what}: close the session")
    }
}

impl core::error::Error for SnappyError {}
