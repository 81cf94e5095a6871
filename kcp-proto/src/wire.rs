//! The 24-byte segment header and the datagrams made of segments.

use core::fmt;

use proto_base::{Reader, serial_number};

use crate::error::PacketError;

serial_number! {
    /// Sequence number of a segment, from 0, wrapping.
    pub struct Sn;
}

serial_number! {
    /// Milliseconds of a sender's wire clock, wrapping. The two ends' clocks are unrelated.
    pub struct WireMs;
}

/// Conversation id: 32 bits chosen by the client, the same in both directions.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvId(pub u32);

impl fmt::Display for ConvId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What a segment is for (kcp-go 5.6.1, kcp.go, `IKCP_CMD_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// 81: carries data.
    Push,
    /// 82: acknowledges one `Push` by its `sn` and `ts`.
    Ack,
    /// 83: asks for the receiver's window.
    AskWindow,
    /// 84: tells the window.
    TellWindow,
}

impl Command {
    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Push => 81,
            Self::Ack => 82,
            Self::AskWindow => 83,
            Self::TellWindow => 84,
        }
    }

    /// The command of a byte on the wire.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            81 => Some(Self::Push),
            82 => Some(Self::Ack),
            83 => Some(Self::AskWindow),
            84 => Some(Self::TellWindow),
            _ => None,
        }
    }
}

/// The header in front of each segment.
///
/// ```text
/// 0          4    5    6      8          12         16         20         24
/// +----------+----+----+------+----------+----------+----------+----------+
/// | conv     |cmd |frg | wnd  | ts       | sn       | una      | len      |
/// +----------+----+----+------+----------+----------+----------+----------+
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Conversation id.
    pub conv: ConvId,
    /// What the segment is for.
    pub command: Command,
    /// Fragments of the message that still follow; 0 in stream mode.
    pub fragment: u8,
    /// Free receive slots of the segment's sender, in segments.
    pub window: u16,
    /// Push: the sender's clock at this transmission. Ack: the `ts` of the push acknowledged.
    pub ts: WireMs,
    /// Push: number of the segment. Ack: the number acknowledged.
    pub sn: Sn,
    /// Everything before this number has been received by the segment's sender.
    pub una: Sn,
    /// Bytes of data behind the header.
    pub len: u32,
}

impl Header {
    /// Bytes of a header on the wire.
    pub const LEN: usize = 24;

    /// The header as it goes on the wire.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0..4].copy_from_slice(&self.conv.0.to_le_bytes());
        out[4] = self.command.code();
        out[5] = self.fragment;
        out[6..8].copy_from_slice(&self.window.to_le_bytes());
        out[8..12].copy_from_slice(&self.ts.get().to_le_bytes());
        out[12..16].copy_from_slice(&self.sn.get().to_le_bytes());
        out[16..20].copy_from_slice(&self.una.get().to_le_bytes());
        out[20..24].copy_from_slice(&self.len.to_le_bytes());
        out
    }

    /// Reads a header. `None` when fewer than 24 bytes are left, the inner error names a byte that
    /// is no command.
    pub fn parse(reader: &mut Reader<'_>) -> Option<Result<Self, u8>> {
        let mut fields = Reader::new(reader.take(Self::LEN)?);
        let conv = ConvId(fields.u32()?);
        let code = fields.u8()?;
        let (fragment, window) = (fields.u8()?, fields.u16()?);
        let (ts, sn) = (WireMs::new(fields.u32()?), Sn::new(fields.u32()?));
        let (una, len) = (Sn::new(fields.u32()?), fields.u32()?);
        let Some(command) = Command::from_code(code) else { return Some(Err(code)) };
        Some(Ok(Self { conv, command, fragment, window, ts, sn, una, len }))
    }
}

/// The segments of a datagram that has been checked as a whole; iterating cannot fail.
#[derive(Debug, Clone)]
pub struct Segments<'a> {
    rest: Reader<'a>,
}

impl<'a> Segments<'a> {
    /// Checks every segment of `datagram`. A rest shorter than a header is ignored, as the
    /// original does.
    ///
    /// # Errors
    /// When the datagram is shorter than one header, or one of its segments belongs to another
    /// conversation, has an unknown command, or claims more data than there is.
    pub fn parse(conv: ConvId, datagram: &'a [u8]) -> Result<Self, PacketError> {
        if datagram.len() < Header::LEN {
            return Err(PacketError::Truncated { have: datagram.len() });
        }
        let mut reader = Reader::new(datagram);
        while let Some(header) = Header::parse(&mut reader) {
            let header = header.map_err(PacketError::UnknownCommand)?;
            if header.conv != conv {
                return Err(PacketError::WrongConv { found: header.conv });
            }
            let have = reader.remaining();
            if usize::try_from(header.len).ok().and_then(|len| reader.take(len)).is_none() {
                return Err(PacketError::BadLength { claimed: header.len, have });
            }
        }
        Ok(Self { rest: Reader::new(datagram) })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (Header, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = Header::parse(&mut self.rest)?.ok()?;
        let data = self.rest.take(usize::try_from(header.len).ok()?)?;
        Some((header, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_header() -> impl Strategy<Value = Header> {
        (any::<[u32; 4]>(), 81u8..=84, any::<u8>(), any::<u16>(), any::<u32>()).prop_map(
            |([conv, ts, sn, una], code, fragment, window, len)| Header {
                conv: ConvId(conv),
                command: Command::from_code(code).unwrap(),
                fragment,
                window,
                ts: WireMs::new(ts),
                sn: Sn::new(sn),
                una: Sn::new(una),
                len,
            },
        )
    }

    proptest! {
        #[test]
        fn parse_undoes_emit(header in any_header()) {
            prop_assert_eq!(Header::parse(&mut Reader::new(&header.emit())), Some(Ok(header)));
        }

        /// What `parse` accepts, the iterator walks to its end; nothing is read past the end.
        #[test]
        fn accepted_datagrams_iterate_whole(
            mut bytes in prop::collection::vec(any::<u8>(), 0..200),
            header in any_header(),
            len in 0u32..40,
        ) {
            let header = Header { len, ..header };
            if bytes.len() >= 24 && bytes[0] % 2 == 0 {
                bytes[..24].copy_from_slice(&header.emit());
            }
            if let Ok(segments) = Segments::parse(header.conv, &bytes) {
                let used: usize = segments.map(|(_, data)| 24 + data.len()).sum();
                prop_assert!(bytes.len() - used < 24);
            }
        }
    }
}
