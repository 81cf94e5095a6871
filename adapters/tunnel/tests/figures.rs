//! Figures of connections: they follow what happens, and leave nothing behind.
#![cfg(feature = "snappy")]

use std::net::SocketAddr;
use std::time::Duration;

use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{Config, Endpoint, Event, Side, TransmitBatch};
use proto_base::Instant;

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn endpoint(side: Side) -> Endpoint {
    let cipher = PacketCipher::new(CipherKind::None, b"key").unwrap();
    Endpoint::new(Config::default(), cipher, side, [7; 32]).unwrap()
}

/// Carries all that waits from one end to the other.
fn carry(now: Instant, from: &mut Endpoint, port: u16, to: &mut Endpoint) {
    let mut batch = TransmitBatch::new();
    while from.poll_transmit(now, &mut batch).is_some() {
        let stride = batch.stride();
        to.handle_batch(now, address(port), &mut batch.bytes().to_vec(), stride);
    }
}

#[test]
fn streams_are_listed_while_they_live() {
    let (mut client, mut server) = (endpoint(Side::Client), endpoint(Side::Server));
    let start = Instant::from_millis(5_000);
    let key = client.connect(start, address(2)).unwrap();
    let later = start + Duration::from_millis(2_500);
    let [first, second] = [(); 2].map(|()| client.open(later, key).unwrap());
    client
        .write_with(later, key, first, 5, |slot| {
            slot[..5].copy_from_slice(b"hello");
            (5, ())
        })
        .unwrap();
    carry(later, &mut client, 1, &mut server);

    let figures = client.connection_figures(key).unwrap();
    assert_eq!((figures.started, figures.in_flight > 0), (start, true));
    assert!(figures.flight_limit <= figures.send_window.min(figures.remote_window));
    let streams: Vec<_> = client.streams(key).collect();
    assert_eq!(streams.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [first, second]);
    assert!(streams.iter().all(|(_, stats)| stats.opened_at == later), "not when it connected");
    assert_eq!((streams[0].1.bytes_out, streams[1].1.bytes_out), (5, 0));

    let (there, event) = server.poll_event().unwrap();
    assert_eq!(event, Event::Incoming);
    let waiting: Vec<_> = server.streams(there).map(|(_, stats)| stats).collect();
    assert_eq!((waiting.len(), waiting[0].bytes_in, waiting[0].unread), (2, 5, 5));
    assert_eq!(server.total_stats().mux.streams, 2);

    server.close(there);
    assert!(server.connection_figures(there).is_none(), "it is over");
    while server.poll_event().is_some() {}
    assert_eq!(server.streams(there).count(), 0);
    let past = server.total_stats();
    assert_eq!((past.mux.streams, past.mux.unread), (0, 0), "open streams ended with it");
    assert_eq!((past.mux.incoming, past.mux.bytes_in), (2, 5), "what was counted stays");
    assert_eq!((server.stats().closed.local, server.stats().closed.timeout), (1, 0));
}
