//! Peers that behave badly, and calls in any order.

use proptest::prelude::*;
use proto_base::Instant;
use smux_proto::wire::{Command, Header};
use smux_proto::{
    ACCEPT_BACKLOG, Block, Config, Event, ProtocolError, Reason, Role, SendError, Step, StreamId,
    Version,
};

use crate::support::{BORROWED_STREAMS, End, MEMORIES, Memory, config};

fn frame(version: Version, command: Command, length: u16, stream: u32) -> [u8; 8] {
    Header { version, command, length, stream }.emit()
}

/// Bytes that are frames more often than not, so that random input gets somewhere.
fn wild_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => (0u8..5, prop_oneof![Just(3u32), 0u32..12, any::<u32>()], 0u16..300).prop_map(
            |(command, id, len)| {
                let len = match command { 2 => len, 4 => 8, _ => 0 };
                let mut bytes = vec![2, command];
                bytes.extend(len.to_le_bytes());
                bytes.extend(id.to_le_bytes());
                bytes.extend((0..len).map(|at| (at ^ len) as u8));
                bytes
            }
        ),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any bytes and any calls: no panic, memory stays within its bounds, and a release gives all
    /// of it back.
    #[test]
    fn nothing_panics(
        chunks in prop::collection::vec(wild_bytes(), 1..6),
        calls in prop::collection::vec((0u8..14, any::<u16>()), 0..80),
        borrowed: bool,
        small_pool: bool,
    ) {
        let memory = if borrowed { Memory::Borrowed } else { Memory::Owned };
        let config = Config { session_buffer: 4_000, stream_buffer: 2_000, ..config(Version::V2) };
        let pool = if small_pool { 3 * 4_096 } else { 1 << 20 };
        let mut end = End::with_pool(Role::Server, config, memory, pool);
        let mut ids: Vec<StreamId> = Vec::new();
        let mut input: Vec<u8> = Vec::new();
        let mut chunks = chunks.into_iter();
        for (call, value) in calls {
            let pick = |ids: &Vec<StreamId>| ids.get(usize::from(value) % ids.len().max(1)).copied();
            let some = usize::from(value) % 400;
            match (call, pick(&ids)) {
                (0 | 1, _) => {
                    input.extend(chunks.next().unwrap_or_default());
                    if let Ok(taken) = end.mux.handle_bytes(end.now, &mut end.pool, &input) {
                        input.drain(..taken);
                    }
                }
                (2, _) => ids.extend(end.mux.open().ok()),
                (3, _) => ids.extend(end.mux.accept()),
                (4, _) => { end.poll(); }
                (5, _) => { end.mux.poll_control(end.now); }
                (6, _) => {
                    end.now = Instant::from_millis(end.now.as_millis() + u64::from(value) / 8);
                    end.mux.handle_timeout(end.now);
                }
                (7, Some(id)) => { let _ = end.mux.begin_frame(id, usize::from(value)); }
                (8, Some(id)) => { end.read(id, some); }
                (9, Some(id)) => { end.mux.consume(id, &mut end.pool, some); }
                (10, Some(id)) => { let _ = end.mux.finish(id); }
                (11, Some(id)) => { end.mux.abort(id, &mut end.pool); }
                (12, Some(id)) => {
                    end.mux.want_send(id, value % 2 == 0);
                    if let Some(id) = end.mux.next_sender() {
                        prop_assert!(end.mux.send_window(id) > 0);
                    }
                }
                (13, Some(id)) => {
                    end.mux.deliver(id, some);
                    end.mux.store(id, &mut end.pool, &vec![1; some]);
                }
                _ => {}
            }
            prop_assert!(end.mux.stats().unread <= 4_000);
            let unread: usize = ids.iter().map(|&id| end.mux.unread(id)).sum();
            prop_assert!(unread <= end.mux.stats().unread);
        }
        end.mux.release(&mut end.pool);
        end.assert_clean();
    }
}

#[test]
fn a_broken_protocol_ends_the_session_for_good() {
    let cases = [
        ([2, 0, 0, 0, 3, 0, 0, 0], ProtocolError::BadVersion(2)),
        ([0x47, 0x45, 0x54, 0x20, 0x2f, 0, 0, 0], ProtocolError::BadVersion(0x47)),
        ([1, 5, 0, 0, 3, 0, 0, 0], ProtocolError::UnknownCommand(5)),
        ([1, 4, 8, 0, 3, 0, 0, 0], ProtocolError::UpdateInVersion1),
        (
            [1, 3, 1, 0, 0, 0, 0, 0],
            ProtocolError::UnexpectedBody { command: Command::Nop, length: 1 },
        ),
    ];
    for (bytes, error) in cases {
        for memory in MEMORIES {
            let mut end = End::new(Role::Server, config(Version::V1), memory);
            let good = [
                &frame(Version::V1, Command::Syn, 0, 3)[..],
                &frame(Version::V1, Command::Psh, 2, 3),
                b"ok",
            ];
            let input = [&good.concat()[..], &bytes].concat();
            assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &input), Err(error));
            assert_eq!(end.poll()[0], Event::Dead(Reason::Protocol(error)));
            assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &[1]), Err(error));
            // What came before can be read, and nothing is sent any more.
            let id = end.mux.accept().unwrap();
            assert_eq!(end.read(id, 9), b"ok");
            assert_eq!(end.mux.begin_frame(id, 1), Err(SendError::Dead));
            assert_eq!(end.mux.poll_control(end.now), None);
            assert!(end.mux.abort(id, &mut end.pool));
            end.assert_clean();
        }
    }
    let mut end = End::new(Role::Server, config(Version::V2), Memory::Owned);
    let short = frame(Version::V2, Command::Upd, 7, 3);
    assert_eq!(
        end.mux.handle_bytes(end.now, &mut end.pool, &short),
        Err(ProtocolError::UpdateLength(7))
    );
}

#[test]
fn streams_beyond_the_bound_are_refused_and_the_session_lives() {
    for memory in MEMORIES {
        let mut end = End::new(Role::Server, config(Version::V1), memory);
        let ids = (0..BORROWED_STREAMS as u32 + 40).map(|number| 3 + 2 * number);
        let flood: Vec<u8> =
            ids.clone().flat_map(|id| frame(Version::V1, Command::Syn, 0, id)).collect();
        // More refusals than are remembered at a time: the rest of the input waits for them.
        let mut done = 0;
        for rounds in 0.. {
            done += end.mux.handle_bytes(end.now, &mut end.pool, &flood[done..]).unwrap();
            if end.mux.block().is_none() {
                assert_eq!((done, rounds), (flood.len(), 2));
                break;
            }
            assert_eq!(end.mux.block(), Some(Block::Refusals));
            end.poll();
            end.control();
            assert_eq!((end.mux.block(), end.poll()), (None, vec![Event::Unblocked]));
        }
        end.control();
        let stats = end.mux.stats();
        assert_eq!((stats.streams, stats.refused), (BORROWED_STREAMS, 40));
        let first = ids.clone().nth(BORROWED_STREAMS).unwrap();
        let fins: Vec<u8> =
            (0..40).flat_map(|n| frame(Version::V1, Command::Fin, 0, first + 2 * n)).collect();
        assert_eq!(end.outbox, fins);
        // As streams end, others come in.
        let id = end.mux.accept().unwrap();
        assert!(end.mux.abort(id, &mut end.pool));
        end.control();
        let again = frame(Version::V1, Command::Syn, 0, first);
        assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &again), Ok(8));
        assert_eq!(end.mux.stats().streams, BORROWED_STREAMS);
        assert_eq!(end.mux.stats().refused, 40);
    }
}

#[test]
fn the_backlog_is_bounded() {
    let config = Config { max_streams: 5_000, ..config(Version::V1) };
    let mut end = End::new(Role::Client, config, Memory::Owned);
    for number in 0..ACCEPT_BACKLOG as u32 + 5 {
        let syn = frame(Version::V1, Command::Syn, 0, 2 + 2 * number);
        assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &syn), Ok(8));
    }
    assert_eq!(end.mux.stats().refused, 5);
    assert_eq!(std::iter::from_fn(|| end.mux.accept()).count(), ACCEPT_BACKLOG);
}

#[test]
fn ids_that_are_ours_to_give_are_not_the_peers() {
    let mut end = End::new(Role::Client, config(Version::V1), Memory::Owned);
    let bytes = frame(Version::V1, Command::Syn, 0, 3);
    assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &bytes), Ok(8));
    assert_eq!((end.mux.accept(), end.mux.stats().refused), (None, 1));
    assert_eq!(end.mux.open().map(StreamId::wire), Ok(3));
}

#[test]
fn updates_that_cannot_be_fail_the_stream_alone() {
    for memory in MEMORIES {
        let mut end = End::new(Role::Client, config(Version::V2), memory);
        let (bad, good) = (end.open(), end.open());
        assert_eq!(end.write(bad, &[1; 10]), 10);
        let mut update = frame(Version::V2, Command::Upd, 8, bad.wire()).to_vec();
        update.extend(11u32.to_le_bytes());
        update.extend(65_536u32.to_le_bytes());
        assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &update), Ok(16));
        assert!(end.poll().contains(&Event::Failed(bad)));
        assert_eq!(end.mux.begin_frame(bad, 1), Err(SendError::BadUpdate));
        assert_eq!(end.mux.send_window(bad), 0);
        assert_eq!(end.write(good, &[1; 10]), 10);
        assert!(end.mux.abort(bad, &mut end.pool));
    }
}

#[test]
fn frames_for_nobody_are_dropped() {
    for memory in MEMORIES {
        let mut end = End::new(Role::Server, config(Version::V2), memory);
        let mut bytes = Vec::new();
        bytes.extend(frame(Version::V2, Command::Psh, 300, 5));
        bytes.extend([9; 300]);
        bytes.extend(frame(Version::V2, Command::Fin, 0, 5));
        bytes.extend(frame(Version::V2, Command::Upd, 8, 5));
        bytes.extend([9; 8]);
        bytes.extend(frame(Version::V2, Command::Nop, 0, 0));
        bytes.extend(frame(Version::V2, Command::Psh, 0, 5));
        assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &bytes), Ok(bytes.len()));
        assert_eq!((end.mux.stats().dropped, end.mux.stats().frames_in), (300, 5));
        assert_eq!(end.poll(), []);
        end.assert_clean();
    }
}

#[test]
fn a_peer_that_overruns_its_window_stops_its_own_session() {
    for memory in MEMORIES {
        let config = Config { stream_buffer: 1_000, ..config(Version::V2) };
        let mut end = End::new(Role::Server, config, memory);
        let mut bytes = frame(Version::V2, Command::Syn, 0, 3).to_vec();
        for _ in 0..10 {
            bytes.extend(frame(Version::V2, Command::Psh, 30_000, 3));
            bytes.resize(bytes.len() + 30_000, 7);
        }
        let taken = end.mux.handle_bytes(end.now, &mut end.pool, &bytes).unwrap();
        let id = end.mux.accept().unwrap();
        let window = smux_proto::wire::INITIAL_WINDOW as usize;
        assert_eq!((end.mux.unread(id), end.mux.block()), (window, Some(Block::Stream(id))));
        assert_eq!(end.read(id, 10).len(), 10);
        assert_eq!(end.poll(), [Event::Unblocked, Event::Readable(id)]);
        assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &bytes[taken..]), Ok(10));
    }
}

#[test]
fn bytes_behind_stored_ones_cannot_be_delivered() {
    let mut end = End::new(Role::Server, config(Version::V1), Memory::Owned);
    let mut bytes = frame(Version::V1, Command::Syn, 0, 3).to_vec();
    bytes.extend(frame(Version::V1, Command::Psh, 4, 3));
    bytes.extend(b"ab");
    assert_eq!(end.mux.handle_bytes(end.now, &mut end.pool, &bytes), Ok(bytes.len()));
    let id = end.mux.accept().unwrap();
    let step = Step::Body { taken: 0, stream: id, len: 2, direct: false };
    assert_eq!(end.mux.next_step(end.now, b"cd"), Ok(step));
    assert_eq!(end.mux.deliver(id, 2), 0);
    assert_eq!(end.mux.store(id, &mut end.pool, b"cd"), 2);
    assert_eq!(end.read(id, 9), b"abcd");
}
