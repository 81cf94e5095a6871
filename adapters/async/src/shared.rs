//! What a driver and the streams of its connections share.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use kcptun_tunnel::{ConnectionKey, Endpoint, Event, StreamId};

/// A handle to an endpoint and the tasks that wait for it.
///
/// One mutex for all connections of a socket: they live on one thread, so nobody ever waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<State>>);

/// The endpoint and who is to be woken.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) endpoint: Endpoint,
    driver: Option<Waker>,
    streams: HashMap<(ConnectionKey, StreamId), Wakers>,
    /// Connections with streams that were not accepted yet.
    incoming: VecDeque<ConnectionKey>,
    acceptor: Option<Waker>,
    /// The driver has ended, or is to end.
    pub(crate) is_closed: bool,
}

/// Who waits for a stream.
#[derive(Debug, Default)]
struct Wakers {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Shared {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self(Arc::new(Mutex::new(State {
            endpoint,
            driver: None,
            streams: HashMap::new(),
            incoming: VecDeque::new(),
            acceptor: None,
            is_closed: false,
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

    /// Nobody waits for a stream any more.
    pub(crate) fn forget(&mut self, key: ConnectionKey, id: StreamId) {
        self.streams.remove(&(key, id));
    }

    /// Wakes whom an event concerns.
    pub(crate) fn wake(&mut self, key: ConnectionKey, event: &Event) {
        match *event {
            Event::Incoming => {
                if !self.incoming.contains(&key) {
                    self.incoming.push_back(key);
                }
                self.wake_acceptor();
            }
            Event::Readable(id) | Event::Finished(id) => self.wake_stream(key, id, true, false),
            Event::Writable(id) => self.wake_stream(key, id, false, true),
            Event::Failed(id) | Event::Ended(id) => self.wake_stream(key, id, true, true),
            Event::Closed(_) => {
                self.incoming.retain(|&other| other != key);
                for (_, wakers) in self.streams.extract_if(|&(other, _), _| other == key) {
                    wakers.reader.into_iter().chain(wakers.writer).for_each(Waker::wake);
                }
            }
            _ => {}
        }
    }

    /// The next stream that a peer opened.
    pub(crate) fn poll_accept(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Option<(ConnectionKey, StreamId)>> {
        while let Some(&key) = self.incoming.front() {
            if let Some(id) = self.endpoint.accept(key) {
                return Poll::Ready(Some((key, id)));
            }
            self.incoming.pop_front();
        }
        if self.is_closed {
            return Poll::Ready(None);
        }
        set(&mut self.acceptor, cx);
        Poll::Pending
    }

    /// Ends everything: the driver, and all who wait.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.wake_driver();
        self.wake_acceptor();
        for (_, wakers) in self.streams.drain() {
            wakers.reader.into_iter().chain(wakers.writer).for_each(Waker::wake);
        }
    }

    fn wake_acceptor(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.wake();
        }
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
