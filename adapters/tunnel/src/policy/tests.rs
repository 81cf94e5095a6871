use super::*;
use proptest::prelude::*;

const fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

const fn secs(secs: u64) -> Instant {
    ms(secs * 1_000)
}

/// A policy with the expiry flags of a test, in seconds.
fn policy(conn: u16, autoexpire: u64, scavengettl: u64) -> ClientPolicy {
    ClientPolicy::new(PolicyConfig {
        conn: NonZeroU16::new(conn).expect("conn"),
        autoexpire: Duration::from_secs(autoexpire),
        scavengettl: Duration::from_secs(scavengettl),
    })
}

impl ClientPolicy {
    /// The one dial that is wanted now.
    #[track_caller]
    fn expect_dial(&mut self, now: Instant, slot: u16) -> SessionId {
        assert_eq!(self.poll_timeout(), Some(now), "wants to be called");
        let dial = self.poll_dial(now).expect("a dial");
        assert_eq!((dial.slot, self.poll_dial(now)), (SlotId(slot), None));
        dial.session
    }

    /// A connection that is carried at once.
    #[track_caller]
    fn expect_use(&mut self, now: Instant, session: SessionId) {
        assert_eq!(self.handle_request(now), Request::Use(session));
        assert_eq!(self.poll_dial(now), None);
    }

    /// A connection for which a session is dialed without trouble.
    #[track_caller]
    fn expect_fresh(&mut self, now: Instant, slot: u16) -> SessionId {
        assert_eq!(self.handle_request(now), Request::Wait(SlotId(slot)));
        let session = self.expect_dial(now, slot);
        assert_eq!(self.claim(now, SlotId(slot)), None);
        assert!(self.handle_dialed(now, session));
        assert_eq!(self.claim(now, SlotId(slot)), Some(session));
        session
    }

    #[track_caller]
    fn expect_close(&mut self, now: Instant, session: SessionId, reason: ScavengeReason) {
        assert_eq!(self.poll_timeout(), Some(now));
        assert_eq!(self.poll_scavenge(ms(now.as_millis() - 1)), None);
        assert_eq!(self.poll_scavenge(now), Some(Scavenge { session, reason }));
        assert_eq!(self.poll_scavenge(now), None);
    }
}

#[test]
fn connections_use_the_slots_in_turn_and_dial_them_when_needed() {
    let mut policy = policy(3, 0, 600);
    assert_eq!((policy.poll_dial(secs(1)), policy.poll_timeout()), (None, None));
    let sessions = [0, 1, 2].map(|slot| policy.expect_fresh(secs(2), slot));
    for _ in 0..70_000 {
        sessions.iter().for_each(|&session| policy.expect_use(secs(3), session));
    }
}

#[test]
fn a_slot_that_is_being_dialed_holds_up_nobody_else() {
    let mut policy = policy(2, 0, 600);
    assert_eq!(policy.handle_request(ms(1)), Request::Wait(SlotId(0)));
    let slow = policy.expect_dial(ms(1), 0);
    let quick = policy.expect_fresh(ms(2), 1);
    assert_eq!(policy.handle_request(ms(3)), Request::Wait(SlotId(0)));
    policy.expect_use(ms(4), quick);
    assert_eq!(policy.claim(ms(5), SlotId(0)), None, "one dial for all who wait");
    assert_eq!(policy.poll_dial(ms(5)), None);
    assert!(policy.handle_dialed(ms(6), slow));
    assert_eq!(policy.claim(ms(6), SlotId(0)), Some(slow));
    assert_eq!(policy.claim(ms(6), SlotId(0)), Some(slow));
}

#[test]
fn a_failing_dial_is_repeated_every_second_while_somebody_waits() {
    let mut policy = policy(1, 0, 600);
    assert_eq!(policy.handle_request(ms(0)), Request::Wait(SlotId(0)));
    let mut session = policy.expect_dial(ms(0), 0);
    for second in 1..100 {
        policy.handle_dial_failed(ms(second * 1_000 - 1_000), session);
        assert_eq!(policy.claim(ms(second * 1_000 - 999), SlotId(0)), None);
        assert_eq!(policy.poll_dial(ms(second * 1_000 - 1)), None);
        session = policy.expect_dial(secs(second), 0);
    }
    policy.handle_dial_failed(secs(100), session);
    policy.abandon(SlotId(0));
    assert_eq!((policy.poll_dial(secs(101)), policy.poll_timeout()), (None, None));
    policy.expect_fresh(secs(102), 0);
}

#[test]
fn an_expired_session_is_replaced_at_the_next_connection_and_drains() {
    let mut policy = policy(1, 60, 600);
    let old = policy.expect_fresh(secs(100), 0);
    policy.expect_use(secs(160), old);
    assert_eq!(policy.poll_dial(secs(300)), None, "only a connection replaces it");
    let new = policy.expect_fresh(secs(301), 0);
    assert_eq!((policy.current(SlotId(0)), policy.draining()), (Some(new), 1));
    policy.expect_use(secs(302), new);
    policy.expect_close(secs(100 + 60 + 600), old, ScavengeReason::Ttl);
    assert_eq!(policy.draining(), 0);
}

#[test]
fn with_autoexpire_a_session_ends_with_its_ttl_replaced_or_not() {
    let mut policy = policy(1, 60, 600);
    let session = policy.expect_fresh(secs(5), 0);
    policy.release(secs(6), session);
    policy.expect_close(secs(665), session, ScavengeReason::Ttl);
    assert_eq!((policy.current(SlotId(0)), policy.poll_timeout()), (None, None));
    policy.expect_fresh(secs(700), 0);
}

#[test]
fn without_autoexpire_nothing_expires() {
    let mut policy = policy(1, 0, 600);
    let session = policy.expect_fresh(secs(5), 0);
    assert_eq!(policy.poll_timeout(), None);
    policy.expect_use(secs(1_000_000_000), session);
    assert_eq!(policy.poll_scavenge(secs(1_000_000_000)), None);
}

#[test]
fn a_replaced_session_is_closed_a_minute_after_its_last_stream() {
    let mut policy = policy(1, 60, 600);
    let old = policy.expect_fresh(secs(0), 0);
    policy.expect_use(secs(1), old);
    policy.expect_fresh(secs(70), 0);
    policy.release(secs(71), old);
    assert_eq!(policy.poll_timeout(), Some(secs(660)));
    policy.release(secs(80), old);
    policy.expect_close(secs(140), old, ScavengeReason::Drained);
    policy.release(secs(141), old);
}

#[test]
fn the_ttl_is_not_put_off_by_draining() {
    let mut policy = policy(1, 60, 600);
    let old = policy.expect_fresh(secs(0), 0);
    policy.expect_fresh(secs(70), 0);
    policy.release(secs(650), old);
    policy.expect_close(secs(660), old, ScavengeReason::Ttl);
}

#[test]
fn a_death_before_the_waiting_have_claimed_does_not_strand_them() {
    let mut policy = policy(1, 0, 600);
    let session = policy.expect_fresh(secs(0), 0);
    policy.release(secs(0), session);
    policy.handle_suspect(session);
    assert_eq!(policy.handle_request(secs(1)), Request::Wait(SlotId(0)));
    let vain = policy.expect_dial(secs(1), 0);
    policy.handle_dial_failed(secs(1), vain);
    policy.handle_recovered(session);
    assert_eq!(policy.poll_dial(secs(2)), None, "the one that waits can claim");
    policy.handle_dead(secs(3), session);
    let next = policy.expect_dial(secs(3), 0);
    assert!(policy.handle_dialed(secs(3), next));
    assert_eq!(policy.claim(secs(3), SlotId(0)), Some(next));
}

#[test]
fn an_expired_session_serves_on_while_its_replacement_cannot_be_dialed() {
    let mut policy = policy(1, 60, 600);
    let old = policy.expect_fresh(secs(0), 0);
    assert_eq!(policy.handle_request(secs(70)), Request::Wait(SlotId(0)));
    let vain = policy.expect_dial(secs(70), 0);
    policy.handle_dial_failed(secs(75), vain);
    assert_eq!(policy.claim(secs(75), SlotId(0)), Some(old));
    policy.expect_use(secs(75), old);
    assert_eq!(policy.poll_dial(secs(76)), None, "nobody waits");
    // The next connection is served by the old one, and has the slot dialed as well.
    assert_eq!(policy.handle_request(secs(80)), Request::Use(old));
    let new = policy.expect_dial(secs(80), 0);
    assert!(policy.handle_dialed(secs(81), new));
    policy.expect_use(secs(81), new);
    // The failure is forgotten: connections wait for the next replacement.
    policy.expect_fresh(secs(142), 0);
}

#[test]
fn connections_leave_a_suspect_and_its_streams_live_on() {
    let mut policy = policy(1, 0, 600);
    let silent = policy.expect_fresh(secs(0), 0);
    policy.handle_suspect(silent);
    assert_eq!(policy.poll_timeout(), None, "only a connection replaces it");
    let fresh = policy.expect_fresh(secs(10), 0);
    policy.handle_recovered(silent);
    policy.expect_use(secs(11), fresh);
    assert_eq!((policy.draining(), policy.poll_timeout()), (1, None), "its stream lives on");
    policy.release(secs(3_600), silent);
    policy.expect_close(secs(3_660), silent, ScavengeReason::Drained);
}

#[test]
fn a_suspect_that_recovers_before_it_was_replaced_serves_again() {
    let mut policy = policy(1, 0, 600);
    let session = policy.expect_fresh(secs(0), 0);
    policy.handle_suspect(session);
    assert_eq!(policy.handle_request(secs(1)), Request::Wait(SlotId(0)));
    let vain = policy.expect_dial(secs(1), 0);
    policy.handle_dial_failed(secs(1), vain);
    assert_eq!(policy.claim(secs(1), SlotId(0)), None, "it is silent, not only old");
    policy.handle_recovered(session);
    assert_eq!(policy.poll_dial(secs(2)), None);
    // Even if it falls silent before the connection that waits has asked.
    policy.handle_suspect(session);
    assert_eq!(policy.claim(secs(2), SlotId(0)), None);
    let vain = policy.expect_dial(secs(2), 0);
    policy.handle_dial_failed(secs(2), vain);
    policy.handle_recovered(session);
    assert_eq!(policy.claim(secs(2), SlotId(0)), Some(session));
    policy.expect_use(secs(2), session);
}

#[test]
fn the_dead_leave_an_empty_slot_that_is_dialed_at_once_if_it_was_in_use() {
    let mut policy = policy(1, 0, 600);
    let first = policy.expect_fresh(secs(0), 0);
    policy.handle_dead(secs(5), first);
    assert_eq!(policy.current(SlotId(0)), None);
    let second = policy.expect_dial(secs(5), 0);
    assert!(policy.handle_dialed(secs(5), second));
    policy.handle_dead(secs(65), second);
    assert_eq!((policy.poll_dial(secs(65)), policy.poll_timeout()), (None, None));
    // A dead session that was already replaced leaves the slot alone.
    let third = policy.expect_fresh(secs(70), 0);
    policy.handle_suspect(third);
    let fourth = policy.expect_fresh(secs(71), 0);
    policy.handle_dead(secs(72), third);
    policy.expect_use(secs(72), fourth);
    assert_eq!(policy.draining(), 0);
}

/// Of a session that was used before, and idle when it died, the next connection finds a
/// replacement standing.
#[test]
fn an_idle_session_is_replaced_when_it_dies_and_not_at_the_next_connection() {
    let mut policy = policy(2, 0, 600);
    let first = policy.expect_fresh(secs(0), 0);
    policy.release(secs(1), first);
    policy.handle_dead(secs(500), first);
    let second = policy.expect_dial(secs(500), 0);
    assert!(policy.handle_dialed(secs(500), second));
    let other = policy.expect_fresh(secs(501), 1);
    policy.expect_use(secs(502), second);
    policy.expect_use(secs(503), other);
    // With the network gone as well the replacement waits for somebody who wants it.
    policy.handle_dead(secs(600), second);
    let vain = policy.expect_dial(secs(600), 0);
    policy.handle_dial_failed(secs(600), vain);
    assert_eq!((policy.poll_dial(secs(601)), policy.poll_timeout()), (None, None));
    policy.expect_fresh(secs(4_000), 0);
}

/// A server that is away for an hour: connections keep coming, each waits on some session, and
/// sessions die after their time. Dials and sessions stay few, and when the server is back the next
/// connection is served at once.
#[test]
fn an_hour_without_a_server() {
    let mut policy = policy(1, 0, 600);
    let mut current = policy.expect_fresh(ms(0), 0);
    let (mut dials, mut most, mut silent) = (0, 0, Vec::new());
    for tick in 1..3_600 * 4_u64 {
        let now = ms(250 * tick);
        // A session falls silent a second after its birth and dies a minute after.
        silent.retain(|&(session, at): &(SessionId, Instant)| {
            if now - at >= Duration::from_secs(1) {
                policy.handle_suspect(session);
            }
            if now - at >= Duration::from_secs(60) {
                policy.handle_dead(now, session);
            }
            now - at < Duration::from_secs(60)
        });
        match policy.handle_request(now) {
            Request::Use(session) => assert_eq!(session, current, "never on a silent one"),
            Request::Wait(slot) => {
                let session = policy.expect_dial(now, slot.0);
                assert!(policy.handle_dialed(now, session));
                assert_eq!(policy.claim(now, slot), Some(session));
                silent.push((session, now));
                (current, dials) = (session, dials + 1);
            }
        }
        most = most.max(policy.sessions.len());
    }
    assert!(dials <= 3_601 && most <= 62, "{dials} dials, {most} sessions at once");
    policy.handle_suspect(current);
    let back = policy.expect_fresh(secs(3_602), 0);
    policy.expect_use(secs(3_700), back);
}

#[test]
fn stale_reports_change_nothing() {
    let mut policy = policy(1, 0, 600);
    let session = policy.expect_fresh(secs(0), 0);
    for stale in [session, SessionId(77)] {
        assert!(!policy.handle_dialed(secs(1), stale));
        policy.handle_dial_failed(secs(1), stale);
    }
    policy.handle_dead(secs(1), SessionId(77));
    policy.release(secs(1), SessionId(77));
    policy.abandon(SlotId(9));
    assert_eq!(policy.claim(secs(1), SlotId(9)), None);
    policy.expect_use(secs(1), session);
}

#[test]
fn replaced_sessions_are_bounded_and_the_oldest_goes_first() {
    let mut policy = policy(1, 1, 1_000_000);
    let first = policy.expect_fresh(secs(0), 0);
    for i in 1..=MAX_DRAINING {
        policy.expect_fresh(secs(2 * i as u64), 0);
    }
    assert_eq!(policy.draining(), MAX_DRAINING);
    let now = secs(2 * MAX_DRAINING as u64 + 2);
    let current = policy.current(SlotId(0)).expect("a session");
    policy.expect_use(now, current);
    assert_eq!(policy.draining(), MAX_DRAINING);
    let crowded = Scavenge { session: first, reason: ScavengeReason::Crowded };
    assert_eq!((policy.poll_timeout(), policy.poll_scavenge(now)), (Some(now), Some(crowded)));
    policy.expect_fresh(now, 0);
    assert_eq!(policy.draining(), MAX_DRAINING);
}

/// A driver that does what it is told in any order and at any time, with dials that fail and
/// sessions that fall silent, recover and die.
#[derive(Debug)]
struct Driver {
    policy: ClientPolicy,
    now: Instant,
    dialing: Vec<Dial>,
    alive: Vec<SessionId>,
    streams: Vec<SessionId>,
    waiting: Vec<SlotId>,
}

impl Driver {
    fn step(&mut self, call: u8, pick: usize, pause: u64) {
        self.now += Duration::from_millis(pause);
        let now = self.now;
        let picked = |len: usize| (len > 0).then(|| pick % len);
        match call {
            0..=2 => match self.policy.handle_request(now) {
                Request::Use(session) => self.streams.push(session),
                Request::Wait(slot) => self.waiting.push(slot),
            },
            3 | 4 => {
                if let Some(i) = picked(self.dialing.len()) {
                    let dial = self.dialing.swap_remove(i);
                    if call == 3 {
                        assert!(self.policy.handle_dialed(now, dial.session));
                        self.alive.push(dial.session);
                    } else {
                        self.policy.handle_dial_failed(now, dial.session);
                    }
                }
            }
            5 | 6 => {
                if let Some(i) = picked(self.alive.len()) {
                    match call {
                        5 => self.policy.handle_suspect(self.alive[i]),
                        _ => self.policy.handle_recovered(self.alive[i]),
                    }
                }
            }
            7 => {
                if let Some(i) = picked(self.alive.len()) {
                    self.end(i);
                }
            }
            8 => {
                if let Some(i) = picked(self.streams.len()) {
                    let session = self.streams.swap_remove(i);
                    self.policy.release(now, session);
                }
            }
            9 => {
                if let Some(i) = picked(self.waiting.len()) {
                    self.policy.abandon(self.waiting.swap_remove(i));
                }
            }
            _ => self.claim_all(),
        }
        self.poll();
    }

    fn end(&mut self, i: usize) {
        let session = self.alive.swap_remove(i);
        self.streams.retain(|&one| one != session);
        self.policy.handle_dead(self.now, session);
    }

    fn claim_all(&mut self) {
        let (policy, streams, now) = (&mut self.policy, &mut self.streams, self.now);
        self.waiting.retain(|&slot| {
            let session = policy.claim(now, slot);
            streams.extend(session);
            session.is_none()
        });
    }

    fn poll(&mut self) {
        while let Some(Scavenge { session, reason }) = self.policy.poll_scavenge(self.now) {
            let i = self.alive.iter().position(|&one| one == session).expect("closed twice");
            self.alive.swap_remove(i);
            let before = self.streams.len();
            self.streams.retain(|&one| one != session);
            assert!(reason != ScavengeReason::Drained || self.streams.len() == before);
        }
        while let Some(dial) = self.policy.poll_dial(self.now) {
            assert!(self.dialing.iter().all(|one| one.slot != dial.slot), "one at a time");
            self.dialing.push(dial);
        }
        assert!(self.policy.poll_timeout().is_none_or(|at| at > self.now), "would spin");
        let is_alive = |session: &SessionId| self.alive.contains(session);
        assert!(self.streams.iter().all(is_alive), "a stream on a session that is gone");
        assert!((0..3).filter_map(|i| self.policy.current(SlotId(i))).all(|s| is_alive(&s)));
        assert_eq!(self.policy.sessions.len(), self.alive.len() + self.dialing.len());
    }
}

proptest! {
    #[test]
    fn whoever_waits_is_served_once_dials_succeed(
        autoexpire in 0_u64..30, ttl in 0_u64..60,
        steps in prop::collection::vec((0..12_u8, 0..8_usize, 0_u64..4_000), 1..120),
    ) {
        let mut driver = Driver {
            policy: policy(3, autoexpire, ttl),
            now: secs(1),
            dialing: Vec::new(),
            alive: Vec::new(),
            streams: Vec::new(),
            waiting: Vec::new(),
        };
        for (call, pick, pause) in steps {
            driver.step(call, pick, pause);
        }
        // From here on every dial succeeds at once; a second later all are served.
        for pause in [0, 1_000] {
            driver.step(10, 0, pause);
            while !driver.dialing.is_empty() {
                driver.step(3, 0, 0);
            }
            driver.claim_all();
            driver.poll();
            while !driver.dialing.is_empty() {
                driver.step(3, 0, 0);
            }
            driver.claim_all();
        }
        prop_assert!(driver.waiting.is_empty(), "{:?}", driver);
        // When all streams have ended, what was replaced goes.
        while let Some(session) = driver.streams.pop() {
            driver.policy.release(driver.now, session);
        }
        driver.step(11, 0, DRAIN_GRACE.as_millis() as u64);
        prop_assert_eq!(driver.policy.draining(), 0);
        prop_assert!(driver.alive.len() <= 3);
    }
}
