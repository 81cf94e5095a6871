//! What the suite asks of `relays` and `sessions`, of the poll loop for routers.
//!
//! The suite's behaviours are futures over streams of the tunnel; the poll loop has neither, so the
//! same is asked here of what goes in and comes out: bytes of TCP connections and unix sockets.
//! What cannot be asked this way: a stream that is dropped half-way by its program, waiting for a
//! stream that is given up, and clients that outlive their last handle.
#![cfg(target_os = "linux")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kcptun_router_driver::{Client, ClientSettings, Server, ServerSettings};
use kcptun_tunnel::Config;
use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use kcptun_tunnel::policy::PolicyConfig;

const TURN: Duration = Duration::from_millis(10);
const LIMIT: Duration = Duration::from_secs(30);
/// What comes at once takes less, also on a machine with much to do.
const A_FEW_SECONDS: Duration = Duration::from_secs(10);
const QUESTION: usize = 2 << 20;
const ANSWER: usize = 1 << 20;
/// What the target says before it has heard a byte.
const GREETING: &[u8] = b"220 ready\r\n";

/// An end on a thread, turning until it is dropped.
struct Turning {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Turning {
    fn start(mut turn: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                turn();
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Turning {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the loop panicked");
        }
    }
}

fn cipher(key: &[u8]) -> PacketCipher {
    PacketCipher::new(CipherKind::Aes, key).expect("built in")
}

fn server(at: SocketAddr, target: &str) -> Turning {
    server_with(at, target, Duration::from_secs(60))
}

fn server_with(at: SocketAddr, target: &str, close_wait: Duration) -> Turning {
    server_of(ServerSettings { close_wait, ..server_settings(at, target) })
}

fn server_settings(at: SocketAddr, target: &str) -> ServerSettings {
    ServerSettings {
        listen: at.to_string().parse().expect("an address"),
        target: target.parse().expect("an address"),
        cipher: cipher(b"key"),
        tunnel: Config::default(),
        socket: Default::default(),
        close_wait: Duration::from_secs(60),
        quiet: false,
        memory: 4 << 20,
    }
}

fn server_of(settings: ServerSettings) -> Turning {
    let mut server = Server::new(settings).expect("a server");
    Turning::start(move || server.turn(TURN).expect("a turn"))
}

fn client(listen: &str, remote: SocketAddr, key: &[u8]) -> (Turning, Option<SocketAddr>) {
    let settings = client_settings(&remote.to_string());
    let listen = listen.parse().expect("an address");
    let mut client =
        Client::new(ClientSettings { listen, cipher: cipher(key), ..settings }).expect("a client");
    let local = client.local_addr();
    (Turning::start(move || client.turn(TURN).expect("a turn")), local)
}

fn client_settings(remote: &str) -> ClientSettings {
    ClientSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        remote: remote.parse().expect("an address"),
        cipher: cipher(b"key"),
        tunnel: Config::default(),
        socket: Default::default(),
        policy: Default::default(),
        close_wait: Duration::ZERO,
        quiet: false,
        memory: 4 << 20,
    }
}

/// A client, and where it accepts connections.
fn client_of(settings: ClientSettings) -> (Client, SocketAddr) {
    let client = Client::new(settings).expect("a client");
    let local = client.local_addr().expect("TCP");
    (client, local)
}

/// A port that nobody has now.
fn free_port() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address")
}

/// A client and a server, and where connections to `target` are accepted.
fn tunnel(target: &str) -> (Turning, Turning, SocketAddr) {
    let at = free_port();
    let server = server(at, target);
    let (client, local) = client("127.0.0.1:0", at, b"key");
    (server, client, local.expect("TCP"))
}

/// A connection that can end one direction.
trait Connection: Read + Write + Send + Sized + 'static {
    fn end_writing(&self) -> io::Result<()>;
    fn second(&self) -> io::Result<Self>;
}

macro_rules! connection {
    ($type:ty) => {
        impl Connection for $type {
            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn second(&self) -> io::Result<Self> {
                self.set_read_timeout(Some(LIMIT))?;
                self.try_clone()
            }
        }
    };
}

connection!(TcpStream);
connection!(std::os::unix::net::UnixStream);

fn pattern(seed: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[7] ^ seed)
        .collect()
}

fn ask(mut connection: impl Connection) -> io::Result<()> {
    let mut writer = connection.second()?;
    let writing = thread::spawn(move || {
        writer.write_all(&pattern(1, QUESTION))?;
        writer.end_writing()
    });
    let mut greeting = [0; GREETING.len()];
    connection.read_exact(&mut greeting)?;
    assert_eq!(greeting, GREETING);
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    assert!(answer == pattern(2, ANSWER), "{} bytes", answer.len());
    writing.join().map_err(|_| io::Error::other("the writer failed"))?
}

fn answer(mut connection: impl Connection) -> io::Result<()> {
    connection.second()?.write_all(GREETING)?;
    let mut question = Vec::new();
    connection.read_to_end(&mut question)?;
    assert!(question == pattern(1, QUESTION), "{} bytes", question.len());
    connection.write_all(&pattern(2, ANSWER))
}

/// A target that answers each connection.
fn answering() -> SocketAddr {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = target.local_addr().expect("an address");
    thread::spawn(move || {
        for connection in target.incoming().flatten() {
            thread::spawn(move || answer(connection));
        }
    });
    address
}

/// A target that says what it hears.
fn echoing() -> SocketAddr {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = target.local_addr().expect("an address");
    thread::spawn(move || {
        for connection in target.incoming().flatten() {
            thread::spawn(move || io::copy(&mut &connection, &mut &connection));
        }
    });
    address
}

fn connect(to: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(to).expect("a connection");
    connection.set_read_timeout(Some(A_FEW_SECONDS)).expect("an option");
    connection
}

fn echo(mut connection: &TcpStream) -> io::Result<()> {
    connection.write_all(b"still there?")?;
    let mut echo = [0; 12];
    connection.read_exact(&mut echo)?;
    assert_eq!(&echo, b"still there?");
    Ok(())
}

/// Asks until there is an answer.
fn asks_until_answered(local: SocketAddr, within: Duration) -> bool {
    let end = Instant::now() + within;
    while Instant::now() < end {
        let quick = || {
            let mut connection = TcpStream::connect(local)?;
            connection.set_read_timeout(Some(Duration::from_secs(2)))?;
            connection.read_exact(&mut [0; GREETING.len()])
        };
        if quick().is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

mod relays {
    use super::*;

    #[test]
    fn tcp_is_carried() {
        let (_server, _client, local) = tunnel(&answering().to_string());
        ask(TcpStream::connect(local).expect("a connection")).expect("an answer");
    }

    #[test]
    fn unix_sockets_are_carried() {
        use std::os::unix::net::{UnixListener, UnixStream};

        let folder = tempfile::tempdir().expect("a folder");
        let (listen, to) = (folder.path().join("listen"), folder.path().join("target"));
        let target = UnixListener::bind(&to).expect("a free path");
        let answering = thread::spawn(move || answer(target.accept()?.0));
        let at = free_port();
        let _server = server(at, &to.display().to_string());
        let (_client, _) = client(&listen.display().to_string(), at, b"key");
        ask(UnixStream::connect(&listen).expect("a connection")).expect("an answer");
        answering.join().expect("no panic").expect("a question");
    }

    /// A target whose queue is full, as a busy service's may be for a moment: the stream waits.
    #[test]
    fn a_target_that_accepts_nobody_for_a_while() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("target");
        let target = kcptun_net::tcp::bind_unix(&path).expect("a free path");
        target.set_nonblocking(false).expect("an option");
        let mut queued = Vec::new();
        while let Ok(connection) = kcptun_net::tcp::connect_unix(&path) {
            queued.push(connection);
        }
        let at = free_port();
        let _server = server(at, &path.display().to_string());
        let (_client, local) = client("127.0.0.1:0", at, b"key");
        let asking = TcpStream::connect(local.expect("TCP")).expect("a connection");
        let asking = thread::spawn(move || ask(asking));
        thread::sleep(Duration::from_secs(1));
        assert!(!asking.is_finished(), "it waits");
        for _ in queued {
            target.accept().expect("one of those that wait");
        }
        answer(target.accept().expect("ours").0).expect("a question");
        asking.join().expect("no panic").expect("an answer");
    }

    #[test]
    fn a_target_that_is_not_there_ends_the_connection() {
        let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
        let (_server, _client, local) = tunnel(&nobody.expect("an address").to_string());
        let mut connection = TcpStream::connect(local).expect("a connection");
        connection.set_read_timeout(Some(LIMIT)).expect("an option");
        connection.write_all(b"is anybody there?").expect("room");
        assert_eq!(connection.read_to_end(&mut Vec::new()).expect("an end"), 0);
    }

    #[test]
    fn a_target_that_resets_ends_the_connection() {
        let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = target.local_addr().expect("an address").to_string();
        let resetting = thread::spawn(move || {
            let mut connection = target.accept()?.0;
            // Unread bytes make the drop a reset.
            connection.read_exact(&mut [0; 1_000])
        });
        let (_server, _client, local) = tunnel(&to);
        let mut connection = TcpStream::connect(local).expect("a connection");
        connection.set_read_timeout(Some(LIMIT)).expect("an option");
        let mut writer = connection.try_clone().expect("a handle");
        let writing = thread::spawn(move || while writer.write_all(&[1; 65_536]).is_ok() {});
        let end = connection.read_to_end(&mut Vec::new());
        let timed_out = end.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        assert!(!timed_out, "it ends, as such or as a reset");
        drop(connection.shutdown(Shutdown::Both));
        writing.join().expect("no panic");
        resetting.join().expect("no panic").expect("a question");
    }
}

mod half_close {
    use super::*;

    /// An answer that takes longer than `--closewait`, for one who has ended its question and still
    /// reads.
    #[test]
    fn an_answer_may_take_its_time() {
        const PIECES: usize = 30;
        let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = target.local_addr().expect("an address").to_string();
        let answering = thread::spawn(move || {
            let mut connection = target.accept()?.0;
            connection.read_to_end(&mut Vec::new())?;
            for _ in 0..PIECES {
                thread::sleep(Duration::from_millis(100));
                connection.write_all(b"more")?;
            }
            Ok::<_, io::Error>(())
        });
        let at = free_port();
        let _server = server_with(at, &to, Duration::from_secs(1));
        let (_client, local) = client("127.0.0.1:0", at, b"key");
        let mut asking = TcpStream::connect(local.expect("TCP")).expect("a connection");
        asking.set_read_timeout(Some(LIMIT)).expect("an option");
        asking.write_all(b"a question").expect("room");
        asking.shutdown(Shutdown::Write).expect("an end");
        let mut answer = Vec::new();
        asking.read_to_end(&mut answer).expect("an answer");
        assert_eq!(answer.len(), PIECES * 4, "all of it");
        answering.join().expect("no panic").expect("a question");
    }
}

/// What is gone gives its place back long before `--closewait`, a minute here, if anybody writes to
/// it.
mod hang_ups {
    use super::*;

    #[test]
    fn a_download_whose_reader_is_gone_ends_at_the_target() {
        let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = target.local_addr().expect("an address").to_string();
        let flooding = thread::spawn(move || {
            let mut connection = target.accept()?.0;
            while connection.write_all(&[1; 65_536]).is_ok() {}
            Ok::<_, io::Error>(())
        });
        let (_server, _client, local) = tunnel(&to);
        let mut connection = TcpStream::connect(local).expect("a connection");
        connection.set_read_timeout(Some(LIMIT)).expect("an option");
        connection.read_exact(&mut [0; 100_000]).expect("a part of the flood");
        let begun = Instant::now();
        drop(connection);
        flooding.join().expect("no panic").expect("a connection");
        assert!(begun.elapsed() < A_FEW_SECONDS, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_refusal_by_the_target_ends_an_upload() {
        let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
        let (_server, _client, local) = tunnel(&nobody.expect("an address").to_string());
        let mut connection = TcpStream::connect(local).expect("a connection");
        let begun = Instant::now();
        while begun.elapsed() < LIMIT && connection.write_all(b"is anybody there?").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(begun.elapsed() < A_FEW_SECONDS, "{:?}", begun.elapsed());
    }

    #[test]
    fn an_upload_whose_target_is_gone_ends_at_its_sender() {
        let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = target.local_addr().expect("an address").to_string();
        let (_server, _client, local) = tunnel(&to);
        let mut connection = TcpStream::connect(local).expect("a connection");
        connection.set_write_timeout(Some(LIMIT)).expect("an option");
        connection.write_all(&[1; 100_000]).expect("room");
        let mut reading = target.accept().expect("a connection").0;
        reading.read_exact(&mut [0; 10_000]).expect("a part");
        drop(reading);
        let begun = Instant::now();
        while connection.write_all(&[1; 65_536]).is_ok() {}
        assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    }
}

mod sessions {
    use super::*;

    #[test]
    fn a_client_may_start_before_its_server() {
        let at = free_port();
        let (_client, local) = client("127.0.0.1:0", at, b"key");
        let early = TcpStream::connect(local.expect("TCP")).expect("a connection");
        let asking = thread::spawn(move || ask(early));
        thread::sleep(Duration::from_millis(400));
        let _server = server(at, &answering().to_string());
        asking.join().expect("no panic").expect("an answer");
    }

    #[test]
    fn a_server_comes_back() {
        let (at, target) = (free_port(), answering().to_string());
        let first = server(at, &target);
        let (_client, local) = client("127.0.0.1:0", at, b"key");
        let local = local.expect("TCP");
        ask(TcpStream::connect(local).expect("a connection")).expect("an answer");
        drop(first);
        let _second = server(at, &target);
        assert!(asks_until_answered(local, Duration::from_secs(15)));
    }

    #[test]
    fn another_key_never_connects() {
        let at = free_port();
        let _server = server(at, &answering().to_string());
        let (_client, local) = client("127.0.0.1:0", at, b"another key");
        assert!(!asks_until_answered(local.expect("TCP"), Duration::from_secs(3)));
    }

    #[test]
    fn noise_does_no_harm() {
        let at = free_port();
        let _server = server(at, &answering().to_string());
        let (_client, local) = client("127.0.0.1:0", at, b"key");
        let noise = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        for len in 0..1_400 {
            let _ = noise.send_to(&pattern(len as u8, len), at);
        }
        ask(TcpStream::connect(local.expect("TCP")).expect("a connection")).expect("an answer");
    }
}

/// Sessions whose time is up, at a client that has room for three.
mod replacements {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(1_100);

    /// A client whose sessions are to be replaced after a second, and how many it has begun.
    fn expiring() -> ((Turning, Turning), SocketAddr, Arc<AtomicU64>) {
        let at = free_port();
        // A server hears nothing of the end of a session; it has room for all that there were.
        let settings = server_settings(at, &echoing().to_string());
        let server = server_of(ServerSettings { memory: 64 << 20, ..settings });
        let autoexpire = Duration::from_secs(1);
        let policy = PolicyConfig { autoexpire, ..PolicyConfig::default() };
        let settings = ClientSettings { policy, ..client_settings(&at.to_string()) };
        let (mut client, local) = client_of(settings);
        let begun = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&begun);
        let client = Turning::start(move || {
            client.turn(TURN).expect("a turn");
            counts.store(client.stats().endpoint.active_opens, Ordering::Relaxed);
        });
        ((server, client), local, begun)
    }

    /// No session is closed while it carries connections, so that another can take its place; who
    /// comes is carried by the last one.
    #[test]
    fn what_carries_connections_lives_on() {
        let (_ends, local, begun) = expiring();
        let mut held = vec![connect(local)];
        for _ in 0..6 {
            held.iter().for_each(|connection| echo(connection).expect("it lives"));
            thread::sleep(PAUSE);
            held.push(connect(local));
        }
        held.iter().for_each(|connection| echo(connection).expect("it lives"));
        assert_eq!(begun.load(Ordering::Relaxed), 3, "as many as there is room for");
    }

    /// What carries none makes room at once.
    #[test]
    fn what_carries_nothing_makes_room() {
        let (_ends, local, begun) = expiring();
        let held = connect(local);
        for _ in 0..6 {
            echo(&held).expect("it lives");
            thread::sleep(PAUSE);
            echo(&connect(local)).expect("it is carried");
        }
        echo(&held).expect("it lives");
        let begun = begun.load(Ordering::Relaxed);
        assert!(begun >= 6, "{begun} sessions");
    }
}

/// Thrice the server is silent for a while: each time new connections go to a new session, as far as
/// there is room. What was replaced and is well again lives on.
#[test]
fn stalls_cost_no_session_that_recovered() {
    let at = free_port();
    let is_silent = Arc::new(AtomicBool::new(false));
    let mut server = Server::new(server_settings(at, &echoing().to_string())).expect("a server");
    let stalled = Arc::clone(&is_silent);
    let _server = Turning::start(move || match stalled.load(Ordering::Relaxed) {
        true => thread::sleep(TURN),
        false => server.turn(TURN).expect("a turn"),
    });
    let mut settings = client_settings(&at.to_string());
    // No sign of life of sessions that say nothing: they are not to be missed.
    (settings.tunnel.smux.keepalive, settings.tunnel.smux.timeout) = (LIMIT, 2 * LIMIT);
    let (mut client, local) = client_of(settings);
    let _client = Turning::start(move || client.turn(TURN).expect("a turn"));
    let mut held = vec![connect(local)];
    for _ in 0..3 {
        held.iter().for_each(|connection| echo(connection).expect("it lives"));
        is_silent.store(true, Ordering::Relaxed);
        let mut last = held.last().expect("one");
        last.write_all(b"still there?").expect("room");
        thread::sleep(Duration::from_secs(3));
        let new = connect(local);
        thread::sleep(Duration::from_millis(300));
        is_silent.store(false, Ordering::Relaxed);
        last.read_exact(&mut [0; 12]).expect("it lives");
        held.push(new);
    }
    held.iter().for_each(|connection| echo(connection).expect("it lives"));
}

/// A server that is full: who has waited for a place gets one before those whose sessions have many.
#[test]
fn sessions_get_places_in_turn() {
    /// What the server has room for, of 2 MB.
    const PLACES: usize = 64;
    const WAITING: usize = 30;

    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("an address").to_string();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for mut connection in target.incoming().flatten() {
            let tell = tell.clone();
            thread::spawn(move || {
                let mut name = [0];
                connection.read_exact(&mut name)?;
                let _ = tell.send(name[0]);
                connection.read_to_end(&mut Vec::new())
            });
        }
    });
    let at = free_port();
    let _server = server_of(ServerSettings { memory: 2 << 20, ..server_settings(at, &to) });
    let (_first, many) = client("127.0.0.1:0", at, b"key");
    let (_second, few) = client("127.0.0.1:0", at, b"key");
    let open = |at: Option<SocketAddr>, name| {
        let mut connection = connect(at.expect("TCP"));
        connection.write_all(&[name]).expect("room");
        connection
    };
    let mut greedy: Vec<_> = (0..PLACES + WAITING).map(|_| open(many, b'A')).collect();
    for _ in 0..PLACES {
        assert_eq!(told.recv_timeout(LIMIT), Ok(b'A'));
    }
    let _modest = open(few, b'B');
    thread::sleep(Duration::from_secs(1));
    assert!(told.try_recv().is_err(), "it is full");
    drop(greedy.drain(..4));
    let next: Vec<_> = (0..4).map(|_| told.recv_timeout(LIMIT).expect("a place")).collect();
    assert!(next.contains(&b'B'), "{next:?}");
}

/// While there is no session.
mod waiting {
    use super::*;

    /// A connection that was closed is let go soon after, as it may still want an answer; one that is
    /// open waits for as long as it takes.
    #[test]
    fn who_waits_for_a_session_may_go() {
        let (mut client, local) = client_of(client_settings("nobody.invalid:1"));
        let _client = Turning::start(move || client.turn(TURN).expect("a turn"));
        let (mut closed, mut open) = (connect(local), connect(local));
        closed.write_all(b"a question").expect("room");
        open.write_all(b"a question").expect("room");
        closed.shutdown(Shutdown::Write).expect("it stands");
        closed.set_read_timeout(Some(Duration::from_secs(14))).expect("an option");
        let begun = Instant::now();
        let end = closed.read(&mut [0]).expect_err("it had asked");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
        assert!(begun.elapsed() > Duration::from_secs(8), "after {:?}", begun.elapsed());
        open.set_read_timeout(Some(Duration::from_secs(2))).expect("an option");
        let waits = open.read(&mut [0]).expect_err("nothing was said");
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock, "an open connection waits");
    }

    /// The end of its question is there before it is accepted.
    #[test]
    fn a_half_closed_connection_is_served_when_the_session_comes_soon() {
        let at = free_port();
        let _server = server(at, &echoing().to_string());
        let remote = format!("localhost:{}", at.port());
        let (mut client, local) = client_of(client_settings(&remote));
        let mut asking = connect(local);
        asking.write_all(b"a question").expect("room");
        asking.shutdown(Shutdown::Write).expect("it stands");
        let _client = Turning::start(move || client.turn(TURN).expect("a turn"));
        let mut answer = Vec::new();
        asking.read_to_end(&mut answer).expect("an answer");
        assert_eq!(answer, b"a question");
    }
}

/// Urgent data stops a read although there is more behind it, and the system tells of both at once.
/// The urgent byte itself is not carried.
#[test]
fn what_comes_behind_urgent_data_is_carried() {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = free_port();
    let _server = server(at, &target.local_addr().expect("an address").to_string());
    let (mut client, local) = client_of(client_settings(&at.to_string()));
    let mut ours = connect(local);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let (mut connection, _) = target.accept()?;
        let mut piece = [0; 100];
        while let Ok(count @ 1..) = connection.read(&mut piece) {
            let _ = tell.send(piece[..count].to_vec());
        }
        Ok::<_, io::Error>(())
    });
    let mut hears = |expected: &[u8]| {
        let (mut heard, end) = (Vec::new(), Instant::now() + A_FEW_SECONDS);
        while heard != expected && Instant::now() < end {
            client.turn(TURN).expect("a turn");
            told.try_iter().for_each(|piece| heard.extend(piece));
        }
        assert_eq!(heard, expected);
    };
    ours.write_all(b"hello").expect("room");
    hears(b"hello");
    for _ in 0..10 {
        hears(b"");
    }
    // Nobody turns, so all is there before the system tells of it.
    ours.write_all(b"before").expect("room");
    socket2::SockRef::from(&ours).send_out_of_band(b"!").expect("room");
    ours.write_all(b"behind").expect("room");
    thread::sleep(Duration::from_millis(100));
    hears(b"beforebehind");
}
