//! A recorded first datagram, sent again from thousands of addresses by someone without the key:
//! who has the key still gets in, keeps his connection, and is served.

use core::net::SocketAddr;
use core::time::Duration;

use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{
    CloseReason, Config, ConnectionKey, Endpoint, Event, Side, StreamId, TransmitBatch,
};
use proto_base::Instant;

/// Connections of the server.
const PLACES: usize = 64;
/// Half of a round trip.
const DELAY: Duration = Duration::from_millis(30);

/// Datagrams on their way, in the order of their arrival.
type Line = std::collections::VecDeque<(Instant, SocketAddr, Vec<u8>, usize)>;

type Stream = (ConnectionKey, StreamId);

/// The next that has arrived by now.
fn arrived(line: &mut Line, now: Instant) -> Option<(Instant, SocketAddr, Vec<u8>, usize)> {
    line.front().is_some_and(|it| it.0 <= now).then(|| line.pop_front())?
}

fn write(endpoint: &mut Endpoint, now: Instant, (key, id): Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let fill = |slot: &mut [u8]| {
            let count = slot.len().min(bytes.len());
            slot[..count].copy_from_slice(&bytes[..count]);
            (count, count)
        };
        let count = endpoint.write_with(now, key, id, bytes.len(), fill).expect("there is room");
        bytes = &bytes[count..];
    }
}

struct Net {
    server: Endpoint,
    client: Endpoint,
    client_at: SocketAddr,
    server_at: SocketAddr,
    up: Line,
    down: Line,
    now: Instant,
    batch: TransmitBatch,
    /// What the server said of connections that are over.
    closed: Vec<(SocketAddr, CloseReason, bool)>,
    /// Streams that the server took.
    streams: Vec<Stream>,
}

fn endpoint(side: Side, seed: u8, places: usize, reserved: bool) -> Endpoint {
    let cipher = PacketCipher::new(CipherKind::Xor, b"key").unwrap();
    let config = Config {
        compression: false,
        max_connections: places,
        memory: 8 << 20,
        ..Config::default()
    };
    let new = if reserved { Endpoint::reserved } else { Endpoint::new };
    new(config, cipher, side, [seed; 32]).unwrap()
}

impl Net {
    fn new(reserved: bool) -> Self {
        Self {
            server: endpoint(Side::Server, 1, PLACES, reserved),
            client: endpoint(Side::Client, 2, 1, false),
            client_at: "[2001:db8::1]:1".parse().unwrap(),
            server_at: "[2001:db8::2]:2".parse().unwrap(),
            up: Line::new(),
            down: Line::new(),
            now: Instant::from_millis(1_000),
            batch: TransmitBatch::new(),
            closed: Vec::new(),
            streams: Vec::new(),
        }
    }

    /// A millisecond passes. The server echoes what comes on each stream.
    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let now = self.now;
        self.client.handle_timeout(now);
        while self.client.poll_transmit(now, &mut self.batch).is_some() {
            let bytes = self.batch.bytes().to_vec();
            self.up.push_back((now + DELAY, self.client_at, bytes, self.batch.stride()));
        }
        while let Some((_, from, mut bytes, stride)) = arrived(&mut self.up, now) {
            self.server.handle_batch(now, from, &mut bytes, stride);
        }
        self.server.handle_timeout(now);
        while let Some((key, event)) = self.server.poll_event() {
            match event {
                Event::Incoming => {
                    while let Some(id) = self.server.accept(key) {
                        self.streams.push((key, id));
                    }
                }
                Event::Closed { reason, remote, is_proven } => {
                    self.closed.push((remote, reason, is_proven));
                    self.streams.retain(|it| it.0 != key);
                }
                _ => {}
            }
        }
        for &(key, id) in &self.streams {
            let bytes = self.server.read_with(now, key, id, |bytes| (bytes.len(), bytes.to_vec()));
            let Ok(bytes) = bytes else { continue };
            write(&mut self.server, now, (key, id), &bytes);
        }
        while let Some(to) = self.server.poll_transmit(now, &mut self.batch) {
            if to == self.client_at {
                let bytes = self.batch.bytes().to_vec();
                self.down.push_back((now + DELAY, to, bytes, self.batch.stride()));
            }
        }
        while let Some((_, _, mut bytes, stride)) = arrived(&mut self.down, now) {
            self.client.handle_batch(now, self.server_at, &mut bytes, stride);
        }
        while self.client.poll_event().is_some() {}
        assert!(self.server.connections().count() <= PLACES);
    }
}

/// The first datagram of a client, as somebody on the path sees it.
fn recorded() -> Vec<u8> {
    let mut victim = endpoint(Side::Client, 9, 1, false);
    let now = Instant::from_millis(1);
    let key = victim.connect(now, "[2001:db8::2]:2".parse().unwrap()).unwrap();
    let id = victim.open(now, key).unwrap();
    victim.write_with(now, key, id, 20, |slot| (slot.len(), ())).unwrap();
    let mut batch = TransmitBatch::new();
    assert!(victim.poll_transmit(now, &mut batch).is_some());
    batch.bytes()[..batch.stride()].to_vec()
}

#[test]
fn who_has_the_key_is_served_while_first_datagrams_are_replayed() {
    for reserved in [false, true] {
        let mut net = Net::new(reserved);
        let first = recorded();
        let mut attackers = 0_u32;
        let mut attack = |net: &mut Net| {
            attackers += 1;
            let [.., high, low, last, _] = (attackers << 8).to_be_bytes().map(u16::from);
            let from = SocketAddr::from(([0x2001, 0xdb8, 7, 7, 0, high, low, last], 4_000));
            net.server.handle_batch(net.now, from, &mut first.clone(), first.len());
            attackers
        };
        // Two hundred a second, until all places have been taken for a while.
        while net.now < Instant::from_millis(10_000) {
            attack(&mut net);
            (0..5).for_each(|_| net.step());
        }
        assert_eq!(net.server.connections().count(), PLACES);
        let evicted = net.server.stats().closed.evicted;
        assert!(evicted > 1_000, "{:?}", net.server.stats());

        // A client comes, and asks something every 100 ms for half a minute of it.
        let key = net.client.connect(net.now, net.server_at).unwrap();
        let id = net.client.open(net.now, key).unwrap();
        let (mut asked, mut answered) = (0, 0);
        let mut last = 0;
        for round in 0..6_000_u32 {
            last = attack(&mut net);
            if round % 20 == 0 && round < 5_900 {
                asked += 1_000;
                write(&mut net.client, net.now, (key, id), &[7; 1_000]);
            }
            (0..5).for_each(|_| net.step());
            let now = net.now;
            while let Ok(count) = net.client.read_with(now, key, id, |it| (it.len(), it.len())) {
                answered += count;
            }
        }
        assert_eq!(answered, asked, "every answer came");
        assert!(last > 7_000, "attackers");
        let of_client = net.closed.iter().filter(|it| it.0 == net.client_at).count();
        assert_eq!(of_client, 0, "the client keeps its connection");
        assert!(net.closed.iter().all(|it| it.1 == CloseReason::Evicted && !it.2));
        assert_eq!(net.server.stats().closed.evicted, net.closed.len() as u64);
        // Each of the others is gone, or has one of the places.
        let all = net.closed.len() + net.server.connections().count();
        assert_eq!(all as u32, last + 1);
    }
}

/// Clients that have proved themselves make room for nobody.
#[test]
fn all_places_taken_by_clients_that_answer() {
    let mut net = Net::new(false);
    let first = recorded();
    net.server = endpoint(Side::Server, 3, 1, false);
    let key = net.client.connect(net.now, net.server_at).unwrap();
    let id = net.client.open(net.now, key).unwrap();
    write(&mut net.client, net.now, (key, id), &[7; 1_000]);
    (0..2_000).for_each(|_| net.step());
    let from = "[2001:db8::9]:9".parse().unwrap();
    net.server.handle_batch(net.now, from, &mut first.clone(), first.len());
    (0..10).for_each(|_| net.step());
    assert!(net.closed.is_empty());
    let stats = net.server.stats();
    assert_eq!((stats.refused_connections, stats.closed.evicted), (1, 0));
    let served: Vec<_> = net.server.connections().map(|key| net.server.is_proven(key)).collect();
    assert_eq!(served, [true]);
}
