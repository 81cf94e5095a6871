//! How one TCP connection and one stream end together: half close.

use core::time::Duration;

use proto_base::Instant;

/// How long a half-closed pair may go without a byte when `closewait` is 0. Long enough for an
/// answer that takes minutes to compute; short enough that a peer which lost interest without
/// saying so does not hold a connection and a stream for ever.
pub const HALF_CLOSED_IDLE: Duration = Duration::from_secs(600);

/// The rules by which a TCP connection and the stream that carries it end.
///
/// Each direction ends by itself. Its end is passed on at once, and closes nothing else:
///
/// ```text
///                    handle_end                       poll_action
///  TcpToStream Open ───────────▶ Ended ─── FinishStream ───▶ Done ─┐ both
///  StreamToTcp Open ───────────▶ Ended ─── ShutdownTcp  ───▶ Done ─┴───────▶ CloseAll
///
///  handle_error, at any time ────────────────────────────────────────────▶ ResetAll
///  one direction over, too long without a sign of life
///                       from TcpToStream, the one that is left ───────────▶ CloseAll
///                       from StreamToTcp, as TCP would take it for an end ▶ ResetAll
/// ```
///
/// # The versions of kcptun
///
/// | version | rule | with this relay at the other end |
/// |---|---|---|
/// | up to 2023 | the first end closes connection and stream at once | its FIN means that it reads no more; what we still send is dropped there |
/// | 2024 | the same after `closewait` (client 0 s, server 30 s) | the same |
/// | newest | a direction that ended waits `closewait`, then shuts its own side | half close both ways |
/// | this one | an end is passed on at once and closes nothing else | half close both ways |
///
/// Here the end is never held back: the original waited so that the other direction could finish,
/// and half close lets it finish. Instead `closewait` says how long the direction that is left may
/// live without a sign of life; 0 stands for [`HALF_CLOSED_IDLE`].
///
/// A byte from the stream to TCP is such a sign, and with smux 2 a byte the other way as well, as
/// a peer that reads no more opens no window. With smux 1 our bytes vanish unnoticed at a peer that
/// closed for good (each one up to 2024, and the newest too when its TCP side broke). So with smux
/// 1 and a `closewait` the direction from TCP to the stream ends that long after the peer's FIN
/// whatever it moves, as in 2024; a download that its user gave up does not run on to its end.
///
/// A peer of this kind says that it still reads ([`handle_reader`](Relay::handle_reader)): then
/// each byte is a sign of life with smux 1 as well, and the limit is [`HALF_CLOSED_IDLE`] at least.
/// With a second FIN it says that nobody reads any more, on which the direction ends at once.
///
/// # Example
///
/// ```
/// use core::time::Duration;
/// use kcptun_tunnel::relay::{Action, Direction, Relay};
/// use proto_base::Instant;
///
/// let mut relay = Relay::new(Duration::ZERO, true);
/// let now = Instant::from_millis(5);
/// // TCP said all it had to say; the answer is still to come.
/// relay.handle_end(now, Direction::TcpToStream);
/// assert_eq!(relay.poll_action(), Some(Action::FinishStream));
/// assert_eq!(relay.poll_action(), None);
/// // The answer came and ended.
/// relay.handle_end(now, Direction::StreamToTcp);
/// assert_eq!(relay.poll_action(), Some(Action::ShutdownTcp));
/// assert_eq!(relay.poll_action(), Some(Action::CloseAll));
/// ```
#[derive(Debug, Clone)]
pub struct Relay {
    closewait: Duration,
    /// Bytes that the stream takes show that the peer reads.
    windows: bool,
    /// The peer has said that it reads.
    has_reader: bool,
    outward: State,
    inward: State,
    ending: Ending,
    /// The last sign of life since one direction ended; `None` while both are open.
    heard: Option<Instant>,
    /// When bytes last went from TCP to the stream.
    sent: Instant,
    now: Instant,
}

/// A direction of bytes between a TCP connection and its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Read from the TCP connection, sent to the peer.
    TcpToStream,
    /// Received from the peer, written to the TCP connection.
    StreamToTcp,
}

/// What the driver has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Send the stream's FIN; go on reading the stream.
    FinishStream,
    /// Shut the writing side of the TCP connection (its FIN); go on reading it.
    ShutdownTcp,
    /// Close both in peace: what the system has taken is still delivered. The last action.
    CloseAll,
    /// Abort the stream and reset the TCP connection (linger 0), so that bytes cut short are not
    /// taken for the whole. The last action.
    ResetAll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing more to pass on; the far side is to be told.
    Ended,
    /// The far side was told.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    No,
    Close,
    Reset,
    Told,
}

impl Relay {
    /// Both directions open.
    ///
    /// `closewait`: see above. `windows`: whether the stream has windows of its own, as in smux
    /// version 2, so that bytes it takes show that the peer reads.
    #[must_use]
    pub const fn new(closewait: Duration, windows: bool) -> Self {
        Self {
            closewait,
            windows,
            has_reader: false,
            outward: State::Open,
            inward: State::Open,
            ending: Ending::No,
            heard: None,
            sent: Instant::ZERO,
            now: Instant::ZERO,
        }
    }

    /// The source of a direction has ended (EOF, the peer's FIN) and all that came before its end
    /// was written to the other side. Saying it twice does nothing.
    pub fn handle_end(&mut self, now: Instant, direction: Direction) {
        self.now = self.now.max(now);
        let now = self.now;
        let state = self.state_mut(direction);
        if *state != State::Open {
            return;
        }
        *state = State::Ended;
        self.heard.get_or_insert(now);
        if self.outward != State::Open && self.inward != State::Open {
            self.end(Ending::Close);
        }
    }

    /// The peer, whose FIN has come, said that it still reads. Tell before
    /// [`handle_timeout`](Self::handle_timeout).
    pub fn handle_reader(&mut self) {
        self.has_reader = true;
    }

    /// The connection or the stream failed, in reading, writing or in an action: both end at once.
    pub fn handle_error(&mut self) {
        self.end(Ending::Reset);
    }

    /// A direction passed bytes on. It only stores the time, so call it for each copy.
    pub fn handle_progress(&mut self, now: Instant, direction: Direction) {
        self.now = self.now.max(now);
        match direction {
            Direction::TcpToStream if self.outward == State::Open => self.sent = self.now,
            Direction::StreamToTcp if self.inward == State::Open => {
                self.heard = self.heard.map(|_| self.now);
            }
            _ => {}
        }
    }

    /// Ends what is half closed and shows no sign of life. Before its time it does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.idle_at().is_some_and(|at| at <= self.now) {
            // A stream that has not ended is cut short, which must not look like its end.
            let is_cut = self.inward == State::Open;
            self.end(if is_cut { Ending::Reset } else { Ending::Close });
        }
    }

    /// What to do next; ask until it says `None`, after each `handle_*`.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.ending == Ending::Reset {
            self.ending = Ending::Told;
            return Some(Action::ResetAll);
        }
        if self.ending == Ending::Told {
            return None;
        }
        if self.outward == State::Ended {
            self.outward = State::Done;
            return Some(Action::FinishStream);
        }
        if self.inward == State::Ended {
            self.inward = State::Done;
            return Some(Action::ShutdownTcp);
        }
        (self.ending == Ending::Close).then(|| {
            self.ending = Ending::Told;
            Action::CloseAll
        })
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). Progress only moves it later, so a
    /// driver may leave a timer that was set earlier and ask again when it fires. While an action
    /// waits it is the latest time seen.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let has_action = match self.ending {
            Ending::Told => false,
            Ending::Close | Ending::Reset => true,
            Ending::No => self.outward == State::Ended || self.inward == State::Ended,
        };
        if has_action { Some(self.now) } else { self.idle_at() }
    }

    /// Whether a direction still passes bytes on: until its end, and until everything ends.
    #[must_use]
    pub fn is_open(&self, direction: Direction) -> bool {
        let state = match direction {
            Direction::TcpToStream => self.outward,
            Direction::StreamToTcp => self.inward,
        };
        self.ending == Ending::No && state == State::Open
    }

    /// Whether everything has ended and the last action was given out.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ending == Ending::Told
    }

    fn idle_at(&self) -> Option<Instant> {
        let heard = self.heard.filter(|_| self.ending == Ending::No)?;
        let limit = match self.closewait {
            Duration::ZERO => HALF_CLOSED_IDLE,
            wait if self.has_reader => wait.max(HALF_CLOSED_IDLE),
            wait => wait,
        };
        // Bytes that the stream took may have gone to nobody.
        let is_sign = self.windows || self.has_reader || self.closewait.is_zero();
        Some(if is_sign { heard.max(self.sent) + limit } else { heard + limit })
    }

    fn end(&mut self, ending: Ending) {
        if self.ending == Ending::No {
            self.ending = ending;
        }
    }

    fn state_mut(&mut self, direction: Direction) -> &mut State {
        match direction {
            Direction::TcpToStream => &mut self.outward,
            Direction::StreamToTcp => &mut self.inward,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Action::{CloseAll, FinishStream, ResetAll, ShutdownTcp};
    use super::Direction::{StreamToTcp, TcpToStream};
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const fn s(secs: u64) -> Instant {
        Instant::from_millis(secs * 1_000)
    }

    const fn closewait(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    impl Relay {
        /// All actions that are due now.
        #[track_caller]
        fn expect(&mut self, actions: &[Action]) -> &mut Self {
            let found: Vec<_> = core::iter::from_fn(|| self.poll_action()).collect();
            assert_eq!(found, actions);
            self
        }

        fn end_of(&mut self, secs: u64, direction: Direction) -> &mut Self {
            self.handle_end(s(secs), direction);
            self
        }

        fn bytes(&mut self, secs: u64, direction: Direction) -> &mut Self {
            self.handle_progress(s(secs), direction);
            self
        }

        fn error(&mut self) -> &mut Self {
            self.handle_error();
            self
        }

        /// The time passes, with the timeout called whenever it is wanted, and before it.
        fn wait_until(&mut self, secs: u64) -> &mut Self {
            while let Some(at) = self.poll_timeout().filter(|&at| at <= s(secs)) {
                self.handle_timeout(at);
                if self.poll_timeout() == Some(at) {
                    break;
                }
            }
            self.handle_timeout(s(secs));
            self
        }
    }

    #[test]
    fn a_request_that_ends_with_a_half_close_gets_its_answer() {
        let mut relay = Relay::new(closewait(0), false);
        relay.bytes(0, TcpToStream).end_of(1, TcpToStream).expect(&[FinishStream]);
        assert!(!relay.is_open(TcpToStream) && relay.is_open(StreamToTcp));
        for minute in 1..300 {
            relay.wait_until(60 * minute).expect(&[]).bytes(60 * minute, StreamToTcp);
        }
        relay.end_of(18_000, StreamToTcp).expect(&[ShutdownTcp, CloseAll]);
        assert!(relay.is_over());
        assert_eq!(relay.poll_timeout(), None);
    }

    #[test]
    fn after_the_peers_fin_what_is_left_is_still_sent() {
        let mut relay = Relay::new(closewait(0), false);
        relay.end_of(1, StreamToTcp).expect(&[ShutdownTcp]);
        relay.bytes(2, TcpToStream).expect(&[]).end_of(3, TcpToStream);
        relay.expect(&[FinishStream, CloseAll]).expect(&[]);
    }

    #[test]
    fn an_error_resets_both_at_once_and_once() {
        Relay::new(closewait(30), true).error().expect(&[ResetAll]).error().expect(&[]);
        let mut half = Relay::new(closewait(0), true);
        half.end_of(1, TcpToStream).expect(&[FinishStream]).error().expect(&[ResetAll]);
        half.end_of(2, StreamToTcp).wait_until(9_999).expect(&[]);
        // An end that was not passed on yet gives way.
        Relay::new(closewait(0), true).end_of(1, TcpToStream).error().expect(&[ResetAll]);
        // When all was said, an error takes nothing back.
        let mut both = Relay::new(closewait(0), true);
        both.end_of(1, TcpToStream).end_of(1, StreamToTcp).error();
        both.expect(&[FinishStream, ShutdownTcp, CloseAll]);
    }

    #[test]
    fn without_closewait_ten_silent_minutes_end_a_half_closed_pair() {
        // A stream that has not ended is cut short, and TCP has to know.
        for (ended, left, end) in
            [(TcpToStream, StreamToTcp, ResetAll), (StreamToTcp, TcpToStream, CloseAll)]
        {
            let mut relay = Relay::new(closewait(0), false);
            relay.wait_until(100_000).expect(&[]).end_of(100_000, ended);
            assert_eq!(relay.poll_timeout(), Some(s(100_000)), "an action waits");
            assert!(relay.poll_action().is_some());
            relay.wait_until(100_500).bytes(100_500, left).wait_until(101_099).expect(&[]);
            // What has ended gives no sign of life.
            relay.bytes(101_099, ended);
            assert_eq!(relay.poll_timeout(), Some(s(101_100)));
            relay.wait_until(101_100).expect(&[end]);
        }
    }

    #[test]
    fn closewait_is_the_patience_with_a_silent_rest() {
        let mut relay = Relay::new(closewait(30), true);
        relay.end_of(10, StreamToTcp).expect(&[ShutdownTcp]);
        relay.wait_until(39).expect(&[]).bytes(39, TcpToStream).wait_until(68).expect(&[]);
        relay.wait_until(69).expect(&[CloseAll]);
    }

    #[test]
    fn what_is_given_up_before_its_end_does_not_look_whole() {
        let mut relay = Relay::new(closewait(30), true);
        relay.bytes(1, StreamToTcp).end_of(2, TcpToStream).expect(&[FinishStream]);
        // The upload pauses.
        relay.bytes(5, StreamToTcp).wait_until(34).expect(&[]).wait_until(35).expect(&[ResetAll]);
        // An end that came in time is passed on as such, even when the time is up by then.
        let mut relay = Relay::new(closewait(30), true);
        relay.end_of(2, TcpToStream).expect(&[FinishStream]).end_of(31, StreamToTcp);
        relay.wait_until(99).expect(&[ShutdownTcp, CloseAll]);
    }

    #[test]
    fn a_peer_that_says_it_reads_is_fed_to_the_end_and_has_time_to_wait() {
        for windows in [false, true] {
            let mut relay = Relay::new(closewait(30), windows);
            relay.end_of(10, StreamToTcp).expect(&[ShutdownTcp]);
            relay.bytes(20, TcpToStream).handle_reader();
            for minute in 1..100 {
                relay.wait_until(60 * minute).expect(&[]).bytes(60 * minute, TcpToStream);
            }
            relay.wait_until(60 * 99 + 599).expect(&[]).wait_until(60 * 99 + 600);
            relay.expect(&[CloseAll]);
        }
    }

    #[test]
    fn a_smux_1_peer_that_may_be_deaf_is_fed_for_closewait_only() {
        let mut relay = Relay::new(closewait(30), false);
        relay.end_of(10, StreamToTcp).expect(&[ShutdownTcp]);
        (10..40).for_each(|at| assert!(relay.bytes(at, TcpToStream).poll_timeout() == Some(s(40))));
        relay.wait_until(40).expect(&[CloseAll]);
        // The other way round each byte shows that the peer lives.
        let mut relay = Relay::new(closewait(30), false);
        relay.end_of(10, TcpToStream).expect(&[FinishStream]);
        (10..400).for_each(|at| assert!(relay.bytes(at, StreamToTcp).poll_timeout() > Some(s(at))));
        relay.wait_until(428).expect(&[]).wait_until(429).expect(&[ResetAll]);
    }

    proptest! {
        /// In any order of calls: each end is told at most once and only after it came, the last
        /// action comes once, and a pair with an ended direction that is left alone is over in time.
        #[test]
        fn any_order_of_calls_ends_well(
            wait in 0_u64..3, windows: bool, calls in prop::collection::vec((0..7_u8, 0_u64..400), 0..30),
        ) {
            let mut relay = Relay::new(closewait(wait), windows);
            let (mut now, mut ended, mut actions) = (0, Vec::new(), Vec::new());
            for (call, pause) in calls {
                now += pause;
                match call {
                    0 | 1 => {
                        let direction = [TcpToStream, StreamToTcp][usize::from(call)];
                        ended.push(direction);
                        relay.handle_end(s(now), direction);
                    }
                    2 | 3 => relay.handle_progress(s(now), [TcpToStream, StreamToTcp][usize::from(call - 2)]),
                    4 => relay.handle_timeout(s(now)),
                    5 => actions.extend(relay.poll_action()),
                    _ if pause == 0 => relay.handle_error(),
                    _ => {}
                }
            }
            relay.handle_timeout(s(now) + HALF_CLOSED_IDLE);
            actions.extend(core::iter::from_fn(|| relay.poll_action()));
            let count = |action| actions.iter().filter(|&&one| one == action).count();
            for (action, direction) in [(FinishStream, TcpToStream), (ShutdownTcp, StreamToTcp)] {
                prop_assert!(count(action) <= usize::from(ended.contains(&direction)));
            }
            prop_assert_eq!(count(CloseAll) + count(ResetAll), usize::from(relay.is_over()));
            prop_assert!(relay.is_over() || ended.is_empty());
            let last = actions.iter().position(|one| matches!(one, CloseAll | ResetAll));
            prop_assert!(last.is_none_or(|at| at + 1 == actions.len()));
            prop_assert_eq!(relay.poll_timeout(), None);
        }
    }
}
