//! Random worlds.

use core::time::Duration;

use fec_proto::Shape;
use kcptun_link::{Blackout, Burst, LinkConfig};
use kcptun_tunnel::crypt::CipherKind;
use smux_proto::Version;

use crate::{Flow, Setup};

/// A small seeded generator (SplitMix64).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A number from 1 to `most`.
    pub fn up_to(&mut self, most: usize) -> usize {
        1 + self.below(most as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Everything about one random run.
#[derive(Debug, Clone)]
pub struct Case {
    /// The two ends.
    pub setups: [Setup; 2],
    /// The path in both directions.
    pub paths: [LinkConfig; 2],
    /// What is to be moved.
    pub flows: Vec<Flow>,
    /// Virtual time in which all of it must be done.
    pub within: Duration,
}

impl Case {
    /// The random case of a seed.
    ///
    /// Bounds of time, by loss class. T is the time that the bytes take when a window moves in each
    /// round trip, and at half the rate of the path:
    ///
    /// | loss | everything arrives within |
    /// |---|---|
    /// | none (but jitter, disorder, copies) | 4 s + 4 T |
    /// | up to 10 % | 10 s + 10 T |
    /// | up to 30 %, in bursts, damage | 30 s + 30 T |
    /// | with blackouts | all that and four times the blackout |
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let class = rng.below(4);
        let (mut client, mut server) = (random_setup(&mut rng), random_setup(&mut rng));
        // These must be the same at both ends.
        server.cipher = client.cipher;
        server.config.compression = client.config.compression;
        server.config.smux.version = client.config.smux.version;
        if rng.one_in(3) {
            // Unequal mtu, the classic case.
            (client.config.mtu, server.config.mtu) = (1_500, 600);
        }
        let mut paths = [random_path(&mut rng, class), random_path(&mut rng, class)];
        if client.cipher == CipherKind::Null {
            // Without a checksum damage goes unnoticed, as with the original.
            paths.iter_mut().for_each(|path| path.corrupt = 0.0);
        }
        let flows = (0..rng.up_to(4)).map(|_| random_flow(&mut rng)).collect();
        for setup in [&mut client, &mut server] {
            if class > 1 {
                // With a window of one, a single compressed frame can take longer than the 30 s
                // after which smux gives a silent peer up.
                let kcp = &mut setup.config.kcp;
                kcp.send_window = kcp.send_window.max(16);
                kcp.receive_window = kcp.receive_window.max(16);
            }
            setup.lateness = Duration::from_millis(rng.pick(&[0, 0, 1, 20]));
        }
        let mut case = Self { setups: [client, server], paths, flows, within: Duration::ZERO };
        case.within = case.bound(class);
        case
    }

    fn bound(&self, class: u64) -> Duration {
        let (base, factor) = [(4.0, 4.0), (10.0, 10.0), (30.0, 30.0), (30.0, 30.0)][class as usize];
        let [there, back] = &self.paths;
        let configs = self.setups.each_ref().map(|setup| &setup.config);
        let interval = configs[0].kcp.interval + configs[1].kcp.interval;
        let late = self.setups[0].lateness + self.setups[1].lateness;
        let rtt = there.delay + back.delay + there.jitter + back.jitter + interval + late;
        let mut seconds = 0.0;
        for (from, path) in [(0, there), (1, back)] {
            let (sender, receiver) = (configs[from], configs[1 - from]);
            let mut window = sender.kcp.send_window.min(receiver.kcp.receive_window);
            if sender.kcp.congestion_control {
                // Losses keep the original's congestion window near its floor.
                window = window.min(2);
            }
            let ends = || self.flows.iter().map(|flow| &flow.ends[from]);
            let bytes: u64 = ends().map(|end| end.to_send + 64).sum();
            // In small windows each small write becomes a segment.
            let full = sender.mtu as u64 - 60;
            let pieces = ends().map(|end| match end.largest_write as u64 {
                0 => 2 + end.to_send.div_ceil(full),
                most => 2 + end.to_send.div_ceil((most / 2).min(full)),
            });
            let segments: u64 = pieces.sum();
            let trips = segments.div_ceil(u64::from(window)) as f64;
            // Everything leaves twice at most, parity included, on half of the rate.
            let rate = path.rate.map_or(f64::INFINITY, |rate| rate as f64 / 8.0);
            seconds += trips * rtt.as_secs_f64() + 4.0 * bytes as f64 / rate;
        }
        let outage: Duration =
            [there, back].iter().flat_map(|path| &path.blackouts).map(|b| b.length).sum();
        let opens = self.flows.iter().map(|flow| flow.opens_after).max().unwrap_or_default();
        opens + Duration::from_secs_f64(base + factor * seconds) + outage * 4
    }
}

fn random_setup(rng: &mut Rng) -> Setup {
    let mut setup = Setup::default();
    let ciphers =
        [CipherKind::Aes, CipherKind::None, CipherKind::Null, CipherKind::Xor, CipherKind::Salsa20];
    setup.cipher = rng.pick(&ciphers);
    let config = &mut setup.config;
    config.compression = rng.one_in(2);
    config.mtu = rng.pick(&[1_350, 1_350, 1_400, 1_500, 600, 200]);
    let (data, parity) =
        rng.pick(&[(0, 0), (0, 0), (10, 3), (10, 3), (3, 1), (20, 10), (1, 1), (70, 30)]);
    config.fec = Shape::new(data, parity).expect("a shape");
    config.smux.version = rng.pick(&[Version::V1, Version::V2]);
    if rng.one_in(3) {
        config.smux.stream_buffer = rng.pick(&[4_096, 65_536, 1 << 20]);
        config.smux.session_buffer = (config.smux.stream_buffer as usize) * rng.up_to(4);
    }
    let kcp = &mut config.kcp;
    // normal, fast, fast2, fast3.
    let (nodelay, interval, resend, nc) = rng.pick(&[
        (false, 40, 2, true),
        (false, 30, 2, true),
        (true, 20, 2, true),
        (true, 10, 2, true),
        (false, 100, 0, false),
        (true, 10, 1, false),
    ]);
    kcp.nodelay = nodelay;
    kcp.interval = Duration::from_millis(interval);
    kcp.resend = resend;
    kcp.congestion_control = !nc;
    kcp.ack_no_delay = rng.one_in(3);
    kcp.send_window = rng.pick(&[1, 2, 8, 32, 128, 128, 1_024, 65_535]);
    kcp.receive_window = rng.pick(&[1, 2, 16, 128, 512, 512, 1_024, 65_535]);
    setup
}

fn random_path(rng: &mut Rng, class: u64) -> LinkConfig {
    let millis = |ms| Duration::from_millis(ms);
    let mut path = LinkConfig { delay: millis(rng.below(100)), ..LinkConfig::default() };
    if rng.one_in(2) {
        path.jitter = millis(rng.below(30));
        path.jitter_reorders = rng.one_in(2);
    }
    if rng.one_in(2) {
        (path.reorder, path.reorder_hold) = (rng.below(20) as f64 / 100.0, millis(rng.below(50)));
    }
    if rng.one_in(3) {
        path.duplicate = rng.below(20) as f64 / 100.0;
    }
    if class > 0 && rng.one_in(3) {
        path.rate = Some(1_000_000 * rng.pick(&[2, 10, 100]));
    }
    let worst = [0, 10, 30, 30][class as usize];
    path.loss = rng.below(worst + 1) as f64 / 100.0;
    if class > 1 && rng.one_in(2) {
        path.burst = Some(Burst { enter: 0.01, leave: 0.25, loss: 0.9 });
        path.corrupt = rng.below(10) as f64 / 100.0;
    }
    if class > 2 {
        let (start, length) = (millis(rng.below(2_000)), millis(rng.below(10_000)));
        path.blackouts = vec![Blackout { start, length, every: None }];
    }
    path
}

fn random_flow(rng: &mut Rng) -> Flow {
    let mut size = || {
        let most = rng.pick(&[1, 2_000, 50_000, 200_000]);
        rng.below(most)
    };
    let mut flow = Flow::transfer(size(), size());
    flow.opens_after = Duration::from_millis(rng.below(500));
    for end in &mut flow.ends {
        end.largest_write = rng.pick(&[0, 0, 100, 5_000]);
        end.largest_read = rng.pick(&[0, 0, 100, 5_000]);
        if end.largest_write == 100 {
            end.to_send = end.to_send.min(10_000);
        }
    }
    flow.ends[rng.below(2) as usize].finishes_last = rng.one_in(3);
    flow
}
