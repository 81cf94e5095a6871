//! A socket on which receiving fails, and goes on failing.

use core::time::Duration;

use proto_base::Instant;

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Failing without pause for this long, a socket is lost.
const LOST_AFTER: Duration = Duration::from_secs(4);

/// When to try a socket again that has failed, and when to give it up.
///
/// Errors that ICMP or a full queue caused pass; they are no failures. A failure is what the system
/// answers instead of waiting: out of memory, forbidden, a broken driver. Trying again at once
/// would take a whole core for nothing, so each failure in a row is followed by a pause twice as
/// long as the one before, 10 ms to 1 s. A client's socket that fails for four seconds is
/// [lost](Self::is_lost): a new session on a new socket does better. A server's is its only one, and
/// is tried for ever.
///
/// ```
/// use core::time::Duration;
/// use kcptun_tunnel::socket::SocketHealth;
/// use proto_base::Instant;
///
/// let mut health = SocketHealth::default();
/// let now = Instant::from_millis(5);
/// health.handle_failure(now);
/// assert!(health.is_paused(now));
/// assert_eq!(health.poll_timeout(), Some(now + Duration::from_millis(10)));
/// health.handle_success();
/// assert!(!health.is_paused(now));
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketHealth {
    failing: Option<Failing>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Instant,
    until: Instant,
    pause: Duration,
}

impl SocketHealth {
    /// Something was received, or nothing was there.
    pub fn handle_success(&mut self) {
        self.failing = None;
    }

    /// Receiving failed. Tells whether that is news: the first failure after a success.
    pub fn handle_failure(&mut self, now: Instant) -> bool {
        let pause = self.failing.map_or(FIRST_PAUSE, |it| (it.pause * 2).min(LONGEST_PAUSE));
        let since = self.failing.map_or(now, |it| it.since);
        let is_news = self.failing.is_none();
        self.failing = Some(Failing { since, until: now + pause, pause });
        is_news
    }

    /// Whether receiving should not be tried now.
    #[must_use]
    pub fn is_paused(&self, now: Instant) -> bool {
        self.failing.is_some_and(|failing| now < failing.until)
    }

    /// Whether the last attempt failed.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Whether it has failed for so long that another socket should take its place.
    #[must_use]
    pub fn is_lost(&self, now: Instant) -> bool {
        self.failing.is_some_and(|failing| now - failing.since >= LOST_AFTER)
    }

    /// When to try again; `None` while nothing fails.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.failing.map(|failing| failing.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_stays_costs_few_attempts_and_then_the_socket() {
        let mut health = SocketHealth::default();
        let start = Instant::from_millis(3);
        let (mut now, mut attempts) = (start, 0);
        while !health.is_lost(now) {
            assert_eq!(health.handle_failure(now), attempts == 0, "news once");
            assert!(health.is_paused(now) && health.is_failing());
            now = health.poll_timeout().expect("a pause");
            assert!(!health.is_paused(now));
            attempts += 1;
        }
        assert!(now - start >= LOST_AFTER && now - start <= LOST_AFTER + LONGEST_PAUSE);
        assert!(attempts <= 12, "{attempts}");
        health.handle_success();
        assert!(!health.is_lost(now) && !health.is_failing() && health.poll_timeout().is_none());
        // And it begins anew.
        assert!(health.handle_failure(now));
        assert_eq!(health.poll_timeout(), Some(now + FIRST_PAUSE));
    }
}
