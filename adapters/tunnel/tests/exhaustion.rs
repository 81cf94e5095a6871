//! Memory that is used up answers with errors or with waiting, and all that waited goes on as soon
//! as there is room: connections, streams, windows, unread bytes and payload memory, all at once.

use std::net::SocketAddr;
use std::time::Duration;

use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{
    Config, ConnectionKey, Endpoint, Event, Side, StreamError, StreamId, TransmitBatch,
};
use proptest::prelude::*;
use proto_base::Instant;
use smux_proto::Version;

const CLIENTS: usize = 3;
/// Fewer than there are clients.
const CONNECTIONS: usize = 2;
/// Fewer than are asked for.
const STREAMS: usize = 4;

/// A client, what it has written to each stream, and what of it has arrived.
struct Client {
    endpoint: Endpoint,
    at: SocketAddr,
    key: ConnectionKey,
    streams: Vec<(StreamId, usize)>,
}

struct World {
    clients: Vec<Client>,
    server: Endpoint,
    server_at: SocketAddr,
    /// Streams that the server took, with what was read of them.
    taken: Vec<(ConnectionKey, StreamId, usize)>,
    now: Instant,
    batch: TransmitBatch,
}

fn endpoint(config: &Config, side: Side, seed: u8) -> Endpoint {
    let cipher = PacketCipher::new(CipherKind::None, b"key").unwrap();
    let count = if side == Side::Client { 1 } else { CONNECTIONS };
    let config = Config { max_connections: count, ..config.clone() };
    Endpoint::reserved(config, cipher, side, [seed; 32]).unwrap()
}

impl World {
    fn new(config: &Config) -> Self {
        let now = Instant::from_millis(5);
        let server_at: SocketAddr = "[::1]:9".parse().unwrap();
        let clients = (0..CLIENTS).map(|number| {
            let mut endpoint = endpoint(config, Side::Client, number as u8);
            let key = endpoint.connect(now, server_at).unwrap();
            assert!(endpoint.connect(now, server_at).is_err(), "one connection is all");
            let at = SocketAddr::new(server_at.ip(), 100 + number as u16);
            let streams = (0..STREAMS).map(|_| (endpoint.open(now, key).unwrap(), 0)).collect();
            for _ in 0..3 {
                endpoint.open(now, key).unwrap_err();
            }
            Client { endpoint, at, key, streams }
        });
        Self {
            clients: clients.collect(),
            server: endpoint(config, Side::Server, 77),
            server_at,
            taken: Vec::new(),
            now,
            batch: TransmitBatch::new(),
        }
    }

    /// Everybody sends, and the server takes what streams come.
    fn step(&mut self) {
        let Self { clients, server, server_at, taken, now, batch } = self;
        *now += Duration::from_millis(10);
        for client in clients.iter_mut() {
            client.endpoint.handle_timeout(*now);
            while client.endpoint.poll_transmit(*now, batch).is_some() {
                let stride = batch.stride();
                server.handle_batch(*now, client.at, &mut batch.bytes().to_vec(), stride);
            }
            while client.endpoint.poll_event().is_some() {}
        }
        server.handle_timeout(*now);
        while let Some((key, event)) = server.poll_event() {
            if event == Event::Incoming {
                while let Some(id) = server.accept(key) {
                    // Acknowledged, it proves that the client receives: it need not make room for
                    // those that are refused.
                    let _ = server.write_with(*now, key, id, 1, |slot| (slot.len(), ()));
                    taken.push((key, id, 0));
                }
            }
        }
        while let Some(to) = server.poll_transmit(*now, batch) {
            let stride = batch.stride();
            if let Some(client) = clients.iter_mut().find(|client| client.at == to) {
                let mut bytes = batch.bytes().to_vec();
                client.endpoint.handle_batch(*now, *server_at, &mut bytes, stride);
            }
        }
        let ends = clients.iter().map(|client| &client.endpoint).chain([&*server]);
        for end in ends {
            assert!(end.memory_in_use() <= end.config().memory);
        }
        assert!(server.connections().count() <= CONNECTIONS);
    }

    /// Writes to all streams until each of them has to wait.
    fn fill(&mut self) {
        for client in &mut self.clients {
            for (id, written) in &mut client.streams {
                let fill = |slot: &mut [u8]| {
                    slot.fill(7);
                    (slot.len(), slot.len())
                };
                loop {
                    match client.endpoint.write_with(self.now, client.key, *id, 9_000, fill) {
                        Ok(count) => *written += count,
                        Err(error) => {
                            assert_eq!(error, StreamError::Blocked);
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Reads all that is there of the streams that were taken.
    fn drain(&mut self) {
        for (key, id, read) in &mut self.taken {
            let take = |bytes: &[u8]| (bytes.len(), bytes.len());
            while let Ok(count) = self.server.read_with(self.now, *key, *id, take) {
                *read += count;
            }
        }
    }

    /// Whether the server has all that client number `number` wrote.
    fn has_all_of(&self, number: usize) -> bool {
        let client = &self.clients[number];
        let written: usize = client.streams.iter().map(|(_, written)| written).sum();
        let of = |key| self.server.remote(key) == Some(client.at);
        let read = self.taken.iter().filter(|(key, ..)| of(*key)).map(|(_, _, read)| read);
        read.sum::<usize>() == written
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_is_full_waits_and_goes_on(
        memory in 192_usize..512,
        window in 8_u16..100,
        unread in 16_usize..64,
        version_2: bool,
        compression: bool,
        has_fec: bool,
    ) {
        let mut config = Config { memory: memory << 10, ..Config::default() };
        config.compression = compression && cfg!(feature = "snappy");
        (config.kcp.send_window, config.kcp.receive_window) = (window, window.max(32));
        config.smux.version = if version_2 { Version::V2 } else { Version::V1 };
        config.smux.max_streams = STREAMS;
        config.smux.session_buffer = unread << 10;
        config.smux.stream_buffer = 16 << 10;
        config.fec = config.fec.filter(|_| has_fec);
        let mut world = World::new(&config);

        for _ in 0..20 {
            world.step();
        }
        prop_assert!(world.server.connections().all(|key| world.server.is_proven(key)));

        // Nobody reads: all that there is fills up.
        for _ in 0..200 {
            world.fill();
            world.step();
        }
        let stats = world.server.stats();
        prop_assert!(stats.refused_connections > 0, "{stats:?}");
        let keys: Vec<ConnectionKey> = world.server.connections().collect();
        let served = |world: &World, number: usize| {
            let at = world.clients[number].at;
            keys.iter().any(|&key| world.server.remote(key) == Some(at))
        };
        let (first, others): (Vec<_>, Vec<_>) = (0..CLIENTS).partition(|&it| served(&world, it));
        prop_assert_eq!((first.len(), others.len()), (CONNECTIONS, CLIENTS - CONNECTIONS));

        // What was refused room arrives when there is some, and more with it.
        for round in 0..4_000 {
            if round < 20 {
                world.fill();
            }
            world.drain();
            world.step();
            if round >= 20 && first.iter().all(|&number| world.has_all_of(number)) {
                break;
            }
        }
        for &number in &first {
            prop_assert!(world.has_all_of(number), "client {number}");
        }

        // The place of one that is gone is taken by one that was refused.
        let [gone, refused] = [first[0], others[0]].map(|number| world.clients[number].at);
        let key = keys.iter().find(|&&key| world.server.remote(key) == Some(gone));
        world.server.close(*key.unwrap());
        world.clients.retain(|client| client.at != gone);
        let waiting = world.clients.iter().position(|client| client.at == refused).unwrap();
        for _ in 0..4_000 {
            world.drain();
            world.step();
            if world.has_all_of(waiting) {
                break;
            }
        }
        prop_assert!(world.has_all_of(waiting), "the one that was refused");
    }
}
