//! The UDP sockets, and the way of batches between them and the endpoint.
//!
//! All sessions live in one endpoint, so that they share its memory. An endpoint tells connections
//! apart by the peer's address; here several sockets may talk to the same peer, so the number of the
//! socket goes with the address, where IPv6 has its flow label.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use kcptun_net::{BufferSizes, ReceiveBuffers, Received, Shortage, SocketConfig, UdpSocket};
use kcptun_tunnel::report::SendLosses;
use kcptun_tunnel::socket::SocketHealth;
use kcptun_tunnel::{Endpoint, TransmitBatch};
use proto_base::Instant;

use crate::clock::now;
use crate::plan::MESSAGES;

/// How long a batch waits for its socket while others have something to send, too. Its segments are
/// about to be sent again by then.
const PATIENCE: Duration = Duration::from_millis(500);

/// A UDP socket and what it may do.
#[derive(Debug)]
struct Udp {
    socket: UdpSocket,
    /// Stands in the queue of those from which something may be received.
    is_readable: bool,
    /// Since when the system has taken nothing more of it; `None`: it may.
    full_since: Option<Instant>,
    health: SocketHealth,
    losses: SendLosses,
}

/// A fixed number of places for sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    list: Vec<Option<Udp>>,
    /// Those to receive from, so that no turn walks all of them. A socket that fails stays in it until
    /// it does not fail any more.
    readable: VecDeque<u32>,
    config: SocketConfig,
    /// The buffers of a new socket, of which nothing was said yet.
    granted: Option<BufferSizes>,
    batch: TransmitBatch,
    buffers: ReceiveBuffers,
    /// The part of the batch that its socket did not take, and to whom it goes.
    unsent: Option<(SocketAddr, usize)>,
    /// Sockets that failed for good.
    lost: Option<u32>,
}

impl Sockets {
    pub(crate) fn new(count: usize, config: SocketConfig) -> Self {
        let mut list = Vec::with_capacity(count);
        list.resize_with(count, || None);
        let (batch, buffers) = (TransmitBatch::new(), ReceiveBuffers::new(MESSAGES));
        let readable = VecDeque::with_capacity(count);
        Self { list, readable, config, granted: None, batch, buffers, unsent: None, lost: None }
    }

    /// A place without socket.
    pub(crate) fn vacancy(&self) -> Option<u32> {
        let at = self.list.iter().position(Option::is_none)?;
        u32::try_from(at).ok()
    }

    pub(crate) fn insert(&mut self, at: u32, socket: UdpSocket) {
        self.granted = socket.buffer_sizes().ok();
        if let Some(place) = self.list.get_mut(at as usize) {
            let health = SocketHealth::default();
            let losses = SendLosses::default();
            *place = Some(Udp { socket, is_readable: false, full_since: None, health, losses });
            self.wake(at, true, false);
        }
    }

    /// Closes a socket. What it had not sent is lost.
    pub(crate) fn remove(&mut self, at: u32) {
        if let Some(place) = self.list.get_mut(at as usize) {
            *place = None;
            self.readable.retain(|&other| other != at);
        }
        if self.unsent.is_some_and(|(to, _)| untag(to).0 == at) {
            self.unsent = None;
        }
    }

    pub(crate) fn local_addr(&self, at: u32) -> Option<SocketAddr> {
        self.list.get(at as usize)?.as_ref()?.socket.local_addr().ok()
    }

    /// How sockets are to be made.
    pub(crate) fn config(&self) -> &SocketConfig {
        &self.config
    }

    /// Says, once in a process, that the system granted smaller buffers than asked for.
    pub(crate) fn report(&mut self) {
        if let Some(granted) = self.granted.take() {
            let shortages = granted.shortages(&self.config);
            shortages.filter(Shortage::is_first).for_each(|it| tracing::warn!("{it}"));
        }
    }

    pub(crate) fn wake(&mut self, at: u32, readable: bool, writable: bool) {
        if let Some(udp) = self.list.get_mut(at as usize).and_then(Option::as_mut) {
            if readable && !udp.is_readable {
                udp.is_readable = true;
                self.readable.push_back(at);
            }
            if writable {
                udp.full_since = None;
            }
        }
    }

    /// Receives once from each socket that has something. `false`: none has.
    pub(crate) fn receive(&mut self, endpoint: &mut Endpoint) -> bool {
        let mut has_more = false;
        for _ in 0..self.readable.len() {
            let Some(at) = self.readable.pop_front() else { break };
            has_more |= self.receive_from(at, endpoint);
            if self.list[at as usize].as_ref().is_some_and(|udp| udp.is_readable) {
                self.readable.push_back(at);
            }
        }
        has_more
    }

    /// Sends until nothing is left or a batch has to wait for its socket. One socket must not silence
    /// the others for long, as theirs may be the sessions that replace its own: what it has not taken
    /// in time is lost.
    pub(crate) fn send(&mut self, endpoint: &mut Endpoint) {
        let is_alone = self.list.iter().flatten().nth(1).is_none();
        loop {
            let (to, from) = match self.unsent.take() {
                Some(unsent) => unsent,
                None => match endpoint.poll_transmit(now(), &mut self.batch) {
                    Some(to) => (to, 0),
                    None => return,
                },
            };
            let (at, remote) = untag(to);
            let Some(udp) = self.list.get_mut(at as usize).and_then(Option::as_mut) else {
                continue;
            };
            if let Some(since) = udp.full_since {
                if is_alone || now() - since < PATIENCE {
                    self.unsent = Some((to, from));
                    return;
                }
                continue;
            }
            let stride = self.batch.stride();
            match udp.socket.send_batch(&self.batch.bytes()[from..], stride, remote) {
                Ok(outcome) => {
                    if outcome.refused {
                        endpoint.handle_refused(now(), to);
                    }
                    if outcome.unreachable && udp.socket.peer_addr().is_some() {
                        endpoint.handle_unreachable(now(), to);
                    } else if let Some((count, error)) = outcome.loss() {
                        let line = udp.losses.handle_loss(now(), count, error);
                        line.iter().for_each(|line| tracing::warn!("{line}"));
                    }
                    if outcome.blocked {
                        udp.full_since = Some(now());
                        self.unsent = Some((to, from + outcome.done() * stride));
                    }
                }
                Err(error) => {
                    self.fail(at, &error, endpoint);
                    return;
                }
            }
        }
    }

    /// Whether a batch waits for its socket.
    pub(crate) fn is_full(&self) -> bool {
        self.unsent.is_some()
    }

    /// When to receive: now, unless the socket failed; or when to give up what waits for a socket that
    /// is full.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.readable.iter().fold(self.gives_up_at(), |earliest, &at| {
            let failed = self.list[at as usize].as_ref().and_then(|udp| udp.health.poll_timeout());
            Instant::earliest(earliest, failed.or(Some(Instant::ZERO)))
        })
    }

    /// A socket that failed for so long that another should take its place.
    pub(crate) fn poll_lost(&mut self) -> Option<u32> {
        self.lost.take()
    }

    fn gives_up_at(&self) -> Option<Instant> {
        let (to, _) = self.unsent?;
        let mut open = self.list.iter().flatten();
        open.nth(1)?;
        let udp = self.list.get(untag(to).0 as usize)?.as_ref()?;
        Some(udp.full_since? + PATIENCE)
    }

    fn receive_from(&mut self, at: u32, endpoint: &mut Endpoint) -> bool {
        let Some(udp) = self.list[at as usize].as_mut() else { return false };
        if udp.health.is_failing() && udp.health.is_paused(now()) {
            return false;
        }
        match udp.socket.recv_batch(&mut self.buffers) {
            Ok(Received::Messages(0)) => {
                self.fail(at, &"receiving brings errors only", endpoint);
                false
            }
            Ok(Received::Messages(_)) => {
                udp.health.handle_success();
                for message in self.buffers.messages() {
                    let from = tag(message.from, at);
                    endpoint.handle_batch(now(), from, message.bytes, message.stride);
                }
                true
            }
            Ok(Received::Refused) => {
                if let Some(peer) = udp.socket.peer_addr() {
                    endpoint.handle_refused(now(), tag(peer, at));
                }
                true
            }
            Ok(Received::Blocked) => {
                udp.health.handle_success();
                udp.is_readable = false;
                false
            }
            Err(error) => {
                self.fail(at, &error, endpoint);
                false
            }
        }
    }

    /// The socket itself failed, in receiving or sending. Receiving is tried again after a pause,
    /// which also tells that it is well again; a client's session moves to another socket.
    fn fail(&mut self, at: u32, error: &dyn fmt::Display, endpoint: &mut Endpoint) {
        let now = now();
        self.wake(at, true, false);
        let Some(udp) = self.list.get_mut(at as usize).and_then(Option::as_mut) else { return };
        if udp.health.handle_failure(now) {
            tracing::warn!("udp socket: {error}; trying again");
        }
        if let Some(peer) = udp.socket.peer_addr() {
            endpoint.handle_unreachable(now, tag(peer, at));
            if udp.health.is_lost(now) {
                tracing::error!("udp socket: {error}; giving it up");
                self.lost = Some(at);
            }
        }
    }
}

/// A peer's address with the number of the socket that talks to it.
pub(crate) fn tag(remote: SocketAddr, socket: u32) -> SocketAddr {
    let (ip, scope) = match remote {
        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    SocketAddrV6::new(ip, remote.port(), socket, scope).into()
}

/// The number of the socket, and the plain address.
pub(crate) fn untag(tagged: SocketAddr) -> (u32, SocketAddr) {
    match tagged {
        SocketAddr::V4(_) => (0, tagged),
        SocketAddr::V6(v6) => {
            let plain = match v6.ip().to_canonical() {
                IpAddr::V4(ip) => SocketAddr::new(ip.into(), v6.port()),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, v6.port(), 0, v6.scope_id()).into(),
            };
            (v6.flowinfo(), plain)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
    use kcptun_tunnel::{Config, Side};

    #[test]
    fn tags_come_off_again() {
        for text in ["10.0.0.1:5", "[fe80::1%7]:5", "[2001:db8::1]:65535"] {
            let address = text.parse().unwrap();
            assert_eq!(untag(tag(address, 77)), (77, address));
            assert_ne!(tag(address, 1), tag(address, 2));
        }
    }

    /// A socket that takes nothing any more, with a batch that waits for it, and a second one with
    /// the session that is to replace its own.
    #[test]
    fn a_full_socket_does_not_silence_another() {
        let config = SocketConfig::default();
        let bind = || UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &config).unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        let remote = peer.local_addr().unwrap();
        let mut endpoint = {
            let cipher = PacketCipher::new(CipherKind::None, b"").unwrap();
            let config = Config { max_connections: 2, ..Config::default() };
            Endpoint::new(config, cipher, Side::Client, [1; 32]).unwrap()
        };
        let begin = |endpoint: &mut Endpoint, at| {
            let key = endpoint.connect(now(), tag(remote, at)).unwrap();
            endpoint.open(now(), key).unwrap();
        };
        let heard = || {
            std::thread::sleep(Duration::from_millis(20));
            peer.recv_from(&mut [0; 2_000]).ok().map(|(_, from)| from)
        };
        let mut sockets = Sockets::new(2, config);
        sockets.insert(0, bind());
        assert!(!sockets.receive(&mut endpoint), "nothing came");
        begin(&mut endpoint, 0);
        sockets.list[0].as_mut().unwrap().full_since = Some(now());
        sockets.send(&mut endpoint);
        assert!(sockets.is_full() && heard().is_none());
        assert_eq!(sockets.poll_timeout(), None, "alone it waits for as long as it takes");

        sockets.insert(1, bind());
        assert!(!sockets.receive(&mut endpoint), "nothing came");
        begin(&mut endpoint, 1);
        let due = sockets.poll_timeout().expect("it will be given up");
        while now() < due {
            sockets.send(&mut endpoint);
            assert!(sockets.is_full() || now() >= due);
            std::thread::sleep(Duration::from_millis(20));
        }
        sockets.send(&mut endpoint);
        assert_eq!(heard(), sockets.local_addr(1), "the other one speaks");
        assert!(!sockets.is_full() && heard().is_none());

        // When it can be written to again its segments are sent again.
        sockets.wake(0, false, true);
        let until = now() + Duration::from_secs(10);
        while heard() != sockets.local_addr(0) {
            assert!(now() < until, "nothing came");
            endpoint.handle_timeout(now());
            sockets.send(&mut endpoint);
        }
    }

    fn alone() -> (Endpoint, impl Fn() -> UdpSocket) {
        let cipher = PacketCipher::new(CipherKind::None, b"").unwrap();
        let bind = || {
            let at = "127.0.0.1:0".parse().unwrap();
            UdpSocket::bind(at, &SocketConfig::default()).unwrap()
        };
        (Endpoint::new(Config::default(), cipher, Side::Server, [1; 32]).unwrap(), bind)
    }

    /// A server of many ports asks only those of which the system has told.
    #[test]
    fn only_what_is_readable_is_visited() {
        let (mut endpoint, bind) = alone();
        let mut sockets = Sockets::new(50, SocketConfig::default());
        let has_input = |sockets: &Sockets| sockets.poll_timeout() == Some(Instant::ZERO);
        let room = sockets.readable.capacity();
        (0..50).for_each(|at| sockets.insert(at, bind()));
        assert!(has_input(&sockets), "nobody has looked");
        while sockets.receive(&mut endpoint) {}
        assert!(sockets.readable.is_empty() && sockets.poll_timeout().is_none());

        let to = sockets.local_addr(33).unwrap();
        bind().as_std().send_to(b"not of ours", to).unwrap();
        for _ in 0..3 {
            sockets.wake(33, true, true);
        }
        assert_eq!(sockets.readable, [33]);
        assert!(has_input(&sockets) && sockets.receive(&mut endpoint));
        assert!(!sockets.receive(&mut endpoint) && sockets.readable.is_empty());

        // Its place is given to another one, again and again.
        for _ in 0..100 {
            sockets.remove(7);
            sockets.insert(7, bind());
        }
        assert_eq!(sockets.readable, [7]);
        assert_eq!(sockets.readable.capacity(), room);
    }

    /// A send that failed leaves no deadline in the past, for which the loop would turn without end.
    #[test]
    fn a_socket_that_failed_to_send_is_well_when_receiving_works() {
        let (mut endpoint, bind) = alone();
        let mut sockets = Sockets::new(1, SocketConfig::default());
        sockets.insert(0, bind());
        assert!(!sockets.receive(&mut endpoint) && sockets.poll_timeout().is_none());
        sockets.fail(0, &"sending is forbidden", &mut endpoint);
        let again = sockets.poll_timeout().expect("a pause");
        while now() < again {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!sockets.receive(&mut endpoint));
        assert_eq!(sockets.poll_timeout(), None);
    }
}
