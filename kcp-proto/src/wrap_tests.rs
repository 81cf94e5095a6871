//! Numbers and clocks that wrap while two ends talk. On the wire numbers start at 0, so a wrap takes
//! terabytes; here both ends start just before it.

use core::time::Duration;
use proto_base::Instant;

use crate::kcp::wire_ms;
use crate::wire::Sn;
use crate::{Config, ConvId, Event, Kcp};

#[path = "../tests/common/mod.rs"]
mod common;

use common::{End, Path, Shape, Sim, leak};

const SHAPES: [Shape; 2] = [
    Shape::Owned { pool: 1 << 24 },
    Shape::Fixed { sent: 100, chunks: 50, received: 100, acks: 16, pages: 32, page: 4096 },
];

fn sim(shape: Shape, before: u32, clock_before: u32, path: Path, seed: u64) -> Sim<'static> {
    let ends = [0, 1].map(|way| {
        let (rings, pool) = leak(shape);
        let config = Config { nodelay: way == 0, ..Config::default() };
        let clock = u32::MAX - clock_before;
        let mut kcp = Kcp::new(ConvId(3), clock, config, rings, Instant::ZERO).unwrap();
        kcp.start_at(Sn::new(0u32.wrapping_sub(before)));
        End::new(way, kcp, pool)
    });
    Sim::new(ends, [path; 2], seed)
}

/// Data crosses the wraps of numbers, transmission orders, chunks and clocks, with loss, disorder
/// and duplicates; and nothing of that looks like a peer that started over.
#[test]
fn data_crosses_every_wrap() {
    for seed in 0..120 {
        let path = Path {
            loss: [0, 50, 200][seed as usize % 3],
            duplicates: 100,
            jitter: Duration::from_millis([0, 3, 60][seed as usize / 3 % 3]),
            ..Path::clean(15)
        };
        let before = 5 + 7 * (seed as u32 % 20);
        let clock_before = 40 * (seed as u32 % 30);
        let mut sim = sim(SHAPES[seed as usize % 2], before, clock_before, path, seed);
        sim.ends.iter_mut().for_each(|end| end.to_write = 400_000);
        sim.finish_within(Duration::from_secs(60));
        sim.run_for(Duration::from_millis(u64::from(clock_before)));
        sim.ends.iter_mut().for_each(|end| end.to_write = 300_000);
        sim.finish_within(Duration::from_secs(60));
        let clock = wire_ms(sim.now, u32::MAX - clock_before);
        assert!(clock.get() < u32::MAX / 2, "seed {seed}");
        for end in &sim.ends {
            assert_eq!(end.count(Event::PeerRestarted), 0, "seed {seed}");
            let sender = &end.kcp.sender;
            let numbers = [sender.una.get(), sender.next_order.get(), sender.first_chunk];
            assert!(
                numbers.iter().all(|&number| number < u32::MAX / 2),
                "seed {seed}: {numbers:?}"
            );
        }
    }
}

/// A peer that starts over is noticed behind the wrap as it is before it.
#[test]
fn a_new_peer_is_noticed_behind_the_wrap() {
    let mut sim = sim(SHAPES[0], 20, 300, Path::clean(20), 1);
    sim.ends.iter_mut().for_each(|end| end.to_write = 60_000);
    sim.finish_within(Duration::from_secs(10));
    sim.run_for(Duration::from_secs(1));
    let (rings, pool) = leak(SHAPES[0]);
    let kcp = Kcp::new(ConvId(3), 7, Config::default(), rings, sim.now).unwrap();
    sim.ends[1] = End::new(1, kcp, pool);
    sim.ends[1].reads = false;
    sim.ends[0].to_write = 5_000;
    sim.run_for(Duration::from_secs(1));
    assert_eq!(sim.ends[0].count(Event::PeerRestarted), 1);
}
