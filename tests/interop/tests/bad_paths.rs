//! Loss, jitter, disorder, duplicates, damage, bottlenecks and blackouts between the two makers.

use std::time::Duration;

use kcptun_interop::{Case, Job};

const JOB: Job =
    Job { connections: 2, up: 1 << 20, down: 1 << 20, patience: Duration::from_secs(60) };
const FIVE_PERCENT: &str = "delay=15ms,jitter=10ms,order=free,loss=5%,duplicate=2%";
const TWENTY_PERCENT: &str = "delay=15ms,jitter=10ms,order=free,loss=20%,duplicate=5%";

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn five_percent_lost() {
    Case::new("5 %").link(FIVE_PERCENT).job(JOB).run_both_ways();
    Case::new("5 %, fast3, smux 2")
        .both("--mode fast3 --smuxver 2")
        .link(FIVE_PERCENT)
        .job(JOB)
        .run_both_ways();
    let plain = "--datashard 0 --parityshard 0 --nocomp";
    Case::new("5 %, plain").both(plain).link(FIVE_PERCENT).job(JOB).run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn twenty_percent_lost() {
    Case::new("20 %, fast2").both("--mode fast2").link(TWENTY_PERCENT).job(JOB).run_both_ways();
    Case::new("20 %, no fec, smux 2")
        .both("--mode fast3 --datashard 0 --parityshard 0 --smuxver 2")
        .link(TWENTY_PERCENT)
        .job(JOB)
        .run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn bursts_and_damage() {
    Case::new("bursts and damage")
        .both("--mode fast2")
        .link("delay=10ms,burst=1%/20%,corrupt=2%,reorder=2%")
        .job(JOB)
        .run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn a_bottleneck_with_a_short_queue() {
    let link = "delay=10ms,rate=20mbit,queue=50ms";
    Case::new("bottleneck").link(link).job(JOB).run_both_ways();
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn blackouts_in_the_middle() {
    let link = "delay=5ms,rate=20mbit,down=1500ms@200ms";
    Case::new("blackout").link(link).job(JOB).run_both_ways();
}
