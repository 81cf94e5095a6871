//! What a driver and the streams of its connections share.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use kcptun_tunnel::{ConnectionKey, Endpoint, Event, StreamId};
use proto_base::Instant;

/// A handle to an endpoint and the tasks that wait for it.
///
/// One mutex for all connections of a socket: they live on one thread, so nobody ever waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<State>>);

/// The endpoint and who is to be woken.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) endpoint: Endpoint,
    /// Address of its socket, for those who list sessions.
    pub(crate) local: Option<SocketAddr>,
    driver: Option<Waker>,
    streams: HashMap<(ConnectionKey, StreamId), Wakers>,
    /// Connections with streams that were not accepted yet.
    incoming: VecDeque<ConnectionKey>,
    /// Tasks that wait for such a stream.
    acceptors: Vec<(Acceptor, Waker)>,
    next_acceptor: u64,
    /// The driver has ended, or is to end.
    pub(crate) is_closed: bool,
    /// No stream can be opened any more: the driver ends once what is left has been delivered.
    pub(crate) is_orphan: bool,
}

/// By which a task is known that waits for a stream to accept. The default is who keeps no number
/// of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Acceptor(u64);

/// Who waits for a stream.
#[derive(Debug, Default)]
struct Wakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Both directions came to their end, and the endpoint has forgotten the stream.
    has_ended: bool,
}

impl Wakers {
    fn wake_all(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Shared {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self(Arc::new(Mutex::new(State {
            endpoint,
            local: None,
            driver: None,
            streams: HashMap::new(),
            incoming: VecDeque::new(),
            acceptors: Vec::new(),
            next_acceptor: 0,
            is_closed: false,
            is_orphan: false,
        })))
    }

    /// The state, until the guard is dropped. Nothing in here panics half-way through a change, so
    /// a poisoned lock is as good as any.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The driver has something to send, or a new deadline.
    pub(crate) fn wake_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// Wakes the driver if what was done to a stream just now made work for it: something to send,
    /// or to tell another stream.
    pub(crate) fn wake_driver_if_due(&mut self, now: Instant) {
        if self.endpoint.has_news() || self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.wake_driver();
        }
    }

    pub(crate) fn set_driver(&mut self, cx: &Context<'_>) {
        set(&mut self.driver, cx);
    }

    /// A reader waits for a stream.
    pub(crate) fn wait_read(&mut self, key: ConnectionKey, id: StreamId, cx: &Context<'_>) {
        set(&mut self.streams.entry((key, id)).or_default().reader, cx);
    }

    /// A writer waits for a stream.
    pub(crate) fn wait_write(&mut self, key: ConnectionKey, id: StreamId, cx: &Context<'_>) {
        set(&mut self.streams.entry((key, id)).or_default().writer, cx);
    }

    /// Whether anybody waits for a stream.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.streams.is_empty()
    }

    /// Nobody waits for a stream any more.
    pub(crate) fn forget(&mut self, key: ConnectionKey, id: StreamId) {
        self.streams.remove(&(key, id));
    }

    /// Whether a stream came to its end in both directions, which is no failure.
    pub(crate) fn has_ended(&self, key: ConnectionKey, id: StreamId) -> bool {
        self.streams.get(&(key, id)).is_some_and(|wakers| wakers.has_ended)
    }

    /// Wakes whom an event concerns.
    pub(crate) fn wake(&mut self, key: ConnectionKey, event: &Event) {
        match *event {
            Event::Incoming => {
                if !self.incoming.contains(&key) {
                    self.incoming.push_back(key);
                }
                self.wake_acceptors();
            }
            Event::Readable(id) | Event::Finished(id) => self.wake_stream(key, id, true, false),
            Event::Writable(id) => self.wake_stream(key, id, false, true),
            Event::Failed(id) => self.wake_stream(key, id, true, true),
            Event::Ended(id) => {
                // The handle of the stream is still there: dropping it leaves no such event.
                let wakers = self.streams.entry((key, id)).or_default();
                wakers.has_ended = true;
                wakers.wake_all();
            }
            Event::Closed { .. } => {
                self.incoming.retain(|&other| other != key);
                self.wake_streams(|other| other == key);
            }
            _ => {}
        }
    }

    /// One more who will wait for streams, to be [dismissed](Self::dismiss) in the end.
    pub(crate) fn new_acceptor(&mut self) -> Acceptor {
        self.next_acceptor += 1;
        Acceptor(self.next_acceptor)
    }

    /// Waits no longer.
    pub(crate) fn dismiss(&mut self, who: Acceptor) {
        self.acceptors.retain(|(waiting, _)| *waiting != who);
    }

    /// The next stream that a peer opened: one of each session in turn. All who wait are woken by
    /// each that comes, as any of them may have been given up.
    pub(crate) fn poll_accept(
        &mut self,
        cx: &Context<'_>,
        who: Acceptor,
    ) -> Poll<Option<(ConnectionKey, StreamId)>> {
        while let Some(key) = self.incoming.pop_front() {
            if let Some(id) = self.endpoint.accept(key) {
                self.incoming.push_back(key);
                // Room for another, perhaps.
                if self.endpoint.has_news() {
                    self.wake_driver();
                }
                return Poll::Ready(Some((key, id)));
            }
        }
        if self.is_closed {
            return Poll::Ready(None);
        }
        match self.acceptors.iter_mut().find(|(waiting, _)| *waiting == who) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => self.acceptors.push((who, cx.waker().clone())),
        }
        Poll::Pending
    }

    /// Ends everything: the driver, and all who wait.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.wake_driver();
        self.wake_acceptors();
        self.wake_streams(|_| true);
    }

    fn wake_streams(&mut self, which: impl Fn(ConnectionKey) -> bool) {
        for ((key, _), wakers) in &mut self.streams {
            if which(*key) {
                wakers.wake_all();
            }
        }
    }

    fn wake_acceptors(&mut self) {
        self.acceptors.drain(..).for_each(|(_, waker)| waker.wake());
    }

    fn wake_stream(&mut self, key: ConnectionKey, id: StreamId, reader: bool, writer: bool) {
        let Some(wakers) = self.streams.get_mut(&(key, id)) else { return };
        let reader = if reader { wakers.reader.take() } else { None };
        let writer = if writer { wakers.writer.take() } else { None };
        reader.into_iter().chain(writer).for_each(Waker::wake);
    }
}

/// Remembers who waits, without a needless clone.
fn set(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}
