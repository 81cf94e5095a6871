//! A peer that answers proves its address, also when data stands in front of its acks.

use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::{Config, Endpoint, Side, TransmitBatch};
use proto_base::Instant;

/// Small questions and answers for far longer than a server may talk to an unproven address: each
/// answer comes at once, none waits for a timeout.
#[test]
fn questions_and_answers_never_meet_the_gate() {
    let cipher = PacketCipher::new(CipherKind::None, b"key").unwrap();
    let new = |side, seed| {
        let config = Config { compression: false, ..Config::default() };
        Endpoint::new(config, cipher.clone(), side, [seed; 32])
    };
    let (mut client, mut server) = (new(Side::Client, 1).unwrap(), new(Side::Server, 2).unwrap());
    let (client_at, server_at) = ("[::1]:1".parse().unwrap(), "[::1]:2".parse().unwrap());
    let mut now = Instant::from_millis(77);
    let key = client.connect(now, server_at).unwrap();
    let stream = client.open(now, key).unwrap();
    let mut accepted = None;
    let mut batch = TransmitBatch::new();
    for round in 0..1_000 {
        now += core::time::Duration::from_micros(300);
        client.write_with(now, key, stream, 64, |slot| (slot.len(), ())).unwrap();
        while client.poll_transmit(now, &mut batch).is_some() {
            let stride = batch.stride();
            server.handle_batch(now, client_at, &mut batch.bytes().to_vec(), stride);
        }
        let (at_server, asked) = *accepted.get_or_insert_with(|| {
            let key = server.poll_event().expect("the connection has come").0;
            (key, server.accept(key).expect("and its stream"))
        });
        server.read_with(now, at_server, asked, |bytes| (bytes.len(), ())).unwrap();
        server.write_with(now, at_server, asked, 1_000, |slot| (slot.len(), ())).unwrap();
        while server.poll_transmit(now, &mut batch).is_some() {
            let stride = batch.stride();
            client.handle_batch(now, server_at, &mut batch.bytes().to_vec(), stride);
        }
        let answer = client.read_with(now, key, stream, |bytes| (bytes.len(), bytes.len()));
        assert_eq!(answer, Ok(1_000), "round {round}");
    }
}
