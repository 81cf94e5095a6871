//! `kcptun link` between real programs.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Lines};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

const KCPTUN: &str = env!("CARGO_BIN_EXE_kcptun");
/// Long enough for a busy machine; what is waited for always comes.
const SOON: Duration = Duration::from_secs(20);

/// A link that runs.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Running {
    /// Starts a link to `target` and reads where it listens.
    fn start(target: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = Command::new(KCPTUN);
        command.args(["link", "--listen", "127.0.0.1:0", "--to", &target.to_string()]);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.strip_prefix("link from ").and_then(|rest| rest.split_once("/udp"));
        let address = address.unwrap_or_else(|| panic!("{first}")).0.parse().unwrap();
        Self { child, lines, address }
    }

    /// Ends it with a signal, which is a success; what it has to say.
    fn stop(mut self, signal: &str) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let text: Vec<String> = self.lines.by_ref().map(Result::unwrap).collect();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        text.join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

/// The numbers of a row of the summary, there and back.
#[track_caller]
fn row(summary: &str, name: &str) -> [u64; 2] {
    let line = summary.lines().find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no row {name}:\n{summary}"));
    let rest = line.trim_start()[name.len()..].split_whitespace();
    let numbers: Vec<u64> = rest.map(|word| word.replace(',', "").parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[test]
fn each_client_gets_its_own_answers_and_a_signal_brings_the_summary() {
    let target = socket();
    let link = Running::start(target.local_addr().unwrap(), &["--link", "delay=3ms,jitter=1ms"]);
    let clients = [socket(), socket(), socket()];
    let mut buffer = [0; 65_536];
    // An empty datagram and the largest that IPv4 carries are as good as any.
    for (round, len) in [0, 1, 1350, 65_507, 0].into_iter().enumerate() {
        for (number, client) in clients.iter().enumerate() {
            let mut datagram = vec![round as u8; len];
            if let Some(first) = datagram.first_mut() {
                *first = number as u8;
            }
            client.send_to(&datagram, link.address).unwrap();
        }
        for _ in &clients {
            let (len, from) = target.recv_from(&mut buffer).unwrap();
            target.send_to(&buffer[..len], from).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            let (got, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((got, from), (len, link.address));
            assert!(got == 0 || usize::from(buffer[0]) == number);
        }
    }
    let summary = link.stop("TERM");
    assert_eq!(row(&summary, "datagrams in"), [15, 15]);
    assert_eq!(row(&summary, "delivered"), [15, 15]);
    assert!(summary.contains("terminated: stopped") && summary.contains("3 clients"), "{summary}");
    assert!(!summary.contains(['\r', '\x1b']), "{summary:?}");
}

/// Which of 300 numbered datagrams pass a link of this seed.
fn survivors(seed: &str) -> Vec<u16> {
    let target = socket();
    let arguments = ["--there", "loss=20%,burst=2%/30%,mtu=100", "--seed", seed];
    let link = Running::start(target.local_addr().unwrap(), &arguments);
    let client = socket();
    for number in 0..300_u16 {
        client.send_to(&number.to_be_bytes(), link.address).unwrap();
    }
    client.send_to(&[0; 101], link.address).unwrap();
    let mut buffer = [0; 200];
    let mut passed = Vec::new();
    // Of the losses only the summary tells, so the end is marked by what is sent until it comes.
    target.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    loop {
        match target.recv(&mut buffer) {
            Ok(2) => passed.push(u16::from_be_bytes([buffer[0], buffer[1]])),
            Ok(_) => break,
            Err(_) => {
                client.send_to(b"end", link.address).unwrap();
            }
        }
    }
    let summary = link.stop("INT");
    let (lost, bursts) = (row(&summary, "lost ")[0], row(&summary, "lost in bursts")[0]);
    assert_eq!(row(&summary, "longer than mtu"), [1, 0]);
    let ended = row(&summary, "datagrams in")[0] - 301;
    assert!((301..=300 + ended).contains(&(passed.len() as u64 + lost + bursts + 1)), "{summary}");
    passed
}

#[test]
fn a_seed_decides_what_is_lost() {
    let first = survivors("5");
    assert!(first.is_sorted() && (120..280).contains(&first.len()), "{first:?}");
    assert_eq!(first, survivors("5"));
    assert_ne!(first, survivors("6"));
}

fn refused(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        Command::new(KCPTUN).arg("link").args(arguments).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{text}");
    assert!(stdout.is_empty() && text.starts_with("kcptun link: "), "{text}");
    text
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let taken = socket().local_addr().unwrap();
    let holder = UdpSocket::bind(taken).unwrap();
    let text = refused(&["--listen", &taken.to_string(), "--to", ":9"]);
    assert!(text.contains(&format!("cannot listen on {taken}/udp: port in use")), "{text}");
    drop(holder);
    assert!(refused(&[]).contains("--to"));
    assert!(refused(&["--to", ":9", "--link", "loss=2"]).contains("0% to 100%"));
}

/// A measurement: `cargo test --release -p kcptun --test link -- --ignored --nocapture`.
#[test]
#[ignore = "takes 5 s and all of the machine"]
fn two_hundred_megabits_pass_without_losses_of_its_own() {
    const BURST: u32 = 19;
    const DATAGRAM: usize = 1350;
    let target = socket();
    let arguments = ["--link", "delay=50ms,rate=1gbit"];
    let link = Running::start(target.local_addr().unwrap(), &arguments);
    let counter = std::thread::spawn(move || {
        target.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut buffer = [0; 2048];
        std::iter::from_fn(|| target.recv(&mut buffer).ok()).count()
    });
    let (client, start) = (socket(), std::time::Instant::now());
    for millisecond in 0..5000 {
        for _ in 0..BURST {
            client.send_to(&[7; DATAGRAM], link.address).unwrap();
        }
        let next = start + Duration::from_millis(millisecond + 1);
        std::thread::sleep(next.saturating_duration_since(std::time::Instant::now()));
    }
    let time = start.elapsed().as_secs_f64();
    let rate = 5000.0 * f64::from(BURST) * DATAGRAM as f64 * 8.0 / time / 1e6;
    let counted = counter.join().unwrap();
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", link.child.id())).unwrap_or_default();
    let ticks: Vec<u64> =
        stat.split_whitespace().skip(13).take(2).filter_map(|word| word.parse().ok()).collect();
    let summary = link.stop("INT");
    println!("{rate:.0} Mbit/s offered, {counted} counted, CPU (user, system, 10 ms): {ticks:?}");
    println!("{summary}");
    assert_eq!(row(&summary, "delivered"), [5000 * u64::from(BURST), 0]);
    assert!(!summary.contains("this machine"), "{summary}");
}
