//! Session compression: the Snappy framing format, bytes in, bytes out.
//!
//! ```text
//! +------+------------+----------------+------+
//! | type | length, 24 | masked crc, 32 | body |   numbers little-endian;
//! +------+------------+----------------+------+   length counts crc and body
//! ```
//!
//! | type | chunk |
//! |---|---|
//! | `ff` | stream identifier, `sNaPpY`: first of all, welcome again later |
//! | `00` | compressed: crc of the plain bytes, Snappy block |
//! | `01` | stored: crc, the bytes themselves |
//! | `80`..`fe` | skipped |
//! | `02`..`7f` | an error |
//!
//! A chunk holds at most [`MAX_PLAIN`] plain bytes. The crc is CRC-32C, masked. kcptun
//! compresses the whole byte stream of a KCP session this way, one stream per direction, and
//! starts a chunk with each smux frame (kcptun 20230103, generic/comp.go; golang/snappy 0.0.4).
//!
//! One [`Compressor`] and one [`Decompressor`] serve a session. The tables and the work space
//! stand in a [`Scratch`], one for all sessions of a thread, so an idle session costs next to
//! nothing.
//!
//! ```
//! use kcptun_tunnel::snappy::{Compressor, Decompressor, Scratch};
//!
//! let mut scratch = Scratch::new();
//! let mut wire = Vec::new();
//! Compressor::new().compress(&mut scratch, &[b'a'; 5000], &mut wire);
//! assert!(wire.len() < 500);
//!
//! let mut receiver = Decompressor::new();
//! let mut plain = Vec::new();
//! let mut rest = &wire[..];
//! while !rest.is_empty() {
//!     let taken = receiver.push(rest)?;
//!     rest = &rest[taken..];
//!     plain.extend_from_slice(receiver.output());
//!     receiver.consume(receiver.output().len());
//! }
//! assert_eq!(plain, [b'a'; 5000]);
//! # Ok::<(), kcptun_tunnel::snappy::SnappyError>(())
//! ```

mod compress;
mod decompress;

pub use self::compress::{Compressor, Scratch};
pub use self::decompress::{Decompressor, SnappyError};

/// Most plain bytes in one chunk.
pub const MAX_PLAIN: usize = 65_536;

/// Longest Snappy block that [`MAX_PLAIN`] bytes can become: 32 + n + n / 6. A longer chunk cannot
/// be right.
pub const MAX_COMPRESSED: usize = 32 + MAX_PLAIN + MAX_PLAIN / 6;

const HEADER_LEN: usize = 4;
const CRC_LEN: usize = 4;

const TYPE_COMPRESSED: u8 = 0x00;
const TYPE_STORED: u8 = 0x01;
const TYPE_IDENTIFIER: u8 = 0xff;

const IDENTIFIER_BODY: [u8; 6] = *b"sNaPpY";

/// CRC-32C, rotated and shifted so that the crc of a crc is not a fixed point.
fn masked_crc(plain: &[u8]) -> [u8; CRC_LEN] {
    crc32c::crc32c(plain).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}
