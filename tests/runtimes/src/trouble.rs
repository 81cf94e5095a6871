//! What goes wrong below a tunnel: sockets that fail, name services that lie or are silent, targets
//! that accept nobody for a while.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use kcptun_async::runtime::{Runtime, Udp};
use kcptun_async::target::addresses_to_dial;
use kcptun_async::{Client, RemoteAddress, Resolve, TargetAddress};
use kcptun_net::{ReceiveBuffers, Received, SendError, SendOutcome, UdpSocket};

use crate::logs::Lines;
use crate::sessions::{ask, bind_again};
use crate::support::{
    client_of, client_settings, server, server_at, sleep, spawn, stream, with_echo, within,
    write_all,
};

const SECOND: Duration = Duration::from_secs(1);

/// A runtime whose UDP sockets can be made to fail.
#[derive(Clone)]
struct Faulty<R: Runtime> {
    runtime: R,
    faults: Arc<Mutex<Vec<Arc<Fault>>>>,
    /// No more sockets are to be had.
    refuses: Arc<AtomicBool>,
    /// What was done where it may block.
    lookups: Arc<AtomicU32>,
}

/// One socket: whether receiving fails, and how often that was tried; whether it takes nothing; and
/// whether a firewall refuses what it sends.
#[derive(Default)]
struct Fault {
    is_on: AtomicBool,
    attempts: AtomicU32,
    is_full: AtomicBool,
    is_forbidden: AtomicBool,
}

impl<R: Runtime> Faulty<R> {
    fn new(runtime: &R) -> Self {
        Self {
            runtime: runtime.clone(),
            faults: Arc::default(),
            refuses: Arc::default(),
            lookups: Arc::default(),
        }
    }

    /// The socket made last.
    fn last(&self) -> Arc<Fault> {
        let faults = self.faults.lock().expect("no panic");
        Arc::clone(faults.last().expect("a socket was made"))
    }
}

impl<R: Runtime> Runtime for Faulty<R> {
    type Udp = FaultyUdp<R::Udp>;
    type Timer = R::Timer;
    type Bytes = R::Bytes;
    type Listener = R::Listener;

    fn udp(&self, socket: UdpSocket) -> io::Result<Self::Udp> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(io::Error::other("no descriptors are left"));
        }
        let fault = Arc::<Fault>::default();
        self.faults.lock().expect("no panic").push(Arc::clone(&fault));
        Ok(FaultyUdp { udp: self.runtime.udp(socket)?, fault })
    }

    fn timer(&self) -> Self::Timer {
        self.runtime.timer()
    }

    fn listener(&self, listener: kcptun_net::tcp::Listener) -> io::Result<Self::Listener> {
        self.runtime.listener(listener)
    }

    fn connect(
        &self,
        target: TargetAddress,
    ) -> impl Future<Output = io::Result<Self::Bytes>> + Send {
        self.runtime.connect(target)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        self.runtime.blocking(work)
    }
}

struct FaultyUdp<U> {
    udp: U,
    fault: Arc<Fault>,
}

impl<U: Udp> Udp for FaultyUdp<U> {
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut ReceiveBuffers,
    ) -> Poll<io::Result<Received>> {
        if self.fault.is_on.load(Ordering::Relaxed) {
            // By turns as the system's answer, and as what is left of errors that were skipped.
            let attempts = self.fault.attempts.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(match attempts % 2 {
                0 => Err(io::ErrorKind::OutOfMemory.into()),
                _ => Ok(Received::Messages(0)),
            });
        }
        self.udp.poll_recv(cx, buffers)
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        stride: usize,
        to: SocketAddr,
    ) -> Poll<io::Result<SendOutcome>> {
        if self.fault.is_full.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if self.fault.is_forbidden.load(Ordering::Relaxed) {
            let mut outcome = SendOutcome::default();
            outcome.lost = bytes.len().div_ceil(stride);
            outcome.error = Some(SendError::from(&io::ErrorKind::PermissionDenied.into()));
            return Poll::Ready(Ok(outcome));
        }
        self.udp.poll_send(cx, bytes, stride, to)
    }

    fn socket(&self) -> &UdpSocket {
        self.udp.socket()
    }
}

/// A client's socket on which receiving fails and goes on failing: new streams work at once on
/// another one, the old ones are reset after a while, and no core is burnt.
pub async fn a_socket_that_fails_is_replaced<R: Runtime>(runtime: R) {
    let faulty = Faulty::new(&runtime);
    let server = server(&runtime);
    let client = client_of(&faulty, server.local_addr());
    let (mut ours, theirs) = stream(&client, &server).await;
    let fault = faulty.last();
    fault.is_on.store(true, Ordering::Relaxed);
    let begin = Instant::now();
    write_all(&mut ours, b"wakes the driver").await.expect("room");
    with_echo(&runtime, server, async {
        sleep(&runtime, Duration::from_millis(100)).await;
        ask(&client, 1).await.expect("another socket serves");
        assert!(begin.elapsed() < 3 * SECOND, "after {:?}", begin.elapsed());
        let error = crate::support::read(&mut ours, &mut [0]).await.expect_err("it is given up");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    })
    .await;
    assert!(begin.elapsed() < 9 * SECOND, "after {:?}", begin.elapsed());
    let attempts = fault.attempts.load(Ordering::Relaxed);
    assert!((2..100).contains(&attempts), "{attempts} attempts");
    drop(theirs);
}

/// A server's socket on which receiving fails for a while: it is tried again, seldom, and its
/// streams go on.
pub async fn a_server_s_socket_that_fails_for_a_while_recovers<R: Runtime>(runtime: R) {
    let faulty = Faulty::new(&runtime);
    let server = server(&faulty);
    let client = client_of(&runtime, server.local_addr());
    let (mut ours, mut theirs) = stream(&client, &server).await;
    let fault = faulty.last();
    fault.is_on.store(true, Ordering::Relaxed);
    write_all(&mut ours, b"still there?").await.expect("room");
    sleep(&runtime, 2 * SECOND).await;
    let attempts = fault.attempts.load(Ordering::Relaxed);
    assert!((2..40).contains(&attempts), "{attempts} attempts in 2 s");
    fault.is_on.store(false, Ordering::Relaxed);
    let mut text = [0; 12];
    let count = within(&runtime, 5 * SECOND, crate::support::read(&mut theirs, &mut text)).await;
    assert_eq!(count.expect("it goes on").expect("it lives"), 12);
}

/// A socket that takes nothing any more, as when the queue below it stands still: the session is
/// found dead all the same, after the time that it is given.
pub async fn a_session_dies_while_its_socket_is_full<R: Runtime>(runtime: R) {
    let faulty = Faulty::new(&runtime);
    let server = server(&runtime);
    let mut settings = client_settings(server.local_addr());
    (settings.tunnel.smux.keepalive, settings.tunnel.smux.timeout) = (SECOND, 2 * SECOND);
    let client = Client::new(faulty.clone(), settings);
    let (mut ours, theirs) = stream(&client, &server).await;
    faulty.last().is_full.store(true, Ordering::Relaxed);
    write_all(&mut ours, b"it stays here").await.expect("room");
    let mut nothing = [0];
    let reading = crate::support::read(&mut ours, &mut nothing);
    // Before the server's own sign of life, ten seconds after its last.
    let end = within(&runtime, 6 * SECOND, reading).await.expect("nobody looks");
    assert_eq!(end.expect_err("it is dead").kind(), io::ErrorKind::ConnectionReset);
    drop(theirs);
}

/// Packets that a firewall of this machine refuses, which nothing else shows, are told of once, with
/// what is to be done.
pub async fn packets_that_are_refused_here_are_told_of_once<R: Runtime>(runtime: R) {
    let (lines, _guard) = Lines::take_down();
    let faulty = Faulty::new(&runtime);
    let server = server(&runtime);
    let client = client_of(&faulty, server.local_addr());
    let (mut ours, _theirs) = stream(&client, &server).await;
    faulty.last().is_forbidden.store(true, Ordering::Relaxed);
    let told = || lines.with("a firewall on this machine refuses the packets");
    let begin = Instant::now();
    while told().is_empty() || begin.elapsed() < SECOND {
        write_all(&mut ours, b"it stays here").await.expect("room");
        sleep(&runtime, Duration::from_millis(50)).await;
        assert!(begin.elapsed() < 5 * SECOND, "nothing is said");
    }
    let told = told();
    assert!(told.len() == 1 && told[0].contains(" WARN "), "{told:?}");
    assert!(told[0].contains("udp socket: "), "{told:?}");
    // Else the last words wait for their time.
    faulty.last().is_forbidden.store(false, Ordering::Relaxed);
}

/// A session is old enough to be replaced, but there are no descriptors for another: it serves on,
/// also for those who had begun to wait.
pub async fn an_expired_session_serves_while_it_cannot_be_replaced<R: Runtime>(runtime: R) {
    let faulty = Faulty::new(&runtime);
    let server = server(&runtime);
    let mut settings = client_settings(server.local_addr());
    settings.policy.autoexpire = Duration::from_millis(300);
    let client = Client::new(faulty.clone(), settings);
    with_echo(&runtime, server, async {
        ask(&client, 1).await.expect("an echo");
        faulty.refuses.store(true, Ordering::Relaxed);
        sleep(&runtime, Duration::from_millis(400)).await;
        let waiting: Vec<_> = (2..5)
            .map(|seed| {
                let client = client.clone();
                spawn(&runtime, async move { ask(&client, seed).await })
            })
            .collect();
        for task in waiting {
            let answer = within(&runtime, 3 * SECOND, task).await.expect("it waits for ever");
            answer.expect("an echo");
        }
    })
    .await;
    assert_eq!(client.stats().endpoint.active_opens, 1);
}

/// A resolver that panics the first time.
struct Panics {
    has_panicked: AtomicBool,
    address: SocketAddr,
}

impl Resolve for Panics {
    fn resolve(&self, _: &RemoteAddress, _: u16) -> io::Result<Vec<SocketAddr>> {
        assert!(self.has_panicked.swap(true, Ordering::Relaxed), "as it is meant to");
        Ok(vec![self.address])
    }
}

/// A resolver of the application's that panics is a dial that failed: it is asked again, and whoever
/// waits gets a stream.
pub async fn a_resolver_that_panics_is_asked_again<R: Runtime>(runtime: R) {
    let server = server(&runtime);
    let address = server.local_addr();
    let resolver = Arc::new(Panics { has_panicked: AtomicBool::new(false), address });
    let client = Client::with_resolver(runtime.clone(), client_settings(address), resolver);
    let opened = within(&runtime, 5 * SECOND, client.open()).await.expect("it waits for ever");
    opened.expect("a stream");
}

/// A target that is an address costs no way to another thread, as each new stream would pay it.
pub async fn a_literal_target_is_not_looked_up<R: Runtime>(runtime: R) {
    let faulty = Faulty::new(&runtime);
    let lookups = || faulty.lookups.load(Ordering::Relaxed);
    for literal in ["127.0.0.1:9", "[::1]:9", ":9"] {
        let target = literal.parse().expect("an address");
        addresses_to_dial(&faulty, target).await.expect("it is one");
        assert_eq!(lookups(), 0, "{literal}");
    }
    addresses_to_dial(&faulty, "localhost:9".parse().expect("a name"))
        .await
        .expect("every machine");
    assert_eq!(lookups(), 1);
}

/// What a name service answers.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Address([u8; 4]),
    Failure,
    Silence,
}

struct Script(Mutex<Answer>);

impl Resolve for Script {
    fn resolve(&self, _: &RemoteAddress, port: u16) -> io::Result<Vec<SocketAddr>> {
        let answer = *self.0.lock().expect("no panic");
        match answer {
            Answer::Address(address) => Ok(vec![(address, port).into()]),
            Answer::Failure => Err(io::Error::other("the name service is not there")),
            Answer::Silence => {
                std::thread::sleep(4 * SECOND);
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

/// Each session looks the name up again; a name service that fails or is silent does not keep
/// anybody from a server that was known before.
pub async fn names_are_looked_up_for_each_session<R: Runtime>(runtime: R) {
    let script = Arc::new(Script(Mutex::new(Answer::Failure)));
    let say = |answer| *script.0.lock().expect("no panic") = answer;
    let first = server(&runtime);
    let address = first.local_addr();
    let resolver: Arc<dyn Resolve> = Arc::clone(&script) as _;
    let client = Client::with_resolver(runtime.clone(), client_settings(address), resolver);
    let opening = within(&runtime, Duration::from_millis(300), client.open()).await;
    assert!(opening.is_none(), "there is no such name yet");

    say(Answer::Address([127, 0, 0, 1]));
    with_echo(&runtime, first, soon(&runtime, &client)).await;
    let moved = SocketAddr::from(([127, 0, 0, 2], address.port()));
    say(Answer::Address([127, 0, 0, 2]));
    let second = server_at(&runtime, moved).expect("a free port");
    with_echo(&runtime, second, soon(&runtime, &client)).await;
    for answer in [Answer::Failure, Answer::Silence] {
        say(answer);
        let again = bind_again(&runtime, moved).await;
        with_echo(&runtime, again, soon(&runtime, &client)).await;
    }
}

/// A stream works within three seconds; what fails is tried again, as applications do.
async fn soon<R: Runtime>(runtime: &R, client: &Client<R>) {
    let begin = Instant::now();
    while !matches!(within(runtime, 2 * SECOND, ask(client, 1)).await, Some(Ok(()))) {
        sleep(runtime, Duration::from_millis(10)).await;
        assert!(begin.elapsed() < 6 * SECOND, "no stream works");
    }
    assert!(begin.elapsed() < 4 * SECOND, "after {:?}", begin.elapsed());
}

/// A unix socket whose queue is full, as a busy service's may be for a moment.
#[cfg(unix)]
pub async fn a_target_that_accepts_nobody_for_a_while<R: Runtime>(runtime: R) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("busy.sock");
    let listener = kcptun_net::tcp::bind_unix(&path).expect("a socket");
    let mut queued = Vec::new();
    let full = loop {
        match kcptun_net::tcp::connect_unix(&path) {
            Ok(stream) => queued.push(stream),
            Err(error) => break error,
        }
        assert!(queued.len() < 100_000, "the queue has no end");
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    let target: TargetAddress = path.display().to_string().parse().expect("a path");
    let waiting = {
        let runtime = runtime.clone();
        spawn(&runtime.clone(), async move { runtime.connect(target).await.is_ok() })
    };
    sleep(&runtime, Duration::from_millis(200)).await;
    while listener.accept().is_ok() {}
    assert!(within(&runtime, 3 * SECOND, waiting).await.expect("it is let in"), "an error");
}
