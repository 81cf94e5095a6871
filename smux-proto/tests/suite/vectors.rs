//! Byte streams recorded from smux 1.5.16 and 1.5.32.

use std::time::Duration;

use proto_base::Instant;
use serde_json::Value;
use smux_proto::{Config, Event, ReadError, Reason, Role, StreamId, Version};

use crate::support::{End, MEMORIES};

fn sessions() -> Vec<Value> {
    let text = include_str!("../../../tests/vectors/smux.json");
    let mut all: Value = serde_json::from_str(text).unwrap();
    let Value::Array(sessions) = all["sessions"].take() else { panic!("no sessions") };
    assert_eq!(sessions.len(), 7);
    sessions
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// The frames that one direction of a recording has after step `from`, up to the next step.
struct Recording {
    frames: Vec<(usize, String, Vec<u8>)>,
}

impl Recording {
    fn of(session: &Value) -> Self {
        let mut step = 0;
        let mut frames = Vec::new();
        for entry in session["log"].as_array().unwrap() {
            match entry["bytes"].as_str().or(entry["head"].as_str()) {
                Some(hex) => {
                    frames.push((step, entry["dir"].as_str().unwrap().to_owned(), unhex(hex)));
                }
                None => step += 1,
            }
        }
        Self { frames }
    }

    fn bytes(&self, step: usize, dir: &str) -> Vec<u8> {
        let frames = self.frames.iter().filter(|(at, way, _)| *at == step && way == dir);
        frames.flat_map(|(_, _, bytes)| bytes.clone()).collect()
    }

    fn bodies(&self, step: usize, dir: &str) -> Vec<u8> {
        let frames =
            self.frames.iter().filter(|(at, way, b)| *at == step && way == dir && b[1] == 2);
        frames.flat_map(|(_, _, bytes)| bytes[8..].to_vec()).collect()
    }
}

/// Frames without the one that the original does not know: the NOP of a stream behind its FIN, by
/// which an end says that it still reads.
fn as_recorded(written: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let written: Vec<u8> = written.into_iter().collect();
    let (mut rest, mut kept) = (&written[..], Vec::new());
    while let Some(head) = rest.first_chunk::<8>() {
        let len = 8 + usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (frame, next) = rest.split_at(len);
        if head[1] != 3 || head[4..] == [0; 4] {
            kept.extend_from_slice(frame);
        }
        rest = next;
    }
    assert!(rest.is_empty(), "whole frames");
    kept
}

/// What both ends wrote since it was last asked for is what was recorded for this step.
fn expect(recording: &Recording, step: usize, client: &mut End, server: &mut End) {
    for (dir, end) in [("c2s", &mut *client), ("s2c", &mut *server)] {
        end.control();
        let written = as_recorded(end.outbox.iter().copied());
        assert_eq!(written, recording.bytes(step, dir), "step {step}, {dir}");
    }
    server.take_from(client, 7);
    client.take_from(server, 7);
}

/// Reads `count` bytes as the original does: at most one received body at a time.
fn read_in_frames(end: &mut End, id: StreamId, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        let piece = end.read(id, 1_000.min(count - all.len()));
        assert!(!piece.is_empty());
        all.extend(piece);
        end.control();
    }
    all
}

/// The scripts of both versions: every frame of both ends, byte for byte.
#[test]
fn scripted_sessions() {
    for session in sessions().iter().take(2) {
        for memory in MEMORIES {
            let settings = &session["config"];
            let version = Version::from_number(u8::try_from(number(&settings["version"])).unwrap());
            let config = Config {
                version: version.unwrap(),
                max_frame: u16::try_from(number(&settings["max_frame_size"])).unwrap(),
                stream_buffer: u32::try_from(number(&settings["max_stream_buffer"])).unwrap(),
                session_buffer: number(&settings["max_receive_buffer"]),
                ..Config::default()
            };
            let recording = Recording::of(session);
            let mut client = End::new(Role::Client, config.clone(), memory);
            let mut server = End::new(Role::Server, config, memory);
            run_script(&recording, &mut client, &mut server);
        }
    }
}

fn run_script(recording: &Recording, client: &mut End, server: &mut End) {
    let first = client.mux.open().unwrap();
    expect(recording, 1, client, server);
    let at_server = server.mux.accept().unwrap();

    assert_eq!(client.write(first, b"hello"), 5);
    expect(recording, 2, client, server);
    assert_eq!(server.read(at_server, 100), b"hello");
    expect(recording, 3, client, server);

    for (write, read, len) in [(4, 5, 2_500), (6, 6, 3_000)] {
        let data = recording.bodies(write, "c2s");
        assert_eq!((data.len(), client.write(first, &data)), (len, len));
        if write != read {
            expect(recording, write, client, server);
        } else {
            server.take_from_copy(client);
        }
        assert_eq!(read_in_frames(server, at_server, len), data);
        expect(recording, read, client, server);
    }

    let of_server = server.mux.open().unwrap();
    expect(recording, 7, client, server);
    let second = client.open();
    assert_eq!(client.write(second, b"B"), 1);
    expect(recording, 8, client, server);

    client.mux.finish(first).unwrap();
    expect(recording, 9, client, server);
    assert_eq!(server.write(at_server, b"abc"), 3);
    server.mux.finish(at_server).unwrap();
    expect(recording, 10, client, server);
    assert_eq!(client.read(first, 10), b"abc");
    assert!(client.poll().contains(&Event::Ended(first)));

    server.mux.finish(of_server).unwrap();
    expect(recording, 12, client, server);
    client.mux.release(&mut client.pool);
    client.control();
    assert!(client.outbox.is_empty(), "the end of a session sends nothing");
}

impl End {
    /// Takes what `peer` wrote and leaves it there, to be compared later.
    fn take_from_copy(&mut self, peer: &mut Self) {
        let bytes: Vec<u8> = peer.outbox.iter().copied().collect();
        let taken = self.mux.handle_bytes(self.now, &mut self.pool, &bytes).unwrap();
        assert_eq!(taken, bytes.len());
    }
}

/// A writer that stalls at the initial window, an update that shrinks it, and how it goes on.
#[test]
fn version_2_windows() {
    let session = &sessions()[2];
    let recording = Recording::of(session);
    for memory in MEMORIES {
        let config = Config { version: Version::V2, stream_buffer: 65_536, ..Config::default() };
        let mut client = End::new(Role::Client, config.clone(), memory);
        let mut server = End::new(Role::Server, config, memory);
        let id = client.mux.open().unwrap();
        let mut heads = Vec::new();
        let mut left = 300_000;
        let mut exchange = |client: &mut End, server: &mut End, heads: &mut Vec<_>| {
            server.control();
            heads.extend(split(server, "s2c"));
            client.take_from(server, 5);
            client.control();
            left -= client.write(id, &vec![7; left]);
            heads.extend(split(client, "c2s"));
            server.take_from(client, 40_000);
        };
        exchange(&mut client, &mut server, &mut heads);
        assert_eq!(heads.len(), 9, "a SYN, and eight frames fill the initial window");
        let at_server = server.mux.accept().unwrap();
        let mut read = server.read(at_server, 1).len();
        exchange(&mut client, &mut server, &mut heads);
        // The recorded reader takes one frame at a time, of which the first has lost a byte.
        while read < 300_000 {
            read += server.read(at_server, 32_768 - read % 32_768).len();
            exchange(&mut client, &mut server, &mut heads);
        }
        let recorded: Vec<_> = recording
            .frames
            .iter()
            .map(|(_, dir, head)| (dir.clone(), head[..if head[1] == 4 { 16 } else { 8 }].to_vec()))
            .collect();
        assert_eq!(heads, recorded);
    }
}

/// Takes an outbox apart into headers, with the body of UPD.
fn split(end: &mut End, dir: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = end.outbox.make_contiguous();
    let (mut heads, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let len = usize::from(u16::from_le_bytes([bytes[at + 2], bytes[at + 3]]));
        let shown = if bytes[at + 1] == 4 { 16 } else { 8 };
        heads.push((dir.to_owned(), bytes[at..at + shown].to_vec()));
        at += 8 + len;
    }
    heads
}

/// NOPs at the recorded interval, and death after the recorded silence.
#[test]
fn keepalive() {
    for session in &sessions()[3..5] {
        let ms = |key: &str| Duration::from_millis(session["config"][key].as_u64().unwrap());
        let nops: Vec<Vec<u8>> =
            Recording::of(session).frames.into_iter().map(|(_, _, bytes)| bytes).collect();
        assert_eq!(nops.len(), 2);
        let config = Config {
            version: Version::from_number(nops[0][0]).unwrap(),
            keepalive: ms("interval_ms"),
            timeout: ms("timeout_ms"),
            ..Config::default()
        };
        for memory in MEMORIES {
            let mut client = End::new(Role::Client, config.clone(), memory);
            let mut sent = Vec::new();
            while client.mux.death().is_none() {
                client.now = client.mux.poll_timeout().unwrap();
                client.mux.handle_timeout(client.now);
                if let Some(frame) = client.mux.poll_control(client.now) {
                    sent.push((client.now, frame.as_bytes().to_vec()));
                }
            }
            let expected: Vec<_> = nops
                .iter()
                .zip([100, 200])
                .map(|(bytes, at)| (Instant::from_millis(at), bytes.clone()))
                .collect();
            assert_eq!(sent, expected);
            assert_eq!(client.now, Instant::from_millis(250));
            assert_eq!(client.poll(), [Event::Dead(Reason::Timeout)]);
            assert_eq!(client.mux.poll_timeout(), None);
        }
    }
}

/// The frames of a stream that the client closes first. (The newer original refuses to write after
/// the peer's FIN until 1.5.54; we write, as 1.5.16 and 1.5.54 do, see the scripts above.) The read
/// comes before the FIN here, as no UPD is sent to a peer that has finished.
#[test]
fn the_client_closes_first() {
    for (session, version) in sessions()[5..].iter().zip([Version::V1, Version::V2]) {
        let recording = Recording::of(session);
        for memory in MEMORIES {
            let config = Config { version, stream_buffer: 65_536, ..Config::default() };
            let mut client = End::new(Role::Client, config.clone(), memory);
            let mut server = End::new(Role::Server, config, memory);
            let id = client.open();
            assert_eq!(client.write(id, b"one"), 3);
            let recorded = recording.bytes(0, "c2s");
            let before_fin = client.outbox.len();
            client.mux.finish(id).unwrap();
            client.control();
            assert_eq!(as_recorded(client.outbox.iter().copied()), recorded);

            let (early, fin) = recorded.split_at(before_fin);
            server.mux.handle_bytes(server.now, &mut server.pool, early).unwrap();
            let at_server = server.mux.accept().unwrap();
            assert_eq!(server.read(at_server, 100), b"one");
            server.control();
            server.mux.handle_bytes(server.now, &mut server.pool, fin).unwrap();
            let end = server.mux.read(at_server, &mut server.pool, &mut [0]);
            assert_eq!(end, Err(ReadError::Finished));
            server.mux.finish(at_server).unwrap();
            server.control();
            assert_eq!(server.outbox, recording.bytes(0, "s2c"));
        }
    }
}
