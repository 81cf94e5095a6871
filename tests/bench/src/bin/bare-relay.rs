//! TCP over UDP datagrams with nothing in between: what the system calls and wake-ups of a tunnel
//! cost on this machine when the protocol costs nothing. It stands in for either end in rows
//! `ping` and `requests`:
//!
//! ```text
//! cargo xtask bench --rows ping,requests --peer-client RELAY --peer-server RELAY
//! ```
//!
//! With `-r` it is a client, with `-t` a server; other flags of kcptun are ignored. One process
//! and one thread an end, as the tunnel's. A TCP read is a datagram, a datagram a TCP write: small
//! messages on a path that loses nothing come through whole, bulk does not.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};

/// The largest message.
const MESSAGE: usize = 1400;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let value = |names: [&str; 2]| {
        let at = words.iter().position(|word| names.contains(&word.trim_start_matches('-')))?;
        words.get(at + 1).cloned()
    };
    let client = value(["localaddr", "l"]).zip(value(["remoteaddr", "r"]));
    let server = value(["listen", "l"]).zip(value(["target", "t"]));
    let result = match (client, server) {
        (Some((entrance, remote)), _) => run_client(&entrance, &remote),
        (None, Some((listen, target))) => run_server(&listen, &target),
        (None, None) => Err(io::Error::other("-l with -r, or -l with -t")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare-relay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A TCP connection and the datagrams it goes over.
struct Pair {
    tcp: TcpStream,
    udp: UdpSocket,
}

fn run_client(entrance: &str, remote: &str) -> io::Result<()> {
    let listener = TcpListener::bind(entrance)?;
    let mut pairs: Vec<Pair> = Vec::new();
    loop {
        let ready = {
            let mut polled = vec![PollFd::new(&listener, PollFlags::IN)];
            for pair in &pairs {
                polled.push(PollFd::new(&pair.tcp, PollFlags::IN));
                polled.push(PollFd::new(&pair.udp, PollFlags::IN));
            }
            wait(&mut polled)?
        };
        let mut over = Vec::new();
        for (index, pair) in pairs.iter_mut().enumerate() {
            let mut alive = true;
            if ready[1 + 2 * index] {
                alive = carry(|buffer| pair.tcp.read(buffer), |bytes| pair.udp.send(bytes))?;
            }
            if alive && ready[2 + 2 * index] {
                alive = carry(|buffer| pair.udp.recv(buffer), |bytes| pair.tcp.write(bytes))?;
            }
            if !alive {
                over.push(index);
            }
        }
        for index in over.into_iter().rev() {
            pairs.swap_remove(index);
        }
        if ready[0] {
            let (tcp, _) = listener.accept()?;
            tcp.set_nodelay(true)?;
            let udp = UdpSocket::bind("127.0.0.1:0")?;
            udp.connect(remote)?;
            pairs.push(Pair { tcp, udp });
        }
    }
}

fn run_server(listen: &str, target: &str) -> io::Result<()> {
    let udp = UdpSocket::bind(listen)?;
    let mut targets: HashMap<SocketAddr, TcpStream> = HashMap::new();
    let mut buffer = [0; MESSAGE];
    loop {
        let clients: Vec<SocketAddr> = targets.keys().copied().collect();
        let ready = {
            let mut polled = vec![PollFd::new(&udp, PollFlags::IN)];
            polled.extend(clients.iter().map(|one| PollFd::new(&targets[one], PollFlags::IN)));
            wait(&mut polled)?
        };
        for (client, _) in clients.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            let Some(tcp) = targets.get_mut(client) else { continue };
            if !carry(|buffer| tcp.read(buffer), |bytes| udp.send_to(bytes, client))? {
                targets.remove(client);
            }
        }
        if ready[0] {
            let (len, client) = udp.recv_from(&mut buffer)?;
            let tcp = match targets.entry(client) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let tcp = TcpStream::connect(target)?;
                    tcp.set_nodelay(true)?;
                    place.insert(tcp)
                }
            };
            tcp.write_all(&buffer[..len])?;
        }
    }
}

/// Waits; which of them can be read.
fn wait(polled: &mut [PollFd<'_>]) -> io::Result<Vec<bool>> {
    poll(polled, None)?;
    Ok(polled.iter().map(|one| !one.revents().is_empty()).collect())
}

/// One message from here to there; `false` when either is gone.
fn carry(
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    write: impl FnOnce(&[u8]) -> io::Result<usize>,
) -> io::Result<bool> {
    let mut buffer = [0; MESSAGE];
    let moved =
        read(&mut buffer).and_then(|len| if len == 0 { Ok(0) } else { write(&buffer[..len]) });
    match moved {
        Ok(len) => Ok(len > 0),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionRefused => {
                Ok(false)
            }
            _ => Err(error),
        },
    }
}
