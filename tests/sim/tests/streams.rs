//! Streams: many, early closed, half closed, stalled; windows of 1 and 65,535.

use core::time::Duration;

use kcptun_sim::{CLIENT, Flow, SERVER, Setup, World};
use smux_proto::Version;

const PATH: &str = "delay=20ms,jitter=5ms,loss=2%";

fn world(setup: &Setup, seed: u64) -> World {
    World::new(setup, setup, PATH.parse().expect("a path"), seed)
}

fn every_kind() -> impl Iterator<Item = Setup> {
    [(Version::V1, false), (Version::V1, true), (Version::V2, false), (Version::V2, true)]
        .into_iter()
        .map(|(version, compression)| {
            let mut setup = Setup::default();
            setup.config.smux.version = version;
            setup.config.compression = compression;
            setup
        })
}

#[test]
fn windows_of_one_and_of_all() {
    let windows = [(1, 1), (1, 65_535), (65_535, 1), (65_535, 65_535)];
    // With compression a frame can be longer than the window: its rest waits for acks.
    for ((send, receive), compression) in windows.into_iter().flat_map(|w| [(w, false), (w, true)])
    {
        let mut setup = Setup::default();
        setup.config.compression = compression;
        setup.config.kcp.send_window = send;
        setup.config.kcp.receive_window = receive;
        let bytes = if send.min(receive) == 1 { 50_000 } else { 10_000_000 };
        let mut world = world(&setup, u64::from(send));
        let client = world.add_client();
        let flow = world.open(client, Flow::transfer(bytes, bytes));
        world.run_until_done(Duration::from_secs(40));
        assert!(world.flows[flow].has_delivered());
    }
}

#[test]
fn a_hundred_streams_at_once() {
    for setup in every_kind() {
        let mut world = world(&setup, 4);
        let client = world.add_client();
        for number in 0..100 {
            world.open(client, Flow::transfer(10_000 + number, 20_000 - number));
        }
        world.run_until_done(Duration::from_secs(40));
        assert!(world.flows.iter().all(Flow::has_delivered));
    }
}

#[test]
fn streams_by_the_thousand() {
    for setup in every_kind() {
        let mut world = world(&setup, 5);
        let client = world.add_client();
        for number in 0..3_000 {
            let mut flow = Flow::transfer(number % 700, 700 - number % 700);
            flow.opens_after = Duration::from_millis(number * 3);
            world.open(client, flow);
        }
        world.run_until_done(Duration::from_secs(30));
        assert!(world.flows.iter().all(Flow::has_delivered));
        assert_eq!(world.client_stats(client).mux.streams, 0);
        assert_eq!(world.server.total_stats().mux.streams, 0);
    }
}

/// Either direction can end long before the other.
#[test]
fn half_closed_streams_go_on() {
    for setup in every_kind() {
        for side in [CLIENT, SERVER] {
            let mut world = world(&setup, 6);
            let client = world.add_client();
            let mut flow = Flow::transfer(300_000, 300_000);
            flow.ends[side].to_send = 0;
            flow.ends[1 - side].finishes_last = true;
            let flow = world.open(client, flow);
            world.run_until_done(Duration::from_secs(20));
            assert!(world.flows[flow].has_delivered());
        }
    }
}

/// One side hangs up in the middle. The other one finds out by the end of what it reads, and all
/// other streams go on.
#[test]
fn one_side_closes_early() {
    for setup in every_kind() {
        for side in [CLIENT, SERVER] {
            let mut world = world(&setup, 7);
            let client = world.add_client();
            let mut rude = Flow::transfer(0, 0);
            rude.ends[side].aborts_at = Some(50_000);
            rude.ends[side].stays_open = true;
            rude.ends[1 - side].to_send = 200_000;
            let rude = world.open(client, rude);
            let polite = world.open(client, Flow::transfer(400_000, 400_000));
            let within = Duration::from_secs(20);
            assert!(world.run_until(within, |world| {
                world.flows[polite].is_done() && world.flows[rude].ends[1 - side].peer_finished
            }));
            assert!(world.flows[polite].has_delivered());
        }
    }
}

/// With version 2 the others go on; with version 1 the session waits once its buffer is used up,
/// and goes on when the reader does.
#[test]
fn one_stalled_reader_among_many() {
    for mut setup in every_kind() {
        setup.config.smux.session_buffer = 1 << 20;
        setup.config.smux.stream_buffer = 1 << 17;
        let mut world = world(&setup, 8);
        let client = world.add_client();
        let mut lazy = Flow::transfer(3_000_000, 0);
        lazy.ends[SERVER].stalls = true;
        let lazy = world.open(client, lazy);
        world.run_for(Duration::from_secs(8));
        let others: Vec<usize> =
            (0..20).map(|_| world.open(client, Flow::transfer(30_000, 30_000))).collect();
        let others_are_done =
            |world: &World| others.iter().all(|&index| world.flows[index].is_done());
        let went_on = world.run_until(Duration::from_secs(10), others_are_done);
        assert_eq!(went_on, setup.config.smux.version == Version::V2);
        assert_eq!(world.flows[lazy].ends[SERVER].received, 0);
        // Bounded while stalled, and alive however long that takes.
        world.run_for(Duration::from_secs(200));
        let kcp = usize::from(setup.config.kcp.receive_window) * 1_536;
        let bound = setup.config.smux.session_buffer + 262_144 + kcp + (1 << 20);
        assert!(world.server.memory_in_use() < bound, "{}", world.server.memory_in_use());
        assert!(world.closed(client).is_none());
        world.resume_reading(lazy, SERVER);
        world.run_until_done(Duration::from_secs(30));
        assert!(world.flows.iter().all(Flow::has_delivered));
    }
}
