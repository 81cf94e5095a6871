//! Frames out of a byte stream that is split anywhere.

use crate::ProtocolError;
use crate::wire::{Command, HEADER_LEN, Header, UPDATE_LEN, Update, Version};

/// A frame, without the body of PSH, which follows in the byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    Syn(u32),
    Fin(u32),
    Psh(u32, u16),
    /// Of the session (0), or of a stream.
    Nop(u32),
    Upd(u32, Update),
}

/// Gathers headers (and the body of UPD): the only bytes of input that are kept outside of the
/// streams' queues.
#[derive(Debug)]
pub(crate) struct Parser {
    version: Version,
    bytes: [u8; HEADER_LEN + UPDATE_LEN],
    have: usize,
}

impl Parser {
    pub(crate) const fn new(version: Version) -> Self {
        Self { version, bytes: [0; HEADER_LEN + UPDATE_LEN], have: 0 }
    }

    /// Takes bytes from the front of `input` until a frame is complete; returns how many, and the
    /// frame. No frame: all of `input` was taken.
    #[inline]
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Frame>), ProtocolError> {
        if self.have == 0
            && let Some(head) = input.first_chunk()
        {
            // The usual case: the header lies whole in the input.
            let header = self.header(head)?;
            if header.command != Command::Upd {
                return Ok((HEADER_LEN, Some(frame(header, &[0; UPDATE_LEN]))));
            }
        }
        self.gather(input)
    }

    fn gather(&mut self, input: &[u8]) -> Result<(usize, Option<Frame>), ProtocolError> {
        let mut taken = self.fill(input, HEADER_LEN);
        let Some(head) = self.bytes.first_chunk().filter(|_| self.have >= HEADER_LEN) else {
            return Ok((taken, None));
        };
        let header = self.header(head)?;
        let mut update = [0; UPDATE_LEN];
        if header.command == Command::Upd {
            taken += self.fill(&input[taken..], HEADER_LEN + UPDATE_LEN);
            if self.have < HEADER_LEN + UPDATE_LEN {
                return Ok((taken, None));
            }
            update.copy_from_slice(&self.bytes[HEADER_LEN..]);
        }
        self.have = 0;
        Ok((taken, Some(frame(header, &update))))
    }

    fn header(&self, bytes: &[u8; HEADER_LEN]) -> Result<Header, ProtocolError> {
        match Header::parse(bytes) {
            _ if bytes[0] != self.version.number() => Err(ProtocolError::BadVersion(bytes[0])),
            parsed => parsed,
        }
    }

    /// Gathers until `target` bytes are there; tells how many it took.
    fn fill(&mut self, input: &[u8], target: usize) -> usize {
        let count = input.len().min(target.saturating_sub(self.have));
        self.bytes[self.have..self.have + count].copy_from_slice(&input[..count]);
        self.have += count;
        count
    }
}

const fn frame(header: Header, body: &[u8; UPDATE_LEN]) -> Frame {
    let stream = header.stream;
    match header.command {
        Command::Syn => Frame::Syn(stream),
        Command::Fin => Frame::Fin(stream),
        Command::Psh => Frame::Psh(stream, header.length),
        Command::Nop => Frame::Nop(stream),
        Command::Upd => Frame::Upd(stream, Update::parse(body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ControlFrame;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn frames() -> impl Strategy<Value = Frame> {
        prop_oneof![
            any::<u32>().prop_map(Frame::Syn),
            any::<u32>().prop_map(Frame::Fin),
            any::<u32>().prop_map(|id| Frame::Psh(id, 0)),
            any::<u32>().prop_map(Frame::Nop),
            (any::<u32>(), any::<u32>(), any::<u32>())
                .prop_map(|(id, consumed, window)| Frame::Upd(id, Update { consumed, window })),
        ]
    }

    fn emit(frame: Frame) -> ControlFrame {
        let (command, id) = match frame {
            Frame::Syn(id) => (Command::Syn, id),
            Frame::Fin(id) => (Command::Fin, id),
            Frame::Psh(id, _) => (Command::Psh, id),
            Frame::Nop(id) => (Command::Nop, id),
            Frame::Upd(id, update) => return ControlFrame::update(Version::V2, id, update),
        };
        ControlFrame::new(Version::V2, command, id)
    }

    proptest! {
        /// However the bytes are split, the same frames come out.
        #[test]
        fn splits_do_not_matter(
            sent in prop::collection::vec(frames(), 0..20),
            cuts in prop::collection::vec(1usize..30, 1..20),
        ) {
            let bytes: Vec<u8> =
                sent.iter().flat_map(|&frame| emit(frame).as_bytes().to_vec()).collect();
            let mut parser = Parser::new(Version::V2);
            let (mut rest, mut found) = (&bytes[..], Vec::new());
            for &cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (mut piece, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                while !piece.is_empty() {
                    let (taken, frame) = parser.next(piece).unwrap();
                    piece = &piece[taken..];
                    prop_assert!(frame.is_some() || piece.is_empty());
                    found.extend(frame);
                }
            }
            prop_assert_eq!(found, sent);
        }
    }

    #[test]
    fn another_version_is_named_before_anything_else() {
        let mut parser = Parser::new(Version::V1);
        let wrong = [2, 9, 0, 0, 3, 0, 0, 0];
        assert_eq!(parser.next(&wrong), Err(ProtocolError::BadVersion(2)));
        assert_eq!(parser.next(&[7; 8]), Err(ProtocolError::BadVersion(7)));
    }
}
