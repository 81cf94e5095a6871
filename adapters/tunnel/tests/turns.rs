//! Streams that have nothing to write keep no room from one that has.

use core::time::Duration;

use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{Config, Endpoint, Event, Side, StreamError, StreamId, TransmitBatch};
use proto_base::Instant;

/// Streams on which the peer may speak at any time, and this end hardly ever does.
const IDLE: usize = 100;

/// A tunnel whose client uploads on one stream; the others of its streams are polled as a relay
/// polls them: each looks whether its TCP connection has something, whenever it is woken.
struct World {
    client: Endpoint,
    server: Endpoint,
    now: Instant,
    batch: TransmitBatch,
    busy: StreamId,
    idle: Vec<StreamId>,
    taken: usize,
}

impl World {
    fn new(compression: bool) -> Self {
        let cipher = PacketCipher::new(CipherKind::None, b"key").unwrap();
        let mut config = Config { compression, fec: None, ..Config::default() };
        // Room for eight frames.
        config.kcp.send_window = 100;
        let new = |side, seed| Endpoint::new(config.clone(), cipher.clone(), side, [seed; 32]);
        let (mut client, server) = (new(Side::Client, 1).unwrap(), new(Side::Server, 2).unwrap());
        let now = Instant::from_millis(7);
        let key = client.connect(now, "[::1]:2".parse().unwrap()).unwrap();
        let busy = client.open(now, key).unwrap();
        let idle = (0..IDLE).map(|_| client.open(now, key).unwrap()).collect();
        Self { client, server, now, batch: TransmitBatch::new(), busy, idle, taken: 0 }
    }

    fn write(&mut self, id: StreamId, has_data: bool) -> Result<usize, StreamError> {
        let key = self.client.connections().next().unwrap();
        let now = self.now;
        let written = self.client.write_with(now, key, id, 16_384, |slot| {
            let count = if has_data { slot.len() } else { 0 };
            (count, count)
        });
        self.taken += written.unwrap_or(0);
        written
    }

    /// A stream writes until it has to wait.
    fn fill(&mut self, id: StreamId) {
        while self.write(id, true).is_ok() {}
    }

    /// Nothing can be sent any more, and all streams are polled then; the busy one last.
    fn crowd(&mut self) {
        let idle = self.idle.clone();
        self.fill(idle[0]);
        for id in idle {
            assert_eq!(self.write(id, false), Err(StreamError::Blocked));
        }
        assert_eq!(self.write(self.busy, true), Err(StreamError::Blocked));
    }

    /// Datagrams cross, both ways, and the server reads.
    fn exchange(&mut self) {
        let (client_at, server_at) = ("[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap());
        let Self { client, server, now, batch, .. } = self;
        *now += Duration::from_millis(10);
        client.handle_timeout(*now);
        while client.poll_transmit(*now, batch).is_some() {
            let stride = batch.stride();
            server.handle_batch(*now, client_at, &mut batch.bytes().to_vec(), stride);
        }
        server.handle_timeout(*now);
        while let Some((key, event)) = server.poll_event() {
            match event {
                Event::Incoming => while server.accept(key).is_some() {},
                Event::Readable(id) => {
                    while server.read_with(*now, key, id, |it| (it.len(), ())).is_ok() {}
                }
                _ => {}
            }
        }
        while server.poll_transmit(*now, batch).is_some() {
            let stride = batch.stride();
            client.handle_batch(*now, server_at, &mut batch.bytes().to_vec(), stride);
        }
    }
}

/// In each round all idle streams were polled while nothing could be sent, and so they all stand in
/// front of the busy one when room comes. It must have all of it before the next datagram.
#[test]
fn one_busy_stream_among_a_hundred_idle_ones_gets_all_the_room() {
    for compression in [false, cfg!(feature = "snappy")] {
        let mut world = World::new(compression);
        (0..5).for_each(|_| world.exchange());
        for round in 0..50 {
            world.crowd();
            world.exchange();
            let (mut told, mut is_full, before) = (0, false, world.taken);
            while let Some((_, event)) = world.client.poll_event() {
                let Event::Writable(id) = event else { continue };
                told += 1;
                if id == world.busy {
                    world.fill(id);
                    is_full = true;
                } else {
                    // A rest may be left that is too small for any frame.
                    let written = world.write(id, false);
                    let is_rest = is_full && written == Err(StreamError::Blocked);
                    assert!(is_rest || written == Ok(0), "round {round}: {written:?}");
                }
            }
            let after = world.write(world.idle[0], false);
            assert_eq!(after, Err(StreamError::Blocked), "round {round}: room is left");
            assert!(world.taken > before, "round {round}: {told} were told");
            assert!(told <= 2 * (IDLE + 1), "round {round}: {told}");
        }
    }
}

/// Whoever is told and goes away leaves his turn to the next one, too.
#[test]
fn streams_that_end_instead_of_writing_pass_their_turn_on() {
    let mut world = World::new(false);
    (0..5).for_each(|_| world.exchange());
    world.crowd();
    world.exchange();
    let before = world.taken;
    while let Some((key, event)) = world.client.poll_event() {
        match event {
            Event::Writable(id) if id == world.busy => world.fill(id),
            Event::Writable(id) if id.wire() % 4 == 3 => world.client.finish(world.now, key, id),
            Event::Writable(id) => world.client.abort(world.now, key, id),
            _ => {}
        }
    }
    assert!(world.taken > before);
}
