//! `kcptun-router` in both roles: against the original, against our other binaries, and in trouble
//! with little memory.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kcptun_interop::{
    Job, LossyUdpRelay, Maker, Process, Role, Signal, Target, Tunnel, flags, free_port, wait_until,
};

/// Both ends, as paths of their programs.
struct Ends {
    client: PathBuf,
    server: PathBuf,
}

impl Ends {
    /// The router at one end and `other` at the other, both ways.
    fn with(other: Maker) -> [Self; 2] {
        [
            Self { client: router(Role::Client), server: other.binary(Role::Server) },
            Self { client: other.binary(Role::Client), server: router(Role::Server) },
        ]
    }

    fn alone() -> Self {
        Self { client: router(Role::Client), server: router(Role::Server) }
    }

    /// Runs a job over a tunnel with these flags at both ends, over this path (`""`: a perfect one).
    fn carry(&self, both: &str, link: &str, job: &Job) {
        let link = link.parse().expect("a link");
        let path = kcptun_interop::Path { up: link, down: "".parse().expect("a link") };
        let path = kcptun_interop::Path { down: path.up.clone(), ..path };
        let both = flags(both);
        let mut tunnel = Tunnel::start(&self.client, &self.server, &both, &both, Some(&path));
        let outcome = tunnel.run(job);
        assert!(tunnel.client.is_running() && tunnel.server.is_running(), "{both:?}: it ended");
        outcome.unwrap_or_else(|error| panic!("{both:?}: {error}"));
    }
}

/// The router under the name of a role.
fn router(role: Role) -> PathBuf {
    let name = match role {
        Role::Client => "kcptun-client",
        Role::Server => "kcptun-server",
    };
    let link = router_links().join(name);
    let _ = std::os::unix::fs::symlink(router_binary(), &link);
    link
}

/// A folder of this process for them.
fn router_links() -> PathBuf {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("router-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn router_binary() -> PathBuf {
    let given = std::env::var_os("KCPTUN_ROUTER_BIN").map(PathBuf::from);
    let beside = || {
        let test = std::env::current_exe().unwrap_or_default();
        let folder = test.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        folder.join("kcptun-router")
    };
    let path = given.unwrap_or_else(beside);
    assert!(
        path.is_file(),
        "kcptun-router is not at {}: build package kcptun-router, or set KCPTUN_ROUTER_BIN",
        path.display()
    );
    path
}

const JOB: Job =
    Job { connections: 3, up: 1 << 20, down: 1 << 20, patience: Duration::from_secs(30) };
const BAD_PATH: &str = "delay=10ms,jitter=5ms,order=free,loss=5%,duplicate=2%";

#[test]
#[ignore = "needs Debian's kcptun and kcptun-router; run by cargo xtask test"]
fn with_the_original() {
    for ends in Ends::with(Maker::Debian) {
        for crypt in ["aes", "salsa20", "none", "tea", "sm4", "3des", "twofish"] {
            ends.carry(&format!("--crypt {crypt}"), "", &JOB);
        }
        for settings in ["--smuxver 2", "--nocomp", "--smuxver 2 --nocomp --mode fast3"] {
            ends.carry(settings, "", &JOB);
            ends.carry(&format!("{settings} --datashard 0 --parityshard 0"), "", &JOB);
        }
        ends.carry("--mode fast2", BAD_PATH, &JOB);
        ends.carry("--smuxver 2 --nocomp --datashard 0 --parityshard 0", BAD_PATH, &JOB);
        let many = Job { connections: 60, up: 64 << 10, down: 64 << 10, ..JOB };
        ends.carry("--smuxver 2", "", &many);
    }
}

#[test]
#[ignore = "needs the release binaries and kcptun-router; run by cargo xtask test"]
fn with_our_other_binaries() {
    for ends in Ends::with(Maker::Ours).into_iter().chain([Ends::alone()]) {
        for settings in ["", "--smuxver 2 --nocomp", "--crypt null --mtu 900"] {
            ends.carry(settings, "", &JOB);
            ends.carry(settings, BAD_PATH, &JOB);
        }
    }
}

/// A client whose server goes and comes back carries on by itself.
#[test]
#[ignore = "needs kcptun-router; run by cargo xtask test"]
fn a_server_comes_back() {
    let target = Target::start();
    let (port, entrance) = (free_port(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let args = flags(&format!("-l :{port} -t {}", target.address()));
    let start = || {
        let mut server = Process::start("server", &router(Role::Server), &args);
        server.wait_udp(port);
        server
    };
    let first = start();
    let client_args = flags(&format!("-l {entrance} -r localhost:{port}"));
    let mut client = Process::start("client", &router(Role::Client), &client_args);
    client.wait_tcp(entrance.port());
    Job::small().run(entrance).expect("a look-up of localhost, and a session");
    drop(first);
    let _second = start();
    let job = Job { patience: Duration::from_secs(3), ..Job::small() };
    let works = wait_until(Duration::from_secs(20), || job.run(entrance).is_ok());
    assert!(works && client.is_running(), "streams work again");
}

/// One of the ends is ours and the other the original, and they do not fit: our end says so.
#[test]
#[ignore = "needs Debian's kcptun and kcptun-router; run by cargo xtask test"]
fn what_differs_is_explained() {
    const LIMIT: Duration = Duration::from_secs(30);
    for (client, server, hint) in [
        ("--key one", "--key another", "--key"),
        ("--crypt aes", "--crypt salsa20", "--crypt"),
        ("--nocomp", "", "--nocomp"),
        ("--smuxver 1", "--smuxver 2", "--smuxver"),
    ] {
        for (at, ends) in Ends::with(Maker::Debian).into_iter().enumerate() {
            let (client, server) = (flags(client), flags(server));
            let tunnel = Tunnel::start(&ends.client, &ends.server, &client, &server, None);
            let job = Job { patience: Duration::from_secs(2), ..Job::small() };
            tunnel.run(&job).expect_err("the ends do not fit");
            let ours = if at == 0 { &tunnel.client } else { &tunnel.server };
            let explains = |line: &str| line.contains("iffer") && line.contains(hint);
            let line = ours.wait_line(LIMIT, explains);
            assert!(line.is_some(), "{client:?}, {server:?}: {}", ours.log());
        }
    }
}

/// Groups of other shapes are no mismatch: each end goes by what comes.
#[test]
#[ignore = "needs Debian's kcptun and kcptun-router; run by cargo xtask test"]
fn shapes_of_groups_may_differ() {
    for (client, server) in [
        ("--datashard 5 --parityshard 5", ""),
        ("", "--datashard 3 --parityshard 1"),
        ("--datashard 0 --parityshard 0", ""),
        ("", "--datashard 0 --parityshard 0"),
    ] {
        for ends in Ends::with(Maker::Debian) {
            let (client, server) = (flags(client), flags(server));
            let tunnel = Tunnel::start(&ends.client, &ends.server, &client, &server, None);
            tunnel.run(&JOB).unwrap_or_else(|error| panic!("{client:?}, {server:?}: {error}"));
        }
    }
}

/// Names of files, header and rows are the original's, and so is the line of SIGUSR1.
#[test]
#[ignore = "needs Debian's kcptun and kcptun-router; run by cargo xtask test"]
fn counters_are_written_as_the_original_writes_them() {
    const LIMIT: Duration = Duration::from_secs(20);
    // No seconds in it, so that both have the same name unless a minute ends in between.
    let layout = "rows 20060102 15h04 Mon Jan 002 MST -0700.csv";
    for [client, server] in [[Role::Client, Role::Server], [Role::Server, Role::Client]] {
        let folders = ["ours", "theirs"].map(|whose| fresh_folder(&format!("{whose} {client:?}")));
        let start = |role: Role, program: PathBuf, folder: &Path, args: String| {
            let mut command = std::process::Command::new(program);
            command.args(flags(&args)).args(["--snmpperiod", "1", "--snmplog"]);
            command.arg(folder.join(layout)).env("TZ", "America/Sao_Paulo");
            Process::spawn(&format!("{role:?}"), command)
        };
        let (port, local, target) = (free_port(), free_port(), Target::start());
        let args = |role| match role {
            Role::Client => format!("-l 127.0.0.1:{local} -r 127.0.0.1:{port}"),
            Role::Server => format!("-l 127.0.0.1:{port} -t {}", target.address()),
        };
        // The router is at the first of the two ends.
        let ours = start(client, router(client), &folders[0], args(client));
        let theirs = start(server, Maker::Debian.binary(server), &folders[1], args(server));
        let (mut ends, at_client) = ([ours, theirs], usize::from(client == Role::Server));
        ends[1 - at_client].wait_udp(port);
        ends[at_client].wait_tcp(local);
        JOB.run((Ipv4Addr::LOCALHOST, local).into()).expect("it carries");

        let names = || folders.each_ref().map(|folder| names(folder));
        let has_common =
            || matches!(&names(), [ours, theirs] if ours.iter().any(|it| theirs.contains(it)));
        assert!(wait_until(LIMIT, has_common), "{:?}", names());
        let carried = |at: usize| {
            let file = names()[at].last().map(|name| folders[at].join(name));
            let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
            let rows: Vec<Vec<String>> =
                text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
            let column = rows.first()?.iter().position(|name| name == "BytesReceived")?;
            let has_some = rows.last()?.get(column)?.parse::<u64>().ok()? > 1 << 20;
            (has_some && rows.last()?.len() == rows[0].len()).then(|| rows[0].clone())
        };
        assert!(
            wait_until(LIMIT, || carried(0).is_some() && carried(1).is_some()),
            "{:?}",
            names()
        );
        assert_eq!(carried(0), carried(1), "the same header");
        let lines = ends.each_ref().map(|end| {
            end.signal(Signal::USR1);
            let line = end.wait_line(LIMIT, |line| line.contains("KCP SNMP:&{"));
            let line = line.unwrap_or_else(|| panic!("{}", end.log()));
            let fields = line.split_once('{').expect("seen").1;
            let names = fields.split(' ').map(|field| field.split(':').next().unwrap_or_default());
            names.map(str::to_owned).collect::<Vec<_>>()
        });
        assert_eq!(lines[0], lines[1], "the same names in the same order");
    }
}

/// An empty folder.
fn fresh_folder(name: &str) -> PathBuf {
    let folder = router_links().join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("a folder");
    folder
}

/// Files of a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The memory is the file's, and it is locked; who may not is told what to do, and served.
#[test]
#[ignore = "needs kcptun-router and root; run by cargo xtask test"]
fn memory_is_locked_when_a_file_says_so() {
    let file = fresh_folder("lock").join("client.json");
    let (target, port, local) = (Target::start(), free_port(), free_port());
    let settings = format!(
        r#"{{"localaddr": "127.0.0.1:{local}", "remoteaddr": "127.0.0.1:{port}",
            "key": "k", "mem": "6M", "lock": true}}"#
    );
    std::fs::write(&file, settings).expect("a file");
    let args = flags(&format!("-l 127.0.0.1:{port} -t {} --key k", target.address()));
    let mut server = Process::start("server", &router(Role::Server), &args);
    server.wait_udp(port);
    let program = router(Role::Client);
    for is_allowed in [true, false] {
        let mut command = if is_allowed {
            std::process::Command::new(&program)
        } else {
            // Without the right to pass limits, which root has.
            let mut command = std::process::Command::new("prlimit");
            command.args(["--memlock=65536", "setpriv", "--bounding-set=-ipc_lock"]);
            command.arg("--inh-caps=-ipc_lock").arg(&program);
            command
        };
        command.arg("-c").arg(&file);
        let mut client = Process::spawn("client", command);
        client.wait_tcp(local);
        let plan =
            client.wait_line(Duration::from_secs(5), |line| line.contains("memory: 6144 KB"));
        assert!(plan.is_some(), "{}", client.log());
        Job::small().run((Ipv4Addr::LOCALHOST, local).into()).expect("it carries");
        let (locked, resident) = (memory_kb(&client, "VmLck:"), memory_kb(&client, "VmRSS:"));
        if is_allowed {
            assert!(locked > 6 << 10 && resident > 6 << 10, "{locked} and {resident} KB");
        } else {
            assert_eq!(locked, 0);
            let line = client.wait_line(Duration::from_secs(5), |line| line.contains("--lock"));
            let line = line.unwrap_or_else(|| panic!("{}", client.log()));
            assert!(line.contains("may lock 64 KB only") && line.contains("ulimit -l"), "{line}");
        }
    }
}

/// Too many connections at once, readers that do not read, a network that is gone for a while, and
/// garbage: the memory stays what it was told to be, and what can be done afterwards is done.
#[test]
#[ignore = "needs kcptun-router, takes two minutes; run by cargo xtask test"]
fn memory_is_capped_whatever_comes() {
    const CAP_KB: u64 = 4 << 10;
    const DARK_AFTER: Duration = Duration::from_secs(11);
    // What the program is besides: code, stacks, the C library's own. Both roles say less.
    const PROGRAM_KB: u64 = 4 << 10;
    let ends = Ends::alone();
    let flood = Flooding::start();
    let target = Target::start();
    for (service, is_flooded) in [(flood.address, true), (target.address(), false)] {
        let port = free_port();
        let entrance = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let both = "--mem 4M --mode fast2 --smuxver 2 --quiet";
        let args = flags(&format!("-l :{port} -t {service} {both}"));
        let mut server = Process::start("server", &ends.server, &args);
        server.wait_udp(port);
        let server_at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let outage = "delay=2ms,down=60s@10s".parse().expect("a link");
        let perfect = "delay=2ms".parse().expect("a link");
        let link = if is_flooded { perfect } else { outage };
        let path = kcptun_interop::Path { up: link, down: "delay=2ms".parse().expect("a link") };
        let begun = Instant::now();
        let relay = LossyUdpRelay::start(server_at, &path, 3);
        let args = flags(&format!("-l {entrance} -r {} {both}", relay.address()));
        let mut client = Process::start("client", &ends.client, &args);
        client.wait_tcp(entrance.port());
        let check = |what: &str, client: &Process, server: &Process| {
            for end in [client, server] {
                let peak = peak_kb(end);
                assert!(peak <= CAP_KB + PROGRAM_KB, "{what}: {peak} KB at most");
            }
        };

        if is_flooded {
            // 200 that never read what comes, twice as many as there are places.
            let silent: Vec<TcpStream> = (0..200)
                .map(|_| TcpStream::connect(entrance).expect("the backlog takes it"))
                .collect();
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| garbage(server_at, &stop));
                std::thread::sleep(Duration::from_secs(8));
                stop.store(true, Ordering::Relaxed);
            });
            check("slow readers and garbage", &client, &server);
            drop(silent);
            // Long before `closewait`, 30 s, which is for half-closed streams: these are gone.
            let served = wait_until(Duration::from_secs(15), || reads_some(entrance));
            assert!(served, "who reads is served again");
        } else {
            let many = Job {
                connections: 200,
                up: 32 << 10,
                down: 32 << 10,
                patience: Duration::from_secs(100),
            };
            many.run(entrance).expect("each of them is served, those in the backlog, too");
            check("200 at once", &client, &server);
            // Then a minute of darkness with 200 more, whose session may be given up meanwhile.
            std::thread::sleep(DARK_AFTER.saturating_sub(begun.elapsed()));
            let _ = many.run(entrance);
            assert!(begun.elapsed() > Duration::from_secs(20), "it was not dark");
            check("a blackout", &client, &server);
            let served = wait_until(Duration::from_secs(90), || {
                Job { patience: Duration::from_secs(5), ..Job::small() }.run(entrance).is_ok()
            });
            assert!(served, "service resumes");
        }
        assert!(client.is_running() && server.is_running(), "nothing aborts");
        client.signal(Signal::TERM);
        assert!(client.wait_exit(Duration::from_secs(5)).is_some_and(|status| status.success()));
    }
}

/// What a transfer in bulk touches stays touched, so it is looked at afterwards: besides the program
/// itself, with the settings that nobody changed, and the original at the other end.
#[test]
#[ignore = "needs Debian's kcptun and kcptun-router; run by cargo xtask test"]
fn memory_in_bulk_is_small() {
    // 3 MB and 6 MB with the program, which is 0.7 MB on a router.
    const CLIENT_KB: u64 = 2_300;
    const SERVER_KB: u64 = 5_300;
    let job =
        Job { connections: 2, up: 12 << 20, down: 12 << 20, patience: Duration::from_secs(60) };
    for (at, ends) in Ends::with(Maker::Debian).into_iter().enumerate() {
        let tunnel = Tunnel::start(&ends.client, &ends.server, &[], &[], None);
        tunnel.run(&job).expect("it carries");
        let (ours, most) =
            if at == 0 { (&tunnel.client, CLIENT_KB) } else { (&tunnel.server, SERVER_KB) };
        let touched = memory_kb(ours, "RssAnon:");
        assert!(touched <= most, "{touched} KB, {most} KB at most");
    }
}

/// Most memory that was ever resident.
fn peak_kb(process: &Process) -> u64 {
    memory_kb(process, "VmHWM:")
}

/// What the system says of a process' memory.
fn memory_kb(process: &Process, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("a line");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// Whether the flood comes through.
fn reads_some(entrance: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(entrance) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(3)));
    let mut bytes = [0; 10_000];
    stream.read_exact(&mut bytes).is_ok()
}

/// A service that says much to whoever connects.
struct Flooding {
    address: SocketAddr,
}

impl Flooding {
    /// Its threads end with their connections, the listener with the test's process.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut stream = stream;
                    while std::io::Write::write_all(&mut stream, &[7; 16 << 10]).is_ok() {}
                });
            }
        });
        Self { address }
    }
}

/// Bytes that mean nothing, from several addresses.
fn garbage(server: SocketAddr, stop: &AtomicBool) {
    let sockets: Vec<UdpSocket> =
        (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
    let noise: Vec<u8> =
        (0..64u32 << 10).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut sent = 0usize;
    while !stop.load(Ordering::Relaxed) {
        for socket in &sockets {
            let (at, len) = (sent * 997 % 60_000, sent * 31 % 1500);
            let _ = socket.send_to(&noise[at..at + len], server);
            sent += 1;
        }
        std::thread::sleep(Duration::from_micros(700));
    }
}
