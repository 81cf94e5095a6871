//! The original's congestion window (`nc` = 0).

/// Smallest slow-start threshold, in segments (kcp-go 5.6.1, kcp.go, `IKCP_THRESH_*`).
const MIN_THRESHOLD: u32 = 2;

/// Congestion window in segments, exactly as the original grows and shrinks it (kcp-go 5.6.1,
/// kcp.go, `Input` and `flush`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Congestion {
    /// Window in segments; 0 until the first flush.
    window: u32,
    threshold: u32,
    /// Window in bytes, for growth by parts of a segment.
    incr: u32,
    mss: u32,
}

/// What a flush did, as far as congestion control asks.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Losses {
    /// Fast or early retransmissions left.
    pub(crate) fast: bool,
    /// Timeouts left.
    pub(crate) timeout: bool,
}

impl Congestion {
    pub(crate) fn new(mss: usize) -> Self {
        let mss = u32::try_from(mss).unwrap_or(u32::MAX);
        Self { window: 0, threshold: MIN_THRESHOLD, incr: 0, mss }
    }

    /// The window, at least one segment.
    pub(crate) fn window(&self) -> u32 {
        self.window.max(1)
    }

    /// Acks moved una: grow, but never past the peer's window.
    pub(crate) fn on_progress(&mut self, remote_window: u32) {
        if self.window >= remote_window {
            return;
        }
        if self.window < self.threshold {
            self.window += 1;
            self.incr = self.incr.saturating_add(self.mss);
        } else {
            self.incr = self.incr.max(self.mss);
            self.incr += self.mss * self.mss / self.incr + self.mss / 16;
            if (self.window + 1) * self.mss <= self.incr {
                self.window = self.incr.div_ceil(self.mss.max(1));
            }
        }
        if self.window > remote_window {
            self.window = remote_window;
            self.incr = remote_window * self.mss;
        }
    }

    /// A flush ended. `in_flight` segments are sent and not acknowledged, `limit` was the window.
    pub(crate) fn on_flush(&mut self, losses: Losses, in_flight: u32, limit: u32, resend: u32) {
        if losses.fast {
            self.threshold = (in_flight / 2).max(MIN_THRESHOLD);
            // With resend 0 the original adds 2^32 - 1 here: one less than the threshold.
            let step = if resend == 0 { u32::MAX } else { resend };
            self.window = self.threshold.wrapping_add(step);
            self.incr = self.window.saturating_mul(self.mss);
        }
        if losses.timeout {
            self.threshold = (limit / 2).max(MIN_THRESHOLD);
            self.window = 1;
            self.incr = self.mss;
        }
        if self.window < 1 {
            self.window = 1;
            self.incr = self.mss;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_slowly_and_halves_on_loss() {
        let mut cwnd = Congestion::new(176);
        assert_eq!(cwnd.window(), 1);
        cwnd.on_flush(Losses::default(), 0, 1, 2);
        cwnd.on_progress(32);
        assert_eq!(cwnd.window(), 2);
        for _ in 0..2000 {
            cwnd.on_progress(32);
        }
        assert_eq!(cwnd.window(), 32, "the peer's window is the ceiling");
        cwnd.on_flush(Losses { fast: true, timeout: false }, 20, 32, 2);
        assert_eq!(cwnd.window(), 12);
        cwnd.on_flush(Losses { fast: true, timeout: false }, 20, 32, 0);
        assert_eq!(cwnd.window(), 9, "resend 0 takes one away, as the original does");
        cwnd.on_flush(Losses { fast: false, timeout: true }, 9, 9, 2);
        assert_eq!(cwnd.window(), 1);
    }
}
