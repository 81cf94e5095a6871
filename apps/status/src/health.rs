//! Whether the tunnel does its work.

use std::time::Duration;

use kcptun_async::{Sessions, TunnelStats};
use kcptun_tunnel::Side;
use proto_base::Instant;

/// How long a client may find no server before it is called ill: an outage that users notice, not
/// a lost packet.
const PATIENCE: Duration = Duration::from_secs(30);

/// Judges a tunnel by what it shows.
///
/// A server that answers is well. A client is ill when, for [`PATIENCE`], it wanted to reach the
/// server and could not: it has sessions and none of them is answered, or it cannot dial any. One
/// that nobody uses has no session and is well: it would be left without traffic for ever if
/// traffic were led around it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Since when each look found no session that is answered.
    lost_since: Option<Instant>,
}

impl Health {
    /// `None`: all is well; else what is wrong.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        side: Side,
        total: &TunnelStats,
        sessions: &Sessions,
    ) -> Option<String> {
        let last_sign = if side == Side::Client { last_sign(total, sessions) } else { None };
        let Some((last_sign, trouble)) = last_sign else {
            self.lost_since = None;
            return None;
        };
        // Sessions that are given up and dialled anew forget when the last one was heard.
        let lost_since = *self.lost_since.get_or_insert(now);
        let silence = now - last_sign.min(lost_since);
        (silence >= PATIENCE).then(|| format!("{trouble} for {} s", silence.as_secs()))
    }
}

/// When a client that is in trouble last had reason to be content, and what the trouble is.
fn last_sign(total: &TunnelStats, sessions: &Sessions) -> Option<(Instant, &'static str)> {
    if sessions.listed.is_empty() {
        let since = total.dials_fail_since?;
        return Some((since, "no session can be dialled (the server's name, or the network)"));
    }
    let is_answered = sessions
        .listed
        .iter()
        .any(|session| session.stats.datagrams_in > 0 && !session.figures.is_suspect);
    if is_answered {
        return None;
    }
    let heard = sessions.listed.iter().map(|session| session.figures.last_heard).max()?;
    Some((heard, "no session is answered by the server"))
}

#[cfg(test)]
mod tests {
    use kcptun_async::SessionStats;
    use kcptun_tunnel::{ConnectionFigures, ConnectionStats};

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    /// Sessions heard last at some second, or never, and whether they are suspect.
    fn sessions(each: &[(Option<u64>, bool)]) -> Sessions {
        let session = |&(heard, is_suspect): &(Option<u64>, bool)| SessionStats {
            remote: ([127, 0, 0, 1], 1).into(),
            local: None,
            conv: 1,
            stats: ConnectionStats {
                datagrams_in: u64::from(heard.is_some()),
                ..ConnectionStats::default()
            },
            figures: ConnectionFigures {
                started: at(10),
                last_heard: at(heard.unwrap_or(10)),
                is_suspect,
                send_window: 1,
                receive_window: 1,
                remote_window: 1,
                flight_limit: 1,
                in_flight: 0,
                queued: 0,
            },
            streams: Vec::new(),
            other_streams: 0,
        };
        Sessions { listed: each.iter().map(session).collect(), others: 0 }
    }

    fn judge(health: &mut Health, now: u64, each: &[(Option<u64>, bool)]) -> Option<String> {
        health.judge(at(now), Side::Client, &TunnelStats::default(), &sessions(each))
    }

    #[test]
    fn a_client_is_ill_when_no_session_was_answered_for_long() {
        let mut health = Health::default();
        assert_eq!(judge(&mut health, 100, &[]), None, "idle");
        assert_eq!(judge(&mut health, 100, &[(Some(40), true), (Some(50), false)]), None);
        let why = judge(&mut health, 100, &[(Some(40), true), (Some(60), true)]);
        assert_eq!(why.unwrap(), "no session is answered by the server for 40 s");
        assert_eq!(judge(&mut health, 101, &[(Some(101), false)]), None, "back again");
        assert_eq!(judge(&mut health, 110, &[(Some(101), true)]), None, "not yet");
        // The session was replaced by one that was not heard either.
        assert!(judge(&mut health, 139, &[(None, false)]).is_some());
        assert_eq!(judge(&mut health, 141, &[]), None, "nobody wants anything any more");
    }

    #[test]
    fn new_sessions_do_not_hide_an_outage() {
        let mut health = Health::default();
        let fresh = |now: u64| {
            let mut sessions = sessions(&[(None, false)]);
            sessions.listed[0].figures.last_heard = at(now);
            sessions
        };
        let mut judge =
            |now| health.judge(at(now), Side::Client, &TunnelStats::default(), &fresh(now));
        assert!((200..230).all(|now| judge(now).is_none()));
        assert!(judge(230).is_some());
    }

    #[test]
    fn failing_dials_are_told() {
        let mut total = TunnelStats::default();
        total.dials_fail_since = Some(at(50));
        let mut health = Health::default();
        let none = Sessions::default();
        assert_eq!(health.judge(at(60), Side::Client, &total, &none), None);
        let why = health.judge(at(80), Side::Client, &total, &none).unwrap();
        assert!(why.contains("dialled") && why.ends_with("for 30 s"), "{why}");
        assert_eq!(health.judge(at(90), Side::Server, &total, &none), None);
    }
}
