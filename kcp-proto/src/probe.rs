//! Asking a peer whose window is shut.

use core::time::Duration;

use proto_base::Instant;

/// First question after the window shut. kcp-go up to 5.6.42 waits 7 s, 5.6.43 on 0.5 s; the
/// shorter wait is ours, too, as a peer answers at any time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait between two questions. The original goes up to 120 s (kcp-go 5.6.1,
/// `IKCP_PROBE_LIMIT`); but its answers are sent once, and a lost one stops a stream for that long.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Timer of the window probe (kcp-go 5.6.1, kcp.go, `flush`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Probe {
    /// Present while the peer's window is shut.
    waiting: Option<(Instant, Duration)>,
}

impl Probe {
    /// The peer's window is now `window` segments.
    pub(crate) fn on_window(&mut self, window: u32, now: Instant) {
        if window > 0 {
            self.waiting = None;
        } else if self.waiting.is_none() {
            self.waiting = Some((now + FIRST_WAIT, FIRST_WAIT));
        }
    }

    /// Whether a question is due; the next one is due after half as long again.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        match self.waiting {
            Some((due, wait)) if due <= now => {
                let wait = (wait + wait / 2).min(LONGEST_WAIT);
                self.waiting = Some((now + wait, wait));
                true
            }
            _ => false,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.waiting.map(|(due, _)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_half_and_stop_when_the_window_opens() {
        let mut probe = Probe::default();
        let start = Instant::from_millis(10);
        probe.on_window(0, start);
        assert!(!probe.take_due(start));
        let mut waits = std::vec::Vec::new();
        let mut last = start;
        for _ in 0..16 {
            let due = probe.deadline().unwrap();
            waits.push((due - last).as_millis());
            assert!(probe.take_due(due) && !probe.take_due(due));
            probe.on_window(0, due);
            last = due;
        }
        assert_eq!(waits[..4], [500, 750, 1125, 1687]);
        assert_eq!(waits[15], 10_000);
        probe.on_window(5, last);
        assert_eq!(probe.deadline(), None);
    }
}
