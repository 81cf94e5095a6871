//! After its start neither end allocates, whatever the traffic: proved by an allocator that counts.
//!
//! Each end runs on a thread of its own, whose allocations are counted from the end of its start to
//! its stop; the traffic, the path and the target are on other threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kcptun_config::SnmpLog;
use kcptun_config::snmp_log::{CivilTime, SnmpWriter};
use kcptun_interop::{Job, LossyUdpRelay, Path, Target, free_port};
use kcptun_router_driver::{Client, ClientSettings, Server, ServerSettings, TunnelStats, now};
use kcptun_tunnel::Config;
use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use smux_proto::Version;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting the calls of each thread that ask for memory.
struct Counting;

fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PATIENCE: Duration = Duration::from_secs(60);
const MEMORY: usize = 8 << 20;

/// One end on a thread of its own.
struct End {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, TunnelStats)>,
}

impl End {
    /// Makes an end on its thread, and lets it turn until it is stopped.
    fn start<T>(
        make: impl FnOnce() -> T + Send + 'static,
        address: impl FnOnce(&T) -> SocketAddr + Send + 'static,
        turn: impl Fn(&mut T) + Send + 'static,
        stats: impl Fn(&T) -> TunnelStats + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut end = make();
            tell.send(address(&end)).expect("the test waits");
            drop(tell);
            let before = COUNT.get();
            assert!(before > 0, "the start is not counted");
            while !stopped.load(Ordering::Relaxed) {
                turn(&mut end);
            }
            (COUNT.get() - before, stats(&end))
        });
        Self { address: told.recv().expect("it starts"), stop, thread }
    }

    fn server(target: SocketAddr, at: SocketAddr, tunnel: Config) -> Self {
        let make = move || {
            Server::new(ServerSettings {
                listen: at.to_string().parse().expect("an address"),
                target: target.to_string().parse().expect("an address"),
                cipher: cipher(),
                tunnel,
                socket: Default::default(),
                close_wait: Duration::from_secs(30),
                quiet: false,
                memory: MEMORY,
            })
            .expect("a server")
        };
        let turn = |server: &mut Server| server.turn(Duration::from_millis(20)).expect("a turn");
        Self::start(make, |server| server.local_addrs()[0], turn, Server::stats)
    }

    fn client(remote: SocketAddr, tunnel: Config) -> Self {
        let make = move || {
            Client::new(ClientSettings {
                listen: "127.0.0.1:0".parse().expect("an address"),
                remote: remote.to_string().parse().expect("an address"),
                cipher: cipher(),
                tunnel,
                socket: Default::default(),
                policy: Default::default(),
                close_wait: Duration::ZERO,
                quiet: false,
                memory: MEMORY,
            })
            .expect("a client")
        };
        let turn = |client: &mut Client| client.turn(Duration::from_millis(20)).expect("a turn");
        Self::start(make, |client| client.local_addr().expect("TCP"), turn, Client::stats)
    }

    /// Stops it: its allocations since the start, and what it has counted.
    fn stop(self) -> (u64, TunnelStats) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("it did not panic")
    }
}

fn cipher() -> PacketCipher {
    PacketCipher::new(CipherKind::Aes, b"key of a test").expect("built in")
}

fn config(compression: bool, version: Version) -> Config {
    let mut config = Config { compression, ..Config::default() };
    config.smux.version = version;
    config.kcp.interval = Duration::from_millis(10);
    config
}

/// Sends the log into a file, as its lines have to be made, too.
fn log_to_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = kcptun_router::Log::open(Some(&folder.path().join("log")), None).expect("a file");
    log.install();
}

/// Bulk, then waves of short connections, over this path; returns what client and server counted.
fn carry(tunnel: &Config, link: &str) -> [TunnelStats; 2] {
    log_to_a_file();
    let target = Target::start();
    let here = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = End::server(target.address(), here, tunnel.clone());
    let path = Path { up: link.parse().expect("a link"), down: link.parse().expect("a link") };
    let relay = LossyUdpRelay::start(server.address, &path, 7);
    let client = End::client(relay.address(), tunnel.clone());
    let bulk = Job { connections: 2, up: 2 << 20, down: 2 << 20, patience: PATIENCE };
    let wave = Job { connections: 40, up: 20 << 10, down: 20 << 10, patience: PATIENCE };
    for job in [bulk, wave, wave, bulk, wave] {
        job.run(client.address).expect("every byte arrives");
    }
    [client, server].map(|end| {
        let (allocations, stats) = end.stop();
        assert_eq!(allocations, 0, "after the start");
        stats
    })
}

#[test]
fn a_clean_path() {
    for compression in [false, true] {
        for version in [Version::V1, Version::V2] {
            carry(&config(compression, version), "");
        }
    }
}

#[test]
fn a_path_that_loses_damages_and_reorders() {
    let link = "delay=5ms,jitter=5ms,order=free,loss=10%,duplicate=2%,corrupt=1%";
    for compression in [false, true] {
        for stats in carry(&config(compression, Version::V2), link) {
            assert!(stats.sessions.decoder.recovered > 0, "repair was at work");
            assert!(stats.sessions.kcp.fast_retransmits > 0, "so were repetitions");
            assert!(stats.endpoint.checksum_errors > 0, "and damage");
        }
    }
}

/// Noise at the server's port while it works, and a server that is replaced by another: the client
/// dials again.
#[test]
fn noise_and_a_new_session() {
    log_to_a_file();
    let target = Target::start();
    let tunnel = config(true, Version::V1);
    let here = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let first = End::server(target.address(), here, tunnel.clone());
    let address = first.address;
    let client = End::client(address, tunnel.clone());
    let job = Job { connections: 5, up: 100 << 10, down: 100 << 10, patience: PATIENCE };
    job.run(client.address).expect("every byte arrives");
    let noise = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for len in (0..1_500).chain(0..1_500) {
        let _ = noise.send_to(&vec![len as u8; len], address);
    }
    job.run(client.address).expect("every byte arrives");
    let (allocations, _) = first.stop();
    assert_eq!(allocations, 0, "of the first server");

    let second = End::server(target.address(), address, tunnel);
    // The first attempts may meet the session that is not yet known to be dead.
    let worked = (0..30).any(|_| {
        thread::sleep(Duration::from_millis(200));
        Job { patience: Duration::from_secs(8), ..job }.run(client.address).is_ok()
    });
    assert!(worked, "the client finds the new server");
    let (allocations, stats) = client.stop();
    assert_eq!(allocations, 0, "of the client");
    assert!(stats.endpoint.active_opens >= 2, "{stats:?}");
    assert_eq!(second.stop().0, 0, "of the second server");
}

#[test]
fn rows_of_counters() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rows-20060102-January-MST.csv");
    let file = SnmpLog { path, period: Duration::from_secs(1) };
    let mut rows = SnmpWriter::new(file, now());
    let december =
        CivilTime { year: 2026, month: 12, day: 31, zone: "CHADT", ..Default::default() };
    let before = COUNT.get();
    for unix in 0..100 {
        let stats = TunnelStats::default();
        assert!(rows.write(now(), unix, &december, &(&stats).into()).is_none());
    }
    assert_eq!(COUNT.get() - before, 0);
    let written = std::fs::read_to_string(folder.path().join("rows-20261231-December-CHADT.csv"));
    assert_eq!(written.expect("a file").lines().count(), 101);
}
