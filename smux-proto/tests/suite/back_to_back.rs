//! Two sessions joined by a byte stream, driven at random, against a plain model of what each
//! stream has carried.

use std::collections::HashMap;

use proptest::prelude::*;
use smux_proto::{Config, Event, Role, StreamId, Version};

use crate::support::{End, Memory, config};

/// The byte that direction `from_client` of stream `wire` has at `offset`.
fn byte(wire: u32, from_client: bool, offset: usize) -> u8 {
    let mixed = (offset as u32).wrapping_mul(31).wrapping_add(wire.wrapping_mul(7_919));
    (mixed ^ mixed >> 7 ^ u32::from(from_client)) as u8
}

/// What one side has done with a stream, by wire id.
#[derive(Debug, Default)]
struct Told {
    written: usize,
    received: usize,
    finished: bool,
    aborted: bool,
    saw_finished: bool,
    saw_ended: bool,
    saw_failed: bool,
}

struct Side {
    end: End,
    is_client: bool,
    ids: Vec<StreamId>,
    told: HashMap<u32, Told>,
}

impl Side {
    fn new(role: Role, config: &Config, memory: Memory) -> Self {
        Self {
            end: End::new(role, config.clone(), memory),
            is_client: role == Role::Client,
            ids: Vec::new(),
            told: HashMap::new(),
        }
    }

    fn told(&mut self, id: StreamId) -> &mut Told {
        self.told.entry(id.wire()).or_default()
    }

    fn pick(&self, number: usize) -> Option<StreamId> {
        self.ids.get(number % self.ids.len().max(1)).copied()
    }

    fn add(&mut self, id: Option<StreamId>) {
        if let Some(id) = id {
            self.ids.push(id);
            self.told(id);
        }
    }

    fn write(&mut self, id: StreamId, len: usize) {
        let from = self.told(id).written;
        let data: Vec<u8> =
            (from..from + len).map(|at| byte(id.wire(), self.is_client, at)).collect();
        let written = self.end.write(id, &data);
        self.told(id).written += written;
    }

    fn received(told: &mut Told, wire: u32, from_client: bool, data: &[u8]) {
        for &found in data {
            assert_eq!(found, byte(wire, from_client, told.received), "stream {wire}");
            told.received += 1;
        }
    }

    fn read(&mut self, id: StreamId, most: usize) {
        let data = self.end.read(id, most);
        let from_client = !self.is_client;
        Self::received(self.told(id), id.wire(), from_client, &data);
    }

    /// Takes bytes from the other side; sockets accept up to `accept` bytes of each piece.
    fn take(&mut self, peer: &mut Self, most: usize, accept: usize) {
        let (from_client, told) = (!self.is_client, &mut self.told);
        self.end.take_directly(&mut peer.end, most, |id, body| {
            // Streams that nobody has accepted have no socket.
            let Some(told) = told.get_mut(&id.wire()) else { return 0 };
            let count = accept.min(body.len());
            Self::received(told, id.wire(), from_client, &body[..count]);
            count
        });
    }

    fn abort(&mut self, id: StreamId) {
        if self.end.mux.abort(id, &mut self.end.pool) {
            self.told(id).aborted = true;
            self.ids.retain(|&other| other != id);
        }
    }

    fn finish(&mut self, id: StreamId) {
        if self.end.mux.finish(id).is_ok() {
            self.told(id).finished = true;
        }
    }

    fn poll(&mut self) {
        for event in self.end.poll() {
            match event {
                Event::Finished(id) => self.told(id).saw_finished = true,
                Event::Ended(id) => {
                    assert!(!self.end.mux.is_live(id));
                    self.told(id).saw_ended = true;
                    self.ids.retain(|&other| other != id);
                }
                Event::Readable(id) | Event::Writable(id) => assert!(self.end.mux.is_live(id)),
                Event::Failed(id) => self.told(id).saw_failed = true,
                Event::Incoming | Event::Unblocked => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn act(&mut self, peer: &mut Self, (verb, number, amount): (u8, usize, usize)) {
        match (verb, self.pick(number)) {
            (0, _) => {
                let id = self.end.mux.open().ok();
                self.add(id);
            }
            (1, _) => {
                let id = self.end.mux.accept();
                self.add(id);
            }
            (2 | 3, Some(id)) => self.write(id, amount),
            (4 | 5, Some(id)) => self.read(id, amount),
            (6, Some(id)) => self.finish(id),
            (7, Some(id)) if amount < 500 => self.abort(id),
            (8, _) => self.end.control(),
            (9 | 10, _) => self.take(peer, amount * 2, number * 50),
            (11, _) => self.poll(),
            _ => {}
        }
    }
}

/// Everything that was begun is brought to its end, which must take few exchanges.
fn wind_up(a: &mut Side, b: &mut Side) {
    for _ in 0..2_000 {
        exchange(a, b);
        exchange(b, a);
        let idle = |side: &Side| {
            side.ids.is_empty() && side.end.outbox.is_empty() && !side.end.mux.has_control()
        };
        if idle(a) && idle(b) {
            return;
        }
    }
    panic!("streams are left: {:?} {:?}", a.ids, b.ids);
}

/// `side` takes what its peer has written, reads all streams and finishes them.
fn exchange(side: &mut Side, peer: &mut Side) {
    side.end.control();
    peer.end.control();
    side.take(peer, 1 << 20, 0);
    while let Some(id) = side.end.mux.accept() {
        side.add(Some(id));
    }
    for id in side.ids.clone() {
        side.read(id, 1 << 20);
        side.finish(id);
    }
    side.poll();
}

fn check_streams(from: &Side, to: &Side) -> Result<(), TestCaseError> {
    for (wire, sent) in &from.told {
        let Some(got) = to.told.get(wire) else {
            prop_assert!(sent.aborted, "stream {} never arrived", wire);
            continue;
        };
        prop_assert!(got.received <= sent.written);
        prop_assert!(sent.aborted || !got.saw_failed, "stream {} failed", wire);
        if !got.aborted {
            prop_assert_eq!(got.received, sent.written, "stream {}", wire);
            prop_assert!(got.saw_finished && got.saw_ended);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever the two applications do and however the bytes are cut: each stream delivers what
    /// was written to it, once and in order; only those that the other end aborted fail; unread bytes stay within the budget; all streams end,
    /// and nothing is left of them.
    #[test]
    fn streams_deliver_what_was_written(
        actions in prop::collection::vec((any::<bool>(), (0u8..12, 0usize..40, 0usize..6_000)), 0..300),
        version_2: bool,
        borrowed: bool,
        (session_buffer, stream_buffer) in prop_oneof![
            Just((3_000, 2_000)), Just((50_000, 50_000)), Just((4 << 20, 9_000)),
        ],
    ) {
        let version = if version_2 { Version::V2 } else { Version::V1 };
        let memory = if borrowed { Memory::Borrowed } else { Memory::Owned };
        let config = Config { session_buffer, stream_buffer, ..config(version) };
        let mut client = Side::new(Role::Client, &config, memory);
        let mut server = Side::new(Role::Server, &config, memory);
        for (at_client, action) in actions {
            match at_client {
                true => client.act(&mut server, action),
                false => server.act(&mut client, action),
            }
            for side in [&client, &server] {
                prop_assert!(side.end.mux.stats().unread <= session_buffer);
            }
        }
        wind_up(&mut client, &mut server);
        check_streams(&client, &server)?;
        check_streams(&server, &client)?;
        client.end.assert_clean();
        server.end.assert_clean();
    }
}
