//! What is repeated when, segment by segment, where a simulated path would blur it.

use alloc::vec::Vec;
use core::time::Duration;
use proto_base::{Instant, Pool};

use crate::kcp::wire_ms;
use crate::tx_segment::Cause;
use crate::wire::{Command, Header, Segments, Sn};
use crate::{Config, ConvId, Kcp, Mode, Rings, Via};

const CONV: ConvId = ConvId(8);

/// A sender, and acks for it by hand.
struct Bench {
    kcp: Kcp<'static>,
    pool: Pool<'static>,
    now: Instant,
}

impl Bench {
    fn new(resend: u32) -> Self {
        let config = Config {
            mode: Mode::Message,
            nodelay: true,
            interval: Duration::from_millis(10),
            resend,
            ..Config::default()
        };
        let kcp = Kcp::new(CONV, 0, config, Rings::owned(), Instant::ZERO).unwrap();
        let pool = Pool::owned(1 << 20, 4096).unwrap();
        Self { kcp, pool, now: Instant::ZERO }
    }

    fn at(&mut self, ms: u64) {
        self.now = Instant::from_millis(ms);
        self.kcp.handle_timeout(self.now);
    }

    fn send(&mut self, messages: usize) {
        (0..messages).for_each(|_| _ = self.kcp.send(&mut self.pool, &[7; 100]).unwrap());
    }

    /// The numbers of the segments with data in each datagram that leaves now.
    fn leaving(&mut self) -> Vec<Vec<u32>> {
        let (mut out, mut datagrams) = ([0; 1500], Vec::new());
        while let Some(len) = self.kcp.poll_transmit(self.now, &self.pool, &mut out).unwrap() {
            let segments = Segments::parse(CONV, &out[..len]).unwrap();
            datagrams.push(segments.map(|(header, _)| header.sn.get()).collect());
        }
        datagrams
    }

    /// Acks of segments that left at `sent`, in ms, all in one datagram.
    fn ack(&mut self, numbers: &[u32], sent: u64, una: u32) {
        let ack = |&sn: &u32| Header {
            conv: CONV,
            command: Command::Ack,
            fragment: 0,
            window: 128,
            ts: wire_ms(Instant::from_millis(sent), 0),
            sn: Sn::new(sn),
            una: Sn::new(una),
            len: 0,
        };
        let packet: Vec<u8> = numbers.iter().flat_map(|sn| ack(sn).emit()).collect();
        self.kcp.handle_packet(self.now, &mut self.pool, &packet, Via::Direct).unwrap();
    }
}

/// On a path that was seen to change the order, too, the last segments do not wait for a timeout.
#[test]
fn the_last_of_a_request_is_repeated_early_after_disorder() {
    for (count, acked, una) in [(2, &[2_u32][..], 1), (3, &[1, 3], 2)] {
        let mut bench = Bench::new(2);
        bench.send(1);
        assert_eq!(bench.leaving(), [[0]]);
        bench.at(100);
        bench.ack(&[0], 0, 1);
        bench.kcp.sender.evidence.on_disorder(Cause::Fast, &bench.kcp.rtt);
        bench.at(200);
        bench.send(count);
        assert_eq!(bench.leaving().concat().len(), count);
        bench.at(300);
        bench.ack(acked, 200, una);
        let mut repeated = bench.leaving().concat();
        // A 16th of the round trip longer than the ack of the later one took.
        while repeated.is_empty() {
            let next = bench.kcp.poll_timeout().unwrap();
            assert!(bench.now < next && next <= Instant::from_millis(307), "{next:?}");
            bench.now = next;
            bench.kcp.handle_timeout(next);
            repeated = bench.leaving().concat();
        }
        assert_eq!(repeated, [una]);
        let stats = bench.kcp.stats();
        assert_eq!((stats.early_retransmits, stats.timeout_retransmits), (1, 0));
    }
}

/// What goes twice goes in two datagrams, small as it may be.
#[test]
fn two_copies_never_share_a_datagram() {
    let mut bench = Bench::new(1);
    bench.send(2);
    assert_eq!(bench.leaving().concat(), [0, 1]);
    let mut left = Vec::new();
    // Each later segment that arrives shows that 0 and 1 were lost again.
    for (round, later) in (2..5).enumerate() {
        let sent = 20 * round as u64;
        bench.at(sent);
        bench.send(1);
        left.extend(bench.leaving());
        bench.at(sent + 10);
        bench.ack(&[later], sent, 0);
        left.extend(bench.leaving());
    }
    let copies = |sn: u32| left.iter().flatten().filter(|&&it| it == sn).count();
    assert_eq!((copies(0), copies(1)), (1 + 2 + 2, 1 + 2 + 2), "{left:?}");
    for datagram in &left {
        let mut numbers = datagram.clone();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), datagram.len(), "{left:?}");
    }
}
