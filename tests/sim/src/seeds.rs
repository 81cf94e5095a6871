//! Many seeds, of which any can be run again alone.

/// Runs `body` for `count` seeds; with `SIM_SEED` set, for that one only. A seed that fails is
/// named together with the command that repeats it. `name` is the name of the calling test.
pub fn for_seeds(name: &'static str, count: u64, body: impl Fn(u64)) {
    if let Ok(seed) = std::env::var("SIM_SEED") {
        let seed = seed.parse().expect("SIM_SEED is a number");
        body(seed);
        return;
    }
    for seed in 0..count {
        let _told = Replay { name, seed };
        body(seed);
    }
}

/// Speaks up when its seed panics.
struct Replay {
    name: &'static str,
    seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { name, seed } = self;
            eprintln!("repeat it alone: SIM_SEED={seed} cargo test -p kcptun-sim {name}");
        }
    }
}
