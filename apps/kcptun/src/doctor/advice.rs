//! From what was measured to flag values.

use std::time::Duration;

/// Share of the packets that FEC may leave to retransmission.
const UNREPAIRED: f64 = 0.005;
/// Data packets of a group in the advice, as in kcptun's default.
const DATA_SHARDS: u32 = 10;
/// Bytes of headers in a packet, outside of its data: protection, FEC, KCP, smux.
const HEADERS: usize = 60;
/// Time that an end may take to notice and acknowledge.
const SLACK: Duration = Duration::from_millis(20);
/// Largest window that the flags take.
const MOST_PACKETS: u64 = 65_520;

/// Packets that a window needs to carry `rate` bytes per second over `round_trip`: what is under
/// way, twice, since repairs take another round trip.
pub(super) fn window(rate: f64, round_trip: Duration, mtu: usize) -> u64 {
    let data = mtu.saturating_sub(HEADERS).max(1) as f64;
    let packets = 2.0 * rate * (round_trip + SLACK).as_secs_f64() / data;
    (packets as u64).clamp(128, MOST_PACKETS).next_multiple_of(16)
}

/// The rate that a window allows, in bytes per second.
pub(super) fn window_rate(packets: u64, round_trip: Duration, mtu: usize) -> f64 {
    let data = mtu.saturating_sub(HEADERS) as f64;
    packets as f64 * data / round_trip.as_secs_f64().max(1e-3)
}

/// Parity packets for groups of ten data packets at this share of losses; 0 when there is nothing
/// to repair.
pub(super) fn parity(loss: f64) -> u32 {
    if loss <= 0.001 {
        return 0;
    }
    (1..=DATA_SHARDS).find(|&parity| unrepaired(loss, parity) <= UNREPAIRED).unwrap_or(DATA_SHARDS)
}

/// Share of the data packets that stay lost though a group has `parity` packets more.
fn unrepaired(loss: f64, parity: u32) -> f64 {
    let all = DATA_SHARDS + parity;
    let mut chance = (1.0 - loss).powi(all.cast_signed());
    let mut share = 0.0;
    for lost in 0..=all {
        if lost > parity {
            share += chance * f64::from(lost) / f64::from(all);
        }
        chance *= f64::from(all - lost) / f64::from(lost + 1) * loss / (1.0 - loss).max(1e-9);
    }
    share
}

/// Socket buffer for bursts of this rate: a quarter of a second, and not less than the default.
pub(super) fn socket_buffer(rate: f64) -> u64 {
    const DEFAULT: u64 = 4_194_304;
    const MOST: u64 = 67_108_864;
    ((rate / 4.0) as u64).next_power_of_two().clamp(DEFAULT, MOST)
}

/// Median and 95th part of a hundred of sorted times.
pub(super) fn spread(sorted: &[Duration]) -> Option<[Duration; 3]> {
    let at =
        |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().checked_sub(1)?));
    Some([*sorted.first()?, *at(50)?, *at(95)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_hold_two_round_trips() {
        // 50 Mbit/s at 100 ms: 625 kB under way, and 125 kB for the slack.
        let packets = window(6.25e6, Duration::from_millis(100), 1350);
        assert!((1150..1180).contains(&packets), "{packets}");
        assert_eq!(window(1e3, Duration::from_millis(100), 1350), 128);
        assert_eq!(window(1e12, Duration::from_secs(1), 1350), MOST_PACKETS.next_multiple_of(16));
    }

    #[test]
    fn parity_follows_loss() {
        for (loss, parity_packets) in
            [(0.0, 0), (0.0005, 0), (0.01, 1), (0.05, 3), (0.1, 4), (0.9, 10)]
        {
            assert_eq!(parity(loss), parity_packets, "{loss}");
        }
    }

    proptest! {
        #[test]
        fn more_parity_repairs_more(loss in 0.001f64..0.9) {
            let shares: Vec<f64> = (0..10).map(|parity| unrepaired(loss, parity)).collect();
            // Without parity all losses stay.
            prop_assert!((shares[0] - loss).abs() < 1e-9);
            prop_assert!(shares.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
        }

        #[test]
        fn the_window_advised_carries_the_rate(rate in 1e5f64..1e8, millis in 1u64..500) {
            let trip = Duration::from_millis(millis);
            let packets = window(rate, trip, 1350);
            prop_assert!(packets >= 65_520 || window_rate(packets, trip, 1350) >= rate);
        }
    }

    #[test]
    fn the_spread_of_a_hundred() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let millis = spread(&times).unwrap().map(|time| time.as_millis());
        assert_eq!(millis, [1, 51, 96]);
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&times[..1]), Some([times[0]; 3]));
    }
}
