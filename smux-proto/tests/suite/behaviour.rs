//! Scenes: stalled readers, early closes, many streams, silence.

use std::time::Duration;

use proto_base::{Instant, Pool};
use smux_proto::wire::INITIAL_WINDOW;
use smux_proto::{
    Block, Config, Event, Mux, MuxStorage, OpenError, ReadError, Reason, Role, SendError, Step,
    StreamId, Version,
};

use crate::support::{End, MEMORIES, Memory, config, pair};

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];

/// A scene in both versions and both kinds of memory.
fn everywhere(scene: impl Fn(Config, Memory)) {
    for version in VERSIONS {
        for memory in MEMORIES {
            scene(config(version), memory);
        }
    }
}

/// Opens a stream at `client` and accepts it at `server`.
fn connect(client: &mut End, server: &mut End) -> (StreamId, StreamId) {
    let id = client.open();
    server.take_from(client, usize::MAX >> 1);
    (id, server.mux.accept().unwrap())
}

/// Lets bytes pass both ways until nothing moves.
fn settle(client: &mut End, server: &mut End) {
    loop {
        client.control();
        server.control();
        let before = (client.outbox.len(), server.outbox.len());
        server.take_from(client, 5_000);
        client.take_from(server, 5_000);
        client.control();
        server.control();
        if before == (client.outbox.len(), server.outbox.len()) {
            return;
        }
    }
}

#[test]
fn a_stalled_reader_stops_a_version_1_session_until_it_reads() {
    for memory in MEMORIES {
        let config =
            Config { session_buffer: 10_000, stream_buffer: 10_000, ..config(Version::V1) };
        let (mut client, mut server) = pair(&config, memory);
        let (stalled, at_server) = connect(&mut client, &mut server);
        let (other, other_at_server) = connect(&mut client, &mut server);
        assert_eq!(client.write(stalled, &[1; 15_000]), 15_000);
        assert_eq!(client.write(other, &[2; 500]), 500);
        server.poll();

        server.take_from(&mut client, 333);
        assert_eq!((server.mux.unread(at_server), server.mux.unread(other_at_server)), (10_000, 0));
        assert_eq!(server.poll(), [Event::Readable(at_server)]);
        let rest: Vec<u8> = client.outbox.iter().copied().collect();
        let blocked = Step::Blocked { taken: 0, reason: Block::Session };
        assert_eq!(server.mux.next_step(server.now, &rest), Ok(blocked));
        // The peer cannot be heard, so it is not given up.
        assert_eq!(server.mux.dead_at(), None);
        server.now = Instant::from_millis(3_600_000);
        server.mux.handle_timeout(server.now);
        assert_eq!(server.mux.death(), None);

        assert_eq!(server.read(at_server, 6_000), [1; 6_000]);
        assert_eq!(server.poll(), [Event::Unblocked]);
        server.now = Instant::from_millis(7_200_000);
        server.mux.handle_timeout(server.now);
        assert_eq!(server.mux.death(), None);
        server.take_from(&mut client, 333);
        assert_eq!(server.read(other_at_server, 1_000), [2; 500]);
        assert_eq!(server.read(at_server, 20_000), [1; 9_000]);
        assert_eq!(server.mux.stats().unread, 0);
    }
}

#[test]
fn direct_delivery_goes_on_when_the_budget_is_used_up() {
    for memory in MEMORIES {
        let config = Config { session_buffer: 1_000, stream_buffer: 1_000, ..config(Version::V1) };
        let (mut client, mut server) = pair(&config, memory);
        let (stalled, at_server) = connect(&mut client, &mut server);
        let (other, other_at_server) = connect(&mut client, &mut server);
        assert_eq!(client.write(stalled, &[1; 1_000]), 1_000);
        assert_eq!(client.write(other, &[2; 5_000]), 5_000);
        assert_eq!(client.write(stalled, &[1; 1]), 1);
        let mut direct = Vec::new();
        server.take_directly(&mut client, usize::MAX, |id, body| {
            if id == at_server {
                return 0;
            }
            assert_eq!(id, other_at_server);
            direct.extend_from_slice(body);
            body.len()
        });
        assert_eq!(direct, [2; 5_000]);
        assert_eq!((server.mux.unread(at_server), client.outbox.len()), (1_000, 1));
        // Aborting the stalled stream lets reading go on as well.
        server.poll();
        assert!(server.mux.abort(at_server, &mut server.pool));
        assert_eq!(server.poll(), [Event::Unblocked]);
        server.take_from(&mut client, 10);
        assert_eq!((server.mux.stats().dropped, server.mux.stats().unread), (1, 0));
    }
}

#[test]
fn aborting_the_stream_that_waits_for_room_lets_reading_go_on() {
    everywhere(|config, memory| {
        let config = Config { session_buffer: 1_000, stream_buffer: 1_000, ..config };
        let (mut client, mut server) = pair(&config, memory);
        let (full, _) = connect(&mut client, &mut server);
        let (waiting, waiting_at_server) = connect(&mut client, &mut server);
        client.write(full, &[1; 1_000]);
        client.write(waiting, &[2; 700]);
        server.take_directly(&mut client, usize::MAX, |_, _| 0);
        assert_eq!((server.mux.unread(waiting_at_server), client.outbox.len()), (0, 700));
        assert_eq!(server.mux.block(), Some(Block::Session));
        server.poll();
        assert!(server.mux.abort(waiting_at_server, &mut server.pool));
        assert_eq!(server.poll(), [Event::Unblocked]);
        server.take_from(&mut client, 100);
        assert_eq!((server.mux.stats().dropped, server.mux.block()), (700, None));
    });
}

/// A FIN alone may be half a close; a second one tells the sender that nobody reads.
#[test]
fn the_peer_of_an_aborted_stream_learns_that_nobody_reads() {
    everywhere(|config, memory| {
        for is_finished_before in [false, true] {
            let (mut client, mut server) = pair(&config, memory);
            let (id, at_server) = connect(&mut client, &mut server);
            client.write(id, b"question");
            if is_finished_before {
                client.mux.finish(id).unwrap();
                server.take_from(&mut client, 100);
                assert_eq!(server.write(at_server, b"answer"), 6);
            }
            assert!(client.mux.abort(id, &mut client.pool));
            server.take_from(&mut client, 100);
            let events = server.poll();
            let finished = events.iter().position(|&it| it == Event::Finished(at_server));
            let failed = events.iter().position(|&it| it == Event::Failed(at_server));
            assert!(finished.is_some() && finished < failed, "{events:?}");
            assert_eq!(server.mux.begin_frame(at_server, 1), Err(SendError::Finished));
            // What had come before is there to be read, and then it is over.
            server.control();
            assert_eq!(server.read(at_server, 100), b"question");
            assert!(server.poll().contains(&Event::Ended(at_server)));
            client.take_from(&mut server, 100);
            server.assert_clean();
            client.assert_clean();
        }
    });
}

/// Who finishes says that it still reads; an aborted stream, one whose peer has finished, and the
/// original say nothing of the kind.
#[test]
fn a_finished_peer_that_still_reads_says_so() {
    everywhere(|config, memory| {
        let (mut client, mut server) = pair(&config, memory);
        let (id, at_server) = connect(&mut client, &mut server);
        assert!(!server.mux.peer_reads(at_server));
        client.mux.finish(id).unwrap();
        server.take_from(&mut client, 100);
        assert!(server.mux.peer_reads(at_server));
        server.write(at_server, b"answer");
        server.mux.finish(at_server).unwrap();
        client.take_from(&mut server, 100);
        assert!(!client.mux.peer_reads(id), "the server has nothing to read");
        assert_eq!(client.read(id, 9), b"answer");
        assert!(client.poll().contains(&Event::Ended(id)));
        assert!(server.poll().contains(&Event::Ended(at_server)));
        assert!(!server.mux.peer_reads(at_server), "the handle is stale");
        client.assert_clean();

        // A FIN that meets another one, with the word already due.
        let (id, at_server) = connect(&mut client, &mut server);
        client.mux.finish(id).unwrap();
        server.mux.finish(at_server).unwrap();
        client.take_from(&mut server, 100);
        server.take_from(&mut client, 100);
        client.poll();
        server.poll();
        client.assert_clean();
        server.assert_clean();
    });
}

#[test]
fn memory_for_many_streams_comes_back_and_handles_stay_stale() {
    let mut mux =
        Mux::new(Role::Client, Config::default(), MuxStorage::owned(), 1, Instant::ZERO).unwrap();
    let mut pool = Pool::owned(1 << 20, 4096).unwrap();
    let mut stale = Vec::new();
    for round in 0..5 {
        let streams: Vec<_> = (0..1_000).map(|_| mux.open().unwrap()).collect();
        mux.shrink();
        assert!(streams.iter().all(|&id| mux.is_live(id)), "nothing happens to live ones");
        assert!(stale.iter().all(|&id| !mux.is_live(id)), "round {round}");
        streams.iter().for_each(|&id| assert!(mux.abort(id, &mut pool)));
        mux.shrink();
        stale.extend(streams);
    }
    assert!(stale.iter().all(|&id| !mux.is_live(id)));
}

/// The original says FIN once, and nothing that it has sent is held back then.
#[test]
fn a_stream_that_both_have_finished_has_one_fin_each() {
    everywhere(|config, memory| {
        let (mut client, mut server) = pair(&config, memory);
        let (id, at_server) = connect(&mut client, &mut server);
        client.mux.finish(id).unwrap();
        server.take_from(&mut client, 100);
        assert!(server.mux.abort(at_server, &mut server.pool));
        server.control();
        assert_eq!(server.outbox.len(), 8, "the client is done: there is nothing more to tell");
        client.take_from(&mut server, 100);
        assert!(!client.poll().contains(&Event::Failed(id)));
    });
}

#[test]
fn a_stalled_reader_leaves_others_alone_in_version_2() {
    for memory in MEMORIES {
        let config = Config {
            session_buffer: 1 << 20,
            stream_buffer: 1 << 16,
            max_frame: 8_192,
            ..config(Version::V2)
        };
        let (mut client, mut server) = pair(&config, memory);
        let (stalled, at_server) = connect(&mut client, &mut server);
        let (other, other_at_server) = connect(&mut client, &mut server);
        let window = INITIAL_WINDOW as usize;
        assert_eq!(client.write(stalled, &vec![1; 1 << 20]), window);
        assert_eq!(client.mux.begin_frame(stalled, 1), Err(SendError::WindowFull { room: 0 }));
        let mut moved = 0;
        while moved < 5_000_000 {
            client.write(other, &[2; 100_000]);
            settle(&mut client, &mut server);
            moved += server.read(other_at_server, 1 << 20).len();
        }
        assert_eq!(server.mux.unread(at_server), window);
        assert_eq!(server.mux.stats().blocked, 0);
        // It reads at last, and the writer hears that it can go on.
        client.poll();
        assert_eq!(server.read(at_server, window).len(), window);
        settle(&mut client, &mut server);
        assert!(client.poll().contains(&Event::Writable(stalled)));
        assert_eq!(client.write(stalled, &vec![1; 1 << 20]), 1 << 16);
    }
}

#[test]
fn a_new_stream_waits_until_its_window_fits() {
    for memory in MEMORIES {
        let config =
            Config { session_buffer: 400_000, stream_buffer: 300_000, ..config(Version::V2) };
        let (mut client, mut server) = pair(&config, memory);
        let (first, at_server) = connect(&mut client, &mut server);
        client.write(first, &[1; 200_005]);
        server.take_from(&mut client, 10_000);
        client.open();
        server.take_from(&mut client, 3);
        assert_eq!((server.mux.accept(), server.mux.stats().blocked), (None, 1));
        server.poll();
        server.read(at_server, 1);
        assert_eq!(server.poll(), [], "there is still too little room");
        server.read(at_server, 3);
        server.read(at_server, 5);
        // Its SYN was taken already, so it is there without more input.
        assert_eq!(server.poll(), [Event::Incoming, Event::Unblocked]);
        assert!(client.outbox.is_empty() && server.mux.accept().is_some());
    }
}

#[test]
fn without_pool_memory_reading_waits() {
    for memory in MEMORIES {
        let config = config(Version::V1);
        let mut client = End::new(Role::Client, config.clone(), memory);
        let mut server = End::with_pool(Role::Server, config, memory, 4 * 4_096);
        let (id, at_server) = connect(&mut client, &mut server);
        let data: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
        assert_eq!(client.write(id, &data), data.len());
        client.mux.finish(id).unwrap();
        let mut read = Vec::new();
        while !server.mux.is_finished(at_server) {
            server.take_from(&mut client, 700);
            read.extend(server.read(at_server, 3_000));
        }
        assert_eq!(read, data);
        assert!(server.mux.stats().blocked > 0);
        assert!(server.poll().contains(&Event::Finished(at_server)));
        assert_eq!(server.pool.used_pages(), 0);
    }
}

#[test]
fn a_hundred_streams_open_and_close_at_once() {
    everywhere(|config, memory| {
        let (mut client, mut server) = pair(&config, memory);
        let ids: Vec<StreamId> = (0..100).map(|_| client.mux.open().unwrap()).collect();
        client.control();
        for &id in &ids {
            assert_eq!(client.write(id, &id.wire().to_le_bytes()), 4);
            client.mux.finish(id).unwrap();
        }
        settle(&mut client, &mut server);
        let accepted: Vec<StreamId> = std::iter::from_fn(|| server.mux.accept()).collect();
        assert_eq!(accepted.len(), 100);
        for id in accepted {
            assert_eq!(server.read(id, 9), id.wire().to_le_bytes());
            assert_eq!(server.write(id, b"bye"), 3);
            server.mux.finish(id).unwrap();
        }
        settle(&mut client, &mut server);
        for id in ids {
            assert_eq!(client.read(id, 9), b"bye");
        }
        let ended = |end: &mut End| {
            end.poll().iter().filter(|event| matches!(event, Event::Ended(_))).count()
        };
        assert_eq!((ended(&mut client), ended(&mut server)), (100, 100));
        client.assert_clean();
        server.assert_clean();
    });
}

#[test]
fn streams_by_the_ten_thousands_use_the_same_few_slots() {
    everywhere(|config, memory| {
        let (mut client, mut server) = pair(&config, memory);
        for round in 0..20_000u32 {
            let (id, at_server) = connect(&mut client, &mut server);
            assert!(id.index() < 2 && at_server.index() < 2);
            client.write(id, b"ask");
            match round % 3 {
                0 => {
                    client.mux.finish(id).unwrap();
                    settle(&mut client, &mut server);
                    assert_eq!(server.read(at_server, 9), b"ask");
                    server.mux.finish(at_server).unwrap();
                }
                1 => {
                    client.mux.abort(id, &mut client.pool);
                    settle(&mut client, &mut server);
                    server.mux.abort(at_server, &mut server.pool);
                }
                _ => {
                    server.mux.abort(at_server, &mut server.pool);
                    settle(&mut client, &mut server);
                    // Its question came too late, so that both directions are over.
                    let events = [Event::Finished(id), Event::Failed(id), Event::Ended(id)];
                    assert_eq!(client.poll(), events);
                }
            }
            settle(&mut client, &mut server);
            client.poll();
            server.poll();
            assert_eq!((client.mux.stats().streams, server.mux.stats().streams), (0, 0));
            client.events.clear();
            server.events.clear();
        }
        client.assert_clean();
        server.assert_clean();
    });
}

#[test]
fn stale_handles_name_nothing() {
    everywhere(|config, memory| {
        let (mut client, mut server) = pair(&config, memory);
        let (old, old_at_server) = connect(&mut client, &mut server);
        assert!(client.mux.abort(old, &mut client.pool));
        assert!(!client.mux.abort(old, &mut client.pool), "stale before its FIN is out");
        settle(&mut client, &mut server);
        assert!(server.mux.abort(old_at_server, &mut server.pool));
        settle(&mut client, &mut server);
        let (new, new_at_server) = connect(&mut client, &mut server);
        assert_eq!((new.index(), new_at_server.index()), (old.index(), old_at_server.index()));
        client.write(new, b"secret");
        server.take_from(&mut client, 100);

        let mut out = [0; 9];
        let (mux, pool) = (&mut server.mux, &mut server.pool);
        assert_eq!(mux.read(old_at_server, pool, &mut out), Err(ReadError::UnknownStream));
        assert_eq!(mux.peek(old_at_server, pool), b"");
        assert_eq!(mux.consume(old_at_server, pool, 9), 0);
        assert_eq!(mux.begin_frame(old_at_server, 1), Err(SendError::UnknownStream));
        assert_eq!(mux.finish(old_at_server), Err(SendError::UnknownStream));
        assert!(!mux.want_send(old_at_server, true) && !mux.is_live(old_at_server));
        assert_eq!((mux.send_window(old_at_server), mux.store(old_at_server, pool, b"x")), (0, 0));
        assert_eq!(mux.read(new_at_server, pool, &mut out), Ok(6));
    });
}

#[test]
fn after_the_peers_fin_the_other_direction_lives_on() {
    everywhere(|config, memory| {
        let (mut client, mut server) = pair(&config, memory);
        let (id, at_server) = connect(&mut client, &mut server);
        client.write(id, b"request");
        client.mux.finish(id).unwrap();
        client.mux.finish(id).unwrap();
        assert_eq!(client.mux.begin_frame(id, 1), Err(SendError::Finished));
        settle(&mut client, &mut server);
        assert_eq!(server.poll(), [Event::Readable(at_server), Event::Finished(at_server)]);
        assert_eq!(server.read(at_server, 99), b"request");
        let (mux, pool) = (&mut server.mux, &mut server.pool);
        assert_eq!(mux.read(at_server, pool, &mut [0; 9]), Err(ReadError::Finished));
        for _ in 0..300 {
            assert_eq!(server.write(at_server, &[3; 1_000]), 1_000);
            settle(&mut client, &mut server);
            assert_eq!(client.read(id, 2_000), [3; 1_000]);
        }
        server.mux.finish(at_server).unwrap();
        settle(&mut client, &mut server);
        assert_eq!(client.poll().last(), Some(&Event::Ended(id)));
        assert_eq!(server.poll().last(), Some(&Event::Ended(at_server)));
        client.assert_clean();
        server.assert_clean();
    });
}

#[test]
fn what_comes_before_accept_is_reported_after_it() {
    everywhere(|config, memory| {
        let (mut client, mut server) = pair(&config, memory);
        let id = client.open();
        client.write(id, b"early");
        client.mux.finish(id).unwrap();
        server.take_from(&mut client, 1);
        assert_eq!(server.poll(), [Event::Incoming]);
        let id = server.mux.accept().unwrap();
        assert_eq!(server.poll(), [Event::Readable(id), Event::Finished(id)]);
        assert_eq!(server.read(id, 9), b"early");
    });
}

#[test]
fn the_syn_goes_first_and_an_unheard_of_stream_leaves_no_trace() {
    everywhere(|config, memory| {
        let mut client = End::new(Role::Client, config.clone(), memory);
        let id = client.mux.open().unwrap();
        assert_eq!(client.mux.begin_frame(id, 1), Err(SendError::ControlFirst));
        assert!(client.mux.want_send(id, true));
        assert_eq!((client.mux.next_sender(), client.poll()), (None, vec![]));
        client.control();
        assert_eq!(
            (client.mux.next_sender(), client.poll()),
            (Some(id), vec![Event::Writable(id)])
        );
        client.outbox.clear();
        let unheard = client.mux.open().unwrap();
        assert!(client.mux.abort(unheard, &mut client.pool));
        client.control();
        assert!(client.outbox.is_empty());
        // A stream can be opened, written and closed in one go, in this order on the wire.
        let third = client.mux.open().unwrap();
        client.mux.finish(third).unwrap();
        client.control();
        let commands: Vec<u8> = client.outbox.iter().skip(1).step_by(8).copied().collect();
        // The last one, a NOP, says that we still read.
        assert_eq!((third.wire(), commands), (7, vec![0, 1, 3]));
        for _ in 0..config.max_streams - 2 {
            client.mux.open().unwrap();
        }
        assert_eq!(client.mux.open(), Err(OpenError::TooManyStreams));
    });
}

#[test]
fn turns_go_round_among_streams_with_window() {
    for memory in MEMORIES {
        let config = Config { max_frame: u16::MAX, ..config(Version::V2) };
        let (mut client, mut server) = pair(&config, memory);
        let ids: Vec<StreamId> = (0..3).map(|_| connect(&mut client, &mut server).0).collect();
        for &id in &ids {
            assert!(client.mux.want_send(id, true));
        }
        // The first uses up its window and falls out of line.
        while client.mux.send_window(ids[0]) > 0 {
            client.mux.begin_frame(ids[0], client.mux.send_window(ids[0])).unwrap();
        }
        let turns: Vec<_> = (0..4).map(|_| client.mux.next_sender().unwrap()).collect();
        assert_eq!(turns, [ids[1], ids[2], ids[1], ids[2]]);
        client.mux.want_send(ids[1], false);
        client.mux.finish(ids[2]).unwrap();
        assert!(!client.mux.has_sender());
        // An UPD puts it back.
        let mut update = vec![2, 4, 8, 0];
        update.extend(ids[0].wire().to_le_bytes());
        update.extend(1u32.to_le_bytes());
        update.extend(INITIAL_WINDOW.to_le_bytes());
        client.mux.handle_bytes(client.now, &mut client.pool, &update).unwrap();
        assert_eq!((client.mux.next_sender(), client.mux.send_window(ids[0])), (Some(ids[0]), 1));
    }
}

#[test]
fn nops_leave_only_in_silence_and_any_byte_is_a_sign_of_life() {
    let config = Config { timeout: Duration::from_secs(30), ..config(Version::V1) };
    let (mut client, mut server) = pair(&config, Memory::Owned);
    let (id, _) = connect(&mut client, &mut server);
    let secs = |secs: u64| Instant::from_millis(secs * 1_000);
    for second in 1..=100 {
        client.now = secs(second);
        if second % 9 == 0 && second < 60 {
            client.mux.begin_frame(id, 10).unwrap();
        }
        client.mux.poll_control(client.now);
    }
    // The SYN, six frames of data, and NOPs ten seconds after the last of them.
    assert_eq!(client.mux.stats().frames_out, 1 + 6 + 4);
    assert_eq!(client.mux.poll_timeout(), Some(secs(30)));

    for (second, byte) in [1u8, 3, 0, 0, 0, 0, 0, 0].into_iter().enumerate() {
        client.now = secs(101 + second as u64);
        client.mux.handle_bytes(client.now, &mut client.pool, &[byte]).unwrap();
    }
    assert_eq!(client.mux.dead_at(), Some(secs(138)));
    client.mux.handle_timeout(secs(137));
    assert_eq!(client.mux.death(), None);
    client.mux.handle_timeout(secs(138));
    assert_eq!(client.poll(), [Event::Writable(id), Event::Dead(Reason::Timeout)][1..]);
    assert_eq!(client.mux.open(), Err(OpenError::Dead));
    assert_eq!(client.mux.read(id, &mut client.pool, &mut [0]), Err(ReadError::Dead));
    assert!(client.mux.abort(id, &mut client.pool));
    client.assert_clean();
}
