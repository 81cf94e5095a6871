//! What was measured, and the flags that follow from it.

use std::time::Duration;

use kcptun_net::BufferSizes;

use super::advice;
use super::findings::millis;
use crate::config::ClientConfig;

/// Throughput of one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Bytes per second.
    pub(super) rate: f64,
    /// Whether the window was what limited it.
    pub(super) is_full: bool,
}

/// What the advice is made from.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) mtu: usize,
    pub(super) send_window: u64,
    pub(super) receive_window: u64,
    fec: Option<(u32, u32)>,
    socket_buffer: u64,
    pub(super) granted: Option<BufferSizes>,
    pub(super) round_trip: Option<Duration>,
    pub(super) loss: f64,
    pub(super) passes: Option<usize>,
    /// Whether packets of the mtu given arrive.
    pub(super) has_mtu: bool,
    pub(super) down: Option<Flow>,
    pub(super) up: Option<Flow>,
}

impl Facts {
    pub(super) fn new(config: &ClientConfig) -> Self {
        let common = &config.common;
        Self {
            mtu: usize::from(common.mtu),
            send_window: u64::from(common.send_window),
            receive_window: u64::from(common.receive_window),
            fec: common.fec.map(|shape| (u32::from(shape.data), u32::from(shape.parity))),
            socket_buffer: u64::from(common.socket_buffer),
            granted: None,
            round_trip: None,
            loss: 0.0,
            passes: None,
            has_mtu: true,
            down: None,
            up: None,
        }
    }

    /// The flags to use.
    pub(super) fn advice(&self) -> Vec<String> {
        let Some(round_trip) = self.round_trip else { return Vec::new() };
        let mtu = self.passes.map_or(self.mtu, |passes| passes.min(self.mtu));
        let parity = advice::parity(self.loss);
        let fec = match self.fec {
            // What is there is enough, or nothing is lost and nothing was asked for.
            Some((data, given)) if given * 10 >= parity * data => (data, given),
            None if parity == 0 => (0, 0),
            _ => (10, parity),
        };
        let fastest = [self.down, self.up].into_iter().flatten().map(|flow| flow.rate);
        let buffer = advice::socket_buffer(fastest.fold(0.0, f64::max)).max(self.socket_buffer);
        let window = |flow: Option<Flow>, given: u64| match flow {
            Some(Flow { is_full: true, .. }) => (given * 2).min(65_520),
            Some(Flow { rate, .. }) => advice::window(rate, round_trip, mtu),
            None => given,
        };
        let (down, up) =
            (window(self.down, self.receive_window), window(self.up, self.send_window));
        let mut lines = vec![
            "\n  set at both ends    ".to_owned()
                + &format!(
                    "--mtu {mtu} --datashard {} --parityshard {} --sockbuf {buffer}",
                    fec.0, fec.1
                ),
            format!("  and at the client   --rcvwnd {down} --sndwnd {up}"),
            format!("  and at the server   --rcvwnd {up} --sndwnd {down}"),
        ];
        if self.down.is_none() {
            let each = advice::window(12.5e6, round_trip, mtu);
            lines.push(format!(
                "  windows             for 100 Mbit/s at {} they need {each} packets; less, less",
                millis(round_trip)
            ));
        } else if self.down.is_some_and(|it| it.is_full) || self.up.is_some_and(|it| it.is_full) {
            lines.push("  then measure again: a window was what limited the throughput".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Outcome;

    fn facts(words: &str) -> Facts {
        let none = |_: &str| None;
        let words = words.split_whitespace();
        let Ok(Outcome::Run(parsed)) = ClientConfig::parse(words, &none) else { panic!() };
        let round_trip = Some(Duration::from_millis(100));
        Facts { round_trip, ..Facts::new(&parsed.config) }
    }

    #[test]
    fn advice_keeps_what_is_enough() {
        let text = facts("--datashard 20 --parityshard 6").advice().join("\n");
        for flags in [
            "both ends    --mtu 1350 --datashard 20 --parityshard 6 --sockbuf 4194304",
            "client   --rcvwnd 512 --sndwnd 128",
            "server   --rcvwnd 128 --sndwnd 512",
            "100 Mbit/s at 100 ms",
        ] {
            assert!(text.contains(flags), "{flags}: {text}");
        }
    }

    #[test]
    fn advice_changes_what_is_not() {
        let facts = Facts {
            loss: 0.1,
            passes: Some(1252),
            down: Some(Flow { rate: 6.25e6, is_full: false }),
            up: Some(Flow { rate: 1e6, is_full: true }),
            ..facts("--datashard 0 --sndwnd 256")
        };
        let text = facts.advice().join("\n");
        for flags in ["--mtu 1252 --datashard 10 --parityshard 4", "--sndwnd 512", "measure again"]
        {
            assert!(text.contains(flags), "{flags}: {text}");
        }
        let window = advice::window(6.25e6, Duration::from_millis(100), 1252);
        assert!(text.contains(&format!("client   --rcvwnd {window}")), "{text}");
    }
}
