//! Random settings on random paths: everything arrives, in time, whatever the path does.

use kcptun_sim::{Case, Flow, Setup, World, for_seeds};

/// A livelock would wake up far more often than this many times a virtual second.
const WAKE_UPS: u64 = 40_000;

fn run(seed: u64) {
    let case = Case::random(seed);
    if std::env::var_os("SIM_SEED").is_some() {
        eprintln!("{case:#?}");
    }
    let [client, server] = &case.setups;
    let mut world = World::with_paths(client, server, case.paths.clone(), seed);
    let index = world.add_client();
    for flow in &case.flows {
        world.open(index, flow.clone());
    }
    let begin = world.now;
    world.run_until_done(case.within);
    let (news, server_news) = (&world.clients[index].news, &world.server_news);
    assert!(world.flows.iter().all(Flow::has_delivered), "{news:?} {server_news:?}");
    assert!(world.closed(index).is_none(), "{news:?}");
    let seconds = (world.now - begin).as_secs() + 1;
    assert!(world.steps < seconds * WAKE_UPS, "{} steps in {seconds} s", world.steps);
}

#[test]
fn everything_arrives_in_time() {
    for_seeds("everything_arrives_in_time", 2_000, run);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let path = "delay=20ms,jitter=10ms,loss=20%,duplicate=5%".parse().expect("a path");
        let mut world = World::new(&Setup::default(), &Setup::default(), path, 3);
        let client = world.add_client();
        world.open(client, Flow::transfer(300_000, 10_000));
        world.run_until_done(core::time::Duration::from_secs(60));
        (world.now, world.steps, world.path[0].stats(), world.path[1].stats())
    };
    assert_eq!(run(), run());
}
