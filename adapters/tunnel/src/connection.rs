//! One connection: FEC, KCP, compression and smux joined.
//!
//! ```text
//!            outbound                                          inbound
//!  write  ─► smux frame ─► [snappy] ─► KCP ─► FEC ─► batch     payload ─► FEC ─► KCP ─► [snappy] ─► smux ─► read
//! ```
//!
//! Packet protection stands outside of it, in the [endpoint](crate::Endpoint), because it works on
//! whole batches.

use core::net::SocketAddr;
use core::time::Duration;

use fec_proto::{Decoder, DecoderStorage, Encoder, EncoderConfig, EncoderStorage};
use kcp_proto::{ConvId, Kcp, Rings};
use proto_base::Instant;
use smux_proto::{Mux, MuxStorage, Role};

use crate::codec::Codec;
use crate::config::{Config, ConfigError};
use crate::event::{CloseReason, Event, StreamError, StreamId};
use crate::grants::Grants;
use crate::memory::ConnectionMemory;
use crate::pace::Pacer;
use crate::shard::Shard;
use crate::stats::{ConnectionFigures, ConnectionStats};
use crate::variety::Variety;

/// Time without traffic after which a connection gives back what memory it can.
const IDLE: Duration = Duration::from_secs(5);

/// How much later than it should an answer to a sign of life may come, however often those are.
const LATE: Duration = Duration::from_secs(5);

/// Silence after which an ICMP refusal is believed.
const DEAF: Duration = Duration::from_secs(2);
/// Bytes sent to an address that has proved nothing, beyond three for each byte that came from it.
const UNPROVEN_LIMIT: u64 = 49_152;
/// Beyond that limit a datagram may leave after this much silence: a client whose first answers
/// were all lost would otherwise never hear us.
const UNPROVEN_PAUSE: Duration = Duration::from_secs(1);

/// Time after which a server must have said something: its keepalive, and some more.
const MUTE: Duration = Duration::from_secs(15);

/// How a connection begins; times and random numbers come from the endpoint.
pub(crate) struct Start {
    pub(crate) role: Role,
    pub(crate) conv: ConvId,
    /// Random, for the wire clock.
    pub(crate) clock_offset: u32,
    /// Random, for the table of streams.
    pub(crate) seed: u64,
    pub(crate) now: Instant,
}

/// One KCP conversation and the streams in it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) kcp: Kcp<'static>,
    pub(crate) encoder: Option<Encoder<'static>>,
    pub(crate) decoder: Decoder<'static>,
    pub(crate) mux: Mux<'static>,
    pub(crate) codec: Codec,
    pub(crate) variety: Variety,
    pub(crate) now: Instant,
    pub(crate) started: Instant,
    /// Streams that may be told to write before more acks come in.
    pub(crate) grants: Grants,
    /// Bytes wait in KCP because smux can take no more.
    pub(crate) is_blocked: bool,
    /// Something waits to be written because the memory that all connections share was used up.
    pub(crate) is_hungry: bool,
    /// Something waits to be handed on for the same reason.
    pub(crate) is_short: bool,
    /// Present with a rate limit.
    pub(crate) pacer: Option<Pacer>,
    pub(crate) closed: Option<CloseReason>,
    pub(crate) news: News,
    /// Silence after which a peer is given up; see [`Self::silent_at`].
    timeout: Duration,
    /// When to look whether the server has said anything.
    pub(crate) mute_at: Option<Instant>,
    pub(crate) used_at: Instant,
    /// When the last datagram left.
    pub(crate) sent_at: Instant,
    pub(crate) has_spare_memory: bool,
    pub(crate) stats: ConnectionStats,
}

/// Events of the connection itself that were not reported yet.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) closed: bool,
    pub(crate) suspect: bool,
    pub(crate) recovered: bool,
    pub(crate) mute: bool,
    /// The last report was of suspicion.
    pub(crate) is_suspect: bool,
}

impl Connection {
    pub(crate) fn new(config: &Config, start: &Start) -> Result<Self, ConfigError> {
        Self::with_memory(config, start, ConnectionMemory::owned(config.compression))
    }

    /// A connection in this memory.
    pub(crate) fn with_memory(
        config: &Config,
        start: &Start,
        memory: ConnectionMemory,
    ) -> Result<Self, ConfigError> {
        let Start { role, conv, clock_offset, seed, now } = *start;
        let kcp = Kcp::new(conv, clock_offset, config.kcp, memory.rings, now)
            .map_err(ConfigError::Kcp)?;
        let kernel = config.fec_kernel;
        // The storage is, or grows to, what our shape needs, so these cannot fail.
        let encoder = config.fec.and_then(|shape| {
            Encoder::new(shape, kernel, EncoderConfig::default(), memory.encoder).ok()
        });
        let decoder = Decoder::new(config.fec, kernel, memory.decoder);
        // The peer's shape may differ, and rebuilding with a wrong one makes bytes that nobody sent
        // and that KCP may take, so it has to be proved first.
        let decoder = decoder.map_err(ConfigError::Fec)?.in_doubt();
        let mux = Mux::new(role, config.smux.clone(), memory.mux, seed, now)
            .map_err(ConfigError::Smux)?;
        Ok(Self {
            kcp,
            encoder,
            decoder,
            mux,
            codec: memory.codec,
            variety: Variety::new(config.fec),
            now,
            started: now,
            grants: Grants::default(),
            is_blocked: false,
            is_hungry: false,
            is_short: false,
            pacer: config.rate_limit.map(|rate| Pacer::new(rate, now)),
            closed: None,
            news: News::default(),
            timeout: config.smux.timeout,
            mute_at: (role == Role::Client).then(|| now + MUTE),
            used_at: now,
            sent_at: now,
            has_spare_memory: false,
            stats: ConnectionStats::default(),
        })
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant, shard: &mut Shard) {
        self.now = self.now.max(now);
        self.kcp.handle_timeout(now);
        self.mux.handle_timeout(now);
        self.decoder.handle_timeout(now, &mut shard.pool);
        self.note_kcp_events();
        if self.silent_at().is_some_and(|at| at <= self.now) {
            self.close(CloseReason::Timeout);
        }
        self.write_control(shard);
        if self.mute_at.is_some_and(|at| at <= self.now) {
            self.mute_at = None;
            self.news.mute = self.kcp.is_proven() && self.mux.stats().frames_in == 0;
        }
        if self.has_spare_memory && now - self.used_at >= IDLE && self.kcp.is_idle() {
            self.has_spare_memory = false;
            self.kcp.shrink();
            self.mux.shrink();
            self.decoder.release(&mut shard.pool);
            if let Some(encoder) = &mut self.encoder {
                encoder.release(&mut shard.pool);
            }
            self.codec.shrink();
        }
    }

    /// The next event; `remote` is the peer's address.
    pub(crate) fn poll_event(&mut self, remote: SocketAddr) -> Option<Event> {
        let is_proven = self.kcp.is_proven();
        if core::mem::take(&mut self.news.closed)
            && let Some(reason) = self.closed
        {
            return Some(Event::Closed { reason, remote, is_proven });
        }
        if core::mem::take(&mut self.news.suspect) {
            return Some(Event::Suspect);
        }
        if core::mem::take(&mut self.news.recovered) {
            return Some(Event::Recovered);
        }
        if core::mem::take(&mut self.news.mute) {
            return Some(Event::Mute);
        }
        while let Some(event) = self.mux.poll_event() {
            return Some(match event {
                smux_proto::Event::Incoming => Event::Incoming,
                smux_proto::Event::Unblocked => continue,
                smux_proto::Event::Readable(id) => Event::Readable(id),
                smux_proto::Event::Writable(id) => Event::Writable(id),
                smux_proto::Event::Finished(id) => Event::Finished(id),
                smux_proto::Event::Failed(id) => Event::Failed(id),
                smux_proto::Event::Ended(id) => Event::Ended(id),
                smux_proto::Event::Dead(reason) => {
                    self.close(reason.into());
                    self.news.closed = false;
                    Event::Closed { reason: self.closed?, remote, is_proven }
                }
                _ => continue,
            });
        }
        self.grant().map(Event::Writable)
    }

    /// Whether [`Self::poll_event`] may have something to tell.
    pub(crate) fn has_news(&self) -> bool {
        let News { closed, suspect, recovered, mute, is_suspect: _ } = self.news;
        closed || suspect || recovered || mute || self.mux.has_news() || self.has_turn()
    }

    /// When to call [`Self::handle_timeout`]. The present when something waits to be sent.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let mux =
            if self.can_write_control() { self.mux.poll_timeout() } else { self.mux.dead_at() };
        let idle = (self.has_spare_memory && self.kcp.is_idle()).then(|| self.used_at + IDLE);
        let gate = if self.is_gated() { self.sent_at + UNPROVEN_PAUSE } else { Instant::ZERO };
        let open_at = gate.max(self.pacer.map_or(Instant::ZERO, |pacer| pacer.opens_at()));
        let kcp = self.kcp.poll_timeout().map(|at| at.max(open_at));
        let parity = self.has_parity().then(|| open_at.max(self.now));
        [kcp, mux, parity, self.decoder.poll_timeout(), idle, self.mute_at, self.silent_at()]
            .into_iter()
            .fold(None, Instant::earliest)
    }

    /// When the peer is given up although smux cannot hear it, as reading stands still: a peer that
    /// lives acknowledges what is in flight, at least our own signs of life. The original keeps such
    /// a session, and what waits in it, for good (smux 1.5.16, session.go, `keepalive`).
    fn silent_at(&self) -> Option<Instant> {
        let is_deaf = self.mux.block().is_some() && self.kcp.in_flight() > 0;
        is_deaf.then(|| self.kcp.last_heard() + self.timeout)
    }

    /// Ends the connection; the peer is not told, as there is no way to.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(reason);
            self.news.closed = true;
        }
    }

    /// Begins anew in the memory of the connection that was here.
    pub(crate) fn restart(
        &mut self,
        config: &Config,
        start: &Start,
        shard: &mut Shard,
    ) -> Result<(), ConfigError> {
        let memory = self.take_memory(config, shard)?;
        *self = Self::with_memory(config, start, memory)?;
        Ok(())
    }

    /// Takes the memory out. What is left is an empty connection that is good for nothing.
    fn take_memory(
        &mut self,
        config: &Config,
        shard: &mut Shard,
    ) -> Result<ConnectionMemory, ConfigError> {
        self.release(shard);
        let (now, kernel) = (self.now, config.fec_kernel);
        let kcp = Kcp::new(self.kcp.conv(), 0, config.kcp, Rings::owned(), now)
            .map_err(ConfigError::Kcp)?;
        let mux = Mux::new(self.mux.role(), config.smux.clone(), MuxStorage::owned(), 0, now)
            .map_err(ConfigError::Smux)?;
        let decoder =
            Decoder::new(None, kernel, DecoderStorage::owned()).map_err(ConfigError::Fec)?;
        let encoder = self.encoder.take();
        Ok(ConnectionMemory {
            rings: core::mem::replace(&mut self.kcp, kcp).into_rings(),
            encoder: encoder
                .map_or(EncoderStorage::owned(), |old| old.into_storage(&mut shard.pool)),
            decoder: core::mem::replace(&mut self.decoder, decoder).into_storage(&mut shard.pool),
            mux: core::mem::replace(&mut self.mux, mux).into_storage(),
            codec: core::mem::replace(&mut self.codec, Codec::new(false)).restart(),
        })
    }

    /// Gives all pool memory back. The connection is of no use any more.
    pub(crate) fn release(&mut self, shard: &mut Shard) {
        self.kcp.release(&mut shard.pool);
        self.mux.release(&mut shard.pool);
        self.decoder.release(&mut shard.pool);
        if let Some(encoder) = &mut self.encoder {
            encoder.release(&mut shard.pool);
        }
    }

    /// Whether the peer owes answers and has not been heard for a while. One that was never heard
    /// may still be starting, and loses nothing by it.
    pub(crate) fn is_deaf(&self, now: Instant) -> bool {
        let was_heard = self.stats.datagrams_in > 0;
        was_heard && self.kcp.in_flight() > 0 && now - self.kcp.last_heard() >= DEAF
    }

    /// Whether nothing may be sent before the peer has shown that its address receives.
    ///
    /// A datagram with a forged source (a recorded one, sent again) begins a connection like any
    /// other. Until the peer has echoed a clock that only a receiver can know, no more than
    /// [`UNPROVEN_LIMIT`] and a trickle goes to its address, so that nobody can be flooded by way of
    /// us.
    pub(crate) fn is_gated(&self) -> bool {
        self.mux.role() == Role::Server
            && !self.kcp.is_proven()
            && self.stats.bytes_out > UNPROVEN_LIMIT + 3 * self.stats.bytes_in
            && self.now - self.sent_at < UNPROVEN_PAUSE
    }

    /// Whether this end has not heard the peer for longer than signs of life come apart, although
    /// each of its own is acknowledged.
    pub(crate) fn is_stale(&self, now: Instant, keepalive: Duration) -> bool {
        now - self.kcp.last_heard() > keepalive + (keepalive / 2).max(LATE)
    }

    /// The socket has no way to the peer.
    pub(crate) fn handle_unreachable(&mut self) {
        if !self.news.is_suspect {
            self.news.suspect = true;
            self.news.is_suspect = true;
        }
    }

    /// Whether something waits for memory that others may free.
    pub(crate) fn wants_memory(&self) -> bool {
        self.is_hungry || self.is_short
    }

    /// There is room again in the memory that all connections share.
    pub(crate) fn handle_room(&mut self, shard: &mut Shard) {
        (self.is_hungry, self.is_short) = (false, false);
        if self.is_blocked {
            self.pump(shard);
        }
        #[cfg(feature = "snappy")]
        self.flush_tail(shard);
        self.write_control(shard);
        self.renew_grants();
    }

    /// Whether no stream is open and the peer has acknowledged all that was written to any.
    pub(crate) fn is_idle(&self) -> bool {
        self.mux.stats().streams == 0 && self.codec.is_idle() && self.kcp.is_idle()
    }

    /// What goes on at the moment.
    pub(crate) fn figures(&self) -> ConnectionFigures {
        let kcp = &self.kcp;
        ConnectionFigures {
            started: self.started,
            last_heard: kcp.last_heard(),
            is_suspect: kcp.is_suspect(),
            send_window: u32::from(kcp.send_window()),
            receive_window: u32::from(kcp.receive_window()),
            remote_window: kcp.remote_window(),
            flight_limit: kcp.flight_limit(),
            in_flight: kcp.in_flight(),
            queued: kcp.pending_segments() - kcp.in_flight(),
        }
    }

    /// Counters of all layers.
    pub(crate) fn stats(&self) -> ConnectionStats {
        ConnectionStats {
            kcp: self.kcp.stats(),
            encoder: self.encoder.as_ref().map(Encoder::stats).unwrap_or_default(),
            decoder: self.decoder.stats(),
            mux: self.mux.stats(),
            rtt: self.kcp.rtt(),
            rto: self.kcp.rto(),
            ..self.stats
        }
    }

    /// Reads a stream: `take` is shown the first bytes that lie together and tells how many of them
    /// it took.
    pub(crate) fn read_with<R>(
        &mut self,
        shard: &mut Shard,
        id: StreamId,
        take: impl FnOnce(&[u8]) -> (usize, R),
    ) -> Result<R, StreamError> {
        let bytes = self.mux.peek(id, &shard.pool);
        if bytes.is_empty() {
            return Err(if self.mux.is_finished(id) {
                StreamError::Finished
            } else if self.closed.is_some() || !self.mux.is_live(id) {
                StreamError::Gone
            } else {
                StreamError::Blocked
            });
        }
        let (taken, result) = take(bytes);
        self.mux.consume(id, &mut shard.pool, taken);
        if self.is_blocked {
            self.pump(shard);
        }
        Ok(result)
    }

    pub(crate) fn note_kcp_events(&mut self) {
        while let Some(event) = self.kcp.poll_event() {
            match event {
                kcp_proto::Event::Suspect if !self.news.is_suspect => {
                    self.news.suspect = true;
                    self.news.is_suspect = true;
                }
                kcp_proto::Event::PeerRestarted => self.close(match self.mux.role() {
                    Role::Client if self.mux.stats().frames_in == 0 => CloseReason::NotUnderstood,
                    _ => CloseReason::PeerRestarted,
                }),
                _ => {}
            }
        }
    }
}
