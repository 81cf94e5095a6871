//! Hostile and damaged input: nothing panics, and what a peer says costs it, not us.

mod common;

use common::{Memory, Shape};
use kcp_proto::wire::{Command, Header, Sn, WireMs};
use kcp_proto::{Config, ConvId, Event, Kcp, Mode, PacketError, Rings, Via};
use proptest::prelude::*;
use proto_base::{Instant, Pool};

const CONV: ConvId = ConvId(99);

fn push(sn: u32, fragment: u8, data: &[u8]) -> Vec<u8> {
    let header = Header {
        conv: CONV,
        command: Command::Push,
        fragment,
        window: 128,
        ts: WireMs::new(0),
        sn: Sn::new(sn),
        una: Sn::new(0),
        len: data.len() as u32,
    };
    [header.emit().as_slice(), data].concat()
}

/// Numbers near 0, near the middle, near what is under way, and anywhere.
fn any_number() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0u32..40,
        1 => (0u32..40).prop_map(|back| 0u32.wrapping_sub(back)),
        1 => (0u32..40).prop_map(|step| (1 << 31) - 20 + step),
        1 => any::<u32>(),
    ]
}

/// A well-formed segment that says anything.
fn any_segment() -> impl Strategy<Value = Vec<u8>> {
    (
        (81u8..=84, any::<u8>(), any_number()),
        (any_number(), any_number(), any_number()),
        prop_oneof![4 => 0usize..60, 1 => 0usize..1476, 1 => Just(70_000)],
    )
        .prop_map(|((code, fragment, window), (ts, sn, una), len)| {
            let header = Header {
                conv: CONV,
                command: Command::from_code(code).unwrap(),
                fragment,
                window: window as u16,
                ts: WireMs::new(ts),
                sn: Sn::new(sn),
                una: Sn::new(una),
                len: len as u32,
            };
            [header.emit().as_slice(), &vec![sn as u8; len]].concat()
        })
}

#[derive(Debug, Clone)]
enum Step {
    Bytes(Vec<u8>),
    /// The conversation's id and a command in front of any bytes.
    Disguised(u8, Vec<u8>),
    Segments(Vec<Vec<u8>>),
    Send(usize),
    Read(usize),
    Recv,
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        1 => bytes().prop_map(Step::Bytes),
        1 => (81u8..=84, bytes()).prop_map(|(code, bytes)| Step::Disguised(code, bytes)),
        8 => prop::collection::vec(any_segment(), 1..5).prop_map(Step::Segments),
        3 => (0usize..4000).prop_map(Step::Send),
        1 => (0usize..4000).prop_map(Step::Read),
        1 => Just(Step::Recv),
        3 => prop_oneof![0u64..50, 0u64..200_000].prop_map(Step::Wait),
    ]
}

/// Runs the steps; after each of them output ends and everything is within the windows.
fn endure(config: Config, steps: &[Step], kcp: &mut Kcp<'_>, pool: &mut Pool<'_>) {
    let mut now = Instant::ZERO;
    for step in steps {
        let before = kcp.stats().bad_packets;
        let mut is_bad = false;
        match step {
            Step::Bytes(bytes) => {
                is_bad = kcp.handle_packet(now, pool, bytes, Via::Direct).is_err();
            }
            Step::Disguised(code, bytes) => {
                let packet = [&CONV.0.to_le_bytes(), [*code].as_slice(), bytes].concat();
                is_bad = kcp.handle_packet(now, pool, &packet, Via::Direct).is_err();
            }
            Step::Segments(segments) => {
                kcp.handle_packet(now, pool, &segments.concat(), Via::Direct).unwrap();
            }
            Step::Send(len) => _ = kcp.send(pool, &vec![1; *len]),
            Step::Read(len) => kcp.consume(pool, *len),
            Step::Recv => _ = kcp.recv(pool, &mut [0; 3000]),
            Step::Wait(ms) => {
                now += core::time::Duration::from_millis(*ms);
                kcp.handle_timeout(now);
            }
        }
        assert_eq!(kcp.stats().bad_packets - before, u64::from(is_bad));
        kcp.handle_timeout(now);
        // Each segment in flight once, each ack once, two probes.
        let most = usize::from(config.send_window) + 512 + 2;
        let mut out = [0; 1500];
        let sent = (0..=most)
            .take_while(|_| kcp.poll_transmit(now, pool, &mut out).unwrap().is_some())
            .count();
        assert!(sent <= most, "output does not end");
        assert_eq!(kcp.poll_transmit(now, pool, &mut out), Ok(None));
        assert!(kcp.poll_timeout().is_none_or(|at| at > now), "the timer does not rest");
        while kcp.poll_event().is_some() {}
        assert!(kcp.pending_segments() <= u32::from(config.send_window));
        assert!(kcp.in_flight() <= kcp.pending_segments());
        assert!(kcp.readable_bytes() <= usize::from(config.receive_window) * usize::from(u16::MAX));
        assert_eq!(kcp.readable(pool).map(<[u8]>::len).sum::<usize>(), kcp.readable_bytes());
    }
    kcp.release(pool);
    assert_eq!(pool.used_pages(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_input_is_endured(
        steps in prop::collection::vec(any_step(), 1..80),
        windows in [1u16..50, 1u16..50],
        flags: [bool; 4],
        resend in 0u32..4,
        is_fixed: bool,
    ) {
        let config = Config {
            mode: if flags[0] { Mode::Stream } else { Mode::Message },
            nodelay: flags[1],
            congestion_control: flags[2],
            ack_no_delay: flags[3],
            resend,
            send_window: windows[0],
            receive_window: windows[1],
            ..Config::default()
        };
        let shape = if is_fixed {
            Shape::Fixed { sent: 16, chunks: 16, received: 16, acks: 8, pages: 6, page: 2048 }
        } else {
            Shape::Owned { pool: 1 << 18 }
        };
        let mut memory = Memory::new(shape);
        let (rings, mut pool) = memory.lend();
        let mut kcp = Kcp::new(CONV, 0, config, rings, Instant::ZERO).unwrap();
        endure(config, &steps, &mut kcp, &mut pool);
    }
}

fn receiver(window: u16, mode: Mode) -> (Kcp<'static>, Pool<'static>) {
    let config = Config { receive_window: window, mode, ..Config::default() };
    let kcp = Kcp::new(CONV, 0, config, Rings::owned(), Instant::ZERO).unwrap();
    (kcp, Pool::owned(1 << 28, 4096).unwrap())
}

/// Numbers outside the window take no memory, whatever they are; inside it, only what came.
#[test]
fn numbers_reserve_no_payload_memory() {
    let (mut kcp, mut pool) = receiver(u16::MAX, Mode::Stream);
    for sn in [65_535, 65_536, 1 << 30, (1 << 31) - 1, 1 << 31, u32::MAX] {
        kcp.handle_packet(Instant::ZERO, &mut pool, &push(sn, 0, &[1; 1000]), Via::Direct).unwrap();
        assert_eq!(pool.used_pages(), 0, "{sn}");
    }
    kcp.handle_packet(Instant::ZERO, &mut pool, &push(65_534, 0, &[1; 1000]), Via::Direct).unwrap();
    assert_eq!(pool.used_pages(), 1);
    assert_eq!(kcp.stats().repeated, 6);
}

/// A length beyond the datagram is refused as a whole, even behind good segments.
#[test]
fn a_bad_segment_spoils_its_datagram() {
    let (mut kcp, mut pool) = receiver(8, Mode::Stream);
    let mut packet = push(0, 0, b"good");
    let mut bad = push(1, 0, b"bad");
    bad[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    packet.extend(bad);
    let result = kcp.handle_packet(Instant::ZERO, &mut pool, &packet, Via::Direct);
    assert_eq!(result, Err(PacketError::BadLength { claimed: u32::MAX, have: 3 }));
    assert_eq!((kcp.readable_bytes(), kcp.poll_event()), (0, None));
}

/// A peer that never ends its message: the first fragment tells how long it is, so neither a packet
/// nor a question walks the window. (Without that bound this test takes minutes.)
#[test]
fn an_endless_message_ends() {
    let (mut kcp, mut pool) = receiver(u16::MAX, Mode::Message);
    for sn in 0..65_535 {
        kcp.handle_packet(Instant::ZERO, &mut pool, &push(sn, 9, b"ab"), Via::Direct).unwrap();
    }
    for _ in 0..200_000 {
        kcp.handle_packet(Instant::ZERO, &mut pool, &push(0, 9, b"ab"), Via::Direct).unwrap();
        assert_eq!(kcp.message_len(), Some(20));
    }
    assert_eq!(kcp.recv(&mut pool, &mut [0; 20]), Ok(20));
    assert_eq!(kcp.readable_bytes(), 2 * (65_535 - 10));
}

/// Segments without data are nothing in a stream: its reader never sees them, so they take no place
/// in the window.
#[test]
fn empty_segments_fill_no_stream() {
    let (mut kcp, mut pool) = receiver(8, Mode::Stream);
    for sn in 0..1_000 {
        // Some come behind bytes that nobody has read yet, some out of order.
        let sn = sn ^ 1;
        let data: &[u8] = if sn % 100 < 97 { b"" } else { b"data" };
        kcp.handle_packet(Instant::ZERO, &mut pool, &push(sn, 0, data), Via::Direct).unwrap();
        if sn % 100 == 98 {
            assert_eq!(kcp.readable_bytes(), 12);
            let mut out = [0; 12];
            while let Ok(len) = kcp.recv(&mut pool, &mut out) {
                assert_eq!(out[..len], b"datadatadata"[..len]);
            }
        }
    }
    assert_eq!((kcp.readable_bytes(), kcp.receive_window()), (0, 8));
    assert_eq!(pool.used_pages(), 0);
}

/// Messages without bytes are legal in C implementations: they are delivered, and told.
#[test]
fn an_empty_message_arrives() {
    let (mut kcp, mut pool) = receiver(8, Mode::Message);
    kcp.handle_packet(Instant::ZERO, &mut pool, &push(0, 0, b""), Via::Direct).unwrap();
    assert_eq!((kcp.poll_event(), kcp.message_len()), (Some(Event::Readable), Some(0)));
    assert_eq!(kcp.recv(&mut pool, &mut []), Ok(0));
    assert_eq!((pool.used_pages(), kcp.message_len()), (0, None));
}

/// Acks nobody waits for pile up to a bound only.
#[test]
fn acks_do_not_pile_up() {
    let (mut kcp, mut pool) = receiver(u16::MAX, Mode::Stream);
    let packets: Vec<Vec<u8>> = (0..10_000).map(|sn| push(sn + 1, 0, b"x")).collect();
    for packet in &packets {
        kcp.handle_packet(Instant::ZERO, &mut pool, packet, Via::Direct).unwrap();
    }
    let mut out = [0; 1500];
    let mut bytes = 0;
    while let Some(len) = kcp.poll_transmit(Instant::ZERO, &pool, &mut out).unwrap() {
        bytes += len;
    }
    assert_eq!(bytes, 512 * Header::LEN);
}

/// More written than was lent, or written to what is lent no more: nothing is queued that nobody
/// wrote.
#[test]
fn a_commit_is_of_the_slot_lent_last_and_no_more() {
    for mode in [Mode::Stream, Mode::Message] {
        let config = Config { datagram_len: 124, mode, ..Config::default() };
        let mut kcp = Kcp::new(CONV, 0, config, Rings::owned(), Instant::ZERO).unwrap();
        let mut pool = Pool::owned(1 << 16, 4096).unwrap();
        kcp.send_slot(&mut pool, 10, 10).unwrap().fill(1);
        kcp.commit(&mut pool, 4000);
        kcp.commit(&mut pool, 10);
        // What is sent meanwhile takes the place of what is lent.
        kcp.send_slot(&mut pool, 20, 20).unwrap().fill(2);
        kcp.send(&mut pool, &[3; 20]).unwrap();
        kcp.commit(&mut pool, 20);
        let (mut out, mut sent) = ([0; 1500], Vec::new());
        while let Some(len) = kcp.poll_transmit(Instant::ZERO, &pool, &mut out).unwrap() {
            let segments = kcp_proto::wire::Segments::parse(CONV, &out[..len]).unwrap();
            segments.for_each(|(_, data)| sent.extend_from_slice(data));
        }
        assert_eq!(sent, [[1; 10].as_slice(), &[3; 20]].concat(), "{mode:?}");
    }
}
