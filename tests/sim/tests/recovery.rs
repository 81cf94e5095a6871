//! Outages, sleep, memory that runs out, windows that shut: what stood still goes on by itself.

use core::num::NonZeroU64;
use core::time::Duration;

use kcptun_sim::{CLIENT, Flow, SERVER, Setup, World, for_seeds};
use kcptun_tunnel::{CloseReason, Event};
use smux_proto::Version;

const PATH: &str = "delay=20ms,jitter=5ms,loss=2%";
const SECOND: Duration = Duration::from_secs(1);

fn world(setup: &Setup, seed: u64) -> World {
    World::new(setup, setup, PATH.parse().expect("a path"), seed)
}

/// The original gives up 30 to 60 s after the last sign of life, so no outage that its streams may
/// survive kills ours; and what waited goes on within seconds of the end.
#[test]
fn streams_survive_an_outage_of_most_of_a_minute() {
    for_seeds("streams_survive_an_outage_of_most_of_a_minute", 12, |seed| {
        let mut world = world(&Setup::default(), seed);
        let client = world.add_client();
        let busy = world.open(client, Flow::transfer(12_000_000, 12_000_000));
        let mut idle = Flow::transfer(1_000, 1_000);
        idle.ends[CLIENT].stays_open = true;
        let idle = world.open(client, idle);
        world.run_for(Duration::from_millis(900 + seed * 31));
        [CLIENT, SERVER].into_iter().for_each(|side| world.silence(side));
        let outage = Duration::from_millis(5_000 + seed * 4_300);
        world.run_for(outage);
        let before = world.flows[busy].ends[SERVER].received;
        assert!(world.clients[client].news.iter().any(|(_, event)| *event == Event::Suspect));
        [CLIENT, SERVER].into_iter().for_each(|side| world.restore(side));
        let goes_on =
            world.run_until(5 * SECOND, |world| world.flows[busy].ends[SERVER].received > before);
        assert!(goes_on, "seed {seed}: still after {outage:?}");
        world.let_finish(idle);
        world.run_until_done(Duration::from_secs(300));
        assert!(world.flows.iter().all(Flow::has_delivered));
        assert!(world.closed(client).is_none(), "{:?}", world.clients[client].news);
        assert_eq!(
            world.clients[client].news.last().map(|(_, event)| *event),
            Some(Event::Recovered)
        );
    });
}

/// A laptop that sleeps for less than a minute keeps its streams; one that sleeps for hours loses
/// them the moment it wakes, and its next connection works.
#[test]
fn a_sleeping_client_wakes_up_to_streams_that_live_or_are_reset_at_once() {
    for_seeds("a_sleeping_client_wakes_up", 20, |seed| {
        let mut world = world(&Setup::default(), seed);
        let client = world.add_client();
        let nap = world.open(client, Flow::transfer(3_000_000, 3_000_000));
        world.run_for(Duration::from_millis(200 + seed * 11));
        world.sleep(client, Duration::from_secs(10 + 2 * seed));
        world.run_until_done(Duration::from_secs(60));
        assert!(world.flows[nap].has_delivered());

        world.open(client, Flow::transfer(1 << 40, 0));
        world.run_for(SECOND);
        world.sleep(client, Duration::from_secs(3_600 * (1 + seed)));
        world.run_for(Duration::ZERO);
        let closed = world.closed(client).expect("the session is over");
        assert_eq!(closed, (world.now, CloseReason::Timeout));
        assert_eq!(world.server.connections().count(), 0, "the server gave up long ago");
        world.redial(client);
        let next = world.open(client, Flow::transfer(10_000, 10_000));
        assert!(world.run_until(3 * SECOND, |world| world.flows[next].is_done()), "seed {seed}");
        assert!(world.flows[next].has_delivered());
    });
}

/// Before a stream is opened on a session that slept: it is known to be stale without any timer.
#[test]
fn a_session_that_slept_takes_no_streams_until_it_is_heard_again() {
    let mut world = world(&Setup::default(), 3);
    let client = world.add_client();
    world.open(client, Flow::transfer(1_000, 1_000));
    world.run_until_done(10 * SECOND);
    world.run_for(100 * SECOND);
    let key = world.clients[client].key;
    assert!(world.clients[client].endpoint.check_fresh(world.now, key), "idle, but alive");
    world.sleep(client, 20 * SECOND);
    assert!(!world.clients[client].endpoint.check_fresh(world.now, key));
    world.run_for(5 * SECOND);
    assert!(world.clients[client].endpoint.check_fresh(world.now, key), "it was heard again");
    let events = world.clients[client].news.iter().map(|(_, event)| *event);
    assert_eq!(events.collect::<Vec<_>>(), [Event::Suspect, Event::Recovered]);
    world.sleep(client, 100 * SECOND);
    assert!(!world.clients[client].endpoint.check_fresh(world.now, key), "it is dead");
    assert!(world.clients[client].endpoint.open(world.now, key).is_err());
}

/// A socket without a way to the server: suspect at once, and again itself when the way is back.
#[test]
fn what_is_cut_off_is_suspect_at_once() {
    let mut world = world(&Setup::default(), 3);
    let client = world.add_client();
    let flow = world.open(client, Flow::transfer(20_000_000, 0));
    world.run_for(SECOND);
    world.silence(SERVER);
    world.cut_off(client);
    world.cut_off(client);
    world.run_for(10 * SECOND);
    world.restore(SERVER);
    world.run_until_done(Duration::from_secs(100));
    assert!(world.flows[flow].has_delivered());
    let events = world.clients[client].news.iter().map(|(_, event)| *event);
    // An answer may have been under way when the way was lost, and the server's own sign of life
    // comes through while nothing reaches it.
    let events: Vec<_> = events.collect();
    assert!(events.len() % 2 == 0 && events.len() <= 6, "{events:?}");
    for pair in events.chunks(2) {
        assert_eq!(pair, [Event::Suspect, Event::Recovered]);
    }
}

/// The rate holds over each second, whatever the mode, and everything arrives.
#[test]
fn a_rate_limit_holds() {
    for (seed, rate) in [(1, 60_000), (2, 250_000), (3, 2_000_000)] {
        let mut setup = Setup::default();
        setup.config.kcp.nodelay = seed % 2 == 0;
        setup.config.kcp.interval = Duration::from_millis(10);
        setup.config.kcp.send_window = 2_048;
        setup.config.kcp.receive_window = 2_048;
        let mut limited = setup.clone();
        limited.config.rate_limit = NonZeroU64::new(rate);
        let path = "delay=20ms,jitter=5ms,loss=1%".parse().expect("a path");
        let mut world = World::new(&setup, &limited, path, seed);
        let client = world.add_client();
        let flow = world.open(client, Flow::transfer(1_000, rate * 12));
        // The burst, and until the flight fills the rate.
        world.run_for(5 * SECOND);
        let start = world.server.total_stats();
        let mut last = start.bytes_out;
        for second in 0..5 {
            world.run_for(SECOND);
            let sent = world.server.total_stats().bytes_out - last;
            last += sent;
            // A datagram more or less is more than two per cent of a small rate.
            let slack = rate / 50 + 1_500;
            assert!(sent.abs_diff(rate) <= slack, "{rate}: {sent} bytes in second {second}");
        }
        let mean = (last - start.bytes_out) / 5;
        assert!(mean.abs_diff(rate) <= rate / 50, "{rate}: {mean} bytes per second");
        let before = world.steps;
        world.run_until_done(Duration::from_secs(60));
        assert!(world.flows[flow].has_delivered());
        assert!(world.steps - before < 200_000, "{} steps", world.steps - before);
        assert_eq!(world.server.total_stats().kcp.dead_link, 0);
    }
}

/// An end that may send little and has much to send acknowledges what it gets all the same.
#[test]
fn acks_do_not_wait_behind_data_that_a_rate_limit_holds_back() {
    for_seeds("acks_do_not_wait_behind_data", 20, |seed| {
        let setup = Setup::default();
        let mut limited = Setup::default();
        limited.config.rate_limit = NonZeroU64::new(100_000);
        let mut world = World::new(&setup, &limited, PATH.parse().expect("a path"), seed);
        let client = world.add_client();
        let down = world.open(client, Flow::transfer(0, 1 << 40));
        world.run_for(5 * SECOND);
        let received = world.flows[down].ends[CLIENT].received;
        let up = world.open(client, Flow::transfer(3_000_000, 0));
        let is_there = |world: &World| world.flows[up].ends[SERVER].received == 3_000_000;
        let begin = world.now;
        assert!(world.run_until(10 * SECOND, is_there), "seed {seed}: the upload starves");
        let time = world.now - begin;
        // And the data goes on beside the acks.
        world.run_for(5 * SECOND);
        let seconds = (world.now - begin).as_secs_f64();
        let rate = (world.flows[down].ends[CLIENT].received - received) as f64 / seconds;
        assert!(rate > 30_000.0, "seed {seed}: {rate} bytes per second after {time:?}");
    });
}

#[test]
fn frames_are_no_longer_than_told() {
    for compression in [false, true] {
        let mut setup = Setup::default();
        setup.config.compression = compression;
        setup.config.smux.max_frame = 700;
        let mut world = world(&setup, 3);
        let client = world.add_client();
        world.open(client, Flow::transfer(70_000, 0));
        world.run_until_done(20 * SECOND);
        assert!(world.flows[0].has_delivered());
        let mux = world.client_stats(client).mux;
        assert!(mux.frames_out >= 100, "{} frames", mux.frames_out);
    }
}

/// Memory is used up by a connection that stands still. Another one, which has nothing under way and
/// so hears nothing, goes on when the memory is free again.
#[test]
fn a_writer_that_found_no_memory_goes_on_when_another_connection_frees_some() {
    for compression in [false, true] {
        let mut small = Setup::default();
        small.config.compression = compression;
        let mut server = small.clone();
        server.config.memory = 20 * 16_384;
        server.config.kcp.send_window = 2_048;
        small.config.kcp.receive_window = 32;
        small.config.smux.session_buffer = 40_000;
        small.config.smux.stream_buffer = 40_000;
        let path = "delay=20ms".parse().expect("a path");
        let mut world = World::new(&small, &server, path, 3);
        let (hog, other) = (world.add_client(), world.add_client());
        let mut stalled = Flow::transfer(10, 2_000_000);
        stalled.ends[CLIENT].stalls = true;
        let stalled = world.open(hog, stalled);
        world.run_for(3 * SECOND);
        let starved = world.open(other, Flow::transfer(10, 200_000));
        world.run_for(3 * SECOND);
        let got = world.flows[starved].ends[CLIENT].received;
        assert!(got < 100_000, "{got} bytes: there was memory");
        world.resume_reading(stalled, CLIENT);
        // Sooner than the next sign of life of the connection itself.
        let done = world.run_until(4 * SECOND, |world| world.flows[starved].is_done());
        assert!(done, "compression {compression}: {:?}", world.flows[starved]);
        world.run_until_done(Duration::from_secs(100));
        assert!(world.flows.iter().all(Flow::has_delivered));
    }
}

/// The news that a window is open again gets lost: the end that waits asks, by itself and soon.
#[test]
fn a_shut_window_is_asked_about() {
    for_seeds("a_shut_window_is_asked_about", 20, |seed| {
        let mut setup = Setup::default();
        setup.config.kcp.receive_window = 32;
        setup.config.smux.session_buffer = 30_000;
        setup.config.smux.stream_buffer = 30_000;
        let mut world = World::new(&setup, &setup, "delay=20ms".parse().expect("a path"), seed);
        let client = world.add_client();
        let mut flow = Flow::transfer(500_000, 0);
        flow.ends[SERVER].stalls = true;
        let flow = world.open(client, flow);
        world.run_for(2 * SECOND);
        assert_eq!(world.client_stats(client).kcp.timeout_retransmits, 0, "nothing is under way");
        world.silence(CLIENT);
        world.resume_reading(flow, SERVER);
        world.run_for(Duration::from_millis(100));
        let before = world.flows[flow].ends[SERVER].received;
        world.restore(CLIENT);
        // Signs of life come each 10 s; the question is asked within 2.
        let goes_on =
            world.run_until(3 * SECOND, |world| world.flows[flow].ends[SERVER].received > before);
        assert!(goes_on, "seed {seed}: still {before}");
        world.run_until_done(Duration::from_secs(60));
    });
}

/// Readers that act on events alone get the single bytes of a writer that waits for the answer to
/// each.
#[test]
fn single_bytes_are_announced() {
    for version in [Version::V1, Version::V2] {
        for compression in [false, true] {
            let mut setup = Setup::default();
            (setup.config.compression, setup.config.smux.version) = (compression, version);
            let mut world = world(&setup, 3);
            let client = world.add_client();
            for _ in 0..30 {
                let mut flow = Flow::transfer(1, 1);
                flow.ends.iter_mut().for_each(|end| end.stays_open = true);
                let flow = world.open(client, flow);
                let arrived =
                    world.run_until(5 * SECOND, |world| world.flows[flow].has_delivered());
                assert!(arrived, "{version:?}, compression {compression}");
                world.let_finish(flow);
            }
            world.run_until_done(10 * SECOND);
        }
    }
}

/// FEC's copies of packets go back when a connection has been idle, also those of groups that were
/// never completed.
#[test]
fn an_idle_decoder_holds_no_memory() {
    for_seeds("an_idle_decoder_holds_no_memory", 10, |seed| {
        let mut world = World::new(
            &Setup::default(),
            &Setup::default(),
            "delay=20ms,loss=20%".parse().expect("a path"),
            seed,
        );
        let client = world.add_client();
        let mut flow = Flow::transfer(30_000 + seed * 1_111, 50_000);
        flow.ends[CLIENT].stays_open = true;
        let flow = world.open(client, flow);
        assert!(world.run_until(20 * SECOND, |world| world.flows[flow].has_delivered()));
        // From here nothing is exchanged but acks.
        let both = |world: &World| {
            world.server.memory_in_use() + world.clients[client].endpoint.memory_in_use()
        };
        assert!(world.run_until(9 * SECOND, |world| both(world) == 0), "{} bytes", both(&world));
    });
}
