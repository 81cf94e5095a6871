//! Which session carries which TCP connection: the client's slots, their expiry and their deaths.

use alloc::vec::Vec;
use core::num::NonZeroU16;
use core::time::Duration;

use proto_base::Instant;

use crate::sorted::{SortedMap, SortedSet};

/// Wait between two attempts to dial (kcptun, client/main.go, `waitConn`).
pub const REDIAL_DELAY: Duration = Duration::from_secs(1);

/// How long a replaced session without streams stays, so that their last bytes still arrive.
pub const DRAIN_GRACE: Duration = Duration::from_secs(60);

/// Replaced sessions that may live at a time, not counting those whose replacement is being dialed
/// when the bound is reached (at most one per slot). Beyond it the oldest is closed.
pub const MAX_DRAINING: usize = 1_024;

/// The client's policy as a state machine: it decides, and the driver dials, opens and closes.
///
/// TCP connection number k uses slot k mod `conn`. A slot:
///
/// ```text
///            request                 handle_dialed
///    Empty ──────────▶ Dialing ───────────────────────▶ Live
///      ▲               │    ▲ 1 s later, while           │ request after `autoexpire`, or after
///      │ nobody waits  ▼    │ somebody waits             │ handle_suspect: the replacement is
///      └────────── handle_dial_failed                    │ dialed, then this session drains
///      ▲                                                 ▼
///      └─── handle_dead (dialed again at once ◀──────── Live, Dialing
///           if it was ever used)
/// ```
///
/// A session that was replaced *drains*: its streams live on, no new ones come. It ends by death,
/// at its creation + `autoexpire` + `scavengettl`, or [`DRAIN_GRACE`] after its last stream.
///
/// # Driving
///
/// [`handle_request`](Self::handle_request) answers each TCP connection with a session, or with a
/// slot to wait for. After each call of any verb, [`poll_scavenge`](Self::poll_scavenge) and then
/// [`poll_dial`](Self::poll_dial) tell what to close and what to dial; each dial may be a task of
/// its own. When a dial has ended, a suspect has recovered or a session has died, whoever
/// waits for a slot asks [`claim`](Self::claim) again. A session that was given to a connection
/// counts one stream until [`release`](Self::release).
///
/// # Differences from the original (kcptun 2021 to 2024, client/main.go)
///
/// | topic | original | here |
/// |---|---|---|
/// | slot is being dialed | no TCP connection is accepted until that succeeds | only those of that slot wait |
/// | failing dial | repeated for ever | repeated while somebody waits |
/// | failing dial of a replacement | everything waits | the expired session serves on |
/// | session silent, not yet known to be dead | new connections hang on it | they go to a fresh session |
/// | session dies | dialed at the next connection | dialed at once, if anybody ever used it |
/// | replaced session without streams | kept until `scavengettl` | closed after a minute |
///
/// As in the original, with `autoexpire` every session ends at creation + `autoexpire` +
/// `scavengettl`, replaced or not, and without it none expires.
///
/// # Memory
///
/// A few words per slot and session; sessions are at most two per slot and [`MAX_DRAINING`].
///
/// # Example
///
/// ```
/// use kcptun_tunnel::policy::{ClientPolicy, PolicyConfig, Request};
/// use proto_base::Instant;
///
/// let now = Instant::from_millis(1);
/// let mut policy = ClientPolicy::new(PolicyConfig::default());
/// let Request::Wait(slot) = policy.handle_request(now) else { panic!("nothing is dialed yet") };
/// let dial = policy.poll_dial(now).expect("the slot is wanted");
/// // The driver makes a session called `dial.session`.
/// assert!(policy.handle_dialed(now, dial.session));
/// assert_eq!(policy.claim(now, slot), Some(dial.session));
/// assert_eq!(policy.handle_request(now), Request::Use(dial.session));
/// ```
#[derive(Debug)]
pub struct ClientPolicy {
    config: PolicyConfig,
    slots: Vec<Slot>,
    /// The slot of the next request.
    next_slot: usize,
    sessions: SortedMap<SessionId, Session>,
    next_session: u64,
    draining: SortedSet<SessionId>,
    /// When slots want to be dialed.
    dials: SortedSet<(Instant, SlotId)>,
    /// When sessions are to be closed.
    closes: SortedSet<(Instant, SessionId)>,
    now: Instant,
}

/// The client's flags that concern its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyConfig {
    /// `--conn`: number of slots.
    pub conn: NonZeroU16,
    /// `--autoexpire`: age at which a slot's session is replaced; 0 is never.
    pub autoexpire: Duration,
    /// `--scavengettl`: how much longer an expired session may live.
    pub scavengettl: Duration,
}

impl Default for PolicyConfig {
    /// One slot, no expiry, 600 s: the original's defaults.
    fn default() -> Self {
        Self {
            conn: NonZeroU16::MIN,
            autoexpire: Duration::ZERO,
            scavengettl: Duration::from_secs(600),
        }
    }
}

/// The name of a session, chosen by the policy and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The number of a slot, below `conn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u16);

/// What a new TCP connection gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Open a stream on this session, and [`release`](ClientPolicy::release) it at its end.
    Use(SessionId),
    /// Wait for this slot: [`claim`](ClientPolicy::claim) it, or [`abandon`](ClientPolicy::abandon).
    Wait(SlotId),
}

/// A session to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dial {
    /// For whom.
    pub slot: SlotId,
    /// What it will be called.
    pub session: SessionId,
}

/// A session to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scavenge {
    /// Which one; the policy has forgotten it.
    pub session: SessionId,
    /// Why.
    pub reason: ScavengeReason,
}

/// Why a session is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScavengeReason {
    /// It reached creation + `autoexpire` + `scavengettl`; its streams end with it.
    Ttl,
    /// It was replaced, and its streams have ended.
    Drained,
    /// It was the oldest of [`MAX_DRAINING`].
    Crowded,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The session for new streams.
    current: Option<SessionId>,
    dial: Dialing,
    /// Whether the last dial failed.
    has_failed: bool,
    /// Connections that wait.
    waiting: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Dialing {
    #[default]
    No,
    /// To be dialed, as somebody wants it now.
    Due,
    /// Failed, to be dialed again later if somebody still waits then.
    Again,
    /// The driver is at it.
    Running,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    slot: SlotId,
    phase: Phase,
    created: Instant,
    streams: u32,
    /// It has carried a stream. One that died unused is not replaced, or a server that is away would
    /// be dialed for ever on behalf of nobody.
    was_used: bool,
    is_suspect: bool,
    close: Option<(Instant, ScavengeReason)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Dialing,
    Current,
    Draining,
}

impl ClientPolicy {
    /// Slots without sessions: nothing is dialed before it is needed.
    #[must_use]
    pub fn new(config: PolicyConfig) -> Self {
        Self {
            config,
            slots: alloc::vec![Slot::default(); usize::from(config.conn.get())],
            next_slot: 0,
            sessions: SortedMap::new(),
            next_session: 0,
            draining: SortedSet::new(),
            dials: SortedSet::new(),
            closes: SortedSet::new(),
            now: Instant::ZERO,
        }
    }

    /// Takes the memory for this many sessions at a time, so that no later one asks for any.
    pub fn reserve(&mut self, sessions: usize) {
        self.sessions.reserve(sessions);
        self.draining.reserve(sessions);
        self.dials.reserve(self.slots.len() + 1);
        self.closes.reserve(sessions);
    }

    /// A TCP connection came: which session carries it, or which slot it has to wait for.
    pub fn handle_request(&mut self, now: Instant) -> Request {
        let slot = SlotId(self.next_slot as u16);
        self.next_slot = (self.next_slot + 1) % self.slots.len();
        if let Some(session) = self.take(now, slot) {
            return Request::Use(session);
        }
        let waiting = &mut self.slots[usize::from(slot.0)].waiting;
        *waiting = waiting.saturating_add(1);
        Request::Wait(slot)
    }

    /// Who waits for a slot asks for its session. `None`: wait on.
    pub fn claim(&mut self, now: Instant, slot: SlotId) -> Option<SessionId> {
        let session = self.take(now, slot)?;
        self.abandon(slot);
        Some(session)
    }

    /// Who waited for a slot waits no more, as its TCP connection is gone.
    pub fn abandon(&mut self, slot: SlotId) {
        if let Some(slot) = self.slots.get_mut(usize::from(slot.0)) {
            slot.waiting = slot.waiting.saturating_sub(1);
        }
    }

    /// A stream on a session that was given by `handle_request` or `claim` is over.
    pub fn release(&mut self, now: Instant, session: SessionId) {
        self.now = self.now.max(now);
        if let Some(state) = self.sessions.get_mut(&session) {
            state.streams = state.streams.saturating_sub(1);
            self.close_when_drained(session);
        }
    }

    /// The session stands. What it replaces drains from now on. `false` if no such dial runs: the
    /// driver drops the session.
    pub fn handle_dialed(&mut self, now: Instant, session: SessionId) -> bool {
        self.now = self.now.max(now);
        let (now, config) = (self.now, self.config);
        let Some(state) = self.sessions.get_mut(&session) else { return false };
        if state.phase != Phase::Dialing {
            return false;
        }
        state.phase = Phase::Current;
        state.created = now;
        state.is_suspect = false;
        if !config.autoexpire.is_zero() {
            let at = now + config.autoexpire + config.scavengettl;
            state.close = Some((at, ScavengeReason::Ttl));
            self.closes.insert((at, session), ());
        }
        let slot = &mut self.slots[usize::from(state.slot.0)];
        slot.dial = Dialing::No;
        slot.has_failed = false;
        if let Some(old) = slot.current.replace(session) {
            self.drain(old);
        }
        true
    }

    /// The session could not be made. The slot is tried again after [`REDIAL_DELAY`] if somebody
    /// waits for it then; a connection that waited for the replacement of a session which is only
    /// expired gets that one from `claim` now.
    pub fn handle_dial_failed(&mut self, now: Instant, session: SessionId) {
        self.now = self.now.max(now);
        let is_dialing = |state: &Session| state.phase == Phase::Dialing;
        let Some(state) = self.sessions.get(&session).copied().filter(is_dialing) else { return };
        self.sessions.remove(&session);
        self.slots[usize::from(state.slot.0)].has_failed = true;
        self.dial_at(state.slot, self.now + REDIAL_DELAY, Dialing::Again);
    }

    /// The session has been silent for too long: new streams go elsewhere, its own live on.
    pub fn handle_suspect(&mut self, session: SessionId) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.is_suspect = true;
        }
    }

    /// The session was heard again. It takes new streams again if it was not replaced yet.
    pub fn handle_recovered(&mut self, session: SessionId) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.is_suspect = false;
        }
    }

    /// The session is dead or closed. Its slot is empty, and is dialed again at once if the session
    /// was ever used or somebody waits for it. So the next connection finds its name resolved and
    /// its session standing.
    pub fn handle_dead(&mut self, now: Instant, session: SessionId) {
        self.now = self.now.max(now);
        match self.sessions.get(&session) {
            Some(Session { phase: Phase::Dialing, .. }) => self.handle_dial_failed(now, session),
            Some(&Session { was_used, .. }) => self.forget(session, was_used),
            None => {}
        }
    }

    /// A session that has to be made now; one call per session until it says `None`. Answer with
    /// [`handle_dialed`](Self::handle_dialed) or [`handle_dial_failed`](Self::handle_dial_failed).
    pub fn poll_dial(&mut self, now: Instant) -> Option<Dial> {
        self.now = self.now.max(now);
        while let Some(&(at, slot)) = self.dials.first().filter(|(at, _)| *at <= self.now) {
            self.dials.remove(&(at, slot));
            // A repetition is idle when nobody waits, or when the old session recovered.
            let Slot { dial, waiting, .. } = self.state(slot);
            if dial == Dialing::Again && (waiting == 0 || self.is_fresh(slot)) {
                self.slots[usize::from(slot.0)].dial = Dialing::No;
                continue;
            }
            self.slots[usize::from(slot.0)].dial = Dialing::Running;
            let session = SessionId(self.next_session);
            self.next_session += 1;
            let state = Session {
                slot,
                phase: Phase::Dialing,
                created: self.now,
                streams: 0,
                was_used: false,
                is_suspect: false,
                close: None,
            };
            self.sessions.insert(session, state);
            return Some(Dial { slot, session });
        }
        None
    }

    /// A session that has to be closed now; one call per session until it says `None`.
    pub fn poll_scavenge(&mut self, now: Instant) -> Option<Scavenge> {
        self.now = self.now.max(now);
        let &(_, session) = self.closes.first().filter(|(at, _)| *at <= self.now)?;
        let state = self.sessions.get(&session)?;
        let (reason, has_streams) = (state.close?.1, state.streams > 0);
        self.forget(session, has_streams);
        Some(Scavenge { session, reason })
    }

    /// When to ask [`poll_dial`](Self::poll_dial) and [`poll_scavenge`](Self::poll_scavenge)
    /// again. While something is due it is the latest time seen.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dial = self.dials.first().map(|&(at, _)| at);
        let close = self.closes.first().map(|&(at, _)| at);
        Instant::earliest(dial, close).map(|at| at.max(self.now))
    }

    /// The session that new streams of a slot go to, if there is one.
    #[must_use]
    pub fn current(&self, slot: SlotId) -> Option<SessionId> {
        self.slots.get(usize::from(slot.0))?.current
    }

    /// Whether a session is the one that new streams of some slot go to.
    #[must_use]
    pub fn is_current(&self, session: SessionId) -> bool {
        self.slots.iter().any(|slot| slot.current == Some(session))
    }

    /// Replaced sessions that still live.
    #[must_use]
    pub fn draining(&self) -> usize {
        self.draining.len()
    }

    /// The session of a slot, with one stream more; if it has none that will do, the slot is
    /// dialed.
    fn take(&mut self, now: Instant, slot: SlotId) -> Option<SessionId> {
        self.now = self.now.max(now);
        let is_fresh = self.is_fresh(slot);
        if !is_fresh && self.slots.get(usize::from(slot.0))?.dial == Dialing::No {
            self.replace(slot);
        }
        let Slot { current, dial, has_failed, .. } = self.state(slot);
        let session = current?;
        // What is only old serves on when it cannot be replaced, what is silent does not.
        let is_suspect = self.sessions.get(&session)?.is_suspect;
        let serves = is_fresh || dial == Dialing::No || (has_failed && !is_suspect);
        if !serves {
            return None;
        }
        let state = self.sessions.get_mut(&session)?;
        state.streams = state.streams.saturating_add(1);
        state.was_used = true;
        Some(session)
    }

    /// Whether the slot has a session that is neither suspect nor expired.
    fn is_fresh(&self, slot: SlotId) -> bool {
        let current = self.state(slot).current.and_then(|session| self.sessions.get(&session));
        let autoexpire = self.config.autoexpire;
        current.is_some_and(|session| {
            let is_expired = !autoexpire.is_zero() && self.now > session.created + autoexpire;
            !session.is_suspect && !is_expired
        })
    }

    /// Has a slot dialed, if there is room for its session among the draining ones. If not, the
    /// oldest of them has to go first; until the driver closed it, the session at hand serves on.
    fn replace(&mut self, slot: SlotId) {
        let has_room = self.state(slot).current.is_none() || self.draining.len() < MAX_DRAINING;
        match self.draining.first().copied().filter(|_| !has_room) {
            Some(oldest) => self.close_at(oldest, self.now, ScavengeReason::Crowded),
            None => self.dial_at(slot, self.now, Dialing::Due),
        }
    }

    fn dial_at(&mut self, slot: SlotId, at: Instant, dial: Dialing) {
        self.slots[usize::from(slot.0)].dial = dial;
        self.dials.insert((at, slot), ());
    }

    fn drain(&mut self, session: SessionId) {
        if let Some(state) = self.sessions.get_mut(&session) {
            state.phase = Phase::Draining;
            self.draining.insert(session, ());
            self.close_when_drained(session);
        }
    }

    fn close_when_drained(&mut self, session: SessionId) {
        let is_idle = |state: &Session| state.phase == Phase::Draining && state.streams == 0;
        if self.sessions.get(&session).is_some_and(is_idle) {
            self.close_at(session, self.now + DRAIN_GRACE, ScavengeReason::Drained);
        }
    }

    /// Closes a session at that time, if it is not closed sooner.
    fn close_at(&mut self, session: SessionId, at: Instant, reason: ScavengeReason) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        if let Some((sooner, _)) = state.close {
            if sooner <= at {
                return;
            }
            self.closes.remove(&(sooner, session));
        }
        state.close = Some((at, reason));
        self.closes.insert((at, session), ());
    }

    /// Removes a session that is not being dialed. `is_missed`: its slot is dialed again at once.
    fn forget(&mut self, session: SessionId, is_missed: bool) {
        let Some(state) = self.sessions.remove(&session) else { return };
        self.draining.remove(&session);
        if let Some((at, _)) = state.close {
            self.closes.remove(&(at, session));
        }
        let slot = &mut self.slots[usize::from(state.slot.0)];
        if slot.current == Some(session) {
            slot.current = None;
            if slot.dial == Dialing::No && (is_missed || slot.waiting > 0) {
                self.dial_at(state.slot, self.now, Dialing::Due);
            }
        }
    }

    fn state(&self, slot: SlotId) -> Slot {
        self.slots.get(usize::from(slot.0)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
