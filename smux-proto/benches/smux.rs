//! What a frame costs, in and out.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use proto_base::{Instant, Pool};
use smux_proto::{Config, Mux, MuxStorage, Role, Step, StreamId, Version};

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];
/// Body lengths: a keystroke, a copy buffer of kcptun built with old Go, the largest frame.
const LENGTHS: [usize; 3] = [64, 4_096, 32_768];
const STREAMS: usize = 100;
const FRAMES: usize = 200;

fn main() {
    divan::main();
}

fn mux(role: Role, version: Version) -> Mux<'static> {
    let config = Config { version, ..Config::default() };
    Mux::new(role, config, MuxStorage::owned(), 1, Instant::ZERO).unwrap()
}

fn pool() -> Pool<'static> {
    Pool::owned(16 << 20, 4_096).unwrap()
}

/// Two sessions with a hundred streams between them.
fn connected(version: Version) -> (Mux<'static>, Mux<'static>, Vec<StreamId>) {
    let (mut client, mut server) = (mux(Role::Client, version), mux(Role::Server, version));
    let ids = (0..STREAMS).map(|_| client.open().unwrap()).collect();
    while let Some(frame) = client.poll_control(Instant::ZERO) {
        server.handle_bytes(Instant::ZERO, &mut pool(), frame.as_bytes()).unwrap();
    }
    while server.accept().is_some() {}
    (client, server, ids)
}

/// Frames of `len` bytes for the streams in turn.
fn frames(len: usize, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..FRAMES {
        let header = smux_proto::wire::Header {
            version,
            command: smux_proto::wire::Command::Psh,
            length: len as u16,
            stream: 3 + 2 * (number % STREAMS) as u32,
        };
        bytes.extend(header.emit());
        bytes.resize(bytes.len() + len, 7);
    }
    bytes
}

/// Parse, and hand each body on without a copy.
#[divan::bench(args = LENGTHS, consts = [1, 2])]
fn deliver<const VERSION: usize>(bencher: Bencher<'_, '_>, len: usize) {
    let version = VERSIONS[VERSION - 1];
    let (_, mut server, _) = connected(version);
    let input = frames(len, version);
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        let mut rest = &input[..];
        while let Ok(Step::Body { taken, stream, len, .. }) = server.next_step(Instant::ZERO, rest)
        {
            server.deliver(stream, len);
            rest = &rest[taken + len..];
        }
        assert!(rest.is_empty());
        while server.poll_control(Instant::ZERO).is_some() {}
    });
}

/// Parse, store each body, and read it back.
#[divan::bench(args = [64, 4_096], consts = [1, 2])]
fn store_and_read<const VERSION: usize>(bencher: Bencher<'_, '_>, len: usize) {
    let version = VERSIONS[VERSION - 1];
    let (_, mut server, _) = connected(version);
    let mut pool = pool();
    let input = frames(len, version);
    bencher.counter(BytesCount::new(input.len())).counter(ItemsCount::new(FRAMES)).bench_local(
        || {
            let taken = server.handle_bytes(Instant::ZERO, &mut pool, &input).unwrap();
            assert_eq!(taken, input.len());
            while let Some(event) = server.poll_event() {
                if let smux_proto::Event::Readable(id) = event {
                    while server.unread(id) > 0 {
                        let len = server.peek(id, &pool).len();
                        server.consume(id, &mut pool, len);
                    }
                }
            }
            while server.poll_control(Instant::ZERO).is_some() {}
        },
    );
}

/// Whose turn it is, and the header of its frame.
#[divan::bench]
fn begin_frames(bencher: Bencher<'_, '_>) {
    let (mut client, _, ids) = connected(Version::V1);
    for id in ids {
        client.want_send(id, true);
    }
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for _ in 0..FRAMES {
            let id = client.next_sender().unwrap();
            divan::black_box(client.begin_frame(id, 4_096)).unwrap();
        }
    });
}
