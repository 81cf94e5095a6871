//! Many connections behind one socket.

use core::fmt;
use core::net::SocketAddr;

use kcp_proto::ConvId;
use proto_base::Instant;
use smux_proto::{OpenError, Role, StreamStats};

use crate::batch::{Datagrams, TransmitBatch};
use crate::config::{Config, ConfigError};
use crate::connection::Connection;
use crate::crypt::{self, NonceSource, PacketCipher, Protection, Random};
use crate::event::{CloseReason, Event, StreamError, StreamId};
use crate::memory::ConnectionMemory;
use crate::reception::Reception;
use crate::stats::{ConnectionFigures, ConnectionStats, EndpointStats};
use crate::table::{ConnectionKey, Table};

/// Many connections behind one socket, as a sans-IO machine: datagrams and times in, batches of
/// datagrams, events and deadlines out.
///
/// | | |
/// |---|---|
/// | inputs | [`handle_batch`](Self::handle_batch), [`handle_timeout`](Self::handle_timeout), [`handle_refused`](Self::handle_refused) |
/// | connections | [`connect`](Self::connect), [`close`](Self::close) |
/// | streams | [`open`](Self::open), [`accept`](Self::accept), [`write_with`](Self::write_with), [`read_with`](Self::read_with), [`finish`](Self::finish), [`abort`](Self::abort) |
/// | outputs | [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event), [`poll_timeout`](Self::poll_timeout) |
///
/// After any input or application verb poll the outputs, in any order; the
/// [contract](proto_base) of all machines holds. No call walks all connections: those with something
/// to send or to say stand in queues, deadlines in a timer wheel.
#[derive(Debug)]
pub struct Endpoint {
    protection: Protection,
    /// Whether peers may begin connections.
    accepts: bool,
    table: Table,
}

/// Which end of a tunnel an [`Endpoint`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Dials; takes datagrams of the connections it dialled only.
    Client,
    /// Takes connections from any address.
    Server,
}

impl Endpoint {
    /// An endpoint without connections.
    ///
    /// `seed` must come from the system's random source and serve no other endpoint: nonces,
    /// conversation ids and wire clocks come from it.
    ///
    /// # Errors
    /// Names the setting that cannot work.
    pub fn new(
        config: Config,
        cipher: PacketCipher,
        side: Side,
        seed: [u8; 32],
    ) -> Result<Self, ConfigError> {
        let config = config.check(cipher.overhead())?;
        let mut random = Random::new(seed);
        Ok(Self {
            protection: Protection::with(cipher, NonceSource::new(random.next_seed())),
            accepts: side == Side::Server,
            table: Table::new(config, random)?,
        })
    }

    /// As [`new`](Self::new), with all memory taken now: [`Config::memory`] bytes of payload, and
    /// what [`Config::max_connections`] connections of `smux.max_streams` streams need besides
    /// ([`reserved_size`](Self::reserved_size)). Nothing is allocated later, whatever happens; what
    /// finds no memory waits, or is dropped as if the network had lost it.
    ///
    /// The memory is held to the end of the process, for endpoints that live as long.
    ///
    /// # Errors
    /// Names the setting that cannot work.
    pub fn reserved(
        config: Config,
        cipher: PacketCipher,
        side: Side,
        seed: [u8; 32],
    ) -> Result<Self, ConfigError> {
        let mut endpoint = Self::new(config, cipher, side, seed)?;
        endpoint.table.reserve()?;
        Ok(endpoint)
    }

    /// Bytes that each connection of a [`reserved`](Self::reserved) endpoint takes besides payload
    /// memory.
    #[must_use]
    pub fn reserved_size(config: &Config) -> usize {
        size_of::<Connection>() + ConnectionMemory::size(config)
    }

    /// Begins a connection to `remote`. Nothing is sent before a stream is opened.
    ///
    /// # Errors
    /// When as many connections as allowed are open.
    pub fn connect(&mut self, now: Instant, remote: SocketAddr) -> Result<ConnectionKey, Full> {
        self.see(now);
        let conv = self.table.new_conv();
        let index = self.table.begin(remote, conv, Role::Client).ok_or(Full)?;
        self.table.stats.active_opens += 1;
        Ok(self.table.key(index))
    }

    /// Takes datagrams of `stride` bytes each (the last may be shorter) that came from `from`. They
    /// are decrypted in place. What is damaged or foreign is counted and dropped.
    pub fn handle_batch(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &mut [u8],
        stride: usize,
    ) {
        self.see(now);
        let table = &mut self.table;
        let mut current = table.find(&from);
        // Only what passed the checks is a sign of life: anyone can send noise from any address.
        let mut is_heard = false;
        for payload in self.protection.open(Datagrams::new(bytes, stride)) {
            let payload = match payload {
                Ok(payload) => payload,
                Err(crypt::OpenError::Checksum) => {
                    table.stats.checksum_errors += 1;
                    continue;
                }
                Err(_) => {
                    table.stats.too_short += 1;
                    continue;
                }
            };
            let conv =
                current.and_then(|index| table.get(index)).map(|(known, _)| known.kcp.conv());
            let is_ours = match Reception::of(payload, conv) {
                Reception::Known => true,
                Reception::Begins(conv) if self.accepts => {
                    if let Some(old) = current.take() {
                        table.close(old, CloseReason::Replaced);
                    }
                    current = table.begin(from, conv, Role::Server);
                    table.stats.passive_opens += u64::from(current.is_some());
                    current.is_some()
                }
                Reception::Begins(_) | Reception::Stray => {
                    table.stats.strays += 1;
                    false
                }
            };
            if let Some((connection, shard)) =
                current.filter(|_| is_ours).and_then(|index| table.get_mut(index))
            {
                connection.handle_payload(now, shard, payload);
                is_heard = true;
            }
        }
        if let Some(index) = current.filter(|_| is_heard) {
            if let Some((connection, shard)) = table.get_mut(index) {
                connection.conclude(shard);
            }
            if self.accepts {
                table.note_heard(index);
            }
            table.touch(index);
        }
    }

    /// The host of `remote` says that nothing listens there (ICMP). Anyone on the path could have
    /// forged that, so a connection that was heard of within the last seconds does not believe it.
    pub fn handle_refused(&mut self, now: Instant, remote: SocketAddr) {
        self.see(now);
        let Some(index) = self.table.find(&remote) else { return };
        let now = self.table.now;
        if let Some((connection, _)) = self.table.get_mut(index)
            && connection.is_deaf(now)
        {
            self.table.close(index, CloseReason::Refused);
        }
    }

    /// The socket has no way to `remote`: no route, no network, or its own address is gone. The
    /// connection is suspect at once, as nothing that it sends arrives; it is not given up, as the
    /// way may come back.
    pub fn handle_unreachable(&mut self, now: Instant, remote: SocketAddr) {
        self.see(now);
        let Some(index) = self.table.find(&remote) else { return };
        if let Some((connection, _)) = self.table.get_mut(index) {
            connection.handle_unreachable();
        }
        self.table.touch(index);
    }

    /// Time has passed. Before the time of [`poll_timeout`](Self::poll_timeout) this does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.see(now);
        self.table.handle_timeout();
    }

    /// Looks, before a stream is opened, whether the peer has been silent for longer than its answers
    /// to signs of life come apart, as it has when this machine slept, or when the path broke while
    /// nobody used it. `false`: the stream does better on another connection; this one is suspect
    /// (or gone).
    pub fn check_fresh(&mut self, now: Instant, key: ConnectionKey) -> bool {
        // After a sleep no timer may have told of deadlines that have passed.
        self.handle_timeout(now);
        let (now, keepalive) = (self.table.now, self.table.config.smux.keepalive);
        let Some(index) = self.table.index(key) else { return false };
        let Some((connection, _)) = self.table.get_mut(index) else { return false };
        if connection.closed.is_none() && !connection.is_stale(now, keepalive) {
            return true;
        }
        connection.handle_unreachable();
        self.table.touch(index);
        false
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// When the connection is gone or has no room for another stream.
    pub fn open(&mut self, now: Instant, key: ConnectionKey) -> Result<StreamId, OpenError> {
        self.see(now);
        let (now, index) = (self.table.now, self.table.index(key).ok_or(OpenError::Dead)?);
        let (connection, shard) = self.table.get_mut(index).ok_or(OpenError::Dead)?;
        if connection.closed.is_some() {
            return Err(OpenError::Dead);
        }
        connection.now = now;
        let id = connection.mux.open()?;
        connection.write_control(shard);
        self.table.touch(index);
        Ok(id)
    }

    /// The next stream that the peer opened.
    pub fn accept(&mut self, key: ConnectionKey) -> Option<StreamId> {
        let index = self.table.index(key)?;
        let id = self.table.get_mut(index)?.0.mux.accept();
        self.table.touch(index);
        id
    }

    /// Writes to a stream: `fill` is lent at most `wanted` bytes of memory, in which the data will
    /// stay until the peer has it, and tells how many of them it filled, along with a result of its
    /// own. What it filled leaves as one frame.
    ///
    /// # Errors
    /// [`StreamError::Blocked`]: `fill` was not called; wait for [`Event::Writable`].
    pub fn write_with<R>(
        &mut self,
        now: Instant,
        key: ConnectionKey,
        id: StreamId,
        wanted: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, StreamError> {
        self.see(now);
        let (now, index) = (self.table.now, self.table.index(key).ok_or(StreamError::Gone)?);
        let (connection, shard) = self.table.get_mut(index).ok_or(StreamError::Gone)?;
        connection.now = now;
        let result = connection.write_with(shard, id, wanted, fill);
        self.table.touch(index);
        result
    }

    /// Reads a stream: `take` is lent the first bytes that lie together and tells how many of them
    /// it took, along with a result of its own.
    ///
    /// # Errors
    /// [`StreamError::Blocked`]: `take` was not called; wait for [`Event::Readable`] or
    /// [`Event::Finished`].
    pub fn read_with<R>(
        &mut self,
        now: Instant,
        key: ConnectionKey,
        id: StreamId,
        take: impl FnOnce(&[u8]) -> (usize, R),
    ) -> Result<R, StreamError> {
        self.see(now);
        let (now, index) = (self.table.now, self.table.index(key).ok_or(StreamError::Gone)?);
        let (connection, shard) = self.table.get_mut(index).ok_or(StreamError::Gone)?;
        connection.now = now;
        let result = connection.read_with(shard, id, take);
        self.table.touch(index);
        result
    }

    /// Ends this end's direction of a stream, behind what was written. The other direction lives
    /// on.
    pub fn finish(&mut self, now: Instant, key: ConnectionKey, id: StreamId) {
        self.see(now);
        let Some(index) = self.table.index(key) else { return };
        if let Some((connection, shard)) = self.table.get_mut(index) {
            let _ = connection.mux.finish(id);
            connection.grants.settle(id, false);
            connection.write_control(shard);
        }
        self.table.touch(index);
    }

    /// Ends both directions of a stream: what is unread is gone, the peer sees its end.
    pub fn abort(&mut self, now: Instant, key: ConnectionKey, id: StreamId) {
        self.see(now);
        let Some(index) = self.table.index(key) else { return };
        if let Some((connection, shard)) = self.table.get_mut(index) {
            connection.mux.abort(id, &mut shard.pool);
            connection.grants.settle(id, false);
            connection.pump(shard);
            connection.write_control(shard);
        }
        self.table.touch(index);
    }

    /// Ends a connection with all its streams. The peer is not told (there is no way to) and finds
    /// out by the silence.
    pub fn close(&mut self, key: ConnectionKey) {
        if let Some(index) = self.table.index(key) {
            self.table.close(index, CloseReason::Local);
        }
    }

    /// Fills `batch`, cleared before, with sealed datagrams and tells to whom they go; `None` when
    /// nothing is to be sent.
    pub fn poll_transmit(&mut self, now: Instant, batch: &mut TransmitBatch) -> Option<SocketAddr> {
        self.see(now);
        loop {
            batch.clear();
            let (index, remote) = self.table.next_sender()?;
            let (now, margins) = (self.table.now, self.protection.margins());
            if let Some((connection, shard)) = self.table.get_mut(index) {
                connection.fill(now, shard, batch, margins);
            }
            self.table.has_sent(index);
            if !batch.is_empty() {
                self.protection.seal(batch.datagrams_mut());
                return Some(remote);
            }
        }
    }

    /// The next thing that changed, and where.
    pub fn poll_event(&mut self) -> Option<(ConnectionKey, Event)> {
        self.table.poll_event()
    }

    /// Whether [`poll_event`](Self::poll_event) may have something to tell. For drivers whose streams
    /// are used outside of their own loop: reading one stream can bring bytes for another.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        self.table.has_news
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.table.poll_timeout()
    }

    /// All open connections.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionKey> {
        self.table.keys()
    }

    /// Address of the peer; `None` for a connection that is gone.
    #[must_use]
    pub fn remote(&self, key: ConnectionKey) -> Option<SocketAddr> {
        self.table.index(key).and_then(|index| self.table.get(index)).map(|(_, remote)| remote)
    }

    /// Whether the peer has shown that it receives at its address: it echoed a clock that only who
    /// receives can know. A client's first words are no proof, as anyone can send them again. One
    /// that is gone has proved nothing.
    #[must_use]
    pub fn is_proven(&self, key: ConnectionKey) -> bool {
        let connection = self.table.index(key).and_then(|index| self.table.get(index));
        connection.is_some_and(|(connection, _)| connection.kcp.is_proven())
    }

    /// Whether the peer, which may have ended its direction of a stream, has said that it still reads
    /// the other one: [`Relay::handle_reader`](crate::relay::Relay::handle_reader) wants to know.
    #[must_use]
    pub fn peer_reads(&self, key: ConnectionKey, id: StreamId) -> bool {
        let connection = self.table.index(key).and_then(|index| self.table.get(index));
        connection.is_some_and(|(connection, _)| connection.mux.peer_reads(id))
    }

    /// Whether a connection has no stream, and the peer has acknowledged all that was written to
    /// any, so that nothing is lost when it is closed. One that is gone is idle.
    #[must_use]
    pub fn is_idle(&self, key: ConnectionKey) -> bool {
        let connection = self.table.index(key).and_then(|index| self.table.get(index));
        connection.is_none_or(|(connection, _)| connection.is_idle())
    }

    /// Counters and figures of a connection.
    #[must_use]
    pub fn connection_stats(&self, key: ConnectionKey) -> Option<ConnectionStats> {
        let (connection, _) = self.table.get(self.table.index(key)?)?;
        Some(connection.stats())
    }

    /// What a connection is doing at the moment; `None` for one that is over.
    #[must_use]
    pub fn connection_figures(&self, key: ConnectionKey) -> Option<ConnectionFigures> {
        let (connection, _) = self.table.get(self.table.index(key)?)?;
        connection.closed.is_none().then(|| connection.figures())
    }

    /// The streams of a connection with their figures, those that wait for
    /// [`accept`](Self::accept) included; none for a connection that is gone.
    pub fn streams(&self, key: ConnectionKey) -> impl Iterator<Item = (StreamId, StreamStats)> {
        let connection = self.table.index(key).and_then(|index| self.table.get(index));
        connection.into_iter().flat_map(|(connection, _)| {
            let mux = &connection.mux;
            mux.stream_ids().filter_map(|id| Some((id, mux.stream_stats(id)?)))
        })
    }

    /// Sum of the counters of all connections, those that are gone included. Its `rtt` is the longest
    /// of those that live.
    #[must_use]
    pub fn total_stats(&self) -> ConnectionStats {
        let (mut total, mut longest) = (self.table.past, None);
        for stats in self.connections().filter_map(|key| self.connection_stats(key)) {
            longest = longest.max(stats.rtt);
            total += stats;
        }
        ConnectionStats { rtt: longest, ..total }
    }

    /// Counters that belong to no connection.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        self.table.stats
    }

    /// Payload memory in use, in bytes (whole pages).
    #[must_use]
    pub fn memory_in_use(&self) -> usize {
        let pool = &self.table.shard.pool;
        pool.used_pages() * pool.page_size()
    }

    /// Payload memory held, used or free, in bytes. It follows what is in use: what was not needed
    /// for some seconds is given back step by step, as long as there is any deadline to wake for.
    #[must_use]
    pub fn memory_held(&self) -> usize {
        let pool = &self.table.shard.pool;
        pool.held_pages() * pool.page_size()
    }

    /// The settings, as checked.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.table.config
    }

    /// Conversation id of a connection, for logs.
    #[must_use]
    pub fn conv(&self, key: ConnectionKey) -> Option<ConvId> {
        self.table.get(self.table.index(key)?).map(|(connection, _)| connection.kcp.conv())
    }

    fn see(&mut self, now: Instant) {
        self.table.now = self.table.now.max(now);
    }
}

/// As many connections as allowed are open; close one, or raise `max_connections`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("as many connections as allowed are open")
    }
}

impl core::error::Error for Full {}
