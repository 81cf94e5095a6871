//! Peers that start over, differ, lie or are not there.

use core::net::SocketAddr;
use core::time::Duration;

use kcptun_sim::{CLIENT, Flow, SERVER, Setup, World, server_address};
use kcptun_tunnel::crypt::CipherKind;
use kcptun_tunnel::{CloseReason, Event};
use smux_proto::Version;

const PATH: &str = "delay=20ms,jitter=5ms,loss=2%";

fn endless() -> Flow {
    Flow::transfer(1 << 40, 0)
}

fn world(setup: &Setup, seed: u64) -> World {
    World::new(setup, setup, PATH.parse().expect("a path"), seed)
}

#[test]
fn a_server_that_starts_over_is_noticed() {
    for (up, down) in [(1 << 40, 1 << 40), (1 << 40, 0), (0, 1 << 40)] {
        for seed in 0..20 {
            let mut world = world(&Setup::default(), seed);
            let client = world.add_client();
            world.open(client, Flow::transfer(up, down));
            world.run_for(Duration::from_millis(500 + seed * 77));
            world.restart_server();
            // A client that has nothing to say finds out with its next sign of life.
            let within = Duration::from_secs(if up > 0 { 5 } else { 16 });
            let noticed = world.run_until(within, |world| world.closed(client).is_some());
            assert!(noticed, "seed {seed}, {up} up, {down} down: {:?}", world.clients[client].news);
            assert_eq!(
                world.closed(client).map(|(_, reason)| reason),
                Some(CloseReason::PeerRestarted)
            );
            // And the next connection works.
            world.redial(client);
            let next = world.open(client, Flow::transfer(100_000, 100_000));
            assert!(world.run_until(Duration::from_secs(10), |world| world.flows[next].is_done()));
            assert!(world.flows[next].has_delivered());
        }
    }
}

#[test]
fn a_client_that_starts_over_replaces_its_connection() {
    let mut world = world(&Setup::default(), 3);
    let client = world.add_client();
    world.open(client, endless());
    world.run_for(Duration::from_secs(2));
    world.replace_client(client);
    let next = world.open(client, Flow::transfer(100_000, 100_000));
    assert!(world.run_until(Duration::from_secs(10), |world| world.flows[next].is_done()));
    assert!(world.flows[next].has_delivered());
    let replaced = |(_, _, event): &(_, usize, Event)| {
        matches!(event, Event::Closed { reason: CloseReason::Replaced, .. })
    };
    assert_eq!(world.server_news.iter().filter(|news| replaced(news)).count(), 1);
    assert_eq!(world.server.connections().count(), 1);
}

/// A session whose reading stands still, and whose peer is gone, is given up with all it holds; as
/// long as the peer lives, it waits.
#[test]
fn a_stalled_session_outlives_its_reader_but_not_its_peer() {
    for lives in [true, false] {
        let mut setup = Setup::default();
        setup.config.smux.version = Version::V1;
        let mut world = world(&setup, 5);
        let client = world.add_client();
        let mut flow = endless();
        flow.ends[SERVER].stalls = true;
        world.open(client, flow);
        world.run_for(Duration::from_secs(30));
        assert!(world.server.memory_in_use() > 1 << 20);
        if !lives {
            world.silence(SERVER);
        }
        world.run_for(Duration::from_secs(if lives { 900 } else { 75 }));
        assert_eq!(world.server.connections().count(), usize::from(lives));
        assert_eq!(world.server.memory_in_use() > 0, lives);
    }
}

/// Noise from the server's address does not bring a session back that is given up.
#[test]
fn noise_is_no_sign_of_life() {
    let mut world = world(&Setup::default(), 8);
    let client = world.add_client();
    world.open(client, endless());
    world.run_for(Duration::from_secs(1));
    world.silence(CLIENT);
    world.run_for(Duration::from_secs(8));
    let at = world.now;
    let client = &mut world.clients[client];
    assert!(client.news.iter().any(|(_, event)| *event == Event::Suspect));
    for len in [1, 20, 60, 1350] {
        client.endpoint.handle_batch(at, server_address(), &mut vec![7; len], len);
    }
    while let Some((_, event)) = client.endpoint.poll_event() {
        assert_ne!(event, Event::Recovered);
    }
}

/// A recorded first datagram with a forged source: its victim gets little, whatever the server
/// has to say.
#[test]
fn a_forged_source_is_not_flooded() {
    let mut setup = Setup::default();
    setup.config.kcp.send_window = 65_535;
    let mut world = world(&setup, 3);
    let client = world.add_client();
    let mut flow = Flow::transfer(100, 1 << 40);
    flow.ends[CLIENT].stays_open = true;
    world.open(client, flow);
    // The path breaks after the first datagram has come through: all answers go to one who does
    // not want them.
    world.run_until(Duration::from_secs(1), |world| world.server.connections().count() == 1);
    world.silence(CLIENT);
    world.silence(SERVER);
    world.run_for(Duration::from_secs(90));
    let sent = world.server.total_stats();
    assert!(sent.bytes_in < 2_000);
    assert!(sent.bytes_out > 30_000, "the server had a lot to say: {}", sent.bytes_out);
    assert!(sent.bytes_out < 49_152 + 3 * sent.bytes_in + 65 * 1_500, "{}", sent.bytes_out);
    assert_eq!(world.server.connections().count(), 0, "given up");
}

#[test]
fn unequal_settings_are_named() {
    let plain = Setup::default();
    let mut compressing = plain.clone();
    compressing.config.compression = true;
    let mut second = plain.clone();
    second.config.smux.version = Version::V2;
    let cases = [
        (&plain, &compressing, "--nocomp"),
        (&compressing, &plain, "--nocomp"),
        (&plain, &second, "--smuxver"),
        (&second, &plain, "--smuxver"),
    ];
    for (client_setup, server_setup, name) in cases {
        let path = PATH.parse().expect("a path");
        let mut world = World::new(client_setup, server_setup, path, 1);
        let client = world.add_client();
        world.open(client, Flow::transfer(10_000, 0));
        let closed = |world: &World| {
            world.server_news.iter().find_map(|(_, _, event)| match event {
                Event::Closed { reason, .. } => Some(*reason),
                _ => None,
            })
        };
        assert!(world.run_until(Duration::from_secs(5), |world| closed(world).is_some()));
        let reason = closed(&world).expect("a reason");
        assert!(reason.hint().is_some_and(|hint| hint.contains(name)), "{name}: {reason}");
    }
}

#[test]
fn another_key_or_cipher_is_counted() {
    let other = Setup { cipher: CipherKind::Salsa20, ..Setup::default() };
    let path = PATH.parse().expect("a path");
    let mut world = World::new(&Setup::default(), &other, path, 1);
    let client = world.add_client();
    world.open(client, Flow::transfer(10_000, 0));
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.server.connections().count(), 0);
    assert!(world.server.stats().checksum_errors > 10);
    assert_eq!(world.server.memory_in_use(), 0);
}

/// Noise and damaged datagrams make no connection, with and without encryption.
#[test]
fn garbage_leaves_nothing_behind() {
    for cipher in [CipherKind::Aes, CipherKind::None, CipherKind::Null] {
        let setup = Setup { cipher, ..Setup::default() };
        let mut world = world(&setup, 3);
        let mut rng = kcptun_sim::Rng::new(8);
        for number in 0..20_000u16 {
            let from = SocketAddr::from(([203, 0, 113, 7], number));
            let mut bytes: Vec<u8> = (0..=rng.below(120)).map(|_| rng.next() as u8).collect();
            if let Some(kind) = bytes.get_mut(4..6) {
                // Often something that looks like FEC, or like a push.
                kind.copy_from_slice(
                    &[[0xf1, 0], [0xf2, 0], [81, 0], [rng.next() as u8, 3]]
                        [usize::from(number % 4)],
                );
            }
            world.inject(from, &bytes);
        }
        assert_eq!(world.server.connections().count(), 0);
        assert_eq!(world.server.memory_in_use(), 0);
        let stats = world.server.stats();
        assert_eq!(stats.checksum_errors + stats.too_short + stats.strays, 20_000);
    }
}

/// A connection in the middle of its work shrugs off what does not belong to it.
#[test]
fn garbage_from_the_peers_address_does_no_harm() {
    let setup = Setup { cipher: CipherKind::None, ..Setup::default() };
    let mut world = world(&setup, 3);
    let client = world.add_client();
    world.open(client, Flow::transfer(2_000_000, 2_000_000));
    let from = world.address_of(client);
    let mut rng = kcptun_sim::Rng::new(8);
    while !world.is_done() {
        world.run_for(Duration::from_millis(10));
        let bytes: Vec<u8> = (0..rng.below(1_500)).map(|_| rng.next() as u8).collect();
        world.inject(from, &bytes);
        assert!(world.now.as_millis() < 60_000);
    }
    assert!(world.flows[0].has_delivered());
    assert!(world.flows[0].ends[SERVER].peer_finished);
}

#[test]
fn a_refusal_is_believed_by_the_deaf_only() {
    let mut world = world(&Setup::default(), 3);
    let client = world.add_client();
    world.open(client, endless());
    world.run_for(Duration::from_secs(1));
    world.refuse(client);
    world.run_for(Duration::from_millis(100));
    assert!(world.closed(client).is_none(), "anyone on the path could forge a refusal");
    world.silence(SERVER);
    world.run_for(Duration::from_secs(3));
    world.refuse(client);
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.closed(client).map(|(_, reason)| reason), Some(CloseReason::Refused));
}
