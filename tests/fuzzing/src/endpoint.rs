//! The whole tunnel.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use fec_proto::Shape;
use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{Config, ConnectionKey, Endpoint, Event, Side, StreamId, TransmitBatch};
use proto_base::Instant;
use smux_proto::wire::Version;

use crate::input::Input;

/// Most connections of the server.
const CONNECTIONS: usize = 5;
/// Payload memory of each end, in bytes.
const MEMORY: usize = 4 << 20;

/// A client and a server with cipher `null`, which has no checksum: so what is changed on its way
/// reaches the machines. Between valid datagrams of both stand changed, copied, lost, made-up and
/// late ones, also from other addresses.
///
/// # Panics
/// When connections or memory grow beyond their bounds, output has no end, or a deadline lies in
/// the past.
pub fn endpoint_datagrams(data: &[u8]) {
    let mut input = Input::new(data);
    let config = config(&mut input);
    let mut ends = [End::new(Side::Client, &config), End::new(Side::Server, &config)];
    let mut air: [VecDeque<Vec<u8>>; 2] = Default::default();
    let mut now = Instant::ZERO;
    while let Some(operation) = input.operation() {
        let way = usize::from(operation & 1);
        let number = usize::from(operation / 16);
        match operation / 2 % 8 {
            0 => ends[0].open(now),
            1 => ends[way].write(now, number, input.bytes(usize::from(operation))),
            2 => ends[way].finish(now, number),
            3 => now += Duration::from_millis(1 << number),
            4 => {
                // Made up: what begins a connection, or anything.
                let mut datagram = input.bytes(usize::from(operation)).to_vec();
                let from = ends[1 - way].address(if operation & 64 == 0 { 0 } else { number });
                ends[way].receive(now, from, &mut datagram);
            }
            5 => {
                let datagram = air[way].get_mut(number);
                if let Some(byte) = datagram.and_then(|it| {
                    let at = usize::from(input.u16()) % it.len().max(1);
                    it.get_mut(at)
                }) {
                    *byte ^= input.byte();
                }
            }
            6 => {
                if let Some(mut datagram) = air[way].get(number).cloned() {
                    datagram.truncate(usize::from(input.u16()));
                    let from = ends[way].address(input.below(8));
                    ends[1 - way].receive(now, from, &mut datagram);
                }
            }
            _ => {
                for _ in 0..=number {
                    let from = ends[way].address(0);
                    if let Some(mut datagram) = air[way].pop_front() {
                        ends[1 - way].receive(now, from, &mut datagram);
                    }
                }
            }
        }
        for way in 0..2 {
            ends[way].run(now, &mut air[way]);
        }
    }
    ends.into_iter().for_each(End::close);
}

/// One end with an application that reads all, and the server's sends back what it reads.
struct End {
    endpoint: Endpoint,
    side: Side,
    streams: Vec<(ConnectionKey, StreamId)>,
    batch: TransmitBatch,
}

impl End {
    fn new(side: Side, config: &Config) -> Self {
        let endpoint = Endpoint::new(config.clone(), cipher(), side, [side as u8; 32]);
        let endpoint = endpoint.expect("a legal configuration");
        Self { endpoint, side, streams: Vec::new(), batch: TransmitBatch::new() }
    }

    /// Where this end's datagrams come from; the first is the true one.
    fn address(&self, number: usize) -> SocketAddr {
        let port = if self.side == Side::Client { 1000 } else { 2000 };
        SocketAddr::from(([127, 0, 0, 1], port + number as u16))
    }

    fn open(&mut self, now: Instant) {
        let key = self.endpoint.connections().next();
        let server = SocketAddr::from(([127, 0, 0, 1], 2000));
        let key = key.or_else(|| self.endpoint.connect(now, server).ok());
        let Some(key) = key else { return };
        if let Ok(id) = self.endpoint.open(now, key) {
            self.streams.push((key, id));
        }
    }

    fn write(&mut self, now: Instant, number: usize, bytes: &[u8]) {
        let Some(&(key, id)) = self.streams.get(number % self.streams.len().max(1)) else { return };
        let _ = self.endpoint.write_with(now, key, id, bytes.len(), |slot| {
            let len = slot.len().min(bytes.len());
            slot[..len].copy_from_slice(&bytes[..len]);
            (len, ())
        });
    }

    fn finish(&mut self, now: Instant, number: usize) {
        let Some(&(key, id)) = self.streams.get(number % self.streams.len().max(1)) else { return };
        if number % 4 == 3 {
            self.endpoint.abort(now, key, id);
        } else {
            self.endpoint.finish(now, key, id);
        }
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let stride = datagram.len().max(1);
        self.endpoint.handle_batch(now, from, datagram, stride);
    }

    /// Lets application, clock and transmitter run until nothing is to be done now.
    fn run(&mut self, now: Instant, air: &mut VecDeque<Vec<u8>>) {
        self.endpoint.handle_timeout(now);
        self.news(now);
        let mut batches = 0;
        while self.endpoint.poll_transmit(now, &mut self.batch).is_some() {
            for datagram in self.batch.iter() {
                // What nobody takes out of the air falls out of it.
                if air.len() == 64 {
                    air.pop_front();
                }
                air.push_back(datagram.to_vec());
            }
            batches += 1;
            assert!(batches < 10_000, "output without end");
        }
        self.news(now);
        assert!(self.endpoint.connections().count() <= CONNECTIONS);
        assert!(self.endpoint.memory_in_use() <= MEMORY);
    }

    fn news(&mut self, now: Instant) {
        let mut events = 0;
        while let Some((key, event)) = self.endpoint.poll_event() {
            events += 1;
            assert!(events < 100_000, "events without end");
            match event {
                Event::Incoming => {
                    while let Some(id) = self.endpoint.accept(key) {
                        self.streams.push((key, id));
                    }
                }
                Event::Readable(id) => self.read(now, key, id),
                Event::Finished(id) if self.side == Side::Server => {
                    self.endpoint.finish(now, key, id);
                }
                Event::Failed(id) => self.endpoint.abort(now, key, id),
                Event::Ended(id) => self.streams.retain(|it| *it != (key, id)),
                Event::Closed { .. } => self.streams.retain(|it| it.0 != key),
                _ => {}
            }
        }
    }

    fn read(&mut self, now: Instant, key: ConnectionKey, id: StreamId) {
        let all = |bytes: &[u8]| (bytes.len(), bytes.to_vec());
        while let Ok(bytes) = self.endpoint.read_with(now, key, id, all) {
            assert!(!bytes.is_empty(), "nothing is no news");
            if self.side == Side::Server {
                let _ = self.endpoint.write_with(now, key, id, bytes.len(), |slot| {
                    let len = slot.len().min(bytes.len());
                    slot[..len].copy_from_slice(&bytes[..len]);
                    (len, ())
                });
            }
        }
    }

    fn close(mut self) {
        let keys: Vec<ConnectionKey> = self.endpoint.connections().collect();
        for key in keys {
            self.endpoint.close(key);
        }
        while self.endpoint.poll_event().is_some() {}
        assert_eq!(self.endpoint.connections().count(), 0);
        assert_eq!(self.endpoint.memory_in_use(), 0, "memory of closed connections");
    }
}

/// The cipher `null`. Deriving its key, which it does not use, takes longer than most inputs.
fn cipher() -> PacketCipher {
    static CIPHER: LazyLock<PacketCipher> =
        LazyLock::new(|| PacketCipher::new(CipherKind::Null, b"").expect("always compiled in"));
    CIPHER.clone()
}

fn config(input: &mut Input<'_>) -> Config {
    let flags = input.byte();
    let mut config = Config { memory: MEMORY, max_connections: CONNECTIONS, ..Config::default() };
    config.compression = flags & 1 != 0;
    config.mtu = [200, 600, 1350, 1500][usize::from(flags >> 1 & 3)];
    let (data, parity) = [(0, 0), (2, 1), (3, 2), (10, 3)][usize::from(flags >> 3 & 3)];
    config.fec = Shape::new(data, parity).expect("a small shape");
    config.smux.version = if flags & 32 == 0 { Version::V1 } else { Version::V2 };
    config.kcp.ack_no_delay = flags & 64 != 0;
    config.kcp.send_window = 1 + u16::from(input.byte());
    config.kcp.receive_window = 1 + u16::from(input.byte());
    config
}
