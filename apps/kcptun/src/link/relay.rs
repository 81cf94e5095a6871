//! The relay: two emulated directions between real sockets.

use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kcptun_async::now;
use kcptun_async::runtime::{Runtime as _, Timer as _, Udp};
use kcptun_link::{Link, LinkConfig, LinkStats};
use kcptun_net::{ReceiveBuffers, Received, SocketConfig, UdpSocket, bind_first};
use kcptun_tokio::{Tokio, TokioTimer, TokioUdp};
use proto_base::Instant;

use super::batch::Batch;
use super::flows::Flows;

/// Rounds in a row before others of the thread get their turn.
const ROUNDS: usize = 16;
/// Time between looks for idle clients.
const SWEEP: Duration = Duration::from_secs(1);
/// Socket buffers, each way: 300 ms of 200 Mbit/s, so that a busy machine does not add losses of
/// its own.
const SOCKET_BUFFER: usize = 8 << 20;

/// How a [`BadLink`] is.
#[derive(Debug, Clone, PartialEq)]
pub struct BadLinkConfig {
    /// From the clients to the target.
    pub there: LinkConfig,
    /// From the target to the clients.
    pub back: LinkConfig,
    /// What decides each datagram's fate, together with its place in the order.
    pub seed: u64,
    /// Most clients at once; datagrams of others are dropped and counted.
    pub max_clients: usize,
    /// A client of which nothing was heard for this long, either way, gives up its place.
    pub idle: Duration,
}

/// Figures of a [`BadLink`].
#[derive(Debug, Default, Clone, Copy)]
#[non_exhaustive]
pub struct BadLinkStats {
    /// What became of the datagrams to the target.
    pub there: LinkStats,
    /// What became of the datagrams to the clients.
    pub back: LinkStats,
    /// Clients at present.
    pub clients: usize,
    /// Clients so far.
    pub all_clients: u64,
    /// Datagrams of clients beyond [`BadLinkConfig::max_clients`].
    pub turned_away: u64,
    /// Datagrams for clients that had expired when they arrived.
    pub too_late: u64,
    /// Times that the target's host said that nobody listens there.
    pub refused: u64,
    /// Datagrams that this machine lost and not the emulated link: its socket buffers were full,
    /// or it could not send.
    pub own_loss: u64,
}

/// A bad link between real sockets: what clients send to it goes through one [`Link`] to the
/// target, and the answers through another back. To be polled inside a tokio runtime; nothing
/// moves otherwise.
///
/// The timer of tokio rounds up to whole milliseconds: delays come out 0 to 1 ms longer.
#[derive(Debug)]
pub struct BadLink {
    clients: TokioUdp,
    local: SocketAddr,
    target: SocketAddr,
    flows: Flows,
    there: Direction,
    back: Direction,
    buffers: ReceiveBuffers,
    timer: TokioTimer,
    idle: Duration,
    sweep_at: Instant,
    turned_away: u64,
    too_late: u64,
    tally: Tally,
}

/// What sending met with.
#[derive(Debug, Default)]
struct Tally {
    /// Datagrams that the system did not take.
    lost: u64,
    /// Times that the target's host refused a datagram.
    refused: u64,
}

/// A link and what has come out of it.
#[derive(Debug)]
struct Direction {
    link: Link,
    batch: Batch,
}

impl BadLink {
    /// Listens at the first of `listen` that this machine has.
    ///
    /// # Errors
    /// When no address can be bound (the text names it), or a setting of the link is out of range.
    pub fn bind(
        listen: &[SocketAddr],
        target: SocketAddr,
        config: BadLinkConfig,
    ) -> io::Result<Self> {
        let BadLinkConfig { there, back, seed, max_clients, idle } = config;
        let (there, back) = kcptun_link::path(there, back, seed)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let socket = SocketConfig {
            send_buffer: SOCKET_BUFFER,
            receive_buffer: SOCKET_BUFFER,
            ..SocketConfig::default()
        };
        let clients =
            bind_first(listen.iter().copied(), |address| UdpSocket::bind(address, &socket))?;
        Ok(Self {
            local: clients.local_addr()?,
            clients: Tokio.udp(clients)?,
            target,
            flows: Flows::new(target, socket, max_clients),
            there: Direction { link: there, batch: Batch::default() },
            back: Direction { link: back, batch: Batch::default() },
            buffers: ReceiveBuffers::new(ReceiveBuffers::DEFAULT_MESSAGES),
            timer: Tokio.timer(),
            idle,
            sweep_at: now() + SWEEP,
            turned_away: 0,
            too_late: 0,
            tally: Tally::default(),
        })
    }

    /// Carries datagrams for ever.
    ///
    /// # Errors
    /// When the listening socket has failed.
    pub async fn run(&mut self) -> io::Result<()> {
        // Without tokio's budget: after 128 sockets it would call the others not ready.
        tokio::task::unconstrained(std::future::poll_fn(|cx| self.poll(cx))).await
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where it sends to.
    #[must_use]
    pub fn target(&self) -> SocketAddr {
        self.target
    }

    /// The figures so far.
    #[must_use]
    pub fn stats(&self) -> BadLinkStats {
        let dropped = u64::from(self.clients.socket().dropped().unwrap_or(0));
        BadLinkStats {
            there: self.there.link.stats(),
            back: self.back.link.stats(),
            clients: self.flows.len(),
            all_clients: self.flows.ever(),
            turned_away: self.turned_away,
            too_late: self.too_late,
            refused: self.tally.refused,
            own_loss: dropped + self.flows.dropped() + self.tally.lost,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..ROUNDS {
            let mut has_moved = self.receive_from_clients(cx)?;
            has_moved |= self.receive_from_target(cx);
            let is_free = self.deliver_to_target(cx) & self.deliver_to_clients(cx)?;
            self.sweep();
            if has_moved {
                continue;
            }
            // While a socket is full there is nothing to do but wait for it.
            let due = if is_free {
                let there = self.there.link.poll_timeout();
                Instant::earliest(there, self.back.link.poll_timeout())
            } else {
                None
            };
            let deadline = Instant::earliest(due, Some(self.sweep_at));
            if self.timer.poll_until(cx, deadline).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether something came.
    fn receive_from_clients(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        match self.clients.poll_recv(cx, &mut self.buffers) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(Received::Messages(_))) => {}
            Poll::Ready(received) => return received.map(|_| true),
        }
        let now = now();
        for message in self.buffers.messages() {
            match self.flows.admit(now, message.from) {
                Ok(tag) => feed(&mut self.there.link, now, tag, message.bytes, message.stride),
                Err(_) => {
                    self.turned_away += message.bytes.len().div_ceil(message.stride).max(1) as u64;
                }
            }
        }
        Ok(true)
    }

    /// Whether something came.
    fn receive_from_target(&mut self, cx: &mut Context<'_>) -> bool {
        let now = now();
        let mut has_moved = false;
        let mut broken = Vec::new();
        for (tag, flow) in self.flows.iter_mut() {
            match flow.udp.poll_recv(cx, &mut self.buffers) {
                Poll::Pending => continue,
                Poll::Ready(Ok(Received::Messages(_))) => {
                    flow.seen = now;
                    for message in self.buffers.messages() {
                        feed(&mut self.back.link, now, tag, message.bytes, message.stride);
                    }
                }
                Poll::Ready(Ok(Received::Refused)) => self.tally.refused += 1,
                Poll::Ready(Ok(Received::Blocked)) => {}
                Poll::Ready(Err(_)) => broken.push(tag),
            }
            has_moved = true;
        }
        for tag in broken {
            self.flows.remove(tag);
        }
        has_moved
    }

    /// Sends what has arrived at the target's end. `false`: a socket is full.
    fn deliver_to_target(&mut self, cx: &mut Context<'_>) -> bool {
        while self.there.fill() {
            let batch = &mut self.there.batch;
            let Some(flow) = self.flows.get_mut(batch.tag()) else {
                self.too_late += batch.left() as u64;
                batch.next();
                continue;
            };
            match send(cx, &mut flow.udp, batch, self.target, &mut self.tally) {
                Poll::Ready(Ok(())) => {}
                // The next of this client gets a new socket.
                Poll::Ready(Err(_)) => {
                    let tag = batch.tag();
                    self.tally.lost += batch.left() as u64;
                    batch.next();
                    self.flows.remove(tag);
                }
                Poll::Pending => return false,
            }
        }
        true
    }

    /// Sends what has arrived at the clients' end. `false`: the socket is full.
    fn deliver_to_clients(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.back.fill() {
            let batch = &mut self.back.batch;
            let Some(client) = self.flows.get_mut(batch.tag()).map(|flow| flow.client) else {
                self.too_late += batch.left() as u64;
                batch.next();
                continue;
            };
            match send(cx, &mut self.clients, batch, client, &mut self.tally) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    fn sweep(&mut self) {
        let now = now();
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP;
            self.flows.expire(now, self.idle);
        }
    }
}

impl Direction {
    /// Takes from the link what has arrived, unless something waits already. `false`: nothing has.
    fn fill(&mut self) -> bool {
        if self.batch.is_empty() {
            let now = now();
            while let Some((tag, datagram)) = self.link.poll_tagged(now) {
                if !self.batch.push(tag, datagram) {
                    break;
                }
            }
        }
        !self.batch.is_empty()
    }
}

/// Hands the datagrams of one message to a link.
fn feed(link: &mut Link, now: Instant, tag: u64, bytes: &[u8], stride: usize) {
    if bytes.is_empty() {
        link.handle_tagged(now, tag, bytes);
    }
    for datagram in bytes.chunks(stride) {
        link.handle_tagged(now, tag, datagram);
    }
}

/// Sends a batch, or waits until more of it can be sent.
fn send(
    cx: &mut Context<'_>,
    udp: &mut TokioUdp,
    batch: &mut Batch,
    to: SocketAddr,
    tally: &mut Tally,
) -> Poll<io::Result<()>> {
    loop {
        let (rest, stride) = batch.rest();
        let done = if stride == 0 {
            tally.lost += u64::from(send_empty(udp.socket(), to).is_err());
            1
        } else {
            let outcome = ready!(udp.poll_send(cx, rest, stride, to))?;
            tally.lost += outcome.lost as u64;
            tally.refused += u64::from(outcome.refused);
            outcome.done()
        };
        if batch.advance(done) {
            batch.next();
            return Poll::Ready(Ok(()));
        }
    }
}

/// Sends a datagram without payload, which a run of bytes cannot express.
fn send_empty(socket: &UdpSocket, to: SocketAddr) -> io::Result<usize> {
    let io = socket.as_std();
    match (socket.peer_addr(), to) {
        (Some(_), _) => io.send(&[]),
        (None, SocketAddr::V4(v4)) if io.local_addr()?.is_ipv6() => {
            io.send_to(&[], SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
        }
        (None, to) => io.send_to(&[], to),
    }
}
