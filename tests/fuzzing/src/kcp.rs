//! KCP.

use std::collections::VecDeque;
use std::time::Duration;

use kcp_proto::wire::{Command, Header, Segments, Sn, WireMs};
use kcp_proto::{Config, ConvId, Event, Kcp, Mode, Rings, Via};
use proto_base::{Instant, Pool};

use crate::input::{Input, check_pattern, patterned};

const CONV: ConvId = ConvId(7);

/// Hands arbitrary datagrams to one end: raw bytes, or segments whose headers are well-formed.
///
/// # Panics
/// When windows, memory or output grow beyond their bounds, output is malformed, a deadline lies
/// in the past, or memory does not come back.
pub fn kcp_packets(data: &[u8]) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let mut end = End::new(0, config);
    let mut now = Instant::ZERO;
    while let Some(operation) = input.operation() {
        let mut datagram = Vec::new();
        match operation % 8 {
            0 => datagram.extend_from_slice(input.bytes(usize::from(operation))),
            1 => now += Duration::from_millis(u64::from(input.u16())),
            2 => end.write(usize::from(input.u16() % 8192)),
            3 => end.discard(usize::from(input.u16())),
            _ => {
                for _ in 0..=operation / 64 {
                    push_segment(&mut input, &mut datagram);
                }
            }
        }
        let before = (end.kcp.readable_bytes(), end.kcp.stats().bad_packets);
        let via = if operation & 16 == 0 { Via::Direct } else { Via::Recovered };
        if end.kcp.handle_packet(now, &mut end.pool, &datagram, via).is_err() {
            let after = (end.kcp.readable_bytes(), end.kcp.stats().bad_packets);
            assert_eq!(after, (before.0, before.1 + 1), "a refused datagram is counted, no more");
        }
        end.tick(now);
        end.transmit(now, |_| {});
        end.check(now);
    }
    end.release();
}

/// Calls on two ends, and what becomes of each datagram between them. Then the path is good until
/// all is said.
///
/// # Panics
/// When bytes arrive twice, not at all or in another order, messages lose their bounds, or time
/// stands still.
pub fn kcp_operations(data: &[u8]) {
    let mut input = Input::new(data);
    let (mut first, mut second) = (config(&mut input), config(&mut input));
    second.mode = first.mode;
    if first.mode == Mode::Message {
        // A message can only be read whole, so a window has to take the longest.
        for config in [&mut first, &mut second] {
            config.receive_window = config.receive_window.max(32);
            config.send_window = config.send_window.min(32);
        }
    }
    let mut ends = [End::new(0, first), End::new(1, second)];
    let mut air: [VecDeque<Vec<u8>>; 2] = Default::default();
    let mut now = Instant::ZERO;
    while let Some(operation) = input.operation() {
        let way = usize::from(operation & 1);
        let number = usize::from(operation / 16);
        match operation / 2 % 8 {
            0 | 1 => ends[way].write(number * 700 + input.below(256)),
            2 => ends[way].read(number * 500),
            3 => ends[way].transmit(now, |datagram| {
                // What stays in the air for long falls out of it.
                if air[way].len() == 256 {
                    air[way].pop_front();
                }
                air[way].push_back(datagram.to_vec());
            }),
            4 => now += Duration::from_millis(1 << number),
            5 => ends[way].tick(now),
            6 if number >= 14 => {
                // The news that the window is open again gets lost.
                ends[way].read(usize::MAX);
                ends[way].transmit(now, |_| {});
            }
            6 if number >= 12 => air[way].clear(),
            6 => {
                let _ = air[way].remove(number);
            }
            _ => {
                for _ in 0..=number {
                    deliver(&mut ends[1 - way], &mut air[way], now, input.byte());
                }
            }
        }
    }
    settle(ends, air, now);
}

/// Takes a datagram out of the air, or a copy of it.
fn deliver(to: &mut End, air: &mut VecDeque<Vec<u8>>, now: Instant, choice: u8) {
    let at = usize::from(choice / 4) % air.len().max(1);
    let at = if choice & 1 == 0 { 0 } else { at };
    let taken = if choice & 2 == 0 { air.remove(at) } else { air.get(at).cloned() };
    if let Some(datagram) = taken {
        to.kcp.handle_packet(now, &mut to.pool, &datagram, Via::Direct).expect("a peer's datagram");
    }
}

/// Lets the ends come to rest on a good path.
fn settle(mut ends: [End; 2], mut air: [VecDeque<Vec<u8>>; 2], mut now: Instant) {
    for round in 0.. {
        assert!(round < 20_000, "no rest at {now:?}: {:?}", ends.map(|end| end.kcp.stats()));
        let mut busy = false;
        for way in 0..2 {
            ends[way].tick(now);
            ends[way].transmit(now, |datagram| air[way].push_back(datagram.to_vec()));
            for datagram in air[way].drain(..) {
                let to = &mut ends[1 - way];
                to.kcp.handle_packet(now, &mut to.pool, &datagram, Via::Direct).expect("legal");
                to.read(usize::MAX);
                busy = true;
            }
            ends[way].read(usize::MAX);
        }
        if busy {
            continue;
        }
        if ends.iter().all(|end| end.kcp.is_idle()) {
            break;
        }
        let next = Instant::earliest(ends[0].kcp.poll_timeout(), ends[1].kcp.poll_timeout());
        now = now.max(next.expect("something is to be done, so there is a deadline"));
    }
    for way in 0..2 {
        assert_eq!(ends[way].written, ends[1 - way].read, "all of it arrives");
        assert_eq!(ends[way].sent, ends[1 - way].received, "messages keep their bounds");
        assert_eq!(ends[way].kcp.pending_segments(), 0);
    }
    for end in ends {
        end.release();
    }
}

/// One end, which writes a pattern and reads the other's.
struct End {
    kcp: Kcp<'static>,
    pool: Pool<'static>,
    config: Config,
    lane: u32,
    written: u64,
    read: u64,
    /// Lengths of the messages written, in message mode.
    sent: Vec<usize>,
    /// Lengths of the messages read.
    received: Vec<usize>,
}

impl End {
    fn new(lane: u32, config: Config) -> Self {
        let kcp = Kcp::new(CONV, lane * 0xffff_f000, config, Rings::owned(), Instant::ZERO);
        let pool = Pool::owned(1 << 21, 4096).expect("a pool");
        let kcp = kcp.expect("a legal configuration");
        Self {
            kcp,
            pool,
            config,
            lane,
            written: 0,
            read: 0,
            sent: Vec::new(),
            received: Vec::new(),
        }
    }

    fn write(&mut self, len: usize) {
        let bytes = patterned(self.lane, self.written, len);
        let taken = self.kcp.send(&mut self.pool, &bytes).unwrap_or(0);
        if self.config.mode == Mode::Message && taken > 0 {
            assert_eq!(taken, len, "messages are taken whole");
            self.sent.push(len);
        }
        self.written += taken as u64;
    }

    /// Reads up to `most` bytes, or any message, and compares them with the other end's pattern.
    fn read(&mut self, most: usize) {
        let mut left = most;
        if self.config.mode == Mode::Message {
            let mut out = vec![0; 64 * 1500];
            while let Some(expected) = self.kcp.message_len() {
                let len = self.kcp.recv(&mut self.pool, &mut out).expect("a message");
                assert_eq!(len, expected);
                check_pattern(1 - self.lane, self.read, &out[..len]);
                self.read += len as u64;
                self.received.push(len);
            }
            return;
        }
        while let Some(bytes) = self.kcp.peek(&self.pool).filter(|_| left > 0) {
            let len = bytes.len().min(left);
            check_pattern(1 - self.lane, self.read, &bytes[..len]);
            self.kcp.consume(&mut self.pool, len);
            self.read += len as u64;
            left -= len;
        }
    }

    /// Reads without looking.
    fn discard(&mut self, most: usize) {
        let mut left = most;
        while let Some(len) = self.kcp.peek(&self.pool).map(<[u8]>::len).filter(|_| left > 0) {
            self.kcp.consume(&mut self.pool, len.min(left));
            left -= len.min(left);
        }
        let _ = self.kcp.recv(&mut self.pool, &mut [0; 2000]);
    }

    fn tick(&mut self, now: Instant) {
        self.kcp.handle_timeout(now);
        let mut seen = 0;
        while let Some(event) = self.kcp.poll_event() {
            assert!(event != Event::Suspect || self.kcp.pending_segments() > 0);
            seen += 1;
            assert!(seen <= 4, "events are bits");
        }
    }

    /// Takes all datagrams.
    fn transmit(&mut self, now: Instant, mut take: impl FnMut(&[u8])) {
        let mut out = [0; 1500];
        // Each segment of both windows once, an ack for each, and probes.
        let most = 8 + 4 * (u32::from(self.config.send_window) + u32::from(u16::MAX));
        let mut count = 0;
        while let Some(len) = self.kcp.poll_transmit(now, &self.pool, &mut out).expect("room") {
            assert!(0 < len && len <= self.config.datagram_len);
            let segments = Segments::parse(CONV, &out[..len]).expect("well-formed");
            let bytes: usize = segments.map(|(_, data)| Header::LEN + data.len()).sum();
            assert_eq!(bytes, len);
            take(&out[..len]);
            count += 1;
            assert!(count <= most, "output without end");
        }
    }

    /// After everything was polled: bounds, and deadlines that lie ahead.
    fn check(&self, now: Instant) {
        assert!(self.kcp.poll_timeout().is_none_or(|at| at > now), "a deadline in the past");
        let window = usize::from(self.config.receive_window);
        assert!(self.kcp.readable_bytes() <= window * Config::MAX_SEGMENT);
        assert!(self.kcp.in_flight() <= self.kcp.pending_segments());
        assert!(self.kcp.pending_segments() <= u32::from(self.config.send_window));
        assert!(self.pool.used_pages() <= self.pool.page_limit());
    }

    fn release(mut self) {
        self.kcp.release(&mut self.pool);
        assert_eq!(self.pool.used_pages(), 0);
    }
}

fn config(input: &mut Input<'_>) -> Config {
    let flags = input.byte();
    Config {
        datagram_len: [25, 60, 600, 1350, 1500][input.below(5)],
        mode: if flags & 1 == 0 { Mode::Stream } else { Mode::Message },
        nodelay: flags & 2 != 0,
        interval: Duration::from_millis(10 + 10 * (input.byte() % 16) as u64),
        resend: u32::from(flags >> 2 & 3),
        congestion_control: flags & 16 != 0,
        ack_no_delay: flags & 32 != 0,
        send_window: window(input),
        receive_window: window(input),
    }
}

/// Small in half of the cases, so that windows shut.
fn window(input: &mut Input<'_>) -> u16 {
    match u16::from(input.byte()) {
        wide @ 128.. => wide,
        narrow => 1 + narrow % 8,
    }
}

/// A segment with small numbers, so that it means something, or with any.
fn push_segment(input: &mut Input<'_>, datagram: &mut Vec<u8>) {
    let choice = input.byte();
    let commands = [Command::Push, Command::Ack, Command::AskWindow, Command::TellWindow];
    let mut number = || if choice & 4 == 0 { u32::from(input.byte()) } else { input.u32() };
    let (ts, sn, una) = (number(), number(), number());
    let (fragment, window) = if choice & 8 == 0 { (0, 128) } else { (input.byte(), input.u16()) };
    let data = input.bytes(usize::from(choice / 8));
    let header = Header {
        conv: CONV,
        command: commands[usize::from(choice & 3)],
        fragment,
        window,
        ts: WireMs::new(ts),
        sn: Sn::new(sn),
        una: Sn::new(una),
        len: data.len() as u32,
    };
    datagram.extend_from_slice(&header.emit());
    datagram.extend_from_slice(data);
}
