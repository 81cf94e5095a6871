//! Cost of a full segment of 1,298 bytes (kcptun's default), by window: sent, received,
//! acknowledged.
//!
//! Divan's times are for a round of 64 segments; its `item/s` are segments a second.

#![allow(missing_docs, reason = "benches are no library")]

mod pair;

use std::cell::RefCell;

use divan::Bencher;
use divan::counter::ItemsCount;

use self::pair::{PARTS, Pair, ROUND};

const WINDOWS: [u16; 2] = [128, 65_535];

fn main() {
    divan::main();
}

/// Measures one part of the round; all others run as its preparation.
fn part(bencher: Bencher<'_, '_>, mut pair: Pair, number: usize) {
    let before = pair.progress();
    let pair = RefCell::new(&mut pair);
    bencher
        .counter(ItemsCount::new(ROUND))
        .with_inputs(|| {
            let mut pair = pair.borrow_mut();
            (1..=3).for_each(|step| PARTS[(number + step) % 4](&mut pair));
        })
        .bench_local_values(|()| PARTS[number](&mut pair.borrow_mut()));
    // Each round was a full one, and nothing waited for a timeout.
    let (stats, rounds) = pair.borrow().progress();
    let sent = stats.segments_out - before.0.segments_out;
    assert!(
        sent + ROUND as u64 >= (rounds - before.1) * ROUND as u64,
        "{sent} segments in {rounds} rounds"
    );
    assert_eq!(stats.timeout_retransmits, 0, "{stats:?}");
}

/// Queued, together with the application's writing of the bytes.
#[divan::bench(args = WINDOWS, sample_size = 1, sample_count = 5_000)]
fn queued(bencher: Bencher<'_, '_>, window: u16) {
    part(bencher, Pair::new(window, false), 0);
}

/// Written to a datagram.
#[divan::bench(args = WINDOWS, sample_size = 1, sample_count = 5_000)]
fn sent(bencher: Bencher<'_, '_>, window: u16) {
    part(bencher, Pair::new(window, false), 1);
}

/// Taken from a datagram, put in order, read; its ack is written.
#[divan::bench(args = WINDOWS, sample_size = 1, sample_count = 5_000)]
fn received(bencher: Bencher<'_, '_>, window: u16) {
    part(bencher, Pair::new(window, false), 2);
}

/// Freed by una, with all that is due checked.
#[divan::bench(args = WINDOWS, sample_size = 1, sample_count = 5_000)]
fn acknowledged(bencher: Bencher<'_, '_>, window: u16) {
    part(bencher, Pair::new(window, false), 3);
}

/// Acknowledged each by an ack of its own, as one in 64 was lost.
#[divan::bench(args = [1_024, 65_535], sample_size = 1, sample_count = 5_000)]
fn acknowledged_singly(bencher: Bencher<'_, '_>, window: u16) {
    part(bencher, Pair::new(window, true), 3);
}
