//! The task that moves an endpoint's datagrams.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use kcptun_net::{ReceiveBuffers, Received};
use kcptun_tunnel::report::SendLosses;
use kcptun_tunnel::socket::SocketHealth;
use kcptun_tunnel::{ConnectionKey, Event, TransmitBatch};
use proto_base::Instant;

use crate::runtime::{Runtime, Timer, Udp};
use crate::shared::{Shared, State};

/// Receive calls in a row before others get their turn.
const ROUNDS: usize = 8;
/// Batches sent in a row before others get their turn: a few megabytes.
const BATCHES: usize = 32;
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
    losses: SendLosses,
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
            losses: SendLosses::default(),
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

    /// Sends until nothing is left or the socket is full. `false`: something may be left, and the
    /// socket would take it.
    fn send(&mut self, cx: &mut Context<'_>, mut now: Instant) -> bool {
        for _ in 0..BATCHES {
            let (to, from) = match self.unsent.take() {
                Some(unsent) => unsent,
                None => match self.shared.lock().endpoint.poll_transmit(now, &mut self.batch) {
                    Some(to) => (to, 0),
                    None => return true,
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
                    } else if let Some((count, error)) = outcome.loss() {
                        let line = self.losses.handle_loss(now, count, error);
                        line.iter().for_each(|line| tracing::warn!("{line}"));
                    }
                    if outcome.blocked {
                        self.unsent = Some((to, from + outcome.done() * self.batch.stride()));
                    }
                    // Segments carry the time, and a batch takes a while.
                    now = crate::now();
                }
                Poll::Ready(Err(error)) => {
                    self.failed(now, &error);
                    return true;
                }
                Poll::Pending => {
                    self.unsent = Some((to, from));
                    return true;
                }
            }
        }
        false
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
            let is_done_sending = self.send(cx, now);
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
            if !is_done_sending {
                break;
            }
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use kcptun_net::{SendOutcome, SocketConfig, TargetAddress, UdpSocket, tcp};
    use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
    use kcptun_tunnel::{Config, Endpoint, Side};

    use super::*;
    use crate::runtime::{Bytes, Listener};

    /// A runtime whose sockets take everything, bring nothing, and count the batches.
    #[derive(Clone, Default)]
    struct Taker(Arc<AtomicUsize>);

    struct TakerUdp(UdpSocket, Arc<AtomicUsize>);

    /// A timer that never fires.
    struct Never;

    /// What does not exist.
    enum Nothing {}

    impl Runtime for Taker {
        type Udp = TakerUdp;
        type Timer = Never;
        type Bytes = Nothing;
        type Listener = Nothing;

        fn udp(&self, socket: UdpSocket) -> io::Result<TakerUdp> {
            Ok(TakerUdp(socket, Arc::clone(&self.0)))
        }

        fn timer(&self) -> Never {
            Never
        }

        fn listener(&self, _: tcp::Listener) -> io::Result<Nothing> {
            Err(io::ErrorKind::Unsupported.into())
        }

        async fn connect(&self, _: TargetAddress) -> io::Result<Nothing> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {}

        async fn blocking<T: Send + 'static>(
            &self,
            work: impl FnOnce() -> T + Send + 'static,
        ) -> T {
            work()
        }
    }

    impl Udp for TakerUdp {
        fn poll_recv(
            &mut self,
            _: &mut Context<'_>,
            _: &mut ReceiveBuffers,
        ) -> Poll<io::Result<Received>> {
            Poll::Pending
        }

        fn poll_send(
            &mut self,
            _: &mut Context<'_>,
            bytes: &[u8],
            stride: usize,
            _: SocketAddr,
        ) -> Poll<io::Result<SendOutcome>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let mut outcome = SendOutcome::default();
            outcome.sent = bytes.len().div_ceil(stride);
            Poll::Ready(Ok(outcome))
        }

        fn socket(&self) -> &UdpSocket {
            &self.0
        }
    }

    impl Timer for Never {
        fn poll_until(&mut self, _: &mut Context<'_>, _: Option<Instant>) -> Poll<()> {
            Poll::Pending
        }
    }

    impl Bytes for Nothing {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            match *self {}
        }

        fn poll_write(&mut self, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            match *self {}
        }

        fn is_sending(&mut self) -> io::Result<bool> {
            match *self {}
        }

        fn shutdown_write(&mut self) -> io::Result<()> {
            match *self {}
        }

        fn reset_on_drop(&mut self) {
            match *self {}
        }

        fn peer(&self) -> String {
            match *self {}
        }
    }

    impl Listener for Nothing {
        type Bytes = Nothing;

        async fn accept(&self) -> io::Result<Nothing> {
            match *self {}
        }

        fn local(&self) -> String {
            match *self {}
        }
    }

    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// More sessions have something to send than batches go in a row. The timer never fires, so that
    /// only the driver itself can wake the driver.
    #[test]
    fn who_has_much_to_send_gives_way_and_wakes_itself() {
        const PEERS: u16 = 3 * BATCHES as u16;
        let config = Config { max_connections: PEERS.into(), ..Config::default() };
        let cipher = PacketCipher::new(CipherKind::Null, b"").unwrap();
        let mut endpoint = Endpoint::new(config, cipher, Side::Client, [7; 32]).unwrap();
        let now = crate::now();
        for port in 1..=PEERS {
            let key = endpoint.connect(now, (Ipv4Addr::LOCALHOST, port).into()).unwrap();
            let id = endpoint.open(now, key).unwrap();
            endpoint.write_with(now, key, id, 1_000, |slot| (slot.len(), ())).unwrap();
        }
        let (runtime, shared) = (Taker::default(), Shared::new(endpoint));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into(), &SocketConfig::default());
        let udp = runtime.udp(socket.unwrap()).unwrap();
        let mut driver = Driver::new(&runtime, udp, shared, false, Box::new(|_, _, _| {}));

        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        let sent = || runtime.0.load(Ordering::Relaxed);
        let mut turns = 0;
        loop {
            let (before, woken) = (sent(), wakes.0.load(Ordering::Relaxed));
            let polled = Pin::new(&mut driver).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            assert!(sent() - before <= BATCHES, "{} in a row", sent() - before);
            if wakes.0.load(Ordering::Relaxed) == woken {
                break;
            }
            turns += 1;
        }
        assert!(turns >= 3 && sent() >= PEERS.into(), "{} batches in {turns} turns", sent());
    }
}
