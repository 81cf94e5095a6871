//! Modes, smux versions, compression, sizes and numbers of connections.

use std::time::Duration;

use kcptun_interop::{Case, Job};

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn modes() {
    for mode in ["normal", "fast", "fast2", "fast3"] {
        Case::new(mode).both(&format!("--mode {mode}")).run_both_ways();
    }
    let manual = "--mode manual --nodelay 1 --interval 20 --resend 2 --nc";
    Case::new("manual, nc 1").both(&format!("{manual} 1")).run_both_ways();
    Case::new("manual, nc 0").both(&format!("{manual} 0")).run_both_ways();
    Case::new("modes unequal").client("--mode normal").server("--mode fast3").run_both_ways();
    Case::new("acknodelay").both("--acknodelay").run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn smux_versions_and_compression() {
    let job = Job { connections: 3, ..Job::default() };
    for smux in ["--smuxver 1", "--smuxver 2"] {
        for compression in ["", "--nocomp"] {
            let flags = format!("{smux} {compression}");
            Case::new(&flags).both(&flags).job(job).run_both_ways();
        }
    }
    // The stream window of smux 2 is smaller than what is sent: window updates have to come.
    Case::new("small streambuf")
        .both("--smuxver 2 --smuxbuf 1048576 --streambuf 262144")
        .job(job)
        .run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn sizes_of_packets() {
    let job = Job { up: 1 << 20, down: 1 << 20, ..Job::default() };
    for mtu in [600, 900, 1200, 1400] {
        Case::new(format!("mtu {mtu}")).both(&format!("--mtu {mtu}")).job(job).run_both_ways();
    }
    Case::new("mtu unequal").client("--mtu 600").server("--mtu 1400").job(job).run_both_ways();
    Case::new("mtu unequal").client("--mtu 1400").server("--mtu 600").job(job).run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn windows() {
    let job = Job { up: 1 << 20, down: 1 << 20, ..Job::default() };
    for flags in ["--sndwnd 16 --rcvwnd 16", "--sndwnd 4096 --rcvwnd 4096"] {
        Case::new(flags).both(flags).job(job).run_both_ways();
    }
    Case::new("windows unequal")
        .client("--sndwnd 2048 --rcvwnd 64")
        .server("--sndwnd 2048 --rcvwnd 64")
        .job(job)
        .run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn many_connections() {
    let many = Job { connections: 20, up: 256 << 10, down: 256 << 10, ..Job::default() };
    Case::new("20 at once").job(many).run_both_ways();
    Case::new("20 at once, smux 2").both("--smuxver 2").job(many).run_both_ways();
    Case::new("20 over 4 sessions").client("--conn 4").job(many).run_both_ways();
    Case::new("20 over 4 sessions, bad path")
        .client("--conn 4")
        .link("delay=10ms,jitter=5ms,order=free,loss=3%,duplicate=1%")
        .job(Job { up: 64 << 10, down: 64 << 10, ..many })
        .run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn one_way_bulk() {
    let patience = Duration::from_secs(30);
    Case::new("up").job(Job { connections: 1, up: 16 << 20, down: 0, patience }).run_both_ways();
    Case::new("down").job(Job { connections: 1, up: 0, down: 16 << 20, patience }).run_both_ways();
}
