//! The world: ends, path and clock.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::OnceLock;

use kcptun_link::{Link, LinkConfig};
use kcptun_tunnel::crypt::{CipherKind, PacketCipher, TunnelKey};
use kcptun_tunnel::{
    CloseReason, Config, ConnectionKey, ConnectionStats, Endpoint, Event, Side, StreamId,
    TransmitBatch,
};
use proto_base::Instant;

use crate::machine::inside;
use crate::{Flow, Rng};

/// Index of the client's side.
pub const CLIENT: usize = 0;
/// Index of the server's side.
pub const SERVER: usize = 1;

/// Client of a connection that nothing more is known of.
const UNKNOWN: usize = usize::MAX;

/// Rounds of one moment in which nothing leaves, arrives or is said. One is normal (a deadline that
/// only changes inner state); more of them are a busy loop.
const IDLE_ROUNDS: u32 = 8;

/// Settings of one end.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Settings of the tunnel.
    pub config: Config,
    /// Packet protection.
    pub cipher: CipherKind,
    /// The driver wakes up as much as this late, at random.
    pub lateness: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: Config { compression: false, ..Config::default() },
            cipher: CipherKind::Aes,
            lateness: Duration::ZERO,
        }
    }
}

impl Setup {
    /// An endpoint with these settings.
    ///
    /// # Panics
    /// When the settings cannot work.
    #[must_use]
    pub fn endpoint(&self, side: Side, seed: u64) -> Endpoint {
        static KEY: OnceLock<TunnelKey> = OnceLock::new();
        let key = KEY.get_or_init(|| TunnelKey::derive(b"it's a secret"));
        let cipher = PacketCipher::from_key(self.cipher, key).expect("all ciphers are built in");
        let mut seeds = [0; 32];
        seeds[..8].copy_from_slice(&seed.to_le_bytes());
        Endpoint::new(self.config.clone(), cipher, side, seeds).expect("settings that work")
    }
}

/// A client: one socket, one connection at a time.
#[derive(Debug)]
pub struct Client {
    /// Its end.
    pub endpoint: Endpoint,
    /// Its connection.
    pub key: ConnectionKey,
    /// Events of the connection (not of its streams), with their times.
    pub news: Vec<(Instant, Event)>,
    wake_at: Option<Instant>,
    /// It started over: the server may still speak of streams of the one before.
    is_replaced: bool,
    is_asleep: bool,
    /// Flow of each stream, by the stream's id on the wire.
    flows: HashMap<u32, usize>,
}

/// Clients, a server, the path between them, and a clock.
#[derive(Debug)]
pub struct World {
    /// The time.
    pub now: Instant,
    /// The clients.
    pub clients: Vec<Client>,
    /// The server's end.
    pub server: Endpoint,
    /// Events of the server's connections (not of streams): when, which client, what.
    pub server_news: Vec<(Instant, usize, Event)>,
    /// All streams ever asked for.
    pub flows: Vec<Flow>,
    /// The path to the server, and back.
    pub path: [Link; 2],
    /// Times the clock moved.
    pub steps: u64,
    setups: [Setup; 2],
    server_wake_at: Option<Instant>,
    unopened: Vec<(Instant, usize)>,
    batch: TransmitBatch,
    rng: Rng,
    events: u64,
    /// Nothing reaches these any more: clients, server.
    silent: [bool; 2],
    /// Flows that are not done.
    open_flows: Vec<usize>,
}

impl World {
    /// A world without clients. The path is the same in both directions.
    ///
    /// # Panics
    /// When the settings cannot work.
    #[must_use]
    pub fn new(client: &Setup, server: &Setup, path: LinkConfig, seed: u64) -> Self {
        Self::with_paths(client, server, [path.clone(), path], seed)
    }

    /// A world whose path differs in its directions: to the server, and back.
    ///
    /// # Panics
    /// When the settings cannot work.
    #[must_use]
    pub fn with_paths(
        client: &Setup,
        server: &Setup,
        [there, back]: [LinkConfig; 2],
        seed: u64,
    ) -> Self {
        let (there, back) = kcptun_link::path(there, back, seed).expect("a path that can be");
        Self {
            now: Instant::from_millis(1_000),
            clients: Vec::new(),
            server: server.endpoint(Side::Server, !seed),
            server_news: Vec::new(),
            flows: Vec::new(),
            path: [there, back],
            steps: 0,
            setups: [client.clone(), server.clone()],
            server_wake_at: None,
            unopened: Vec::new(),
            batch: TransmitBatch::new(),
            rng: Rng::new(seed ^ 0x5151),
            events: 0,
            silent: [false; 2],
            open_flows: Vec::new(),
        }
    }

    /// Adds a client and lets it dial the server.
    ///
    /// # Panics
    /// Never with a fresh endpoint.
    pub fn add_client(&mut self) -> usize {
        let seed = self.rng.next();
        let mut endpoint = self.setups[CLIENT].endpoint(Side::Client, seed);
        let key = endpoint.connect(self.now, server_address()).expect("room for one");
        self.clients.push(Client {
            endpoint,
            key,
            news: Vec::new(),
            wake_at: None,
            is_replaced: false,
            is_asleep: false,
            flows: HashMap::new(),
        });
        self.clients.len() - 1
    }

    /// A client starts over on the same port: a new process that knows nothing of the old one.
    pub fn replace_client(&mut self, client: usize) {
        let seed = self.rng.next();
        let mut endpoint = self.setups[CLIENT].endpoint(Side::Client, seed);
        let key = endpoint.connect(self.now, server_address()).expect("room for one");
        self.lose_streams(CLIENT, client);
        let old = &mut self.clients[client];
        (old.endpoint, old.key) = (endpoint, key);
        old.flows.clear();
        old.is_replaced = true;
    }

    /// The client dials again with the same endpoint, after its connection was closed.
    pub fn redial(&mut self, client: usize) {
        let old = &mut self.clients[client];
        old.key = old.endpoint.connect(self.now, server_address()).expect("room for one");
        old.flows.clear();
    }

    /// The server starts over at the same address: a new process that knows nothing.
    pub fn restart_server(&mut self) {
        let seed = self.rng.next();
        self.server = self.setups[SERVER].endpoint(Side::Server, seed);
        for client in 0..self.clients.len() {
            self.lose_streams(SERVER, client);
        }
    }

    /// Opens a stream (at once, or later if the flow says so) and returns its index in
    /// [`flows`](Self::flows).
    pub fn open(&mut self, client: usize, mut flow: Flow) -> usize {
        flow.client = client;
        flow.seed = self.rng.next() & !1;
        let index = self.flows.len();
        self.unopened.push((self.now + flow.opens_after, index));
        self.flows.push(flow);
        self.open_flows.push(index);
        index
    }

    /// An application that had stalled reads on.
    pub fn resume_reading(&mut self, flow: usize, side: usize) {
        self.flows[flow].ends[side].stalls = false;
    }

    /// An application that had kept its direction open ends it.
    pub fn let_finish(&mut self, flow: usize) {
        for end in &mut self.flows[flow].ends {
            end.stays_open = false;
        }
    }

    /// A datagram arrives at the server out of nowhere.
    pub fn inject(&mut self, from: SocketAddr, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let stride = bytes.len();
        self.server.handle_batch(self.now, from, &mut bytes, stride);
    }

    /// From now on nothing reaches the ends of this side.
    pub fn silence(&mut self, side: usize) {
        self.silent[side] = true;
    }

    /// The ends of this side are reached again.
    pub fn restore(&mut self, side: usize) {
        self.silent[side] = false;
    }

    /// A client's machine sleeps: its clock goes on, nothing else does, and what is sent to it is
    /// lost.
    pub fn sleep(&mut self, client: usize, time: Duration) {
        self.clients[client].is_asleep = true;
        self.run_for(time);
        let client = &mut self.clients[client];
        client.is_asleep = false;
        client.wake_at = Some(self.now);
    }

    /// The socket of a client finds no way to the server.
    pub fn cut_off(&mut self, client: usize) {
        self.clients[client].endpoint.handle_unreachable(self.now, server_address());
    }

    /// The server's host tells a client that nothing listens there.
    pub fn refuse(&mut self, client: usize) {
        self.clients[client].endpoint.handle_refused(self.now, server_address());
    }

    /// Address of a client.
    #[must_use]
    pub fn address_of(&self, client: usize) -> SocketAddr {
        client_address(client)
    }

    /// Lets time pass until every flow is done.
    ///
    /// # Panics
    /// When that takes longer than `within`, or anything else is wrong.
    pub fn run_until_done(&mut self, within: Duration) {
        let end = self.now + within;
        while !self.is_done() {
            let went = self.step(end);
            if !went && !self.is_done() {
                panic!("not done within {within:?}: {}", self.describe());
            }
        }
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
        self.settle();
    }

    /// Lets time pass until `condition` holds; tells whether it did within `within`.
    pub fn run_until(&mut self, within: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + within;
        while !condition(self) {
            if !self.step(end) {
                return condition(self);
            }
        }
        true
    }

    /// Whether every flow is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.open_flows.is_empty()
    }

    /// Counters of a client's connection.
    ///
    /// # Panics
    /// When it is gone.
    #[must_use]
    pub fn client_stats(&self, client: usize) -> ConnectionStats {
        let client = &self.clients[client];
        client.endpoint.connection_stats(client.key).expect("an open connection")
    }

    /// Why a client's connection was closed, and when.
    #[must_use]
    pub fn closed(&self, client: usize) -> Option<(Instant, CloseReason)> {
        self.clients[client].news.iter().rev().find_map(|&(at, event)| match event {
            Event::Closed { reason, .. } => Some((at, reason)),
            _ => None,
        })
    }

    /// Does everything there is to do now, then moves the clock to what comes next. `false` when
    /// that is later than `end`, or never; the clock stands still then.
    fn step(&mut self, end: Instant) -> bool {
        self.settle();
        let Some(next) = self.next_moment() else { return false };
        if next > end {
            return false;
        }
        assert!(next > self.now, "time stands still");
        self.now = next;
        self.steps += 1;
        true
    }

    fn next_moment(&self) -> Option<Instant> {
        let awake = self.clients.iter().filter(|client| !client.is_asleep);
        let wakes = awake.map(|client| client.wake_at);
        let paths = self.path.iter().map(Link::poll_timeout);
        let opens = self.unopened.iter().map(|&(at, _)| Some(at));
        let all = wakes.chain(paths).chain(opens).chain([self.server_wake_at]);
        all.fold(None, Instant::earliest)
    }

    /// Polls everything until nothing more happens at this moment.
    fn settle(&mut self) {
        let mut idle = 0;
        loop {
            let before = self.events;
            self.open_flows_due();
            self.deliver();
            for client in 0..self.clients.len() {
                self.drive_client(client);
            }
            self.drive_server();
            self.act();
            if self.events != before {
                idle = 0;
                continue;
            }
            if self.next_moment().is_none_or(|next| next > self.now) {
                break;
            }
            idle += 1;
            assert!(idle < IDLE_ROUNDS, "a deadline in the past: {}", self.describe());
        }
        self.open_flows.retain(|&index| !self.flows[index].is_done());
    }

    fn open_flows_due(&mut self) {
        let mut at = 0;
        while at < self.unopened.len() {
            let (due, index) = self.unopened[at];
            if due > self.now {
                at += 1;
                continue;
            }
            self.unopened.swap_remove(at);
            let flow = &mut self.flows[index];
            let client = &mut self.clients[flow.client];
            match inside(|| client.endpoint.open(self.now, client.key)) {
                Ok(id) => {
                    flow.wire = Some(id.wire());
                    client.flows.insert(id.wire(), index);
                    flow.ends[CLIENT].join(client.key, id);
                }
                Err(error) => panic!("open: {error}"),
            }
            self.events += 1;
        }
    }

    /// Hands over what arrives now.
    fn deliver(&mut self) {
        while let Some((tag, bytes)) = self.path[0].poll_tagged(self.now) {
            self.events += 1;
            if self.silent[SERVER] {
                continue;
            }
            let stride = bytes.len().max(1);
            let from = client_address(tag as usize);
            inside(|| self.server.handle_batch(self.now, from, bytes, stride));
            self.server_wake_at = Some(self.now);
        }
        while let Some((tag, bytes)) = self.path[1].poll_tagged(self.now) {
            self.events += 1;
            if self.silent[CLIENT] {
                continue;
            }
            let stride = bytes.len().max(1);
            let client = &mut self.clients[tag as usize];
            if client.is_asleep {
                continue;
            }
            inside(|| client.endpoint.handle_batch(self.now, server_address(), bytes, stride));
            client.wake_at = Some(self.now);
        }
    }

    fn drive_client(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.is_asleep {
            return;
        }
        let due = client.wake_at.is_some_and(|at| at <= self.now);
        if due && client.endpoint.poll_timeout().is_some_and(|at| at <= self.now) {
            inside(|| client.endpoint.handle_timeout(self.now));
        }
        while let Some((key, event)) = inside(|| self.clients[index].endpoint.poll_event()) {
            self.events += 1;
            if key == self.clients[index].key {
                self.on_event(CLIENT, index, key, event);
            }
        }
        let client = &mut self.clients[index];
        while inside(|| client.endpoint.poll_transmit(self.now, &mut self.batch)).is_some() {
            for datagram in self.batch.iter() {
                self.path[0].handle_tagged(self.now, index as u64, datagram);
                self.events += 1;
            }
        }
        let at = client.endpoint.poll_timeout();
        client.wake_at = late(at, self.now, self.setups[CLIENT].lateness, &mut self.rng);
    }

    fn drive_server(&mut self) {
        let due = self.server_wake_at.is_some_and(|at| at <= self.now);
        if due && self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            inside(|| self.server.handle_timeout(self.now));
        }
        while let Some((key, event)) = inside(|| self.server.poll_event()) {
            self.events += 1;
            let client = self.server.remote(key).and_then(index_of);
            let client = client.or_else(|| self.client_of(key)).unwrap_or(UNKNOWN);
            self.on_event(SERVER, client, key, event);
        }
        while let Some(to) = inside(|| self.server.poll_transmit(self.now, &mut self.batch)) {
            let tag = index_of(to).filter(|&index| index < self.clients.len());
            for datagram in self.batch.iter() {
                self.events += 1;
                if let Some(tag) = tag {
                    self.path[1].handle_tagged(self.now, tag as u64, datagram);
                }
            }
        }
        let at = self.server.poll_timeout();
        self.server_wake_at = late(at, self.now, self.setups[SERVER].lateness, &mut self.rng);
    }

    fn client_of(&self, key: ConnectionKey) -> Option<usize> {
        let place = |flow: &&Flow| flow.ends[SERVER].place.is_some_and(|(known, _)| known == key);
        self.flows.iter().find(place).map(|flow| flow.client)
    }

    fn on_event(&mut self, side: usize, client: usize, key: ConnectionKey, event: Event) {
        let stream = match event {
            Event::Incoming => {
                self.accept(side, client, key);
                return;
            }
            Event::Readable(id)
            | Event::Writable(id)
            | Event::Finished(id)
            | Event::Failed(id)
            | Event::Ended(id) => id,
            _ => {
                match side {
                    CLIENT => self.clients[client].news.push((self.now, event)),
                    _ => self.server_news.push((self.now, client, event)),
                }
                if matches!(event, Event::Closed { .. }) {
                    self.lose_streams_of(side, key);
                }
                return;
            }
        };
        let Some(index) = self.flow_of(side, client, key, stream) else {
            if side == SERVER && self.clients.get(client).is_none_or(|client| client.is_replaced) {
                return;
            }
            panic!("event {event:?} for a stream that is not known at {side}");
        };
        let flow = &mut self.flows[index];
        match event {
            Event::Readable(_) | Event::Finished(_) => flow.ends[side].can_read = true,
            Event::Writable(_) => flow.ends[side].can_write = true,
            Event::Failed(_) => {
                let is_unread = flow.ends[1 - side].aborts_at.is_some();
                assert!(is_unread, "{stream:?} failed, and nobody aborted it");
                flow.ends[side].finished = true;
            }
            _ => flow.end(side, self.now),
        }
    }

    fn accept(&mut self, side: usize, client: usize, key: ConnectionKey) {
        assert_eq!(side, SERVER, "servers open no streams");
        while let Some(id) = inside(|| self.server.accept(key)) {
            let Some(&index) = self.clients.get(client).and_then(|c| c.flows.get(&id.wire()))
            else {
                // Of a client that is no more.
                self.server.abort(self.now, key, id);
                continue;
            };
            assert!(self.flows[index].ends[SERVER].place.is_none(), "accepted twice");
            self.flows[index].ends[SERVER].join(key, id);
        }
    }

    fn flow_of(
        &self,
        side: usize,
        client: usize,
        key: ConnectionKey,
        id: StreamId,
    ) -> Option<usize> {
        let index = *self.clients.get(client)?.flows.get(&id.wire())?;
        (self.flows[index].ends[side].place == Some((key, id))).then_some(index)
    }

    /// All applications do what they can.
    fn act(&mut self) {
        for at in 0..self.open_flows.len() {
            let flow = &mut self.flows[self.open_flows[at]];
            let client = &mut self.clients[flow.client];
            if !client.is_asleep && flow.act(CLIENT, self.now, &mut client.endpoint, &mut self.rng)
            {
                client.wake_at = Some(self.now);
                self.events += 1;
            }
            if flow.act(SERVER, self.now, &mut self.server, &mut self.rng) {
                self.server_wake_at = Some(self.now);
                self.events += 1;
            }
        }
    }

    fn lose_streams(&mut self, side: usize, client: usize) {
        for flow in self.flows.iter_mut().filter(|flow| flow.client == client) {
            let end = &mut flow.ends[side];
            if end.ended_at.is_none() {
                (end.is_gone, end.place) = (true, None);
            }
        }
    }

    fn lose_streams_of(&mut self, side: usize, key: ConnectionKey) {
        for flow in &mut self.flows {
            let end = &mut flow.ends[side];
            if end.place.is_some_and(|(known, _)| known == key) {
                (end.is_gone, end.place) = (true, None);
            }
        }
    }

    fn describe(&self) -> String {
        let mut text = format!("at {:?}, step {}\n", self.now, self.steps);
        text += &format!("server wakes {:?}\n", self.server_wake_at);
        for client in &self.clients {
            let stats = client.endpoint.connection_stats(client.key);
            text += &format!("client wakes {:?} {:?}\n{stats:?}\n", client.wake_at, client.news);
        }
        text += &format!("server {:?} {:?}\n", self.server_news, self.server.total_stats());
        for &index in self.open_flows.iter().take(10) {
            text += &format!("flow {index}: {:?}\n", self.flows[index]);
        }
        text
    }
}

/// Where the server is.
/// Where the server is.
#[must_use]
pub fn server_address() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 29_900)
}

/// Where a client is.
fn client_address(index: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), index as u16)
}

fn index_of(address: SocketAddr) -> Option<usize> {
    (address.ip() == client_address(0).ip()).then(|| usize::from(address.port()))
}

/// When a driver that is slow at random wakes up for a deadline.
fn late(at: Option<Instant>, now: Instant, lateness: Duration, rng: &mut Rng) -> Option<Instant> {
    if lateness.is_zero() || at? <= now {
        return at;
    }
    Some(at? + Duration::from_micros(rng.below(lateness.as_micros() as u64)))
}
