//! Memory that is lent to writers: it stays theirs until they commit, and comes in useful pieces.

use std::time::Duration;

use kcp_proto::wire::{Command, Header, Segments, Sn, WireMs};
use kcp_proto::{Config, ConvId, Kcp, Mode, Rings, Via};
use proptest::prelude::*;
use proto_base::{Instant, Pool};

const CONV: ConvId = ConvId(99);

fn stream(send_window: u16) -> (Kcp<'static>, Pool<'static>) {
    let config = Config { mode: Mode::Stream, send_window, ..Config::default() };
    let kcp = Kcp::new(CONV, 0, config, Rings::owned(), Instant::ZERO).unwrap();
    (kcp, Pool::owned(1 << 20, 4096).unwrap())
}

/// A push of 1,000 bytes that acknowledges all before `una`.
fn push(sn: u32, una: u32) -> Vec<u8> {
    let header = Header {
        conv: CONV,
        command: Command::Push,
        fragment: 0,
        window: 128,
        ts: WireMs::new(0),
        sn: Sn::new(sn),
        una: Sn::new(una),
        len: 1_000,
    };
    [header.emit().as_slice(), &[9; 1_000]].concat()
}

/// All data that `kcp` sends now; `una` becomes the number behind it.
fn sent(kcp: &mut Kcp<'_>, pool: &Pool<'_>, now: Instant, una: &mut u32) -> Vec<u8> {
    let (mut out, mut data) = ([0; 1_500], Vec::new());
    kcp.handle_timeout(now);
    while let Some(len) = kcp.poll_transmit(now, pool, &mut out).unwrap() {
        for (header, body) in Segments::parse(CONV, &out[..len]).unwrap() {
            if header.command == Command::Push {
                *una = header.sn.get() + 1;
            }
            data.extend_from_slice(body);
        }
    }
    data
}

/// Whatever comes between lending and committing: acks for all there is, and data that wants memory.
#[test]
fn a_slot_stays_with_its_writer_until_it_commits() {
    for queued in [0, 1, 500, 3_000] {
        let (mut kcp, mut pool) = stream(64);
        let (mut now, mut una) = (Instant::from_millis(5), 0);
        kcp.send(&mut pool, &vec![1; queued]).unwrap_or_default();
        // What is queued leaves before, or while the slot is lent.
        for leaves_before in [true, false] {
            let mut data = Vec::new();
            if leaves_before {
                data.extend(sent(&mut kcp, &pool, now, &mut una));
            }
            kcp.send_slot(&mut pool, 100, 100).unwrap().fill(7);
            now += Duration::from_millis(100);
            data.extend(sent(&mut kcp, &pool, now, &mut una));
            for sn in 0..20 {
                kcp.handle_packet(now, &mut pool, &push(sn, una), Via::Direct).unwrap();
            }
            kcp.commit(&mut pool, 100);
            now += Duration::from_secs(1);
            data.extend(sent(&mut kcp, &pool, now, &mut una));
            assert!(data.ends_with(&[7; 100]), "{queued} {leaves_before} {:?}", data.len());
        }
    }
}

/// A writer who says that it wrote nothing holds nothing back.
#[test]
fn a_slot_may_be_given_back() {
    let (mut kcp, mut pool) = stream(64);
    let (now, mut una) = (Instant::from_millis(5), 0);
    kcp.send(&mut pool, b"last").unwrap();
    kcp.send_slot(&mut pool, 1, 100).unwrap();
    assert_eq!(
        sent(&mut kcp, &pool, now, &mut una),
        b"",
        "the slot may have a place in its segment"
    );
    kcp.commit(&mut pool, 0);
    assert_eq!(sent(&mut kcp, &pool, now, &mut una), b"last");
}

proptest! {
    /// While there is window and memory, a slot ends no sooner than the segment that it begins in:
    /// each slot costs a system call.
    #[test]
    fn no_slot_is_a_runt(
        writes in prop::collection::vec((1_usize..6_000, 0_usize..6_000), 1..60),
    ) {
        let (mut kcp, mut pool) = stream(512);
        let most = Config::default().datagram_len - Header::LEN;
        let mut written = 0;
        for (wanted, taken) in writes {
            let open = most - written % most;
            let slot = kcp.send_slot(&mut pool, 1, wanted).unwrap();
            prop_assert!(slot.len() >= wanted.min(open), "{} of {wanted}, {open}", slot.len());
            let taken = taken.min(slot.len());
            kcp.commit(&mut pool, taken);
            written += taken;
        }
    }
}
