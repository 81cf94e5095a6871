//! The FEC header, and telling FEC packets from plain KCP.
//!
//! ```text
//! data     id LE32 | 0x00f1 LE16 | size LE16 | KCP bytes        size = 2 + number of KCP bytes
//! parity   id LE32 | 0x00f2 LE16 | coded bytes                  coded over size and KCP bytes
//! ```

use core::fmt;

use proto_base::{Reader, Writer};

use crate::ShardId;

/// Bytes in front of the KCP bytes of a data packet: id, type, size. This is also the smallest FEC
/// packet there is.
pub const HEADROOM: usize = 8;

/// Bytes in front of the coded bytes of a parity packet: id and type. A parity packet is as long as
/// the longest data packet of its group.
pub const PARITY_OVERHEAD: usize = 6;

/// The longest packet, in bytes from the FEC header on: receivers hold datagrams of 1500 bytes.
pub const MAX_PACKET: usize = 1_500;

/// Type field of a data packet (kcp-go, fec.go, `typeData`).
const DATA: u16 = 0x00f1;
/// Type field of a parity packet (`typeParity`).
const PARITY: u16 = 0x00f2;
/// Type field of an out-of-band packet (kcp-go 5.6.60 and later; kcptun sends none).
const OUT_OF_BAND: u16 = 0x00f3;

/// What a decrypted payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// FEC data: KCP bytes from offset [`HEADROOM`] on.
    Data,
    /// FEC parity.
    Parity,
    /// A packet beside the stream, of newer peers.
    OutOfBand,
    /// No FEC header: KCP from the first byte on.
    Plain,
}

/// Tells the kind of a decrypted payload from the 16 bits at offset 4, where plain KCP has a
/// command (0x51 to 0x54) and a fragment number.
///
/// ```
/// use fec_proto::{Kind, classify};
///
/// assert_eq!(classify(&[0, 0, 0, 0, 0xf1, 0, 2, 0]), Kind::Data);
/// assert_eq!(classify(&[0, 0, 0, 0, 0x51, 0, 2, 0]), Kind::Plain);
/// ```
pub fn classify(payload: &[u8]) -> Kind {
    let mut reader = Reader::new(payload);
    reader.u32();
    match reader.u16() {
        Some(DATA) => Kind::Data,
        Some(PARITY) => Kind::Parity,
        Some(OUT_OF_BAND) => Kind::OutOfBand,
        _ => Kind::Plain,
    }
}

/// Why a packet is not FEC. Count it and drop it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than a header (8 bytes); counts as `InErrs`.
    Truncated {
        /// Bytes it has.
        have: usize,
    },
    /// Longer than [`MAX_PACKET`].
    TooLong {
        /// Bytes it has.
        have: usize,
    },
    /// [`Kind::Plain`]: pass it to KCP whole.
    NotFec,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { have } => write!(f, "an FEC packet needs 8 bytes, this has {have}"),
            Self::TooLong { have } => {
                write!(f, "an FEC packet has at most {MAX_PACKET} bytes, this has {have}")
            }
            Self::NotFec => f.write_str("no FEC header: pass the packet to KCP as it is"),
        }
    }
}

impl core::error::Error for PacketError {}

/// A packet that has been checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet<'p> {
    pub(crate) id: ShardId,
    pub(crate) kind: Kind,
    /// The shard: all bytes behind id and type. At least 2.
    pub(crate) shard: &'p [u8],
}

impl<'p> Packet<'p> {
    pub(crate) fn parse(bytes: &'p [u8]) -> Result<Self, PacketError> {
        let have = bytes.len();
        if have < HEADROOM {
            return Err(PacketError::Truncated { have });
        }
        let kind = classify(bytes);
        if kind == Kind::Plain {
            return Err(PacketError::NotFec);
        }
        if have > MAX_PACKET {
            return Err(PacketError::TooLong { have });
        }
        let id = Reader::new(bytes).u32().unwrap_or(0);
        Ok(Self { id: ShardId::new(id), kind, shard: &bytes[PARITY_OVERHEAD..] })
    }
}

/// Writes the header of a data packet over its first [`HEADROOM`] bytes; `size` counts itself.
pub(crate) fn write_data_header(packet: &mut [u8], id: ShardId, size: u16) {
    let mut writer = Writer::new(packet);
    writer.u32(id.get());
    writer.u16(DATA);
    writer.u16(size);
}

/// Writes a parity packet; `out` must have room for it.
pub(crate) fn write_parity(out: &mut [u8], id: ShardId, shard: &[u8]) {
    let mut writer = Writer::new(out);
    writer.u32(id.get());
    writer.u16(PARITY);
    writer.put(shard);
}
