//! What a log should say of connections, and what is probably wrong where two ends do not
//! understand each other. The driver writes the lines.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use proto_base::Instant;

use crate::endpoint::{Endpoint, Side};
use crate::event::{CloseReason, Event};
use crate::table::ConnectionKey;

/// Least time between two reports of the same trouble, as a peer can cause it at will.
const PAUSE: Duration = Duration::from_secs(60);
/// Lines at once about connections of a server whose peers have proved nothing, as anyone who has
/// recorded a datagram can begin those, without the key and as fast as he likes. One more is added
/// each second.
const BURST: u32 = 100;
/// Peers with other settings that are remembered, so as not to be told of at each attempt.
const HINTED: usize = 8;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for something.
    Debug,
    /// The ordinary course.
    Info,
    /// It works badly, or not at all, until somebody changes something.
    Warn,
    /// It cannot work.
    Error,
}

/// One line of a log, to be displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    remote: SocketAddr,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Silent,
    NeverHeard,
    Recovered,
    Mute,
    Checksums(u64),
    Evicted(u64),
    Ended(CloseReason),
}

impl Report {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.what {
            What::Silent | What::Recovered => Level::Info,
            What::NeverHeard | What::Mute | What::Checksums(_) | What::Evicted(_) => Level::Warn,
            What::Ended(reason) if reason.hint().is_some() => Level::Error,
            What::Ended(CloseReason::Local) => Level::Debug,
            What::Ended(_) => Level::Info,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remote = self.remote;
        match self.what {
            What::Silent => {
                write!(f, "no answer from {remote}; new streams go to a new session")
            }
            What::NeverHeard => write!(
                f,
                "no answer from {remote}: nothing listens there, or --key, --crypt, --nocomp or \
                 --smuxver differ from the server's (they must be the same at both ends)"
            ),
            What::Recovered => write!(f, "{remote} answers again"),
            What::Mute => write!(
                f,
                "{remote} acknowledges but says nothing: --nocomp or --smuxver differ from this \
                 end's (they must be the same at both ends)"
            ),
            What::Checksums(errors) => write!(
                f,
                "{errors} datagrams with a bad checksum: --key or --crypt of a peer differ from \
                 this end's (they must be the same at both ends), or these are stray packets"
            ),
            What::Evicted(count) => write!(
                f,
                "as many sessions as allowed are open: {count} whose peers have proved nothing \
                 made room (recorded packets, sent again from many addresses, do that)"
            ),
            What::Ended(reason) => match (reason, reason.hint()) {
                (_, Some(hint)) => write!(f, "settings differ from {remote}'s: {hint}"),
                (CloseReason::Local, None) => write!(f, "session with {remote} closed"),
                (_, None) => write!(f, "session with {remote} ended: {reason}"),
            },
        }
    }
}

/// Finds what is worth a line. One for each endpoint.
#[derive(Debug)]
pub struct Reporter {
    side: Side,
    checksum_errors: u64,
    quiet_until: Option<Instant>,
    evicted: u64,
    evictions_quiet_until: Option<Instant>,
    /// Lines that are left of those about connections that have proved nothing, and when some were
    /// added.
    lines_left: u32,
    refilled_at: Instant,
    /// Peers of whom was said lately that their settings differ, and when.
    hinted: [(IpAddr, Instant); HINTED],
}

impl Reporter {
    /// Nothing was reported yet.
    #[must_use]
    pub const fn new(side: Side) -> Self {
        Self {
            side,
            checksum_errors: 0,
            quiet_until: None,
            evicted: 0,
            evictions_quiet_until: None,
            lines_left: BURST,
            refilled_at: Instant::ZERO,
            hinted: [(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Instant::ZERO); HINTED],
        }
    }

    /// Whether the begin of a connection, of which nothing was said yet, may have its line now: not
    /// while there are too many of those whose peers have proved nothing. To be asked at each of its
    /// events until it may.
    pub fn admits(&mut self, now: Instant, endpoint: &Endpoint, key: ConnectionKey) -> bool {
        endpoint.is_proven(key) || self.take_line(now)
    }

    /// An event of the connection with `remote`.
    pub fn observe(
        &mut self,
        now: Instant,
        endpoint: &Endpoint,
        key: ConnectionKey,
        remote: SocketAddr,
        event: &Event,
    ) -> Option<Report> {
        let what = match event {
            Event::Closed { reason, is_proven, .. } => {
                if reason.hint().is_some() && !self.may_hint(now, remote.ip()) {
                    return None;
                }
                if self.side == Side::Server && !is_proven && !self.take_line(now) {
                    return None;
                }
                What::Ended(*reason)
            }
            Event::Suspect if self.side == Side::Client => {
                let stats = endpoint.connection_stats(key);
                if stats.is_some_and(|stats| stats.datagrams_in > 0) {
                    What::Silent
                } else if self.may_speak(now) {
                    What::NeverHeard
                } else {
                    return None;
                }
            }
            // A server says nothing of silence either, and who repeats a recorded datagram could
            // make it say this.
            Event::Recovered if self.side == Side::Client => What::Recovered,
            Event::Mute => What::Mute,
            _ => return None,
        };
        Some(Report { remote, what })
    }

    /// Looks at counters that grow without an event of any connection.
    pub fn check(&mut self, now: Instant, endpoint: &Endpoint) -> Option<Report> {
        let stats = endpoint.stats();
        let (errors, evicted) = (stats.checksum_errors, stats.closed.evicted);
        let what = if errors != self.checksum_errors && self.may_speak(now) {
            What::Checksums(errors - core::mem::replace(&mut self.checksum_errors, errors))
        } else if evicted != self.evicted && is_over(&mut self.evictions_quiet_until, now) {
            What::Evicted(evicted - core::mem::replace(&mut self.evicted, evicted))
        } else {
            return None;
        };
        Some(Report { remote: SocketAddr::from(([0; 4], 0)), what })
    }

    /// Whether it may be said now that the settings of the peer at `remote` differ, whose every
    /// attempt ends in that.
    fn may_hint(&mut self, now: Instant, remote: IpAddr) -> bool {
        if self.hinted.iter().any(|&(known, at)| known == remote && now < at + PAUSE) {
            return false;
        }
        if let Some(oldest) = self.hinted.iter_mut().min_by_key(|(_, at)| *at) {
            *oldest = (remote, now);
        }
        true
    }

    fn may_speak(&mut self, now: Instant) -> bool {
        is_over(&mut self.quiet_until, now)
    }

    fn take_line(&mut self, now: Instant) -> bool {
        let fresh = (now - self.refilled_at).as_secs();
        if fresh > 0 {
            self.refilled_at = now;
            let fresh = u32::try_from(fresh).unwrap_or(BURST);
            self.lines_left = self.lines_left.saturating_add(fresh).min(BURST);
        }
        let is_left = self.lines_left > 0;
        self.lines_left -= u32::from(is_left);
        is_left
    }
}

/// Datagrams of a socket that the system did not send: the first has a line at once, and from then
/// on there is at most one a minute. One for each socket.
///
/// ```
/// use kcptun_tunnel::report::SendLosses;
/// use proto_base::Instant;
///
/// let mut losses = SendLosses::default();
/// let line = losses.handle_loss(Instant::from_millis(5), 3, "the queue is full").unwrap();
/// assert_eq!(line.to_string(), "udp socket: 3 packets were not sent: the queue is full");
/// assert!(losses.handle_loss(Instant::from_millis(6), 1, "the queue is full").is_none());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SendLosses {
    /// Since the last line.
    lost: u64,
    quiet_until: Option<Instant>,
}

impl SendLosses {
    /// `count` datagrams were lost. `Some` is a line to be displayed as a
    /// [warning](Level::Warn): the datagrams lost since the last one, and why these were.
    pub fn handle_loss<R: fmt::Display>(
        &mut self,
        now: Instant,
        count: usize,
        reason: R,
    ) -> Option<impl fmt::Display + use<R>> {
        self.lost = self.lost.saturating_add(count as u64);
        if !is_over(&mut self.quiet_until, now) {
            return None;
        }
        Some(Losses { count: core::mem::take(&mut self.lost), reason })
    }
}

struct Losses<R> {
    count: u64,
    reason: R,
}

impl<R: fmt::Display> fmt::Display for Losses<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, reason } = self;
        let what = if *count == 1 { "packet was" } else { "packets were" };
        write!(f, "udp socket: {count} {what} not sent: {reason}")
    }
}

/// Whether a time to be quiet is over; then the next one begins.
fn is_over(quiet_until: &mut Option<Instant>, now: Instant) -> bool {
    if quiet_until.is_some_and(|until| now < until) {
        return false;
    }
    *quiet_until = Some(now + PAUSE);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::crypt::{CipherKind, PacketCipher};
    use alloc::string::ToString;
    use alloc::vec::Vec;

    #[test]
    fn trouble_is_told_once_a_minute() {
        let cipher = PacketCipher::new(CipherKind::None, b"").unwrap();
        let mut server = Endpoint::new(Config::default(), cipher, Side::Server, [0; 32]).unwrap();
        let mut reporter = Reporter::new(Side::Server);
        let from = "10.0.0.1:5".parse().unwrap();
        let mut told = 0;
        for second in 0..150 {
            let now = Instant::from_millis(second * 1000);
            server.handle_batch(now, from, &mut [7; 60], 60);
            if let Some(report) = reporter.check(now, &server) {
                assert_eq!(report.level(), Level::Warn);
                told += 1;
            }
        }
        assert_eq!(told, 3);
    }

    #[test]
    fn losses_are_told_at_once_and_then_once_a_minute_with_none_left_out() {
        let mut losses = SendLosses::default();
        let mut lines = Vec::new();
        for second in 0..=130_u64 {
            let now = Instant::from_millis(second * 1000);
            lines.extend(losses.handle_loss(now, 2, "why").map(|it| (second, it.to_string())));
        }
        let expected = [(0, 2), (60, 120), (120, 120)].map(|(second, count)| {
            (second, alloc::format!("udp socket: {count} packets were not sent: why"))
        });
        assert_eq!(lines, expected);
        let mut one = SendLosses::default();
        let line = one.handle_loss(Instant::ZERO, 1, "why").unwrap().to_string();
        assert_eq!(line, "udp socket: 1 packet was not sent: why");
    }

    /// A client whose compression differs dials on and on; the log says it once a minute.
    #[test]
    fn a_peer_with_other_settings_is_told_once_a_minute() {
        let cipher = PacketCipher::new(CipherKind::Null, b"").unwrap();
        let mut server = Endpoint::new(Config::default(), cipher, Side::Server, [0; 32]).unwrap();
        let mut reporter = Reporter::new(Side::Server);
        // A push of eight bytes: a SYN of smux version 1, not compressed.
        let mut first = [0; 32];
        (first[4], first[20], first[24], first[28]) = (81, 8, 1, 3);
        let mut told = Vec::new();
        for second in 0..150_u16 {
            let now = Instant::from_millis(10_000 + 1_000 * u64::from(second));
            for host in [1, 2] {
                let from = SocketAddr::from(([10, 0, 0, host], 1 + second));
                server.handle_batch(now, from, &mut first.clone(), first.len());
            }
            while let Some((key, event)) = server.poll_event() {
                if let Event::Closed { remote, .. } = event {
                    let report = reporter.observe(now, &server, key, remote, &event);
                    told.extend(report.map(|report| (remote.ip(), report.to_string())));
                }
            }
        }
        assert_eq!(server.stats().closed.compression, 300);
        assert_eq!(told.len(), 2 * 3, "{told:?}");
        assert!(told[0].1.starts_with("settings differ from 10.0.0.1:1's: "), "{told:?}");
    }

    /// A recorded datagram from a thousand addresses: a burst of lines and then one a second, and
    /// now and then their sum.
    #[test]
    fn sessions_that_prove_nothing_do_not_fill_the_log() {
        let cipher = PacketCipher::new(CipherKind::Null, b"").unwrap();
        let config = Config { max_connections: 1, compression: false, ..Config::default() };
        let mut server = Endpoint::new(config, cipher, Side::Server, [0; 32]).unwrap();
        let mut reporter = Reporter::new(Side::Server);
        // A push of eight bytes: a SYN of smux version 1.
        let mut first = [0; 32];
        (first[4], first[20], first[24], first[28]) = (81, 8, 1, 3);
        let (mut begins, mut ends, mut sum, mut sums) = (0, 0, 0, 0);
        for number in 0..1_000_u16 {
            let now = Instant::from_millis(10_000 + 300 * u64::from(number));
            let from = SocketAddr::from(([10, 0, 0, 1], 1 + number));
            server.handle_batch(now, from, &mut first.clone(), first.len());
            while let Some((key, event)) = server.poll_event() {
                match event {
                    Event::Closed { reason, remote, is_proven } => {
                        assert_eq!((reason, is_proven), (CloseReason::Evicted, false));
                        assert_eq!(remote.port(), number, "the one before");
                        let report = reporter.observe(now, &server, key, remote, &event);
                        ends += u32::from(report.is_some());
                    }
                    _ => begins += u32::from(reporter.admits(now, &server, key)),
                }
            }
            if let Some(report) = reporter.check(now, &server) {
                let What::Evicted(count) = report.what else { panic!("{report}") };
                (sum, sums) = (sum + count, sums + 1);
            }
        }
        assert_eq!(server.stats().closed.evicted, 999);
        assert!((790..=999).contains(&sum) && sums <= 6, "{sum} in {sums} lines");
        assert!(
            begins > 40 && ends > 100 && begins + ends <= BURST + 301,
            "{begins} begins, {ends} ends"
        );
    }
}
