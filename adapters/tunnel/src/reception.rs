//! Which datagram belongs to, or begins, a connection.

use fec_proto::Kind;
use kcp_proto::ConvId;
use kcp_proto::wire::{Command, Header, Segments};
use proto_base::Reader;

/// What a payload that passed the checksum is to the connection of its sender's address.
///
/// The rules are those of kcp-go (5.6.1, sess.go, `packetInput`): connections are found by address;
/// another conversation id begins a new connection if the first segment has number 0, which is how a
/// client that restarted on the same port comes back. From an unknown address any segment begins a
/// connection. Unlike there, it must be a datagram of whole, well-formed segments, so that stray
/// bytes create no state even without encryption.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reception {
    /// Of the connection there is.
    Known,
    /// Of a new one.
    Begins(ConvId),
    /// Of none.
    Stray,
}

impl Reception {
    /// Classifies a payload, given the conversation at its address, if there is one.
    pub(crate) fn of(payload: &[u8], conv: Option<ConvId>) -> Self {
        let segments = match fec_proto::classify(payload) {
            Kind::Plain => payload,
            Kind::Data => payload.get(fec_proto::HEADROOM..).unwrap_or_default(),
            // Parity and the like belong to whoever is there.
            _ => return if conv.is_some() { Self::Known } else { Self::Stray },
        };
        let Some(Ok(first)) = Header::parse(&mut Reader::new(segments)) else {
            return if conv.is_some() { Self::Known } else { Self::Stray };
        };
        if conv == Some(first.conv) {
            return Self::Known;
        }
        let is_start = conv.is_none() || (first.sn.get() == 0 && first.command == Command::Push);
        if is_start && Segments::parse(first.conv, segments).is_ok() {
            Self::Begins(first.conv)
        } else {
            Self::Stray
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn segment(conv: u32, code: u8, sn: u32) -> Vec<u8> {
        let mut bytes = [0; 24];
        bytes[..4].copy_from_slice(&conv.to_le_bytes());
        bytes[4] = code;
        bytes[12..16].copy_from_slice(&sn.to_le_bytes());
        bytes.to_vec()
    }

    fn in_fec(kind: u8, bytes: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 0, kind, 0, 26, 0], bytes].concat()
    }

    #[test]
    fn the_table_of_the_original() {
        use Reception::{Begins, Known, Stray};
        let (ours, other) = (Some(ConvId(7)), Begins(ConvId(9)));
        assert_eq!(Reception::of(&segment(7, 81, 5), ours), Known);
        assert_eq!(Reception::of(&in_fec(0xf1, &segment(7, 81, 5)), ours), Known);
        assert_eq!(Reception::of(&in_fec(0xf2, &[0; 30]), ours), Known);
        assert_eq!(Reception::of(&in_fec(0xf2, &[0; 30]), None), Stray);
        assert_eq!(Reception::of(&segment(9, 81, 0), ours), other);
        assert_eq!(Reception::of(&in_fec(0xf1, &segment(9, 81, 0)), ours), other);
        assert_eq!(Reception::of(&segment(9, 81, 3), ours), Stray);
        assert_eq!(Reception::of(&segment(9, 81, 3), None), other);
        assert_eq!(Reception::of(&segment(9, 82, 3), None), other);
        assert_eq!(Reception::of(&in_fec(0xf1, &[1; 10]), None), Stray);
        assert_eq!(Reception::of(&segment(9, 99, 0), None), Stray, "stricter than the original");
        assert_eq!(Reception::of(&[7; 40], None), Stray);
    }
}
