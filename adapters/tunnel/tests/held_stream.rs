//! A stream that smux 2 holds back for want of room comes as soon as there is room.

use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{Config, ConnectionKey, Endpoint, Event, Side, StreamError, TransmitBatch};
use proto_base::Instant;

/// Moves datagrams between the two until neither has more, and time along with them.
fn exchange(client: &mut Endpoint, server: &mut Endpoint, now: &mut Instant) {
    let (client_at, server_at) = ("[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap());
    let mut batch = TransmitBatch::new();
    for _ in 0..200 {
        *now += core::time::Duration::from_millis(10);
        client.handle_timeout(*now);
        while client.poll_transmit(*now, &mut batch).is_some() {
            let stride = batch.stride();
            server.handle_batch(*now, client_at, &mut batch.bytes().to_vec(), stride);
        }
        server.handle_timeout(*now);
        while server.poll_transmit(*now, &mut batch).is_some() {
            let stride = batch.stride();
            client.handle_batch(*now, server_at, &mut batch.bytes().to_vec(), stride);
        }
    }
}

fn events(endpoint: &mut Endpoint) -> Vec<(ConnectionKey, Event)> {
    core::iter::from_fn(|| endpoint.poll_event()).collect()
}

#[test]
fn a_held_stream_is_admitted_when_another_is_read() {
    for compression in [false, cfg!(feature = "snappy")] {
        let mut config = Config { compression, ..Config::default() };
        config.smux.version = smux_proto::wire::Version::V2;
        config.smux.session_buffer = 300_000;
        config.smux.stream_buffer = 200_000;
        let cipher = PacketCipher::new(CipherKind::None, b"key").unwrap();
        let new = |side, seed| Endpoint::new(config.clone(), cipher.clone(), side, [seed; 32]);
        let (mut client, mut server) =
            (new(Side::Client, 1).unwrap(), new(Side::Server, 2).unwrap());
        let mut now = Instant::ZERO;
        let key = client.connect(now, "[::1]:2".parse().unwrap()).unwrap();

        let first = client.open(now, key).unwrap();
        let mut left = 200_000;
        while left > 0 {
            match client.write_with(now, key, first, left, |slot| (slot.len(), slot.len())) {
                Ok(written) => left -= written,
                Err(StreamError::Blocked) => exchange(&mut client, &mut server, &mut now),
                Err(error) => panic!("{error}"),
            }
        }
        exchange(&mut client, &mut server, &mut now);
        let at_server = events(&mut server)[0].0;
        let stream = server.accept(at_server).expect("the first stream has come");
        client.open(now, key).unwrap();
        exchange(&mut client, &mut server, &mut now);
        assert!(server.accept(at_server).is_none(), "there is no room for what it may send");

        events(&mut server);
        assert!(!server.has_news());
        while server.read_with(now, at_server, stream, |bytes| (bytes.len(), ())).is_ok() {}
        assert!(server.has_news());
        assert!(events(&mut server).contains(&(at_server, Event::Incoming)));
        assert!(server.accept(at_server).is_some(), "without another datagram");
    }
}
