//! Our machines in the place of recorded ends.

use core::time::Duration;
use std::collections::BTreeMap;

use fec_proto::{Accepted, Decoder, DecoderStorage, Kernel, Kind, classify};
use kcp_proto::wire::{Command, Header, Segments};
use kcp_proto::{Kcp, Rings, Via};
use kcptun_tunnel::crypt::Protection;
use kcptun_tunnel::snappy::Decompressor;
use proto_base::{Instant, Pool};
use smux_proto::{Mux, MuxStorage, Role, wire};

use crate::capture::{Capture, Frame, other};
use crate::support::{open, pool, protection};

/// Our layers, one after the other, for what one end sends.
pub(crate) struct Chain {
    pool: Pool<'static>,
    protection: Protection,
    pub(crate) decoder: Decoder<'static>,
    pub(crate) kcp: Kcp<'static>,
    decompressor: Option<Decompressor>,
    pub(crate) kcp_stream: Vec<u8>,
    pub(crate) plain: Vec<u8>,
    /// How much of `plain` was taken as frames.
    framed: usize,
}

impl Chain {
    pub(crate) fn new(capture: &Capture, from: Role) -> Self {
        let kcp = capture.kcp_of(other(from));
        let decoder = Decoder::new(capture.shape, Kernel::PORTABLE, DecoderStorage::owned());
        Self {
            pool: pool(),
            protection: protection(capture.cipher.clone()),
            decoder: decoder.unwrap().in_doubt(),
            kcp: Kcp::new(capture.conv, 0, kcp, Rings::owned(), Instant::ZERO).unwrap(),
            decompressor: capture.compression.then(Decompressor::new),
            kcp_stream: Vec::new(),
            plain: Vec::new(),
            framed: 0,
        }
    }

    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let (_, payload) = open(&self.protection, datagram);
        let segments = if classify(&payload) == Kind::Plain {
            &payload[..]
        } else {
            match self.decoder.handle_packet(now, &mut self.pool, &payload).unwrap() {
                Accepted::Data(segments) => segments,
                other => return assert_eq!(other, Accepted::Parity),
            }
        };
        self.kcp.handle_packet(now, &mut self.pool, segments, Via::Direct).unwrap();
        let bytes = read_all(&mut self.kcp, &mut self.pool);
        self.kcp_stream.extend_from_slice(&bytes);
        let Some(decompressor) = &mut self.decompressor else {
            return self.plain.extend(bytes);
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let taken = decompressor.push(rest).unwrap();
            rest = &rest[taken..];
            self.plain.extend_from_slice(decompressor.output());
            decompressor.consume(decompressor.output().len());
        }
    }

    /// The frames that are whole and were not taken before.
    pub(crate) fn new_frames(&mut self) -> impl Iterator<Item = Frame> {
        let mut rest = self.frames_rest().to_vec();
        core::iter::from_fn(move || {
            let frame = Frame::take(&mut rest)?;
            self.framed += frame.emit().len();
            Some(frame)
        })
    }

    pub(crate) fn frames_rest(&self) -> &[u8] {
        &self.plain[self.framed..]
    }
}

/// Our KCP in the place of one end.
pub(crate) struct KcpEnd {
    pool: Pool<'static>,
    pub(crate) kcp: Kcp<'static>,
    /// The wire clock of the recorded end, from 0 on.
    now: Instant,
    pub(crate) received: Vec<u8>,
    pub(crate) peer_pushes: BTreeMap<u32, Header>,
    /// Una of the latest ack sent: every push before it is acknowledged.
    pub(crate) told_una: u32,
}

impl KcpEnd {
    pub(crate) fn new(capture: &Capture, role: Role) -> Self {
        let now = Instant::ZERO;
        let kcp = Kcp::new(capture.conv, 0, capture.kcp_of(role), Rings::owned(), now).unwrap();
        let (received, peer_pushes) = (Vec::new(), BTreeMap::new());
        Self { pool: pool(), kcp, now, received, peer_pushes, told_una: 0 }
    }

    /// Writes the data of a recorded push, at its time.
    pub(crate) fn push(&mut self, expected: Header, data: &[u8]) {
        self.now = self.now.max(Instant::from_millis(expected.ts.get().into()));
        assert_eq!(self.kcp.send(&mut self.pool, data), Ok(data.len()));
        let mut pushes = self.transmit();
        assert_eq!(pushes.pop(), Some((expected, data.to_vec())));
        assert_eq!(pushes, []);
    }

    pub(crate) fn take(&mut self, segments: &[u8]) {
        self.kcp.handle_packet(self.now, &mut self.pool, segments, Via::Direct).unwrap();
        self.received.extend(read_all(&mut self.kcp, &mut self.pool));
    }

    /// Time passes and nothing is heard; no push must leave.
    pub(crate) fn drain(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.kcp.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.kcp.handle_timeout(self.now);
            assert_eq!(self.transmit(), []);
        }
    }

    /// All that is due: pushes are given back, acks are checked.
    fn transmit(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut pushes = Vec::new();
        let mut out = [0; 1500];
        while let Some(len) = self.kcp.poll_transmit(self.now, &self.pool, &mut out).unwrap() {
            for (header, data) in Segments::parse(self.kcp.conv(), &out[..len]).unwrap() {
                if header.command == Command::Push {
                    pushes.push((header, data.to_vec()));
                    continue;
                }
                assert_eq!(header.command, Command::Ack);
                assert_eq!(header.ts, self.peer_pushes[&header.sn.get()].ts);
                assert!(header.sn.is_before(header.una), "nothing came out of order");
                self.told_una = header.una.get();
            }
        }
        pushes
    }
}

/// Our smux in the place of one end, with the stream of the run.
pub(crate) struct MuxEnd {
    pool: Pool<'static>,
    pub(crate) mux: Mux<'static>,
    stream: Option<smux_proto::StreamId>,
    pub(crate) received: Vec<u8>,
}

impl MuxEnd {
    pub(crate) fn new(capture: &Capture, role: Role) -> Self {
        let mux = Mux::new(role, capture.smux(), MuxStorage::owned(), 1, Instant::ZERO).unwrap();
        Self { pool: pool(), mux, stream: None, received: Vec::new() }
    }

    /// Does what makes a frame of this kind due, and takes the frame.
    pub(crate) fn write(&mut self, like: &Frame) -> Vec<u8> {
        match like.header.command {
            wire::Command::Syn => self.stream = Some(self.mux.open().unwrap()),
            wire::Command::Fin => self.mux.finish(self.stream.unwrap()).unwrap(),
            wire::Command::Psh => {
                let header = self.mux.begin_frame(self.stream.unwrap(), like.body.len()).unwrap();
                return [&header[..], &like.body].concat();
            }
            // After the first read one is due.
            wire::Command::Upd | wire::Command::Nop => {}
        }
        self.mux.poll_control(Instant::ZERO).unwrap().as_bytes().to_vec()
    }

    pub(crate) fn take(&mut self, frame: &Frame) {
        let bytes = frame.emit();
        assert_eq!(self.mux.handle_bytes(Instant::ZERO, &mut self.pool, &bytes), Ok(bytes.len()));
        self.stream = self.mux.accept().or(self.stream);
        let stream = self.stream.unwrap();
        let bytes = self.mux.peek(stream, &self.pool).to_vec();
        self.received.extend_from_slice(&bytes);
        self.mux.consume(stream, &mut self.pool, bytes.len());
        let has_ended = frame.header.command == wire::Command::Fin;
        assert_eq!(self.mux.is_finished(stream) || !self.mux.is_live(stream), has_ended);
    }
}

/// Everything in order, read and freed.
fn read_all(kcp: &mut Kcp<'_>, pool: &mut Pool<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = kcp.peek(pool) {
        let len = piece.len();
        bytes.extend_from_slice(piece);
        kcp.consume(pool, len);
    }
    bytes
}
