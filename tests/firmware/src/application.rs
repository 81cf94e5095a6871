//! What the two ends have to do: one asks, the other echoes.

use smux_proto::{StreamId, Version};

use crate::STREAMS;
use crate::end::{End, UNREAD};
use crate::session::Failure;

/// The client: sends bytes on every stream and checks that they come back.
#[derive(Debug)]
pub(crate) struct Asker {
    bytes: u64,
    /// How far sending may be ahead of what came back.
    ahead: u64,
    streams: [Option<Asked>; STREAMS],
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    id: StreamId,
    sent: u64,
    checked: u64,
    is_over: bool,
}

impl Asker {
    /// Opens all streams.
    pub(crate) fn new(end: &mut End<'_>, bytes: u64) -> Result<Self, Failure> {
        let mut streams = [None; STREAMS];
        for stream in &mut streams {
            let id = end.mux.open().map_err(|_| Failure::NoStream)?;
            *stream = Some(Asked { id, sent: 0, checked: 0, is_over: false });
        }
        // In version 2 the frames that open windows stand in line behind data. An echo whose window
        // is shut takes no data, so who sends more than its buffer holds waits for ever: that is
        // the protocol, and with every end. Version 1 has no windows to wait for.
        let ahead = match end.mux.config().version {
            Version::V1 => u64::MAX,
            Version::V2 => (UNREAD / STREAMS) as u64,
        };
        Ok(Self { bytes, ahead, streams })
    }

    /// Writes what there is room for, reads what has come.
    pub(crate) fn work(&mut self, end: &mut End<'_>) -> Result<(), Failure> {
        for (number, stream) in self.streams.iter_mut().flatten().enumerate() {
            let until = self.bytes.min(stream.checked.saturating_add(self.ahead));
            while stream.sent < until {
                let at = stream.sent;
                let left = usize::try_from(until - at).unwrap_or(usize::MAX);
                let written = end.write(stream.id, left, |slot| fill(slot, number, at));
                if written == 0 {
                    break;
                }
                stream.sent += written as u64;
                if stream.sent == self.bytes {
                    end.mux.finish(stream.id).map_err(|_| Failure::NoStream)?;
                }
            }
            let mut is_wrong = false;
            while !stream.is_over {
                let at = stream.checked;
                let read = end.read(stream.id, |bytes| {
                    let same = |(i, byte): (usize, &u8)| *byte == pattern(number, at + i as u64);
                    is_wrong |= !bytes.iter().enumerate().all(same);
                    bytes.len()
                });
                stream.checked += read as u64;
                if read == 0 {
                    break;
                }
            }
            if is_wrong || stream.checked > self.bytes {
                return Err(Failure::WrongByte { stream: number, before: stream.checked });
            }
            stream.is_over |= stream.checked == self.bytes && !end.mux.is_live(stream.id);
        }
        Ok(())
    }

    /// Whether all came back and all streams have ended.
    pub(crate) fn is_done(&self) -> bool {
        self.streams.iter().flatten().all(|stream| stream.is_over)
    }

    /// Bytes that came back so far.
    pub(crate) fn checked(&self) -> u64 {
        self.streams.iter().flatten().map(|stream| stream.checked).sum()
    }
}

/// The server: sends back whatever comes.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    streams: [Option<StreamId>; STREAMS],
}

impl Echo {
    /// Takes new streams, sends back what there is room for, ends streams that have ended.
    pub(crate) fn work(&mut self, end: &mut End<'_>) -> Result<(), Failure> {
        while let Some(id) = end.mux.accept() {
            let free = self.streams.iter_mut().find(|stream| stream.is_none());
            *free.ok_or(Failure::NoStream)? = Some(id);
        }
        for stream in &mut self.streams {
            let Some(id) = *stream else { continue };
            while end.echo(id) > 0 {}
            if end.mux.is_finished(id) {
                end.mux.finish(id).map_err(|_| Failure::NoStream)?;
                *stream = None;
            }
        }
        Ok(())
    }
}

/// Writes the bytes of a stream from `at` on.
fn fill(slot: &mut [u8], stream: usize, at: u64) {
    for (i, byte) in slot.iter_mut().enumerate() {
        *byte = pattern(stream, at + i as u64);
    }
}

/// The byte at a place of a stream: no short period, and different in each stream.
fn pattern(stream: usize, at: u64) -> u8 {
    let mixed = (at as u32 ^ (stream as u32) << 28).wrapping_mul(0x9e37_79b1);
    (mixed >> 24) as u8
}
