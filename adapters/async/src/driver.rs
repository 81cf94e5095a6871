//! The task that moves an endpoint's datagrams.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use kcptun_net::{ReceiveBuffers, Received};
use kcptun_tunnel::socket::SocketHealth;
use kcptun_tunnel::{ConnectionKey, Event, TransmitBatch};
use proto_base::Instant;

use crate::runtime::{Runtime, Timer, Udp};
use crate::shared::{Shared, State};

/// Receive calls in a row before others get their turn.
const ROUNDS: usize = 8;
/// A client with somebody waiting for a stream looks at the clock at least this often. The
/// runtimes' timers stand still while the machine sleeps, so that otherwise the deadlines that passed
/// meanwhile would be noticed up to a whole keepalive after it woke.
const LONGEST_SLEEP: Duration = Duration::from_secs(4);
/// While the socket is full nothing can be sent, and deadlines are looked at this often only.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Told of what happens to whole connections, and (`None`) after each reception of nothing, to look
/// at counters.
pub(crate) type Observer = Box<dyn FnMut(&State, Instant, Option<(ConnectionKey, Event)>) + Send>;

/// Drives one endpoint over one socket, until it is closed or (client) its connection is.
pub(crate) struct Driver<R: Runtime> {
    shared: Shared,
    udp: R::Udp,
    timer: R::Timer,
    buffers: ReceiveBuffers,
    batch: TransmitBatch,
    /// The part of the batch that the socket did not take, and to whom it goes.
    unsent: Option<(SocketAddr, usize)>,
    observer: Observer,
    health: SocketHealth,
    /// Whether the driver ends when no connection is left: a client's, whose socket is for one
    /// session.
    ends_alone: bool,
}

impl<R: Runtime> Driver<R> {
    pub(crate) fn new(
        runtime: &R,
        udp: R::Udp,
        shared: Shared,
        ends_alone: bool,
        observer: Observer,
    ) -> Self {
        Self {
            shared,
            udp,
            timer: runtime.timer(),
            buffers: ReceiveBuffers::new(ReceiveBuffers::DEFAULT_MESSAGES),
            batch: TransmitBatch::new(),
            unsent: None,
            observer,
            health: SocketHealth::default(),
            ends_alone,
        }
    }

    /// Receives once. `false`: nothing is there.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if self.health.is_paused(now) {
            return false;
        }
        match self.udp.poll_recv(cx, &mut self.buffers) {
            Poll::Ready(Ok(Received::Messages(0))) => {
                self.failed(now, &"receiving brings errors only");
                false
            }
            Poll::Ready(Ok(Received::Messages(_))) => {
                let mut state = self.shared.lock();
                for message in self.buffers.messages() {
                    state.endpoint.handle_batch(now, message.from, message.bytes, message.stride);
                }
                drop(state);
                self.health.handle_success();
                true
            }
            Poll::Ready(Ok(Received::Refused)) => {
                self.refused(now);
                true
            }
            Poll::Ready(Ok(_)) => true,
            Poll::Ready(Err(error)) => {
                self.failed(now, &error);
                false
            }
            Poll::Pending => {
                self.health.handle_success();
                false
            }
        }
    }

    /// Sends until nothing is left or the socket is full.
    fn send(&mut self, cx: &mut Context<'_>, mut now: Instant) {
        loop {
            let (to, from) = match self.unsent.take() {
                Some(unsent) => unsent,
                None => match self.shared.lock().endpoint.poll_transmit(now, &mut self.batch) {
                    Some(to) => (to, 0),
                    None => return,
                },
            };
            let rest = &self.batch.bytes()[from..];
            match self.udp.poll_send(cx, rest, self.batch.stride(), to) {
                Poll::Ready(Ok(outcome)) => {
                    if outcome.refused {
                        self.refused(now);
                    }
                    if outcome.unreachable && self.ends_alone {
                        self.shared.lock().endpoint.handle_unreachable(now, to);
                    }
                    if outcome.blocked {
                        self.unsent = Some((to, from + outcome.done() * self.batch.stride()));
                    }
                    // Segments carry the time, and a batch takes a while.
                    now = crate::now();
                }
                Poll::Ready(Err(error)) => {
                    self.failed(now, &error);
                    return;
                }
                Poll::Pending => {
                    self.unsent = Some((to, from));
                    return;
                }
            }
        }
    }

    /// The host of a connected socket's peer refused a datagram.
    fn refused(&mut self, now: Instant) {
        let Some(peer) = self.udp.socket().peer_addr() else { return };
        let mut state = self.shared.lock();
        state.endpoint.handle_refused(now, peer);
        // A server that was never heard may still be starting, but nobody waits for it any more.
        state.is_closed |= state.is_orphan && state.endpoint.total_stats().datagrams_in == 0;
    }

    /// The socket itself failed. It is tried again after a pause; a client's session moves to
    /// another socket, at once with its new streams and for good when it stays like this.
    fn failed(&mut self, now: Instant, error: &dyn fmt::Display) {
        if self.health.handle_failure(now) {
            tracing::warn!("udp socket: {error}; trying again");
        }
        if !self.ends_alone {
            return;
        }
        let mut state = self.shared.lock();
        let is_lost = self.health.is_lost(now);
        if let Some(peer) = self.udp.socket().peer_addr() {
            state.endpoint.handle_unreachable(now, peer);
        }
        if is_lost {
            tracing::error!("udp socket: {error}; giving it up");
            close_all(&mut state);
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let now = crate::now();
            let received = self.receive(cx, now);
            {
                let mut state = self.shared.lock();
                state.endpoint.handle_timeout(now);
                dispatch(&mut state, now, &mut self.observer);
                (self.observer)(&state, now, None);
            }
            self.send(cx, now);
            let deadline = {
                let mut state = self.shared.lock();
                // Sending makes news as well: a refusal may end the connection.
                dispatch(&mut state, now, &mut self.observer);
                if state.is_closed || self.ends_alone && is_done(&state) {
                    return Poll::Ready(());
                }
                state.set_driver(cx);
                // While the socket is full what is due to be sent has to wait, but silence does not:
                // the session may have died meanwhile.
                let due = match &self.unsent {
                    None => state.endpoint.poll_timeout(),
                    Some(_) => Some(now + FULL_PAUSE),
                };
                let due = Instant::earliest(due, self.health.poll_timeout());
                let is_awaited = self.ends_alone && state.is_awaited();
                if is_awaited { due.map(|at| at.min(now + LONGEST_SLEEP)) } else { due }
            };
            if !received && self.timer.poll_until(cx, deadline).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Tells everyone what happened. Events of single streams are their readers' and writers' alone.
fn dispatch(state: &mut State, now: Instant, observer: &mut Observer) {
    while let Some((key, event)) = state.endpoint.poll_event() {
        state.wake(key, &event);
        match event {
            Event::Readable(_)
            | Event::Writable(_)
            | Event::Finished(_)
            | Event::Failed(_)
            | Event::Ended(_) => {}
            _ => observer(state, now, Some((key, event))),
        }
    }
}

fn close_all(state: &mut State) {
    let keys: Vec<ConnectionKey> = state.endpoint.connections().collect();
    for key in keys {
        state.endpoint.close(key);
    }
}

/// Whether nothing is left to do for an endpoint to which no connection comes any more.
fn is_done(state: &State) -> bool {
    let endpoint = &state.endpoint;
    endpoint.connections().all(|key| state.is_orphan && endpoint.is_idle(key))
}

impl<R: Runtime> Future for Driver<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().run(cx)
    }
}

impl<R: Runtime> Drop for Driver<R> {
    /// Whoever waits for a stream must not wait for ever.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.close();
        close_all(&mut state);
        dispatch(&mut state, crate::now(), &mut self.observer);
    }
}
