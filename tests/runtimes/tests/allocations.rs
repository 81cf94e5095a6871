//! After its warm-up a tunnel moves packets without asking for memory: both ends on tokio, as the
//! binaries run them, each on a thread whose allocations are counted, with a bad path between them
//! and plain sockets at either side.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kcptun_async::runtime::{Listener as _, Runtime as _};
use kcptun_async::{Client, Config, Relay, Server, ServerSettings, TargetAddress, TunnelStats};
use kcptun_interop::{LossyUdpRelay, Path};
use kcptun_runtimes::support::{cipher, client_settings, pattern};
use kcptun_tokio::Tokio;
use tokio::sync::oneshot;

/// Long enough for every ring and table to find its size.
const WARM_UP: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(3);
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// What a stream may allocate at one end: tasks, sockets, buffers of a connection to the target.
const PER_STREAM: u64 = 60;
/// A ring may still double when the path is worse than it was during the warm-up.
const SLACK: u64 = 32;

#[test]
fn packets_need_no_memory() {
    for compression in [false, true] {
        let run = Run::of(compression, false);
        assert!(run.packets > 5_000, "too little traffic to tell: {run:?}");
        assert!(run.recovered > 0 && run.retransmitted > 0, "the path was good: {run:?}");
        let most = run.allocations[0].max(run.allocations[1]);
        assert!(most <= SLACK, "compression {compression}: {run:?}");
    }
}

#[test]
fn streams_cost_a_constant() {
    let run = Run::of(true, true);
    assert!(run.streams > 20, "too few streams to tell: {run:?}");
    let most = run.allocations[0].max(run.allocations[1]);
    assert!(most <= run.streams * PER_STREAM + SLACK, "{run:?}");
}

/// What was counted between the warm-up and the end.
#[derive(Debug)]
struct Run {
    /// Of the client's and of the server's thread.
    allocations: [u64; 2],
    packets: u64,
    retransmitted: u64,
    recovered: u64,
    streams: u64,
}

impl Run {
    /// Bulk both ways at full windows, and if it `churns`, streams that come and go beside it.
    fn of(compression: bool, churns: bool) -> Self {
        let target = echo_target();
        let tunnel = Config { compression, ..Config::default() };
        let (says, hears) = mpsc::channel();
        let server = End::start(serve(tunnel.clone(), target, says));
        let path = "delay=5ms,jitter=2ms,loss=10%,reorder=5%,rate=200mbit";
        let one_way: kcptun_link::LinkConfig = path.parse().expect("a link");
        let path = Path { up: one_way.clone(), down: one_way };
        let link = LossyUdpRelay::start(hears.recv().expect("a server"), &path, 7);
        let (says, hears) = mpsc::channel();
        let client = End::start(dial(tunnel, link.address(), says));
        let load = Load::start(hears.recv().expect("an entrance"), churns);

        thread::sleep(WARM_UP);
        let counted = [client, server].map(End::begin);
        let opened = load.streams.load(Ordering::Relaxed);
        thread::sleep(MEASURED);
        let streams = load.streams.load(Ordering::Relaxed) - opened;
        load.over.store(true, Ordering::Relaxed);
        let ends = counted.map(Counted::finish);
        load.join();
        let grown = |count: fn(&TunnelStats) -> u64| -> u64 {
            ends.iter().map(|end| count(&end.last) - count(&end.first)).sum()
        };
        Self {
            allocations: ends.each_ref().map(|end| end.allocations),
            packets: grown(|it| it.sessions.datagrams_in + it.sessions.datagrams_out),
            retransmitted: grown(|it| {
                it.sessions.kcp.fast_retransmits + it.sessions.kcp.timeout_retransmits
            }),
            recovered: grown(|it| it.sessions.decoder.recovered),
            streams,
        }
    }
}

/// One end of the tunnel on its thread, warming up.
struct End {
    begin: oneshot::Sender<()>,
    finish: oneshot::Sender<()>,
    thread: JoinHandle<Ended>,
}

/// The same while its allocations are counted.
struct Counted {
    finish: oneshot::Sender<()>,
    thread: JoinHandle<Ended>,
}

struct Ended {
    allocations: u64,
    first: TunnelStats,
    last: TunnelStats,
}

impl End {
    /// Runs `making`, which leaves tasks behind and tells how to read the counters.
    fn start<S>(making: impl Future<Output = S> + Send + 'static) -> Self
    where
        S: Fn() -> TunnelStats,
    {
        let (begin, may_begin) = oneshot::channel::<()>();
        let (finish, may_finish) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            let stats = runtime.block_on(async {
                let stats = making.await;
                may_begin.await.expect("the test goes on");
                stats
            });
            let first = stats();
            let counted = allocation_counter::measure(|| {
                runtime.block_on(may_finish).expect("the test goes on");
            });
            Ended { allocations: counted.count_total, first, last: stats() }
        });
        Self { begin, finish, thread }
    }

    fn begin(self) -> Counted {
        self.begin.send(()).expect("the end runs");
        Counted { finish: self.finish, thread: self.thread }
    }
}

impl Counted {
    fn finish(self) -> Ended {
        self.finish.send(()).expect("the end runs");
        self.thread.join().expect("the end has not failed")
    }
}

/// A server as the binary runs it.
async fn serve(
    tunnel: Config,
    target: SocketAddr,
    address: mpsc::Sender<SocketAddr>,
) -> impl Fn() -> TunnelStats {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let socket = kcptun_async::SocketConfig::default();
    let settings = ServerSettings { listen, cipher: cipher("one key"), tunnel, socket };
    let server = Arc::new(Server::bind(&Tokio, settings).expect("a free port"));
    address.send(server.local_addr()).expect("the test waits");
    let target: TargetAddress = target.to_string().parse().expect("an address");
    let accepting = Arc::clone(&server);
    Tokio.spawn(async move {
        while let Ok(stream) = accepting.accept().await {
            let target = target.clone();
            Tokio.spawn(async move {
                let Ok(tcp) = Tokio.connect(target).await else { return };
                let _ = Relay::new(&Tokio, stream, tcp, CLOSE_WAIT, false).await;
            });
        }
    });
    move || server.stats()
}

/// A client as the binary runs it.
async fn dial(
    tunnel: Config,
    remote: SocketAddr,
    address: mpsc::Sender<SocketAddr>,
) -> impl Fn() -> TunnelStats {
    let client =
        Client::new(Tokio, kcptun_async::ClientSettings { tunnel, ..client_settings(remote) });
    let listen = "127.0.0.1:0".parse().expect("an address");
    let listener = kcptun_net::tcp::listen(&listen).expect("a free port");
    let listener = Tokio.listener(listener).expect("a reactor");
    address.send(listener.local().parse().expect("an address")).expect("the test waits");
    let opening = client.clone();
    Tokio.spawn(async move {
        while let Ok(tcp) = listener.accept().await {
            let client = opening.clone();
            Tokio.spawn(async move {
                let Ok(stream) = client.open().await else { return };
                let _ = Relay::new(&Tokio, stream, tcp, Duration::ZERO, false).await;
            });
        }
    });
    move || client.stats()
}

/// Sends back what comes on each connection.
fn echo_target() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        while let Ok((mut tcp, _)) = listener.accept() {
            thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = tcp.read(&mut buffer) {
                    if tcp.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Connections to the client, and what goes over them.
struct Load {
    /// Short ones that came to their end.
    streams: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(entrance: SocketAddr, churns: bool) -> Self {
        let (streams, over) = (Arc::default(), Arc::<AtomicBool>::default());
        let mut threads = bulk(entrance, &over).into_iter().collect::<Vec<_>>();
        if churns {
            threads.push(churn(entrance, &over, &streams));
        }
        Self { streams, over, threads }
    }

    /// Call when the tunnel is gone, which ends what still waits.
    fn join(self) {
        for thread in self.threads {
            thread.join().expect("the load has not failed");
        }
    }
}

/// Writes as much as goes and reads what comes back.
fn bulk(entrance: SocketAddr, over: &Arc<AtomicBool>) -> [JoinHandle<()>; 2] {
    let mut writing = TcpStream::connect(entrance).expect("a listener");
    let mut reading = writing.try_clone().expect("a second handle");
    let over = Arc::clone(over);
    let writer = thread::spawn(move || {
        let piece = pattern(1, 65_536);
        while !over.load(Ordering::Relaxed) && writing.write_all(&piece).is_ok() {}
        let _ = writing.shutdown(Shutdown::Both);
    });
    let reader = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while matches!(reading.read(&mut buffer), Ok(1..)) {}
    });
    [writer, reader]
}

/// Connects, asks, hears the answer and goes, again and again.
fn churn(entrance: SocketAddr, over: &Arc<AtomicBool>, streams: &Arc<AtomicU64>) -> JoinHandle<()> {
    let (over, streams) = (Arc::clone(over), Arc::clone(streams));
    thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            let Ok(mut tcp) = TcpStream::connect(entrance) else {
                assert!(over.load(Ordering::Relaxed), "no listener");
                return;
            };
            let (question, mut answer) = (pattern(2, 5_000), vec![0; 5_000]);
            if tcp.write_all(&question).and_then(|()| tcp.read_exact(&mut answer)).is_ok() {
                assert!(answer == question, "other bytes came back");
                streams.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
}
