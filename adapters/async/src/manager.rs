//! What all tasks of a client share: the policy, its sessions, and who waits for one.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kcptun_tunnel::policy::{ClientPolicy, Dial, PolicyConfig, SessionId, SlotId};
use kcptun_tunnel::report::Reporter;
use kcptun_tunnel::{ConnectionKey, Event, Side, TunnelStats};
use proto_base::Instant;

use crate::driver::Observer;
use crate::now;
use crate::report::write;
use crate::shared::{Shared, State};

/// Least time between two lines about counters of any session.
const COUNTERS_PAUSE: Duration = Duration::from_secs(60);

/// The policy, and what carries out its decisions.
///
/// A driver that reports an event holds its endpoint and asks for the manager: never the other way
/// round.
pub(crate) struct Manager {
    pub(crate) policy: ClientPolicy,
    pub(crate) sessions: HashMap<SessionId, Session>,
    /// The endpoints of all sessions that are not over, those that take no streams any more
    /// included.
    pub(crate) endpoints: HashMap<SessionId, Shared>,
    /// Counters of sessions that are over.
    pub(crate) past: TunnelStats,
    /// The task that dials and closes.
    pub(crate) keeper: Option<Waker>,
    /// Tasks that wait for a slot, by numbers of their own.
    waiting: HashMap<u64, Waker>,
    next_waiting: u64,
    /// One for all sessions: a client that goes from one to the next shall not repeat itself.
    reporter: Reporter,
    counters_quiet_until: Option<Instant>,
    /// Sessions expire, and the log says how each of them ends.
    is_scavenging: bool,
    /// Nothing is dialled any more: the client is gone, or its runtime.
    pub(crate) is_closed: bool,
}

/// A session that takes streams.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) shared: Shared,
    pub(crate) key: ConnectionKey,
    /// The socket's address, by which the log names it when it expires.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

impl Manager {
    /// Without sessions.
    pub(crate) fn new(policy: PolicyConfig) -> Self {
        Self {
            policy: ClientPolicy::new(policy),
            sessions: HashMap::new(),
            endpoints: HashMap::new(),
            past: TunnelStats::default(),
            keeper: None,
            waiting: HashMap::new(),
            next_waiting: 0,
            reporter: Reporter::new(Side::Client),
            counters_quiet_until: None,
            is_scavenging: !policy.autoexpire.is_zero(),
            is_closed: false,
        }
    }

    /// A session that begins; counts the most at once.
    pub(crate) fn add(&mut self, id: SessionId, shared: Shared) {
        self.endpoints.insert(id, shared);
        let most = &mut self.past.endpoint.most_connections;
        *most = (*most).max(self.endpoints.len() as u64);
    }

    /// Something is to be dialled or closed, perhaps.
    pub(crate) fn wake_keeper(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
    }

    /// Those who wait for a slot may get one, perhaps.
    pub(crate) fn wake_all(&mut self) {
        self.wake_keeper();
        self.waiting.drain().for_each(|(_, waiting)| waiting.wake());
    }

    /// Counts a dial that failed: whether it is the first since one succeeded.
    pub(crate) fn is_first_failure(&mut self, now: Instant) -> bool {
        let is_first = self.past.dials_fail_since.is_none();
        self.past.dial_failures += 1;
        self.past.dials_fail_since.get_or_insert(now);
        is_first
    }

    /// Something happened to a session.
    fn observe(&mut self, now: Instant, id: SessionId, state: &State, event: &Event) {
        match event {
            Event::Suspect => self.policy.handle_suspect(id),
            Event::Recovered => self.policy.handle_recovered(id),
            Event::Closed { .. } => {
                if self.endpoints.remove(&id).is_some() {
                    self.past += TunnelStats::of_ended(&state.endpoint);
                }
                if let Some(session) = self.sessions.remove(&id)
                    && self.is_scavenging
                {
                    tracing::info!("scavenger: session normally closed: {}", session.local);
                }
                self.policy.handle_dead(now, id);
            }
            _ => return,
        }
        self.wake_all();
    }

    /// Whether a line about counters may be written now.
    fn may_tell_counters(&mut self, now: Instant) -> bool {
        let may = self.counters_quiet_until.is_none_or(|until| until <= now);
        if may {
            self.counters_quiet_until = Some(now + COUNTERS_PAUSE);
        }
        may
    }
}

/// The manager, until the guard is dropped. A task that panicked meanwhile has left it whole.
pub(crate) fn lock(manager: &Mutex<Manager>) -> MutexGuard<'_, Manager> {
    manager.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the manager, and the log, of what happens to a session.
pub(crate) fn observer(
    manager: Arc<Mutex<Manager>>,
    id: SessionId,
    remote: SocketAddr,
) -> Observer {
    // Of this endpoint's counters; events go to the reporter of all sessions.
    let mut counters = Reporter::new(Side::Client);
    Box::new(move |state, now, event| {
        let Some((key, event)) = event else {
            if let Some(report) = counters.check(now, &state.endpoint)
                && lock(&manager).may_tell_counters(now)
            {
                write(&report);
            }
            return;
        };
        let mut manager = lock(&manager);
        let report = manager.reporter.observe(now, &state.endpoint, key, remote, &event);
        report.iter().for_each(write);
        manager.observe(now, id, state, &event);
    })
}

/// Waits for a slot to have a session.
pub(crate) struct Waiting<'m> {
    manager: &'m Mutex<Manager>,
    /// By which the manager knows this task.
    number: u64,
    /// Taken once it was claimed.
    slot: Option<SlotId>,
}

impl<'m> Waiting<'m> {
    pub(crate) fn new(manager: &'m Mutex<Manager>, slot: SlotId) -> Self {
        let number = {
            let mut manager = lock(manager);
            manager.next_waiting += 1;
            manager.next_waiting
        };
        Self { manager, number, slot: Some(slot) }
    }
}

impl Future for Waiting<'_> {
    /// An error when nothing is dialled any more.
    type Output = io::Result<SessionId>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<SessionId>> {
        let mut manager = lock(self.manager);
        if manager.is_closed {
            let text = "the runtime of this client has ended";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::NotConnected, text)));
        }
        let claimed = self.slot.and_then(|slot| manager.policy.claim(now(), slot));
        match claimed {
            Some(session) => {
                drop(manager);
                self.slot = None;
                Poll::Ready(Ok(session))
            }
            None => {
                manager.waiting.insert(self.number, cx.waker().clone());
                manager.wake_keeper();
                Poll::Pending
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut manager = lock(self.manager);
        manager.waiting.remove(&self.number);
        if let Some(slot) = self.slot {
            manager.policy.abandon(slot);
        }
    }
}

/// A dial that the policy waits for. Unless it is over, it has failed when this goes, however that
/// came about: an error, a resolver that panicked, or a runtime that ended.
pub(crate) struct RunningDial {
    pub(crate) manager: Arc<Mutex<Manager>>,
    pub(crate) dial: Dial,
    pub(crate) is_over: bool,
}

impl Drop for RunningDial {
    fn drop(&mut self) {
        if !self.is_over {
            let mut manager = lock(&self.manager);
            manager.policy.handle_dial_failed(now(), self.dial.session);
            // An expired session serves on for those who waited for its replacement.
            manager.wake_all();
        }
    }
}
