//! One KCP conversation made of probes, as a sans-IO machine.
//!
//! A probe is a segment with a smux frame that every server reads and drops: NOP, or data for a
//! stream that nobody opened. Nothing reaches the server's target. Unlike `kcp_proto::Kcp` this
//! sends each probe once, until it is told to send one again, so that what becomes of a single
//! datagram can be told:
//!
//! * acknowledged: it arrived, and so did an answer;
//! * passed by `una` without that: it arrived, the answer was lost;
//! * `una` stands before it: it was lost.

use std::collections::BTreeSet;
use std::time::Duration;

use fec_proto::{Kind, classify};
use kcp_proto::ConvId;
use kcp_proto::wire::{Command, Header, Segments, Sn, WireMs};
use proto_base::Instant;
use smux_proto::wire::{Command as FrameCommand, Header as Frame, Version};

/// Receive window that is told to the server, in segments.
const WINDOW: u16 = 512;
/// Bytes of a smux header.
const FRAME: usize = smux_proto::wire::HEADER_LEN;
/// A stream that nobody opens: ids of clients are odd and begin at 3.
const NO_STREAM: u32 = 0xffff_fff1;

/// A conversation.
pub(super) struct Talk {
    conv: ConvId,
    clock_offset: u32,
    version: Version,
    codec: Option<Codec>,
    probes: Vec<Probe>,
    /// The first probe that the server does not have.
    una: u32,
    /// The first segment of the server that is not here.
    next_in: u32,
    /// Segments of the server to be acknowledged.
    owed: Vec<(Sn, WireMs)>,
    heard: Heard,
}

/// Compression of what is sent.
struct Codec {
    compressor: kcptun_tunnel::snappy::Compressor,
    scratch: kcptun_tunnel::snappy::Scratch,
}

/// One probe.
#[derive(Debug, Clone)]
struct Probe {
    body: Vec<u8>,
    sent_at: Instant,
    /// The wire clock of its last transmission.
    ts: WireMs,
    transmissions: u32,
    round_trip: Option<Duration>,
    is_acked: bool,
}

/// What has come from the server.
#[derive(Debug, Default, Clone)]
pub(super) struct Heard {
    /// Datagrams that belong to this conversation.
    pub(super) datagrams: u64,
    /// Datagrams of something else behind a good checksum.
    pub(super) strays: u64,
    /// The server answers as one that knows nothing of what it had acknowledged.
    pub(super) has_forgotten: bool,
    /// FEC numbers of the datagrams, as far as they have any.
    pub(super) ids: BTreeSet<u32>,
}

impl Talk {
    /// A conversation; the random numbers are the conversation's and the wire clock's.
    pub(super) fn new(random: [u32; 2], version: Version, has_compression: bool) -> Self {
        let codec = has_compression.then(|| Codec {
            compressor: kcptun_tunnel::snappy::Compressor::new(),
            scratch: kcptun_tunnel::snappy::Scratch::new(),
        });
        Self {
            conv: ConvId(random[0]),
            clock_offset: random[1],
            version,
            codec,
            probes: Vec::new(),
            una: 0,
            next_in: 0,
            owed: Vec::new(),
            heard: Heard::default(),
        }
    }

    /// Writes a new probe as small as there is to `out`; its number.
    pub(super) fn probe(&mut self, now: Instant, out: &mut Vec<u8>) -> u32 {
        let body = self.nop();
        self.push(now, body, out)
    }

    /// Writes a new probe of `len` bytes in all, from the KCP header on, filled from `random`. Not
    /// the first of a conversation. `None` when `len` is too short for one.
    pub(super) fn large_probe(
        &mut self,
        now: Instant,
        len: usize,
        random: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        // A chunk that cannot be compressed: type, length and crc in front of it.
        let chunk = if self.codec.is_some() { 8 } else { 0 };
        let len = len.checked_sub(Header::LEN + chunk + FRAME)?;
        let mut frame = self.frame(FrameCommand::Psh, len, NO_STREAM).to_vec();
        frame.extend_from_slice(random.get(..len)?);
        let body = self.encode(&frame);
        Some(self.push(now, body, out))
    }

    /// Writes a probe once more.
    pub(super) fn repeat(&mut self, now: Instant, number: u32, out: &mut Vec<u8>) {
        let (ts, conv, una) = (self.clock(now), self.conv, Sn::new(self.next_in));
        let Some(probe) = self.probes.get_mut(number as usize) else { return };
        probe.transmissions += 1;
        probe.sent_at = now;
        probe.ts = ts;
        let len = u32::try_from(probe.body.len()).unwrap_or(u32::MAX);
        let header = Header {
            conv,
            command: Command::Push,
            fragment: 0,
            window: WINDOW,
            ts,
            sn: Sn::new(number),
            una,
            len,
        };
        out.extend_from_slice(&header.emit());
        out.extend_from_slice(&probe.body);
    }

    /// Puts something small in the place of a probe that did not get through, so that what comes
    /// behind it can be read.
    pub(super) fn fill_gap(&mut self, number: u32) {
        let body = self.nop();
        if let Some(probe) = self.probes.get_mut(number as usize) {
            probe.body = body;
        }
    }

    /// Takes a payload behind a good checksum.
    pub(super) fn handle_payload(&mut self, now: Instant, payload: &[u8]) {
        let kind = classify(payload);
        let segments = match kind {
            Kind::Plain => payload,
            Kind::Data => payload.get(fec_proto::HEADROOM..).unwrap_or_default(),
            Kind::Parity | Kind::OutOfBand => &[],
        };
        if matches!(kind, Kind::Data | Kind::Parity)
            && let Some(id) = payload.first_chunk::<4>()
        {
            self.heard.ids.insert(u32::from_le_bytes(*id));
        }
        if kind == Kind::Parity {
            self.heard.datagrams += 1;
            return;
        }
        match Segments::parse(self.conv, segments) {
            Ok(segments) => {
                self.heard.datagrams += 1;
                for (header, data) in segments {
                    self.handle_segment(now, &header, data);
                }
            }
            Err(_) => self.heard.strays += 1,
        }
    }

    /// Writes the acks that are owed; nothing when there are none.
    pub(super) fn acks(&mut self, out: &mut Vec<u8>) {
        for (sn, ts) in std::mem::take(&mut self.owed) {
            let header = Header {
                conv: self.conv,
                command: Command::Ack,
                fragment: 0,
                window: WINDOW,
                ts,
                sn,
                una: Sn::new(self.next_in),
                len: 0,
            };
            out.extend_from_slice(&header.emit());
        }
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Forgets the FEC numbers that have come: counting begins anew.
    pub(super) fn forget_ids(&mut self) {
        self.heard.ids.clear();
    }

    /// Probes made so far.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.probes.len()).unwrap_or(u32::MAX)
    }

    /// The first probe that the server does not have; [`count`](Self::count) when it has all.
    pub(super) fn missing(&self) -> u32 {
        self.una
    }

    /// Whether the server has a probe, as far as it has told.
    pub(super) fn has(&self, number: u32) -> bool {
        number < self.una || self.is_acked(number)
    }

    /// Whether a probe was acknowledged itself.
    pub(super) fn is_acked(&self, number: u32) -> bool {
        self.probes.get(number as usize).is_some_and(|probe| probe.is_acked)
    }

    /// From sending to its ack; of probes that were sent once.
    pub(super) fn round_trips(&self) -> impl Iterator<Item = Duration> {
        self.probes.iter().filter_map(|probe| probe.round_trip)
    }

    fn push(&mut self, now: Instant, body: Vec<u8>, out: &mut Vec<u8>) -> u32 {
        let number = self.count();
        self.probes.push(Probe {
            body,
            sent_at: now,
            ts: WireMs::new(0),
            transmissions: 0,
            round_trip: None,
            is_acked: false,
        });
        self.repeat(now, number, out);
        number
    }

    fn handle_segment(&mut self, now: Instant, header: &Header, data: &[u8]) {
        let una = header.una.get();
        self.heard.has_forgotten |=
            una < self.una && header.command == Command::Ack && self.is_latest(header);
        if una <= self.count() {
            self.una = self.una.max(una);
        }
        match header.command {
            Command::Ack => {
                let number = header.sn.get() as usize;
                if let Some(probe) = self.probes.get_mut(number)
                    && probe.ts == header.ts
                {
                    if !probe.is_acked && probe.transmissions == 1 {
                        probe.round_trip = Some(now - probe.sent_at);
                    }
                    probe.is_acked = true;
                }
            }
            Command::Push => {
                if header.sn.get() == self.next_in && !data.is_empty() {
                    self.next_in += 1;
                }
                self.owed.push((header.sn, header.ts));
            }
            Command::AskWindow | Command::TellWindow => {}
        }
    }

    /// Whether an ack is of the newest probe: older ones may have been under way for long.
    fn is_latest(&self, header: &Header) -> bool {
        self.probes.last().is_some_and(|probe| probe.ts == header.ts)
            && header.sn.get() + 1 == self.count()
    }

    fn clock(&self, now: Instant) -> WireMs {
        // The low 32 bits are what the wire carries.
        WireMs::new((now.as_millis() as u32).wrapping_add(self.clock_offset))
    }

    fn nop(&mut self) -> Vec<u8> {
        let frame = self.frame(FrameCommand::Nop, 0, 0);
        self.encode(&frame)
    }

    fn frame(&self, command: FrameCommand, len: usize, stream: u32) -> [u8; FRAME] {
        let length = u16::try_from(len).unwrap_or(u16::MAX);
        Frame { version: self.version, command, length, stream }.emit()
    }

    fn encode(&mut self, frame: &[u8]) -> Vec<u8> {
        let Some(codec) = &mut self.codec else { return frame.to_vec() };
        let mut body = Vec::new();
        codec.compressor.compress(&mut codec.scratch, frame, &mut body);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kcp_proto::{Config, Kcp, Rings, Via};
    use proptest::prelude::*;
    use proto_base::Pool;

    const CONV: u32 = 7;

    fn server(pool_now: Instant) -> (Kcp<'static>, Pool<'static>) {
        let config = Config { ack_no_delay: true, ..Config::default() };
        let kcp = Kcp::new(ConvId(CONV), 3, config, Rings::owned(), pool_now).unwrap();
        (kcp, Pool::owned(1 << 22, 4096).unwrap())
    }

    /// Gives what the server has to say to the talk.
    fn answer(
        kcp: &mut Kcp<'static>,
        pool: &Pool<'static>,
        now: Instant,
        mut deliver: impl FnMut(&[u8]),
    ) {
        let mut datagram = [0; 1500];
        while let Ok(Some(len)) = kcp.poll_transmit(now, pool, &mut datagram) {
            deliver(&datagram[..len]);
        }
    }

    proptest! {
        /// Against a real KCP: which probes were lost, and which answers, is found out exactly.
        #[test]
        fn the_fate_of_each_probe_is_known(
            fates in prop::collection::vec((any::<bool>(), any::<bool>()), 1..60),
            has_compression: bool,
        ) {
            let mut now = Instant::from_millis(5);
            let (mut kcp, mut pool) = server(now);
            let mut talk = Talk::new([CONV, 0x9999_0000], Version::V1, has_compression);
            let mut lost = Vec::new();
            for (arrives, is_answered) in fates.iter().copied() {
                now += Duration::from_millis(50);
                let mut out = Vec::new();
                let number = talk.probe(now, &mut out);
                if arrives {
                    kcp.handle_packet(now, &mut pool, &out, Via::Direct).unwrap();
                } else {
                    lost.push(number);
                }
                now += Duration::from_millis(10);
                answer(&mut kcp, &pool, now, |bytes| {
                    if is_answered {
                        talk.handle_payload(now, bytes);
                    }
                });
            }
            // The server's gaps are found and filled one by one.
            let mut found = Vec::new();
            for _ in 0..200 {
                let gap = talk.missing();
                if gap == talk.count() {
                    break;
                }
                if !talk.has(gap) {
                    now += Duration::from_millis(50);
                    let mut out = Vec::new();
                    talk.repeat(now, gap, &mut out);
                    if lost.contains(&gap) && !found.contains(&gap) {
                        found.push(gap);
                    }
                    kcp.handle_packet(now, &mut pool, &out, Via::Direct).unwrap();
                    answer(&mut kcp, &pool, now, |bytes| talk.handle_payload(now, bytes));
                }
            }
            prop_assert_eq!(talk.missing(), talk.count());
            prop_assert!(lost.iter().all(|number| found.contains(number)), "{lost:?} {found:?}");
            prop_assert!(talk.round_trips().all(|trip| trip == Duration::from_millis(10)));
            prop_assert!(!talk.heard().has_forgotten);
            // What the server reads is NOPs, or their compressed form.
            let bytes: Vec<u8> = kcp.readable(&pool).flatten().copied().collect();
            if has_compression {
                prop_assert!(bytes.starts_with(b"\xff\x06\x00\x00sNaPpY"));
            } else {
                prop_assert!(bytes.chunks(8).all(|frame| frame == [1, 3, 0, 0, 0, 0, 0, 0]));
                prop_assert_eq!(bytes.len(), 8 * fates.len());
            }
        }

        /// No datagram panics, and none but ours counts.
        #[test]
        fn any_payload_is_taken(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut talk = Talk::new([CONV, 1], Version::V2, true);
            talk.probe(Instant::ZERO, &mut Vec::new());
            talk.handle_payload(Instant::ZERO, &payload);
            talk.acks(&mut Vec::new());
        }
    }

    #[test]
    fn a_large_probe_has_the_length_asked_for() {
        let mut random = [0; 1500];
        getrandom::fill(&mut random).unwrap();
        for has_compression in [false, true] {
            let mut talk = Talk::new([CONV, 1], Version::V1, has_compression);
            talk.probe(Instant::ZERO, &mut Vec::new());
            for len in [500, 1201, 1472] {
                let mut out = Vec::new();
                assert!(talk.large_probe(Instant::ZERO, len, &random, &mut out).is_some());
                assert_eq!(out.len(), len, "compression: {has_compression}");
            }
            assert_eq!(talk.large_probe(Instant::ZERO, 20, &random, &mut Vec::new()), None);
        }
    }

    #[test]
    fn a_server_that_started_over_is_noticed() {
        let now = Instant::from_millis(9);
        let mut talk = Talk::new([CONV, 0], Version::V1, false);
        let ack = |talk: &mut Talk, number: u32, una: u32| {
            let ts = talk.probes[number as usize].ts;
            let header = Header {
                conv: ConvId(CONV),
                command: Command::Ack,
                fragment: 0,
                window: 128,
                ts,
                sn: Sn::new(number),
                una: Sn::new(una),
                len: 0,
            };
            talk.handle_payload(now, &header.emit());
        };
        talk.probe(now, &mut Vec::new());
        ack(&mut talk, 0, 1);
        talk.probe(now + Duration::from_millis(5), &mut Vec::new());
        assert!(!talk.heard().has_forgotten);
        ack(&mut talk, 1, 0);
        assert!(talk.heard().has_forgotten);
    }
}
