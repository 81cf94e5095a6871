//! What arrives, and what it costs: loss, window and FEC on a path of 50 Mbit/s and 100 ms.
//!
//! The table is compared with `snapshots/goodput.txt` to the last digit, so a change in behaviour
//! shows as a diff. `UPDATE_SNAPSHOTS=1` writes it anew.

use core::time::Duration;
use std::fmt::Write as _;

use fec_proto::Shape;
use kcptun_sim::{CLIENT, Flow, SERVER, Setup, World};

/// Virtual time before measuring, and of measuring.
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(4);

struct Row {
    goodput: f64,
    wire_per_byte: f64,
    fast: u64,
    early: u64,
    timeout: u64,
    spurious: u64,
    queue_drops: u64,
    lost: u64,
}

fn measure(mode: (bool, u64), loss: u32, window: u16, fec: Option<Shape>) -> Row {
    let mut setup = Setup::default();
    setup.config.fec = fec;
    setup.config.kcp.nodelay = mode.0;
    setup.config.kcp.interval = Duration::from_millis(mode.1);
    setup.config.kcp.send_window = window;
    setup.config.kcp.receive_window = window;
    let path = format!("delay=50ms,rate=50mbit,loss={loss}%").parse().expect("a path");
    let mut world = World::new(&setup, &setup, path, u64::from(loss) + 1);
    let client = world.add_client();
    let flow = world.open(client, Flow::transfer(1 << 40, 0));
    world.run_for(WARM_UP);
    let received = |world: &World| world.flows[flow].ends[SERVER].received;
    let (bytes, stats) = (received(&world), world.client_stats(client));
    let link = world.path[CLIENT].stats();
    world.run_for(MEASURED);
    let (bytes_after, after) = (received(&world), world.client_stats(client));
    let link_after = world.path[CLIENT].stats();
    let delivered = (bytes_after - bytes) as f64;
    Row {
        goodput: delivered * 8.0 / MEASURED.as_secs_f64() / 1e6,
        wire_per_byte: (after.bytes_out - stats.bytes_out) as f64 / delivered,
        fast: after.kcp.fast_retransmits - stats.kcp.fast_retransmits,
        early: after.kcp.early_retransmits - stats.kcp.early_retransmits,
        timeout: after.kcp.timeout_retransmits - stats.kcp.timeout_retransmits,
        spurious: after.kcp.spurious_retransmits - stats.kcp.spurious_retransmits,
        queue_drops: link_after.queue_drops - link.queue_drops,
        lost: link_after.lost - link.lost,
    }
}

fn table() -> String {
    let mut text = String::from(
        "mode   window  fec    loss  Mbit/s  wire/byte   fast  early timeout  needless    lost dropped\n",
    );
    for (name, mode) in [("fast3", (true, 10)), ("fast", (false, 30))] {
        for window in [128, 1024] {
            for (shape, fec) in [("off", None), ("10+3", Shape::new(10, 3).expect("a shape"))] {
                for loss in [0, 1, 5, 10, 20, 30] {
                    let row = measure(mode, loss, window, fec);
                    let all = (row.fast + row.early + row.timeout).max(1);
                    let needless = row.spurious as f64 * 100.0 / all as f64;
                    let _ = writeln!(
                        text,
                        "{name:5} {window:7}  {shape:5} {loss:3} % {:7.2} {:10.3} {:6} {:6} {:7} {needless:7.1} % {:7} {:7}",
                        row.goodput,
                        row.wire_per_byte,
                        row.fast,
                        row.early,
                        row.timeout,
                        row.lost,
                        row.queue_drops,
                    );
                }
            }
        }
    }
    text
}

#[test]
fn goodput_and_overhead() {
    let table = table();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/goodput.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(path, &table).expect("the snapshot is written");
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        known, table,
        "behaviour has changed; if that is meant: UPDATE_SNAPSHOTS=1 cargo test -p kcptun-sim"
    );
}
