//! Nothing needs a restart: servers that go and come back, networks that fail and change, sleep,
//! names that move. Real processes in network namespaces, ours at both ends and ours with Debian's
//! server.
//!
//! An application is played by [`Scene::works`]: it opens a connection, wants an echo within a
//! second, and tries again when that fails. What is measured is printed (`--nocapture`).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kcptun_interop::{
    BOTH_WAYS, Case, Job, Maker, Namespace, OURS_ALONE, Pair, Process, Role, Signal, flags,
    free_port, wait_until,
};

/// New connections work this soon after the path is back.
const WORKS_WITHIN: Duration = Duration::from_secs(3);
/// Connections that cannot be saved are reset this soon after that is certain.
const RESET_WITHIN: Duration = Duration::from_secs(5);
/// For a machine that is busy with other tests.
const SLACK: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);

/// Ours with ours, and ours with Debian's server.
const PAIRS: [Pair; 2] = [OURS_ALONE, BOTH_WAYS[0]];

/// Addresses of the two ends; the far one has a second one.
const NEAR: &str = "10.77.1.1";
const FAR: &str = "10.77.1.2";
const FAR_TOO: &str = "10.77.1.9";

/// A client and a server in namespaces of their own, and an echo service behind the server.
struct Scene {
    // Processes end before the namespaces that they live in.
    client: Option<Process>,
    server: Option<Process>,
    pair: Pair,
    /// Address and port that the client is told.
    remote: String,
    port: u16,
    entrance: SocketAddr,
    echo: SocketAddr,
    near: Namespace,
    far: Namespace,
}

impl Scene {
    /// The namespaces, joined; nothing runs yet.
    fn set(pair: Pair, label: &str) -> Self {
        let label = format!("{label}{}", if pair == OURS_ALONE { "" } else { "D" });
        let near = Namespace::create(&format!("{label}N"));
        let far = Namespace::create(&format!("{label}F"));
        near.join(&format!("{NEAR}/24"), &far, &format!("{FAR}/24"), "veth", 1500);
        far.ip(&format!("address add {FAR_TOO}/24 dev veth"));
        let port = free_port();
        Self {
            client: None,
            server: None,
            pair,
            remote: format!("{FAR}:{port}"),
            port,
            entrance: SocketAddr::from(([127, 0, 0, 1], free_port())),
            echo: far.run(echo),
            near,
            far,
        }
    }

    /// The namespaces with both processes running, and a first echo through them.
    fn start(pair: Pair, label: &str) -> Self {
        let mut scene = Self::set(pair, label);
        scene.start_server("");
        scene.start_client("");
        scene.works();
        scene
    }

    /// Starts the server, on all addresses of its namespace if `host` is empty.
    fn start_server(&mut self, host: &str) {
        let args = flags(&format!("--listen {host}:{} --target {}", self.port, self.echo));
        let program = self.pair.server.binary(Role::Server);
        let mut server = Process::spawn("server", self.far.command(&program, &args));
        server.wait_udp(self.port);
        self.server = Some(server);
    }

    fn start_client(&mut self, more: &str) {
        let args = flags(&format!("-l {} -r {} {more}", self.entrance, self.remote));
        let program = self.pair.client.binary(Role::Client);
        let mut client = Process::spawn("client", self.near.command(&program, &args));
        client.wait_tcp(self.entrance.port());
        self.client = Some(client);
    }

    fn client(&self) -> &Process {
        self.client.as_ref().expect("it was started")
    }

    /// One echo on a connection of its own.
    fn ask(&self) -> bool {
        let entrance = self.entrance;
        self.near.run(|| {
            TcpStream::connect(entrance)
                .and_then(|stream| {
                    stream.set_read_timeout(Some(SECOND))?;
                    ping(&stream, b"new here")
                })
                .is_ok()
        })
    }

    /// How long it takes until a new connection works.
    fn works(&self) -> Duration {
        let begin = Instant::now();
        let works = wait_until(Duration::from_secs(30), || self.ask());
        assert!(works, "{:?}: nothing works any more", self.pair);
        begin.elapsed()
    }

    /// New connections work in time, `since` the path is back.
    fn expect_works(&self, what: &str) {
        let took = self.works();
        println!("{what} ({:?}): new connections work after {took:.2?}", self.pair);
        assert!(took < WORKS_WITHIN + SLACK, "{what} ({:?}): {took:?}", self.pair);
    }

    /// A connection that lives on, with a byte or two each 100 ms.
    fn living(&self) -> Living {
        let entrance = self.entrance;
        self.near.run(|| Living::start(entrance))
    }
}

/// Runs a test with each pair at once.
fn with_pairs(scenario: impl Fn(Pair) + Sync) {
    let scenario = &scenario;
    std::thread::scope(|scope| {
        for pair in PAIRS {
            scope.spawn(move || scenario(pair));
        }
    });
}

/// An echo service in the namespace of the calling thread, until the test process ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut { &stream }, &mut { &stream }));
        }
    });
    address
}

fn ping(mut stream: &TcpStream, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(text)?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    if answer == text { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

/// A connection that asks for an echo ten times a second and waits for each as long as it takes.
struct Living {
    state: Arc<Mutex<Life>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Life {
    last_echo: Instant,
    end: Option<(Instant, std::io::ErrorKind)>,
}

impl Living {
    fn start(entrance: SocketAddr) -> Self {
        let stream = TcpStream::connect(entrance).expect("the client listens");
        let state = Arc::new(Mutex::new(Life { last_echo: Instant::now(), end: None }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for number in 0_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let result = ping(&stream, &number.to_le_bytes());
                let mut life = shared.lock().expect("no panic");
                match result {
                    Ok(()) => life.last_echo = Instant::now(),
                    Err(error) => {
                        life.end = Some((Instant::now(), error.kind()));
                        return;
                    }
                }
                drop(life);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let living = Self { state, stop, thread: Some(thread) };
        living.expect_goes_on("start", Duration::from_secs(5));
        living
    }

    fn life(&self) -> Life {
        self.state.lock().expect("no panic").clone()
    }

    /// It is answered again.
    #[track_caller]
    fn expect_goes_on(&self, what: &str, within: Duration) {
        let begin = Instant::now();
        let goes_on = wait_until(within + SLACK, || self.life().last_echo > begin);
        assert!(goes_on, "{what}: the living connection does not go on: {:?}", self.life().end);
        println!("{what}: the living connection goes on after {:.2?}", begin.elapsed());
    }

    /// It is reset.
    #[track_caller]
    fn expect_reset(&self, what: &str) {
        let begin = Instant::now();
        let ended = wait_until(RESET_WITHIN + SLACK, || self.life().end.is_some());
        assert!(ended, "{what}: the lost connection hangs");
        let (at, kind) = self.life().end.expect("it ended");
        println!("{what}: the lost connection ended ({kind:?}) after {:.2?}", at - begin.min(at));
        assert_eq!(kind, std::io::ErrorKind::ConnectionReset, "{what}");
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It may wait for an echo for ever; then it ends with the test process.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn a_server_that_was_killed_and_started_again() {
    with_pairs(|pair| {
        let mut scene = Scene::start(pair, "again");
        let living = scene.living();
        scene.server = None;
        std::thread::sleep(SECOND);
        scene.start_server("");
        scene.expect_works("server killed and started again");
        living.expect_reset("server killed and started again");
        // The same while nobody uses the tunnel, for longer than signs of life come apart.
        scene.server = None;
        std::thread::sleep(Duration::from_secs(17));
        scene.start_server("");
        scene.expect_works("server started again while the tunnel was idle");
    });
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn a_server_that_is_away_for_long() {
    with_pairs(|pair| {
        let mut scene = Scene::start(pair, "away");
        let living = scene.living();
        scene.server = None;
        // Half of the time its host says so, half of the time nobody is there at all.
        let gone = Instant::now();
        while gone.elapsed() < Duration::from_secs(20) {
            assert!(!scene.ask());
        }
        living.expect_reset("server away, refusals come");
        scene.far.ip("link set veth down");
        while gone.elapsed() < Duration::from_secs(90) {
            assert!(!scene.ask());
        }
        scene.start_server("");
        scene.far.ip("link set veth up");
        scene.expect_works("server away for 90 s");
        let log = scene.client().log();
        let sessions = log.lines().filter(|line| line.contains("on connection:")).count();
        assert!(sessions <= 100, "{sessions} sessions in 90 s:\n{log}");
    });
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn living_connections_survive_an_outage() {
    with_pairs(|pair| {
        let scene = Scene::start(pair, "outage");
        let living = scene.living();
        scene.near.ip("link set veth down");
        std::thread::sleep(Duration::from_secs(3));
        assert!(!scene.ask(), "there is no network");
        std::thread::sleep(Duration::from_secs(22));
        scene.near.ip("link set veth up");
        scene.expect_works("network gone for 25 s");
        living.expect_goes_on("network gone for 25 s", RESET_WITHIN);
    });
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn the_client_s_address_changes() {
    with_pairs(|pair| {
        let scene = Scene::start(pair, "move");
        let living = scene.living();
        scene.near.ip(&format!("address del {NEAR}/24 dev veth"));
        scene.near.ip("address add 10.77.1.3/24 dev veth");
        scene.expect_works("address changed");
        // Back at home, as between two networks that a laptop changes to and fro.
        scene.near.ip(&format!("address add {NEAR}/24 dev veth"));
        scene.expect_works("address there again");
        living.expect_goes_on("address there again", RESET_WITHIN);
    });
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn the_network_is_down_at_the_start() {
    with_pairs(|pair| {
        let mut scene = Scene::set(pair, "down");
        scene.near.ip("link set veth down");
        scene.start_server("");
        scene.start_client("");
        assert!(!scene.ask());
        let entrance = scene.entrance;
        let waiting = scene.near.run(|| TcpStream::connect(entrance).expect("it listens"));
        let complaint =
            scene.client().wait_line(SECOND * 5, |line| line.contains("re-connecting: "));
        assert!(complaint.is_some(), "{}", scene.client().log());
        std::thread::sleep(SECOND * 3);
        scene.near.ip("link set veth up");
        scene.expect_works("network down at the start");
        // Who has waited from the start is served, too.
        waiting.set_read_timeout(Some(WORKS_WITHIN + SLACK)).expect("a timeout");
        ping(&waiting, b"at last").expect("an echo");
    });
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn a_client_that_sleeps() {
    with_pairs(|pair| {
        let scene = Scene::start(pair, "sleep");
        let living = scene.living();
        scene.client().signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(15));
        scene.client().signal(Signal::CONT);
        living.expect_goes_on("slept for 15 s", RESET_WITHIN);
        scene.expect_works("slept for 15 s");
        scene.client().signal(Signal::STOP);
        std::thread::sleep(Duration::from_secs(66));
        scene.client().signal(Signal::CONT);
        scene.expect_works("slept for 66 s");
        living.expect_reset("slept for 66 s");
    });
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn a_name_that_moves_to_another_address() {
    with_pairs(|pair| {
        let mut scene = Scene::set(pair, "name");
        scene.near.set_names(&format!("{FAR} tunnel.test\n"), "");
        scene.remote = format!("tunnel.test:{}", scene.port);
        scene.start_server(FAR);
        scene.start_client("");
        scene.works();
        let living = scene.living();
        scene.server = None;
        scene.start_server(FAR_TOO);
        scene.near.set_names(&format!("{FAR_TOO} tunnel.test\n"), "");
        scene.expect_works("name moved");
        living.expect_reset("name moved");
        let line = scene.client().wait_line(SECOND, |line| line.contains(FAR_TOO));
        assert!(line.is_some(), "{}", scene.client().log());
    });
}

#[test]
#[ignore = "needs Debian's kcptun and root; run by cargo xtask test"]
fn a_name_that_does_not_resolve_at_the_start() {
    with_pairs(|pair| {
        let mut scene = Scene::set(pair, "noname");
        // A name server that never answers: asking it takes longer than anybody waits here.
        let resolver = format!("nameserver {FAR_TOO}\n");
        scene.near.set_names("", &resolver);
        scene.remote = format!("tunnel.test:{}", scene.port);
        scene.start_server(FAR);
        let silence = std::net::UdpSocket::bind;
        let _silence = scene.far.run(|| silence((FAR_TOO, 53)).expect("a port"));
        scene.start_client("");
        for _ in 0..4 {
            assert!(!scene.ask());
        }
        scene.near.set_names(&format!("{FAR} tunnel.test\n"), &resolver);
        scene.expect_works("name resolves at last");
        // And when the name service is lost again, the server is not.
        scene.near.set_names("", &resolver);
        scene.server = None;
        scene.start_server(FAR);
        scene.expect_works("name service lost, server started again");
    });
}

/// The addresses that a server saw sessions from.
fn peers_of(server: &Process) -> usize {
    let log = server.log();
    let lines = log.lines().filter_map(|line| line.split("remote address: ").nth(1));
    lines.collect::<std::collections::HashSet<_>>().len()
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn sessions_take_turns_and_expire_without_loss() {
    for pair in PAIRS {
        let job = Job { connections: 6, up: 12 << 20, down: 12 << 20, ..Job::default() };
        let flags = "--conn 3 --autoexpire 2 --scavengettl 600 --mode fast3 --nocomp";
        let tunnel = Case::new("autoexpire").client(flags).server("--mode fast3 --nocomp");
        let tunnel = tunnel.link("delay=20ms,rate=60mbit,queue=200ms").start(pair);
        // While the first connections live, sessions expire and others take their place.
        std::thread::scope(|scope| {
            let living = scope.spawn(|| tunnel.run(&job));
            while !living.is_finished() {
                let small = tunnel.run(&Job::small());
                assert!(small.is_ok(), "{pair:?}: {small:?}");
                std::thread::sleep(Duration::from_millis(300));
            }
            let report = living.join().expect("no panic");
            let report = report.unwrap_or_else(|error| panic!("{pair:?}: a byte is lost: {error}"));
            println!(
                "autoexpire under load ({pair:?}): {} bytes, {:?}",
                report.bytes, report.elapsed
            );
            assert!(report.elapsed > SECOND * 5, "{pair:?}: no session has expired meanwhile");
        });
        let sessions = tunnel.client.log().matches("on connection:").count();
        assert!(sessions >= 6, "{pair:?}: {sessions} sessions");
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn expired_sessions_end_with_the_original_s_words() {
    let clients = [OURS_ALONE, Pair { client: Maker::Debian, server: Maker::Ours }];
    for pair in clients {
        let case = Case::new("ttl").client("--autoexpire 1 --scavengettl 2");
        let mut tunnel = case.start(pair);
        tunnel.run(&Job::small()).expect("it works");
        let mut living = TcpStream::connect(tunnel.entrance()).expect("it listens");
        living.set_read_timeout(Some(SECOND * 10)).expect("a timeout");
        let line = tunnel
            .client
            .wait_line(SECOND * 10, |line| line.contains("scavenger: session closed due to ttl: "));
        let line = line.unwrap_or_else(|| panic!("{pair:?}:\n{}", tunnel.client.log()));
        println!("{pair:?}: {line}");
        let address = line.rsplit(": ").next().and_then(|text| text.parse::<SocketAddr>().ok());
        let address = address.unwrap_or_else(|| panic!("{line}"));
        assert_ne!(address.port(), tunnel.server_port(), "the client's own address: {line}");
        // Whoever still used it is told.
        assert!(matches!(living.read(&mut [0]), Ok(0) | Err(_)));
        tunnel.run(&Job::small()).expect("it works on");
        assert!(tunnel.client.is_running());
    }
}

#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn connections_take_turns_on_sessions() {
    for pair in BOTH_WAYS {
        let tunnel = Case::new("conn").client("--conn 3").start(pair);
        for _ in 0..7 {
            tunnel.run(&Job::small()).expect("it works");
        }
        let sessions = tunnel.client.log().matches("on connection:").count();
        assert_eq!((sessions, peers_of(&tunnel.server)), (3, 3), "{pair:?}");
    }
}

/// Debian's servers know no ranges, so there are several of them.
#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn each_session_draws_a_port_of_the_range() {
    let target = kcptun_interop::Target::start();
    // Ports that follow each other.
    let first = loop {
        let first = free_port();
        let is_free = |port: u16| std::net::UdpSocket::bind(("0.0.0.0", port)).is_ok();
        if (first..first + 4).all(is_free) {
            break first;
        }
    };
    let servers: Vec<Process> = (first..first + 4)
        .map(|port| {
            let args = flags(&format!("-l :{port} -t {}", target.address()));
            let program = Maker::Debian.binary(Role::Server);
            let mut server = Process::start("server", &program, &args);
            server.wait_udp(port);
            server
        })
        .collect();
    let entrance = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let args = flags(&format!("-l {entrance} -r 127.0.0.1:{first}-{} --conn 40", first + 3));
    let mut client = Process::start("client", &Maker::Ours.binary(Role::Client), &args);
    client.wait_tcp(entrance.port());
    for _ in 0..40 {
        Job::small().run(entrance).expect("it works");
    }
    let sessions: Vec<usize> = servers.iter().map(peers_of).collect();
    println!("sessions on each of four ports: {sessions:?}");
    // None is left out but once in 25,000 runs.
    assert!(sessions.iter().all(|&count| count > 0), "{sessions:?}");
    assert_eq!(sessions.iter().sum::<usize>(), 40);
}
