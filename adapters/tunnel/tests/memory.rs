//! Payload memory goes back to the system when it is not needed any more, whoever lives on.

use std::net::SocketAddr;
use std::time::Duration;

use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{
    Config, ConnectionKey, Endpoint, Event, Side, StreamError, StreamId, TransmitBatch,
};
use proto_base::Instant;

/// What the slow reader leaves unread at the server: more than is given back at once.
const BACKLOG: usize = 10 << 20;

/// A client with one stream.
struct Client {
    endpoint: Endpoint,
    at: SocketAddr,
    key: ConnectionKey,
    stream: StreamId,
    /// The same at the server.
    there: Option<(ConnectionKey, StreamId)>,
}

struct World {
    clients: [Client; 2],
    server: Endpoint,
    now: Instant,
    batch: TransmitBatch,
}

impl World {
    fn new(reserved: bool) -> Self {
        let config = {
            let mut config = Config { compression: false, fec: None, ..Config::default() };
            config.smux.session_buffer = 2 * BACKLOG;
            config.kcp.receive_window = 1_024;
            config.kcp.send_window = 1_024;
            config
        };
        let cipher = PacketCipher::new(CipherKind::None, b"key").unwrap();
        let now = Instant::from_millis(5);
        let clients = [1, 2].map(|number| {
            let config = config.clone();
            let side = Side::Client;
            let mut endpoint = Endpoint::new(config, cipher.clone(), side, [number; 32]).unwrap();
            let key = endpoint.connect(now, "[::1]:9".parse().unwrap()).unwrap();
            let stream = endpoint.open(now, key).unwrap();
            let at = SocketAddr::from(([127, 0, 0, 1], number.into()));
            Client { endpoint, at, key, stream, there: None }
        });
        let server = if reserved {
            let config = Config { memory: 2 * BACKLOG, max_connections: 2, ..config };
            Endpoint::reserved(config, cipher, Side::Server, [9; 32]).unwrap()
        } else {
            Endpoint::new(config, cipher, Side::Server, [9; 32]).unwrap()
        };
        Self { clients, server, now, batch: TransmitBatch::new() }
    }

    /// Time passes, and what was written crosses over.
    fn step(&mut self, time: Duration) {
        let Self { clients, server, now, batch } = self;
        *now += time;
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
                let client = clients.iter_mut().find(|it| server.remote(key) == Some(it.at));
                client.unwrap().there = server.accept(key).map(|id| (key, id));
            }
        }
        while let Some(to) = server.poll_transmit(*now, batch) {
            let stride = batch.stride();
            if let Some(client) = clients.iter_mut().find(|client| client.at == to) {
                let mut bytes = batch.bytes().to_vec();
                let server_at = "[::1]:9".parse().unwrap();
                client.endpoint.handle_batch(*now, server_at, &mut bytes, stride);
            }
        }
    }

    fn write(&mut self, client: usize, wanted: usize) -> usize {
        let Client { endpoint, key, stream, .. } = &mut self.clients[client];
        let fill = |slot: &mut [u8]| (slot.len(), slot.len());
        endpoint.write_with(self.now, *key, *stream, wanted, fill).unwrap_or(0)
    }

    fn read(&mut self, client: usize) -> usize {
        let Some((key, id)) = self.clients[client].there else { return 0 };
        let take = |bytes: &[u8]| (bytes.len(), bytes.len());
        let read = || self.server.read_with(self.now, key, id, take).ok();
        core::iter::from_fn(read).sum()
    }

    /// The first client writes until the backlog is there, the second a little now and then.
    fn fill(&mut self) {
        while self.server.memory_in_use() <= BACKLOG {
            while self.write(0, 16_384) > 0 {}
            self.step(Duration::from_millis(10));
            self.write(1, 100);
            self.read(1);
            assert!(self.now < Instant::from_millis(600_000), "it does not get there");
        }
    }

    /// The second client goes on as before for this many seconds.
    fn live_on(&mut self, seconds: u32) {
        for _ in 0..seconds * 10 {
            assert_eq!(self.write(1, 100), 100);
            for _ in 0..4 {
                self.step(Duration::from_millis(25));
            }
            assert!(self.read(1) > 0);
        }
    }
}

#[test]
fn memory_goes_back_while_another_connection_lives() {
    let mut world = World::new(false);
    world.fill();
    let held = world.server.memory_held();
    assert!(held > BACKLOG);
    let (key, id) = world.clients[0].there.unwrap();
    world.server.close(key);
    world.step(Duration::ZERO);
    assert!(world.server.memory_in_use() < 1 << 20);
    assert_eq!(world.server.read_with(world.now, key, id, |_| (0, ())), Err(StreamError::Gone));

    world.live_on(8);
    let less = world.server.memory_held();
    assert!(less < held && less > held / 4, "no more than {less} bytes at once");
    world.live_on(20);
    assert!(world.server.memory_held() <= 2 << 20, "{}", world.server.memory_held());
}

#[test]
fn memory_goes_back_while_all_connections_live() {
    let mut world = World::new(false);
    world.fill();
    assert!(world.server.memory_held() > BACKLOG);
    assert!(world.read(0) > BACKLOG / 2);
    world.live_on(30);
    assert_eq!(world.server.connections().count(), 2);
    assert!(world.server.memory_held() <= 2 << 20, "{}", world.server.memory_held());
    // It comes back.
    world.fill();
}

#[test]
fn reserved_memory_stays() {
    let mut world = World::new(true);
    let held = world.server.memory_held();
    world.fill();
    world.read(0);
    world.live_on(12);
    assert_eq!((held, world.server.memory_held()), (2 * BACKLOG, 2 * BACKLOG));
}
