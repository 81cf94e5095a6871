//! Forward error correction: every shape, equal and unequal on the two ends, with and without
//! losses to repair.

use kcptun_interop::{Case, Job, OURS_ALONE};

const JOB: Job = Job {
    connections: 1,
    up: 1 << 20,
    down: 1 << 20,
    patience: std::time::Duration::from_secs(30),
};
/// Enough losses that most groups have some to repair.
const LOSSY: &str = "delay=5ms,loss=3%";

fn shape(data: u32, parity: u32) -> String {
    format!("--datashard {data} --parityshard {parity}")
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn equal_shapes() {
    for (data, parity) in [(0, 0), (10, 3), (3, 1), (20, 10), (70, 30)] {
        let name = format!("fec {data}+{parity}");
        Case::new(name).both(&shape(data, parity)).run_both_ways();
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn equal_shapes_with_losses() {
    for (data, parity) in [(0, 0), (10, 3), (3, 1), (20, 10), (70, 30)] {
        let name = format!("fec {data}+{parity}, lossy");
        Case::new(name).both(&shape(data, parity)).link(LOSSY).job(JOB).run_both_ways();
    }
}

/// What the two ends are told, data and parity.
const UNEQUAL: [[(u32, u32); 2]; 4] =
    [[(10, 3), (0, 0)], [(0, 0), (10, 3)], [(5, 5), (10, 3)], [(10, 3), (5, 5)]];

fn unequal([client, server]: [(u32, u32); 2]) -> Case {
    Case::new(format!("fec {client:?} against {server:?}"))
        .client(&shape(client.0, client.1))
        .server(&shape(server.0, server.1))
        .job(JOB)
}

/// Losses on the way to our end only: the original's decoder breaks its stream when it meets
/// losses and another shape at once (see the page of the crate).
#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn unequal_shapes() {
    for shapes in UNEQUAL {
        unequal(shapes).link("delay=1ms").run_both_ways();
        unequal(shapes).link_to_ours(LOSSY).run_both_ways();
    }
}

/// Where the original broke in every other run, ours must never.
#[test]
#[ignore = "needs the release binaries; run by cargo xtask test"]
fn unequal_shapes_with_losses_between_our_own() {
    for shapes in UNEQUAL {
        for _ in 0..5 {
            unequal(shapes).link(LOSSY).run(OURS_ALONE);
        }
    }
}
