//! Many sessions to one server, each on a socket of its own.
//!
//! A server tells sessions apart by address and port, so each needs a port. All of them share one
//! [`Endpoint`], as those of a server do: the address it knows the server by is a stand-in that
//! names the socket.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kcptun_async::{Config, PacketCipher, now};
use kcptun_tunnel::batch::MAX_DATAGRAM_LEN;
use kcptun_tunnel::{ConnectionKey, Endpoint, Event, Side, StreamError, StreamId, TransmitBatch};
use proto_base::Instant;
use socket2::SockRef;
use tokio::io::ReadBuf;
// Not the sockets of kcptun-net: with tokio those take two files each, and files are what bounds
// the number of sessions.
use tokio::net::UdpSocket;

/// Time between two pieces of a session that goes on sending.
const TURN: Duration = Duration::from_millis(200);
/// A session whose answers are this far behind, in pieces, is sent nothing more.
const BEHIND: u64 = 50;

/// Where the sessions go and what they do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) remote: SocketAddr,
    pub(super) tunnel: Config,
    pub(super) cipher: PacketCipher,
    /// Bytes that each session carries once.
    pub(super) bytes: u64,
    /// Bytes per second that it goes on sending.
    pub(super) rate: Option<u64>,
    /// Whether its stream stays open.
    pub(super) hold: bool,
}

/// What has become of the sessions.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) opened: u32,
    pub(super) lost: u32,
    /// Sessions that carried their bytes there and back.
    pub(super) carried: u32,
    /// Streams that ended though nobody here ended them, or brought back other bytes.
    pub(super) broken: u32,
    /// Sessions whose server is silent at present.
    pub(super) silent: u32,
    /// Bytes that came back.
    pub(super) echoed: u64,
    /// Pieces that were not sent because the answers were too far behind.
    pub(super) withheld: u64,
    /// Times that the server's host said that nothing listens.
    pub(super) refused: u64,
    /// Datagrams that this machine could not send.
    pub(super) unsent: u64,
}

/// The sessions.
#[derive(Debug)]
pub(super) struct Fleet {
    plan: Plan,
    endpoint: Endpoint,
    members: Vec<Member>,
    by_key: HashMap<ConnectionKey, u32>,
    /// When each session that goes on sending does so next.
    turns: BinaryHeap<Reverse<(Instant, u32)>>,
    datagram: Box<[u8]>,
    batch: TransmitBatch,
    tally: Tally,
}

#[derive(Debug)]
struct Member {
    udp: UdpSocket,
    key: ConnectionKey,
    stream: Option<StreamId>,
    wanted: u64,
    sent: u64,
    echoed: u64,
    is_silent: bool,
}

impl Fleet {
    /// No session yet; `sessions` is the most that there will be.
    pub(super) fn new(plan: Plan, sessions: u32) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let max_connections = usize::try_from(sessions).unwrap_or(usize::MAX);
        let config = Config { max_connections, ..plan.tunnel.clone() };
        let endpoint = Endpoint::new(config, plan.cipher.clone(), Side::Client, seed);
        Ok(Self {
            endpoint: endpoint.map_err(io::Error::other)?,
            plan,
            members: Vec::new(),
            by_key: HashMap::new(),
            turns: BinaryHeap::new(),
            datagram: vec![0; MAX_DATAGRAM_LEN].into_boxed_slice(),
            batch: TransmitBatch::new(),
            tally: Tally::default(),
        })
    }

    /// Opens a session and begins to carry; its number.
    ///
    /// # Errors
    /// When the system has no socket or port left.
    pub(super) fn open(&mut self) -> io::Result<u32> {
        let udp = dial(self.plan.remote)?;
        let number = u32::try_from(self.members.len()).map_err(io::Error::other)?;
        let now = now();
        let key = self.endpoint.connect(now, stand_in(number)).map_err(io::Error::other)?;
        let stream = Some(self.endpoint.open(now, key).map_err(io::Error::other)?);
        let wanted = self.plan.bytes;
        let (sent, echoed, is_silent) = (0, 0, false);
        self.members.push(Member { udp, key, stream, wanted, sent, echoed, is_silent });
        self.by_key.insert(key, number);
        self.tally.opened += 1;
        self.write(number);
        Ok(number)
    }

    /// Receives what came for a session, or waits for it.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        number: u32,
    ) -> Poll<io::Result<()>> {
        let Some(member) = self.members.get_mut(number as usize) else {
            return Poll::Ready(Err(io::ErrorKind::NotFound.into()));
        };
        let mut buffer = ReadBuf::new(&mut self.datagram);
        match ready!(member.udp.poll_recv(cx, &mut buffer)) {
            Ok(()) => {
                let (bytes, from) = (buffer.filled_mut(), stand_in(number));
                let stride = bytes.len();
                self.endpoint.handle_batch(now(), from, bytes, stride);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.refused(number),
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }

    /// Lets time pass, reads and writes what can be, and sends. When to do so again.
    pub(super) fn step(&mut self) -> Option<Instant> {
        let now = now();
        self.endpoint.handle_timeout(now);
        while let Some(&Reverse((at, number))) = self.turns.peek()
            && at <= now
        {
            self.turns.pop();
            self.take_turn(at, number);
        }
        self.dispatch();
        self.transmit();
        // Sending makes news as well: a refusal may end a session.
        self.dispatch();
        let turn = self.turns.peek().map(|Reverse((at, _))| *at);
        Instant::earliest(self.endpoint.poll_timeout(), turn)
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// The median of the smoothed round trips of all sessions. Looks at each of them.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let stats = |key| self.endpoint.connection_stats(key);
        let mut trips: Vec<Duration> =
            self.endpoint.connections().filter_map(|key| stats(key)?.rtt).collect();
        let middle = trips.len() / 2;
        (!trips.is_empty()).then(|| *trips.select_nth_unstable(middle).1)
    }

    fn dispatch(&mut self) {
        while let Some((key, event)) = self.endpoint.poll_event() {
            let Some(&number) = self.by_key.get(&key) else { continue };
            match event {
                Event::Readable(_) | Event::Finished(_) => self.read(number),
                Event::Writable(_) => self.write(number),
                Event::Failed(_) | Event::Ended(_) => self.break_stream(number),
                Event::Suspect => self.set_silent(number, true),
                Event::Recovered => self.set_silent(number, false),
                Event::Closed { .. } => {
                    self.set_silent(number, false);
                    self.by_key.remove(&key);
                    self.tally.lost += 1;
                }
                _ => {}
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(to) = self.endpoint.poll_transmit(now(), &mut self.batch) {
            let number = number_of(to);
            let Some(member) = self.members.get(number as usize) else { continue };
            // Past tokio, which takes a socket for full before it has heard of it for the first time.
            let socket = SockRef::from(&member.udp);
            let mut is_refused = false;
            for datagram in &self.batch {
                let mut sent = socket.send(datagram);
                // News of an earlier datagram, which cost this one nothing but the call.
                if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused) {
                    is_refused = true;
                    sent = socket.send(datagram);
                }
                self.tally.unsent += u64::from(sent.is_err());
            }
            if is_refused {
                self.refused(number);
            }
        }
    }

    fn write(&mut self, number: u32) {
        let Some(member) = self.members.get_mut(number as usize) else { return };
        let Some(stream) = member.stream else { return };
        while member.sent < member.wanted {
            let left = usize::try_from(member.wanted - member.sent).unwrap_or(usize::MAX);
            let from = member.sent;
            let written = self.endpoint.write_with(now(), member.key, stream, left, |slot| {
                let count = slot.len().min(left);
                for (position, byte) in (from..).zip(&mut slot[..count]) {
                    *byte = pattern(number, position);
                }
                (count, count)
            });
            match written {
                Ok(count) => member.sent += count as u64,
                Err(StreamError::Blocked) => return,
                Err(_) => return self.break_stream(number),
            }
        }
    }

    fn read(&mut self, number: u32) {
        let Some(member) = self.members.get_mut(number as usize) else { return };
        while let Some(stream) = member.stream {
            let (from, sent) = (member.echoed, member.sent);
            let read = self.endpoint.read_with(now(), member.key, stream, |bytes| {
                let is_echo = |(position, byte): (u64, &u8)| {
                    position < sent && *byte == pattern(number, position)
                };
                (bytes.len(), (from..).zip(bytes).all(is_echo).then_some(bytes.len() as u64))
            });
            match read {
                Ok(Some(count)) => {
                    member.echoed += count;
                    self.tally.echoed += count;
                }
                Ok(None) => return self.break_stream(number),
                Err(StreamError::Blocked) => break,
                Err(_) => return self.break_stream(number),
            }
            if from < self.plan.bytes && member.echoed >= self.plan.bytes {
                self.tally.carried += 1;
                if self.plan.rate.is_some() {
                    // Spread over the time of a turn, so that not all speak at once.
                    let wait = TURN.mul_f64(f64::from(number % 97) / 97.0);
                    self.turns.push(Reverse((now() + wait, number)));
                } else if !self.plan.hold {
                    member.stream = None;
                    self.endpoint.abort(now(), member.key, stream);
                }
            }
        }
    }

    /// A session that goes on sending sends the next piece.
    fn take_turn(&mut self, at: Instant, number: u32) {
        let Some(rate) = self.plan.rate else { return };
        let Some(member) = self.members.get_mut(number as usize) else { return };
        if member.stream.is_none() {
            return;
        }
        let piece = (rate * u64::try_from(TURN.as_millis()).unwrap_or(1) / 1000).max(1);
        if member.wanted - member.echoed < piece * BEHIND {
            member.wanted += piece;
            self.write(number);
        } else {
            self.tally.withheld += 1;
        }
        self.turns.push(Reverse((at + TURN, number)));
    }

    fn refused(&mut self, number: u32) {
        self.tally.refused += 1;
        self.endpoint.handle_refused(now(), stand_in(number));
    }

    fn break_stream(&mut self, number: u32) {
        let Some(member) = self.members.get_mut(number as usize) else { return };
        if let Some(stream) = member.stream.take() {
            self.tally.broken += 1;
            self.endpoint.abort(now(), member.key, stream);
        }
    }

    fn set_silent(&mut self, number: u32, is_silent: bool) {
        let Some(member) = self.members.get_mut(number as usize) else { return };
        if std::mem::replace(&mut member.is_silent, is_silent) != is_silent {
            if is_silent {
                self.tally.silent += 1;
            } else {
                self.tally.silent -= 1;
            }
        }
    }
}

/// A socket on a free port that talks to `remote` only.
fn dial(remote: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let udp = std::net::UdpSocket::bind((any, 0))?;
    udp.connect(remote)?;
    udp.set_nonblocking(true)?;
    UdpSocket::from_std(udp)
}

/// The address by which the endpoint knows the server of a session.
fn stand_in(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv6Addr::from_bits(u128::from(number)).into(), 1)
}

/// The session of a stand-in.
fn number_of(address: SocketAddr) -> u32 {
    match address.ip() {
        IpAddr::V6(ip) => u32::try_from(ip.to_bits()).unwrap_or(u32::MAX),
        IpAddr::V4(_) => u32::MAX,
    }
}

/// The byte of a session at a position: bytes that no compression makes shorter.
fn pattern(number: u32, position: u64) -> u8 {
    let word = (u64::from(number) << 40).wrapping_add(position / 8);
    let word = word.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (word ^ (word >> 31)).to_le_bytes()[(position % 8) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_names_its_socket() {
        for number in [0, 1, 65_536, u32::MAX - 1] {
            assert_eq!(number_of(stand_in(number)), number);
        }
        assert_eq!(number_of("1.2.3.4:5".parse().unwrap()), u32::MAX);
    }

    #[test]
    fn sessions_send_different_bytes() {
        let bytes = |number| (0..64).map(|at| pattern(number, at)).collect::<Vec<u8>>();
        assert_ne!(bytes(0), bytes(1));
        assert_ne!(bytes(0)[..8], bytes(0)[8..16]);
    }
}
