//! smux.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_base::{Instant, Pool};
use smux_proto::wire::{Command, Header, Version};
use smux_proto::{Config, Event, Mux, MuxStorage, Reason, Role, SendError, Step, StreamId};

use crate::input::{Input, check_pattern, patterned};

/// Longest byte stream: with more SYN frames than the accept backlog holds, when they are accepted
/// makes a difference.
const LONGEST: usize = 8_000;

/// Most streams that an end opens, and most bytes that wait to be taken: with a small session buffer
/// many of either take long to come to rest.
const MOST_STREAMS: usize = 100;
const MOST_WAITING: usize = 50_000;

/// Hands a byte stream to three servers: at once, in pieces, and in pieces with bodies delivered
/// directly. Raw bytes, or frames whose headers are well-formed.
///
/// # Panics
/// When the split makes a difference, bytes are lost, memory grows beyond its bound or does not
/// come back.
pub fn smux_bytes(data: &[u8]) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let mut bytes = Vec::new();
    if input.flag() {
        while let Some(choice) = input.operation().filter(|_| bytes.len() < LONGEST) {
            push_frame(&mut input, config.version, choice, &mut bytes);
        }
    } else {
        bytes.extend_from_slice(input.rest());
    }
    bytes.truncate(LONGEST);
    let split = || Input::new(&bytes).pieces();
    let whole = Server::run(&config, [&bytes[..]].into_iter(), false);
    assert_eq!(Server::run(&config, split(), false), whole, "the split made a difference");
    assert_eq!(Server::run(&config, split(), true), whole, "delivery made a difference");
}

/// What a server got: bytes of each stream it accepted and whether it was finished, frames, and
/// why it ended.
type Got = (Vec<(u32, Vec<u8>, bool)>, u64, Option<Reason>);

/// A server whose application reads everything at once and never says anything.
struct Server {
    mux: Mux<'static>,
    pool: Pool<'static>,
    streams: Vec<(StreamId, Vec<u8>, bool)>,
}

impl Server {
    fn run<'p>(config: &Config, pieces: impl Iterator<Item = &'p [u8]>, direct: bool) -> Got {
        let (mux, pool) = end(Role::Server, config);
        let mut server = Self { mux, pool, streams: Vec::new() };
        for piece in pieces {
            if !server.take(piece, direct) {
                break;
            }
        }
        while server.mux.poll_control(Instant::ZERO).is_some() {}
        if server.mux.death().is_none() {
            assert_eq!(server.mux.stats().unread, 0, "all was read");
        }
        let (frames, death) = (server.mux.stats().frames_in, server.mux.death());
        server.mux.release(&mut server.pool);
        assert_eq!(server.pool.used_pages(), 0);
        let streams = server.streams.into_iter().map(|(id, bytes, end)| (id.wire(), bytes, end));
        (streams.collect(), frames, death)
    }

    /// Takes a piece to its end; false when the session is over.
    fn take(&mut self, mut piece: &[u8], direct: bool) -> bool {
        while !piece.is_empty() {
            let taken = if direct { self.deliver(piece) } else { self.store(piece) };
            let moved = self.read();
            let Some(taken) = taken else { return false };
            assert!(taken > 0 || moved, "neither input nor output moves");
            piece = &piece[taken..];
        }
        // A SYN that had to wait for room was taken; nothing of the piece is left to give again.
        self.store(&[]);
        self.read();
        true
    }

    fn store(&mut self, piece: &[u8]) -> Option<usize> {
        let taken = self.mux.handle_bytes(Instant::ZERO, &mut self.pool, piece).ok();
        let stats = self.mux.stats();
        assert!(stats.unread <= self.mux.config().session_buffer);
        taken
    }

    /// Takes one step, and a body directly where that is allowed.
    fn deliver(&mut self, piece: &[u8]) -> Option<usize> {
        match self.mux.next_step(Instant::ZERO, piece).ok()? {
            Step::NeedMore { taken } | Step::Blocked { taken, .. } => Some(taken),
            Step::Body { taken, stream, len, direct } => {
                let body = &piece[taken..taken + len];
                self.read();
                let known = self.streams.iter_mut().find(|(id, ..)| *id == stream);
                let count = match known {
                    Some((_, bytes, _)) if direct => {
                        let count = self.mux.deliver(stream, len.div_ceil(2));
                        bytes.extend_from_slice(&body[..count]);
                        count
                    }
                    _ => 0,
                };
                let stored = self.mux.store(stream, &mut self.pool, &body[count..]);
                Some(taken + count + stored)
            }
        }
    }

    /// Accepts and reads all; tells whether there was anything.
    fn read(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.mux.poll_event() {
            moved = true;
            match event {
                Event::Finished(id) => {
                    if let Some(stream) = self.streams.iter_mut().find(|it| it.0 == id) {
                        stream.2 = true;
                    }
                }
                Event::Incoming => {
                    while let Some(id) = self.mux.accept() {
                        self.streams.push((id, Vec::new(), false));
                    }
                }
                _ => {}
            }
        }
        for (id, bytes, _) in &mut self.streams {
            while let front @ [_, ..] = self.mux.peek(*id, &self.pool) {
                bytes.extend_from_slice(front);
                let len = front.len();
                assert_eq!(self.mux.consume(*id, &mut self.pool, len), len);
                moved = true;
            }
        }
        moved
    }
}

/// Calls on two ends, and bytes that move between them in pieces. Then they move until all is said.
///
/// # Panics
/// When a stream's bytes arrive twice, not at all or in another order, a session ends without
/// reason, or memory does not come back.
pub fn smux_operations(data: &[u8]) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let mut ends = [End::new(Role::Client, &config), End::new(Role::Server, &config)];
    let mut now = Instant::ZERO;
    while let Some(operation) = input.operation() {
        let way = usize::from(operation & 1);
        let (end, number) = (&mut ends[way], usize::from(operation / 16));
        match operation / 2 % 8 {
            0 => end.open(),
            1 | 2 => end.write(number, usize::from(input.u16() % 40_000)),
            3 => end.read(number, usize::from(input.u16())),
            4 => end.finish(number),
            5 => {
                // Aborting is rare, so that most streams live.
                if input.byte() < 32 {
                    end.abort(number);
                } else {
                    end.news();
                }
            }
            6 => {
                // Far below the timeout, and both ends speak.
                now += Duration::from_secs(number as u64 / 2);
                exchange(&mut ends, now, usize::MAX);
            }
            _ => exchange(&mut ends, now, 1 + usize::from(input.u16())),
        }
    }
    settle(ends, now);
}

/// Moves up to `most` bytes each way.
fn exchange(ends: &mut [End; 2], now: Instant, most: usize) {
    for way in 0..2 {
        ends[way].control(now);
        let wire = std::mem::take(&mut ends[way].wire);
        let to = &mut ends[1 - way];
        let offered = &wire[..wire.len().min(most)];
        let taken = to.mux.handle_bytes(now, &mut to.pool, offered).expect("a peer's bytes");
        assert!(to.mux.stats().unread <= to.mux.config().session_buffer);
        to.mux.handle_timeout(now);
        to.news();
        ends[way].wire = wire[taken..].to_vec();
    }
}

/// Lets the ends finish all streams and read everything.
fn settle(mut ends: [End; 2], now: Instant) {
    for round in 0.. {
        assert!(round < 10_000, "no rest");
        let before = ends.each_ref().map(|end| (end.wire.len(), end.mux.stats()));
        for end in &mut ends {
            for number in 0..end.streams.len() {
                end.finish(number);
                end.read(number, usize::MAX);
            }
        }
        exchange(&mut ends, now, usize::MAX);
        if before == ends.each_ref().map(|end| (end.wire.len(), end.mux.stats())) {
            break;
        }
    }
    let aborted = |wire| ends.iter().any(|end| end.streams.get(&wire).is_some_and(|it| it.aborted));
    for way in 0..2 {
        assert_eq!(ends[way].mux.death(), None);
        assert!(ends[way].wire.is_empty(), "bytes that nobody takes");
        for (&wire, stream) in &ends[way].streams {
            let there = ends[1 - way].streams.get(&wire).map_or(0, |it| it.read);
            assert!(there <= stream.written);
            assert!(there == stream.written || aborted(wire), "stream {wire} is short");
        }
    }
    for mut end in ends {
        let stats = end.mux.stats();
        assert_eq!((stats.streams, stats.unread), (0, 0), "all streams have ended");
        end.mux.release(&mut end.pool);
        assert_eq!(end.pool.used_pages(), 0);
    }
}

/// What one end knows of a stream.
struct StreamState {
    id: StreamId,
    written: u64,
    read: u64,
    aborted: bool,
}

/// One end, with the bytes it has sent and nobody has taken yet.
struct End {
    mux: Mux<'static>,
    pool: Pool<'static>,
    side: u32,
    streams: BTreeMap<u32, StreamState>,
    wire: Vec<u8>,
}

impl End {
    fn new(role: Role, config: &Config) -> Self {
        let (mux, pool) = end(role, config);
        let side = u32::from(role == Role::Server);
        Self { mux, pool, side, streams: BTreeMap::new(), wire: Vec::new() }
    }

    fn open(&mut self) {
        if self.streams.len() < MOST_STREAMS
            && let Ok(id) = self.mux.open()
        {
            self.enter(id);
        }
    }

    fn enter(&mut self, id: StreamId) {
        let state = StreamState { id, written: 0, read: 0, aborted: false };
        assert!(self.streams.insert(id.wire(), state).is_none(), "stream ids are used once");
    }

    fn nth(&mut self, number: usize) -> Option<(&u32, &mut StreamState)> {
        let count = self.streams.len().max(1);
        self.streams.iter_mut().nth(number % count)
    }

    /// Writes as much as the window and one frame allow.
    fn write(&mut self, number: usize, len: usize) {
        let side = self.side;
        let Some((&wire, stream)) = self.nth(number) else { return };
        let (id, from) = (stream.id, stream.written);
        let len =
            len.min(self.mux.send_window(id)).min(MOST_WAITING.saturating_sub(self.wire.len()));
        if let Ok(header) = self.mux.begin_frame(id, len) {
            self.wire.extend_from_slice(&header);
            self.wire.extend(patterned(wire * 2 + side, from, len));
            if let Some(stream) = self.streams.get_mut(&wire) {
                stream.written += len as u64;
            }
        }
    }

    fn read(&mut self, number: usize, most: usize) {
        let from = 1 - self.side;
        let Some((&wire, stream)) = self.nth(number) else { return };
        let (id, mut at, mut left) = (stream.id, stream.read, most);
        while let front @ [_, ..] = self.mux.peek(id, &self.pool) {
            let len = front.len().min(left);
            if len == 0 {
                break;
            }
            check_pattern(wire * 2 + from, at, &front[..len]);
            self.mux.consume(id, &mut self.pool, len);
            (at, left) = (at + len as u64, left - len);
        }
        if let Some(stream) = self.streams.get_mut(&wire) {
            stream.read = at;
        }
    }

    fn finish(&mut self, number: usize) {
        if let Some(id) = self.nth(number).map(|(_, stream)| stream.id) {
            let _ = self.mux.finish(id);
        }
    }

    fn abort(&mut self, number: usize) {
        let Some((_, stream)) = self.nth(number) else { return };
        let id = stream.id;
        stream.aborted = true;
        self.mux.abort(id, &mut self.pool);
    }

    fn control(&mut self, now: Instant) {
        while let Some(frame) = self.mux.poll_control(now) {
            self.wire.extend_from_slice(frame.as_bytes());
        }
    }

    fn news(&mut self) {
        while let Some(event) = self.mux.poll_event() {
            assert!(!matches!(event, Event::Dead(_)), "{event:?}");
            if let Event::Failed(id) = event {
                // The other end aborted it; its windows were in order.
                assert_eq!(self.mux.begin_frame(id, 1), Err(SendError::Finished));
            }
            if event == Event::Incoming {
                while let Some(id) = self.mux.accept() {
                    self.enter(id);
                }
            }
        }
    }
}

fn end(role: Role, config: &Config) -> (Mux<'static>, Pool<'static>) {
    let mux = Mux::new(role, config.clone(), MuxStorage::owned(), 1, Instant::ZERO);
    (mux.expect("a legal configuration"), Pool::owned(1 << 25, 4096).expect("a pool"))
}

fn config(input: &mut Input<'_>) -> Config {
    let flags = input.byte();
    let session_buffer = [300, 4_096, 65_536, 4 << 20][input.below(4)];
    Config {
        version: if flags & 1 == 0 { Version::V1 } else { Version::V2 },
        max_frame: [1, 100, 32_768, 65_535][usize::from(flags >> 1 & 3)],
        session_buffer,
        stream_buffer: (session_buffer >> (flags >> 3 & 3)) as u32,
        ..Config::default()
    }
}

/// A frame of a few streams, mostly legal.
fn push_frame(input: &mut Input<'_>, version: Version, choice: u8, bytes: &mut Vec<u8>) {
    use Command::{Fin, Nop, Psh, Syn, Upd};
    let command = [Syn, Psh, Psh, Psh, Fin, Upd, Nop, Psh][usize::from(choice & 7)];
    let stream = if choice & 8 == 0 { 3 + 2 * u32::from(choice >> 4) } else { input.u32() };
    let body = match command {
        Psh if choice & 0x80 == 0 => input.bytes(usize::from(choice)),
        Psh => input.bytes(usize::from(input.clone().u16() % 2_000)),
        Upd => input.bytes(8),
        _ => &[],
    };
    // Now and then a length that is not the body's.
    let length = if choice == 0xff { input.u16() } else { body.len() as u16 };
    bytes.extend_from_slice(&Header { version, command, length, stream }.emit());
    bytes.extend_from_slice(body);
}
