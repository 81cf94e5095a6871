//! What a link does to traffic, over seeded runs on a virtual clock.

use std::time::Duration;

use kcptun_link::{Blackout, Burst, Link, LinkConfig, LinkStats, MAX_HELD_BYTES, Queue, path};
use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proto_base::Instant;

/// One arrival: when, in microseconds, and the number written into the datagram.
type Arrival = (u64, u64);

fn config(text: &str) -> LinkConfig {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Sends `count` numbered datagrams of `len` bytes, `gap` microseconds apart, and plays the link
/// until nothing is on its way.
fn run(config: &LinkConfig, seed: u64, count: u64, len: usize, gap: u64) -> (Vec<Arrival>, Link) {
    let mut link = Link::new(config.clone(), seed).unwrap();
    let mut arrivals = Vec::new();
    let mut datagram = vec![0; len];
    for number in 0..count {
        let now = Instant::from_micros(number * gap);
        drain(&mut link, now, &mut arrivals);
        datagram[..8].copy_from_slice(&number.to_le_bytes());
        link.handle_datagram(now, &datagram);
    }
    drain(&mut link, Instant::from_micros(u64::MAX), &mut arrivals);
    assert!(link.is_idle());
    (arrivals, link)
}

/// Jumps from arrival to arrival up to `until`.
fn drain(link: &mut Link, until: Instant, arrivals: &mut Vec<Arrival>) {
    while let Some(due) = link.poll_timeout().filter(|due| *due <= until) {
        let bytes = link.poll_transmit(due).expect("poll_timeout promised a datagram");
        let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        arrivals.push((due.as_micros(), number));
    }
}

fn numbers(arrivals: &[Arrival]) -> Vec<u64> {
    arrivals.iter().map(|(_, number)| *number).collect()
}

fn accounted(stats: LinkStats) -> u64 {
    let dropped = stats.too_long + stats.queue_drops + stats.blacked_out;
    stats.datagrams_out + dropped + stats.lost + stats.lost_in_burst - stats.duplicated
}

#[test]
fn a_perfect_path_changes_nothing() {
    let (arrivals, _) = run(&LinkConfig::default(), 1, 1000, 100, 10);
    assert!(arrivals.iter().all(|(at, number)| *at == number * 10));
    assert_eq!(arrivals.len(), 1000);
}

#[test]
fn delay_is_exact() {
    let (arrivals, _) = run(&config("delay=50ms"), 1, 1000, 100, 10);
    assert!(arrivals.iter().all(|(at, number)| *at == number * 10 + 50_000));
}

#[test]
fn loss_has_the_asked_rate_and_is_independent() {
    for seed in 0..5 {
        let (arrivals, link) = run(&config("loss=20%"), seed, 100_000, 8, 1);
        // Six standard deviations: sqrt(100000 * 0.2 * 0.8) = 126.
        assert!((19_240..20_760).contains(&link.stats().lost), "{}", link.stats().lost);
        // A loss follows a loss as often as chance has it: 4 %.
        let got = numbers(&arrivals);
        let pairs = got.windows(2).filter(|pair| pair[1] - pair[0] == 3).count() as u64;
        let triples = got.windows(2).filter(|pair| pair[1] - pair[0] > 3).count() as u64;
        // Runs of exactly two lost: 100000 * 0.8 * 0.2 * 0.2 * 0.8 = 2560.
        assert!((2_200..2_900).contains(&pairs), "{pairs}");
        assert!((480..800).contains(&triples), "{triples}");
    }
}

#[test]
fn bursts_have_the_asked_share_and_length() {
    // Bad 1 / (1 + 9) of the time, bursts of 1 / 0.09 = 11 datagrams, all lost.
    for seed in 0..5 {
        let (arrivals, link) = run(&config("burst=1%/9%"), seed, 200_000, 8, 1);
        let lost = link.stats().lost_in_burst;
        assert!((17_000..23_000).contains(&lost), "{lost}");
        let got = numbers(&arrivals);
        let bursts = got.windows(2).filter(|pair| pair[1] - pair[0] > 1).count() as u64;
        let mean = lost as f64 / bursts as f64;
        assert!((10.0..12.3).contains(&mean), "{mean}");
    }
}

#[test]
fn a_bad_state_may_let_some_through() {
    let (_, link) = run(&config("burst=1%/9%/50%"), 3, 200_000, 8, 1);
    assert!((8_500..11_500).contains(&link.stats().lost_in_burst));
}

#[test]
fn jitter_is_spread_evenly_within_its_bounds() {
    let (arrivals, _) = run(&config("delay=10ms,jitter=8ms,order=free"), 4, 80_000, 8, 1);
    let mut bins = [0u32; 8];
    for (at, number) in &arrivals {
        let late = at - number - 10_000;
        assert!(late <= 8_000);
        bins[(late * 8 / 8_001) as usize] += 1;
    }
    assert!(bins.iter().all(|count| (9_400..10_600).contains(count)), "{bins:?}");
    assert!(!numbers(&arrivals).is_sorted(), "free order lets datagrams pass");
}

#[test]
fn jitter_keeps_the_order_unless_told_otherwise() {
    let (arrivals, _) = run(&config("delay=10ms,jitter=8ms"), 4, 10_000, 8, 100);
    assert!(numbers(&arrivals).is_sorted());
    assert_eq!(arrivals.len(), 10_000);
}

#[test]
fn reordered_datagrams_are_passed_by_later_ones() {
    let (arrivals, link) = run(&config("delay=5ms,reorder=10%,hold=1ms"), 5, 10_000, 8, 100);
    let reordered = link.stats().reordered;
    assert!((800..1_200).contains(&reordered), "{reordered}");
    let late = arrivals.iter().filter(|(at, number)| *at == number * 100 + 6_000).count() as u64;
    assert_eq!(late, reordered);
    let passed = numbers(&arrivals).windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(passed > 500, "{passed}");
}

#[test]
fn duplicates_arrive_twice_and_damage_is_always_real() {
    let mut link = Link::new(config("duplicate=30%,corrupt=20%"), 6).unwrap();
    let now = Instant::from_micros(0);
    let (mut copies, mut damaged) = (0, 0);
    for _ in 0..10_000 {
        link.handle_datagram(now, &[0; 64]);
        let mut seen = 0;
        while let Some(bytes) = link.poll_transmit(now) {
            seen += 1;
            let changed: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
            assert!(changed.len() <= 1);
            damaged += changed.len() as u64;
        }
        copies += seen - 1;
    }
    assert_eq!((copies, damaged), (link.stats().duplicated, link.stats().corrupted));
    assert!((2_750..3_250).contains(&copies), "{copies}");
    assert!((1_750..2_250).contains(&damaged), "{damaged}");
}

#[test]
fn an_empty_datagram_survives_every_effect() {
    let mut link = Link::new(config("corrupt=100%,duplicate=100%,rate=1kbit"), 1).unwrap();
    link.handle_datagram(Instant::from_micros(0), &[]);
    let now = Instant::from_micros(1);
    assert_eq!(link.poll_transmit(now).map(|b| b.len()), Some(0));
    assert_eq!(link.poll_transmit(now).map(|b| b.len()), Some(0));
    assert!(link.poll_transmit(now).is_none());
    assert_eq!(link.stats().corrupted, 0);
}

#[test]
fn the_rate_is_exact_over_a_long_run() {
    // 1350 bytes at 50 Mbit/s are 216 µs; the sender is four times too fast.
    let config = LinkConfig { queue: Queue::Bytes(1_000_000), ..config("rate=50mbit") };
    let (arrivals, link) = run(&config, 7, 40_000, 1_350, 54);
    assert!(link.stats().queue_drops > 20_000);
    assert!(arrivals.windows(2).all(|pair| pair[1].0 - pair[0].0 == 216));
    assert_eq!(arrivals[0].0, 216);
}

#[test]
fn a_loss_uses_up_its_share_of_the_rate() {
    let (arrivals, _) = run(&config("rate=10mbit,loss=50%,queue=60s"), 8, 1_000, 1_250, 0);
    // Each datagram takes 1 ms on the line, lost or not.
    assert!(arrivals.iter().all(|(at, number)| *at == (number + 1) * 1_000));
}

#[test]
fn long_datagrams_vanish() {
    let mut link = Link::new(config("mtu=1280"), 1).unwrap();
    let now = Instant::from_micros(0);
    link.handle_datagram(now, &[0; 1281]);
    assert!(link.is_idle());
    link.handle_datagram(now, &[0; 1280]);
    assert_eq!(link.poll_transmit(now).map(|bytes| bytes.len()), Some(1280));
    let mut wide = Link::new(LinkConfig::default(), 1).unwrap();
    wide.handle_datagram(now, &vec![0; 65_536]);
    assert_eq!((link.stats().too_long, wide.stats().too_long), (1, 1));
}

#[test]
fn blackouts_swallow_their_times_only() {
    let (arrivals, link) = run(&config("down=2s@1s/10s,delay=10ms"), 1, 2_000, 8, 10_000);
    let lost: Vec<u64> = {
        let got = numbers(&arrivals);
        (0..2_000).filter(|number| got.binary_search(number).is_err()).collect()
    };
    let expected: Vec<u64> = (100..300).chain(1_100..1_300).collect();
    assert_eq!(lost, expected);
    assert_eq!(link.stats().blacked_out, 400);
}

#[test]
fn blackouts_count_from_the_first_time_told() {
    let mut link = Link::new(config("down=1s@0s"), 1).unwrap();
    let start = 1_000_000_000;
    for at in [start, start + 999_999, start + 1_000_000] {
        link.handle_datagram(Instant::from_micros(at), b"x");
    }
    assert_eq!((link.stats().blacked_out, link.held()), (2, 1));
}

#[test]
fn memory_has_a_bound() {
    let mut link = Link::new(config("delay=60s"), 1).unwrap();
    let now = Instant::from_micros(0);
    let fits = MAX_HELD_BYTES / 2048;
    for _ in 0..fits + 10 {
        link.handle_datagram(now, b"small");
    }
    assert_eq!((link.held(), link.stats().queue_drops), (fits, 10));
}

#[test]
fn effects_draw_apart() {
    // Under one seed the same datagrams are lost, whatever else is switched on.
    let lost = |text: &str| {
        let (arrivals, _) = run(&config(text), 11, 5_000, 8, 1_000);
        let mut got = numbers(&arrivals);
        got.sort_unstable();
        got.dedup();
        got
    };
    let plain = lost("loss=10%");
    assert_eq!(plain, lost("loss=10%,jitter=20ms,order=free,duplicate=20%,reorder=5%"));
    assert_ne!(plain, lost("loss=11%"));
}

#[test]
fn the_two_directions_of_a_path_differ() {
    let half = config("loss=50%");
    let (mut there, mut back) = path(half.clone(), half, 1).unwrap();
    let now = Instant::from_micros(0);
    let fate = |link: &mut Link| {
        link.handle_datagram(now, b"x");
        link.poll_transmit(now).is_some()
    };
    let differing = (0..1000).filter(|_| fate(&mut there) != fate(&mut back)).count();
    assert!((400..600).contains(&differing), "{differing}");
}

#[test]
fn tags_come_out_with_their_datagrams() {
    let mut link = Link::new(config("jitter=5ms,order=free,duplicate=50%"), 2).unwrap();
    for tag in 0..500u64 {
        link.handle_tagged(Instant::from_micros(tag), tag, &tag.to_le_bytes());
    }
    let end = Instant::from_micros(u64::MAX);
    let mut seen = 0;
    while let Some((tag, bytes)) = link.poll_tagged(end) {
        assert_eq!(bytes, tag.to_le_bytes());
        seen += 1;
    }
    assert_eq!(seen, 500 + link.stats().duplicated);
}

fn any_path() -> impl Strategy<Value = LinkConfig> {
    let time = || (0u64..50_000).prop_map(Duration::from_micros);
    let chances = (0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0);
    let burst = (0.0..=1.0, 0.01..=1.0, 0.0..=1.0);
    let limits = (prop::option::of(1usize..2000), prop::option::of(1_000u64..1_000_000_000));
    let queue = prop_oneof![(0usize..100_000).prop_map(Queue::Bytes), time().prop_map(Queue::Time)];
    let down = prop::collection::vec((time(), time()), 0..3);
    let flags = (any::<bool>(), any::<bool>());
    (chances, burst, limits, queue, [time(), time(), time()], down, flags).prop_map(
        |(chances, burst, (mtu, rate), queue, times, down, (jitter_reorders, bursty))| LinkConfig {
            mtu,
            rate,
            queue,
            blackouts: down
                .into_iter()
                .map(|(start, length)| Blackout { start, length, every: None })
                .collect(),
            loss: chances.0 * chances.0,
            burst: bursty.then_some(Burst { enter: burst.0, leave: burst.1, loss: burst.2 }),
            corrupt: chances.1,
            duplicate: chances.2,
            delay: times[0],
            jitter: times[1],
            jitter_reorders,
            reorder: chances.3,
            reorder_hold: times[2],
        },
    )
}

proptest! {
    /// Any path, any traffic, times that go back and forth: nothing vanishes without being
    /// counted, nothing arrives early, arrivals come in the order of time, and the same inputs
    /// give the same outputs.
    #[test]
    fn every_datagram_is_accounted_for(
        config in any_path(),
        seed: u64,
        traffic in prop::collection::vec((0u64..5_000, 0usize..2_500, any::<bool>()), 0..300),
    ) {
        let play = || {
            let mut link = Link::new(config.clone(), seed).unwrap();
            let mut out = Vec::new();
            let mut latest = 0;
            for (step, len, backwards) in &traffic {
                let told = if *backwards { latest / 2 } else { latest + step };
                latest = latest.max(told);
                link.handle_datagram(Instant::from_micros(told), &vec![0xaa; *len]);
                while let Some(bytes) = link.poll_transmit(Instant::from_micros(told)) {
                    out.push((latest, bytes.to_vec()));
                }
            }
            while let Some(due) = link.poll_timeout() {
                let bytes = link.poll_transmit(due).expect("promised").to_vec();
                out.push((due.as_micros(), bytes));
            }
            (out, link.stats())
        };
        let (out, stats) = play();
        prop_assert_eq!(accounted(stats), traffic.len() as u64);
        prop_assert_eq!(stats.datagrams_out, out.len() as u64);
        prop_assert!(out.is_sorted_by_key(|(at, _)| *at));
        let first = traffic.first().map_or(0, |(step, _, back)| if *back { 0 } else { *step });
        let earliest = first + config.delay.as_micros() as u64;
        let longest = config.mtu.unwrap_or(65_535);
        prop_assert!(out.iter().all(|(at, bytes)| *at >= earliest && bytes.len() <= longest));
        prop_assert_eq!(play(), (out, stats));
    }
}
