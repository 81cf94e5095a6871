//! Two ends over timed paths: everything arrives within a stated time, and not by brute force.

mod common;

use core::time::Duration;

use common::{End, Path, Shape, Sim, leak};
use kcp_proto::{Config, ConvId, Event, Kcp, Via};
use proto_base::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// The settings of kcptun's modes `normal`, `fast`, `fast2`, `fast3`.
fn modes() -> [Config; 4] {
    [(false, 40, 2), (false, 30, 2), (true, 20, 2), (true, 10, 2)].map(
        |(nodelay, interval, resend)| Config {
            nodelay,
            interval: Duration::from_millis(interval),
            resend,
            ..Config::default()
        },
    )
}

fn end(way: usize, config: Config, shape: Shape, now: Instant) -> End<'static> {
    let (rings, pool) = leak(shape);
    let kcp = Kcp::new(ConvId(5), u32::MAX - 20_000 * way as u32, config, rings, now).unwrap();
    End::new(way, kcp, pool)
}

fn sim(config: Config, shape: Shape, paths: [Path; 2], seed: u64) -> Sim<'static> {
    Sim::new([0, 1].map(|way| end(way, config, shape, Instant::ZERO)), paths, seed)
}

const OWNED: Shape = Shape::Owned { pool: 1 << 24 };
const FIXED: Shape =
    Shape::Fixed { sent: 64, chunks: 33, received: 64, acks: 16, pages: 24, page: 4096 };

fn lossy(loss: u32) -> Path {
    Path { loss, duplicates: 20, jitter: Duration::from_millis(10), ..Path::clean(20) }
}

/// Whatever is lost below 60 %, once the path is clean all arrives within 10 seconds.
fn recovers_from_loss(shape: Shape) {
    for seed in 0..60 {
        let config = Config { congestion_control: seed % 3 == 0, ..modes()[seed as usize % 4] };
        let loss = [20, 100, 300, 590][seed as usize / 4 % 4];
        let mut sim = sim(config, shape, [lossy(loss); 2], seed);
        sim.ends.iter_mut().for_each(|end| end.to_write = 60_000);
        sim.run_for(5 * SECOND);
        sim.paths = [Path::clean(20); 2];
        sim.finish_within(10 * SECOND);
    }
}

#[test]
fn recovers_from_loss_in_owned_memory() {
    recovers_from_loss(OWNED);
}

#[test]
fn recovers_from_loss_in_fixed_memory() {
    recovers_from_loss(FIXED);
}

/// Under steady loss everything arrives, too: 200 kB each way within a time that grows with loss.
#[test]
fn arrives_under_steady_loss() {
    for (loss, seconds) in [(10, 6), (100, 10), (300, 40), (590, 300)] {
        for seed in 0..8 {
            let mut sim = sim(modes()[seed as usize % 4], OWNED, [lossy(loss); 2], seed);
            sim.ends.iter_mut().for_each(|end| end.to_write = 200_000);
            sim.finish_within(seconds * SECOND);
        }
    }
}

/// The reader sleeps for a while, everything that tells of the open window is lost; probes find it.
#[test]
fn a_shut_window_is_probed() {
    for (asleep, bound) in [(2, 2), (20, 11), (600, 11)] {
        let mut sim = sim(Config::default(), OWNED, [Path::clean(10); 2], 1);
        sim.ends[0].to_write = 2_000_000;
        sim.ends[1].reads = false;
        sim.run_for(asleep * SECOND);
        assert_eq!(sim.ends[0].kcp.remote_window(), 0);
        assert!(sim.ends[0].to_write > 0);
        // The reader wakes up, and what it tells is lost.
        sim.paths[1].loss = 1000;
        sim.ends[1].reads = true;
        sim.run_for(Duration::from_millis(50));
        assert_eq!((sim.ends[0].kcp.remote_window(), sim.ends[1].kcp.readable_bytes()), (0, 0));
        sim.paths[1].loss = 0;
        // A question comes within half of the time asleep, at most ten seconds.
        let took = sim.finish_within((bound + 5) * SECOND);
        assert!(took < (bound + 2) * SECOND, "{took:?} after {asleep} s");
        // A window that stays shut costs little.
        assert!(sim.ends[0].kcp.stats().spurious_retransmits < 5);
    }
}

/// After a minute without any path, data flows again within seconds.
#[test]
fn a_blackout_of_a_minute_is_survived() {
    for (number, config) in modes().into_iter().enumerate() {
        let paths = [Path::clean(50); 2];
        let mut sim = sim(config, OWNED, paths, number as u64);
        sim.ends.iter_mut().for_each(|end| end.to_write = 5_000_000);
        sim.run_for(Duration::from_millis(500));
        assert!(sim.ends[0].to_write > 0);
        sim.paths = [Path { loss: 1000, ..paths[0] }; 2];
        sim.run_for(60 * SECOND);
        assert!(sim.ends.iter().all(|end| end.count(Event::Suspect) == 1), "asked once");
        let sent = sim.ends[0].kcp.stats();
        let window = u64::from(config.send_window);
        assert!(sent.timeout_retransmits < 60 * window, "{sent:?}");
        sim.paths = paths;
        // The next repetition comes after at most 31 more back-offs of an RTO of 150 to 300 ms.
        let left = sim.ends[0].read;
        sim.run_for(10 * SECOND);
        assert!(sim.ends[0].read > left + 1_000_000, "{:?}", sim.ends[0].kcp.stats());
    }
}

/// A bottleneck queue that fills doubles the round trip and more; nothing is lost, so hardly
/// anything may be repeated. (The original repeats every segment.)
#[test]
fn a_growing_queue_causes_no_burst_of_timeouts() {
    for config in modes() {
        let config = Config { send_window: 256, ..config };
        let slow = Path { rate: 1_250_000, ..Path::clean(25) };
        let mut sim = sim(config, OWNED, [slow, Path::clean(25)], 3);
        sim.ends[0].to_write = 4_000_000;
        sim.finish_within(10 * SECOND);
        let rtt = sim.ends[0].kcp.rtt().unwrap();
        assert!(rtt > Duration::from_millis(100), "the queue grew: {rtt:?}");
        let stats = sim.ends[0].kcp.stats();
        let repeated = stats.timeout_retransmits + stats.fast_retransmits + stats.early_retransmits;
        assert_eq!(stats.timeout_retransmits, 0, "{stats:?}");
        assert!(repeated * 50 <= stats.segments_out, "{stats:?}");
        // One end has only data to send, the other only acks.
        assert_eq!(stats.pushes_out, stats.segments_out, "{stats:?}");
        assert_eq!(sim.ends[1].kcp.stats().pushes_out, 0);
        assert!(sim.ends[1].kcp.stats().repeated <= repeated);
    }
}

/// The path grows longer from one moment to the next.
#[test]
fn a_doubled_delay_costs_at_most_one_window() {
    for config in modes() {
        let mut sim = sim(config, OWNED, [Path::clean(30); 2], 3);
        sim.ends[0].to_write = 3_000_000;
        sim.run_for(SECOND);
        let before = sim.ends[0].kcp.stats();
        sim.paths = [Path::clean(60); 2];
        sim.finish_within(20 * SECOND);
        let stats = sim.ends[0].kcp.stats();
        let timeouts = stats.timeout_retransmits - before.timeout_retransmits;
        assert!(timeouts <= u64::from(config.send_window), "{stats:?}");
        assert_eq!(before.timeout_retransmits, 0);
    }
}

/// Steady disorder teaches patience: repetitions for segments that had arrived become rare.
#[test]
fn disorder_teaches_tolerance() {
    for config in modes() {
        let jitter = Duration::from_millis(8);
        let path = Path { jitter, ..Path::clean(40) };
        let mut sim = sim(config, OWNED, [path, Path::clean(40)], 9);
        sim.ends[0].to_write = 6_000_000;
        sim.finish_within(30 * SECOND);
        let stats = sim.ends[0].kcp.stats();
        let repeated = stats.timeout_retransmits + stats.fast_retransmits + stats.early_retransmits;
        assert!(repeated * 20 <= stats.segments_out, "{stats:?}");
    }
}

/// One end is replaced by a new one with the same conversation: the other is told, and soon.
#[test]
fn a_peer_that_starts_over_is_noticed() {
    for config in modes() {
        let mut sim = sim(config, OWNED, [Path::clean(20); 2], 4);
        sim.ends.iter_mut().for_each(|end| end.to_write = 30_000);
        sim.finish_within(10 * SECOND);
        assert!(sim.ends.iter().all(|end| end.events.is_empty()));
        sim.run_for(SECOND);
        sim.ends[1] = end(1, config, OWNED, sim.now);
        sim.ends[1].reads = false;
        sim.ends[0].to_write = 10_000;
        sim.run_for(SECOND);
        assert_eq!(sim.ends[0].count(Event::PeerRestarted), 1);
        assert_eq!(sim.ends[1].count(Event::PeerRestarted), 0);
    }
}

/// The same after five weeks of silence, when the wire clock is more than half way round.
#[test]
fn a_peer_that_starts_over_is_noticed_after_weeks() {
    let config = Config::default();
    let mut sim = sim(config, OWNED, [Path::clean(20); 2], 4);
    sim.ends.iter_mut().for_each(|end| end.to_write = 30_000);
    sim.finish_within(10 * SECOND);
    sim.run_for(35 * 24 * 3600 * SECOND);
    sim.ends[0].to_write = 5_000;
    sim.finish_within(10 * SECOND);
    assert_eq!(sim.ends[0].count(Event::PeerRestarted), 0);
    sim.ends[1] = end(1, config, OWNED, sim.now);
    sim.ends[1].reads = false;
    sim.ends[0].to_write = 5_000;
    sim.run_for(SECOND);
    assert_eq!(sim.ends[0].count(Event::PeerRestarted), 1);
}

/// Silence is suspicious only while something is owed, and is reported once.
#[test]
fn silence_is_suspect() {
    let mut sim = sim(Config::default(), OWNED, [Path::clean(10); 2], 5);
    sim.ends[0].to_write = 5_000;
    sim.finish_within(SECOND);
    sim.run_for(600 * SECOND);
    assert!(sim.ends[0].events.is_empty(), "idle is not suspect");
    sim.paths[1].loss = 1000;
    let start = sim.now;
    sim.ends[0].to_write = 5_000;
    sim.run_for(30 * SECOND);
    let after = Duration::from_secs(1).max(3 * sim.ends[0].kcp.rto());
    assert_eq!(sim.ends[0].events, [(start + after, Event::Suspect)]);
    assert!(sim.ends[1].events.is_empty());
    sim.paths[1].loss = 0;
    sim.finish_within(20 * SECOND);
    assert_eq!(sim.ends[0].events.len(), 1);
}

/// An idle conversation has no deadline at all: it sleeps.
#[test]
fn idle_ends_sleep() {
    let mut sim = sim(Config::default(), OWNED, [Path::clean(10); 2], 6);
    sim.ends.iter_mut().for_each(|end| end.to_write = 5_000);
    sim.finish_within(SECOND);
    sim.run_for(SECOND);
    for end in &sim.ends {
        assert!(end.kcp.is_idle());
        assert_eq!(end.kcp.poll_timeout(), None);
        assert_eq!(end.pool.used_pages(), 0);
    }
}

/// What FEC rebuilds counts as received, but says nothing about time or windows.
#[test]
fn recovered_datagrams_teach_nothing() {
    let now = Instant::from_millis(1);
    let [mut a, mut b] = [0, 1].map(|way| end(way, Config::default(), OWNED, now));
    a.kcp.send(&mut a.pool, &[7; 100]).unwrap();
    let mut out = [0; 1500];
    let len = a.kcp.poll_transmit(now, &a.pool, &mut out).unwrap().unwrap();
    b.kcp.handle_packet(now, &mut b.pool, &out[..len], Via::Recovered).unwrap();
    assert_eq!(b.kcp.readable_bytes(), 100);
    assert_eq!(b.kcp.remote_window(), 32);
    let later = now + Duration::from_millis(500);
    b.kcp.handle_timeout(later);
    let len = b.kcp.poll_transmit(later, &b.pool, &mut out).unwrap().unwrap();
    a.kcp.handle_packet(later, &mut a.pool, &out[..len], Via::Recovered).unwrap();
    assert_eq!((a.kcp.pending_segments(), a.kcp.rtt(), a.kcp.remote_window()), (0, None, 32));
}
