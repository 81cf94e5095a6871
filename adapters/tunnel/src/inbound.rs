//! The way in: payloads to FEC, KCP, decompression and smux.

use fec_proto::{Accepted, Kind, classify};
use kcp_proto::Via;
use proto_base::Instant;
use smux_proto::{Block, Step};

use crate::codec::Codec;
use crate::connection::Connection;
use crate::event::CloseReason;
use crate::shard::Shard;

/// Bytes that one granted stream is expected to write.
const GRANT: usize = 16_384;

impl Connection {
    /// Takes the payload of a datagram that passed the checksum. Call [`Self::conclude`] after the
    /// last one of a batch.
    pub(crate) fn handle_payload(&mut self, now: Instant, shard: &mut Shard, payload: &[u8]) {
        self.now = self.now.max(now);
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += payload.len() as u64;
        if classify(payload) == Kind::Plain {
            self.handle_segments(shard, payload, Via::Direct);
            return;
        }
        match self.decoder.handle_packet(now, &mut shard.pool, payload) {
            Ok(Accepted::Data(segments)) => self.handle_segments(shard, segments, Via::Direct),
            Ok(_) => {}
            Err(_) => self.stats.bad_payloads += 1,
        }
        let mut rebuilt = core::mem::take(&mut shard.scratch);
        while let Ok(Some(len)) = self.decoder.poll_recovered(&mut shard.pool, &mut rebuilt) {
            self.handle_segments(shard, &rebuilt[..len], Via::Recovered);
        }
        shard.scratch = rebuilt;
    }

    /// After the last payload of a batch: moves what came into order up to smux.
    pub(crate) fn conclude(&mut self, shard: &mut Shard) {
        self.used_at = self.now;
        self.has_spare_memory = true;
        if core::mem::take(&mut self.news.is_suspect) {
            // A report of suspicion that nobody has taken yet is void.
            self.news.recovered = !core::mem::take(&mut self.news.suspect);
        }
        self.note_kcp_events();
        self.pump(shard);
        // Acks made room for what compression has left over.
        #[cfg(feature = "snappy")]
        self.flush_tail(shard);
        self.renew_grants();
        self.write_control(shard);
    }

    /// As many writers may go on as there is room for.
    pub(crate) fn renew_grants(&mut self) {
        self.grants.renew(self.kcp.send_capacity() / GRANT + 1);
    }

    /// Moves bytes from KCP to smux as far as smux takes them.
    pub(crate) fn pump(&mut self, shard: &mut Shard) {
        if self.closed.is_some() {
            return;
        }
        let result = match self.codec {
            Codec::Plain => self.pump_plain(shard),
            #[cfg(feature = "snappy")]
            Codec::Snappy(_) => self.pump_snappy(shard),
        };
        if let Err(reason) = result {
            self.close(reason);
        }
    }

    /// The stream that waits longest to write, if there is room for it.
    pub(crate) fn grant(&mut self) -> Option<crate::StreamId> {
        if !self.has_turn() {
            return None;
        }
        let id = self.mux.next_sender()?;
        self.mux.want_send(id, false);
        self.grants.give(id);
        Some(id)
    }

    /// Whether a stream waits to write, and may.
    pub(crate) fn has_turn(&self) -> bool {
        self.grants.has_more() && self.mux.has_sender() && self.kcp.send_capacity() > 0
    }

    fn handle_segments(&mut self, shard: &mut Shard, segments: &[u8], via: Via) {
        if self.kcp.handle_packet(self.now, &mut shard.pool, segments, via).is_err() {
            self.stats.bad_payloads += 1;
        }
    }

    fn pump_plain(&mut self, shard: &mut Shard) -> Result<(), CloseReason> {
        let mut piece = core::mem::take(&mut shard.scratch);
        let result = loop {
            // KCP's bytes and those that smux stores live in the same pool, so a segment crosses
            // over through a scratch buffer that stays in the cache.
            let Some(bytes) = self.kcp.peek(&shard.pool) else {
                break self.unblock(shard);
            };
            let len = bytes.len().min(piece.len());
            piece[..len].copy_from_slice(&bytes[..len]);
            match self.feed(shard, &piece[..len]) {
                Ok(taken) => {
                    self.stats.stream_bytes_in += taken as u64;
                    self.kcp.consume(&mut shard.pool, taken);
                    if self.is_blocked {
                        break Ok(());
                    }
                }
                Err(reason) => break Err(reason),
            }
        };
        shard.scratch = piece;
        result
    }

    #[cfg(feature = "snappy")]
    fn pump_snappy(&mut self, shard: &mut Shard) -> Result<(), CloseReason> {
        loop {
            let Codec::Snappy(codec) = &mut self.codec else { return Ok(()) };
            if codec.decompressor.output().is_empty() {
                let Some(bytes) = self.kcp.peek(&shard.pool) else {
                    return self.unblock(shard);
                };
                let taken = codec.decompressor.push(bytes).map_err(CloseReason::Compression)?;
                self.stats.stream_bytes_in += taken as u64;
                self.kcp.consume(&mut shard.pool, taken);
                continue;
            }
            // Lend the decompressor's output to smux: both belong to `self`, so it steps aside.
            let mut decompressor = core::mem::take(&mut codec.decompressor);
            let fed = self.feed(shard, decompressor.output());
            if let Ok(taken) = fed {
                decompressor.consume(taken);
            }
            if let Codec::Snappy(codec) = &mut self.codec {
                codec.decompressor = decompressor;
            }
            fed?;
            if self.is_blocked {
                return Ok(());
            }
        }
    }

    /// Lets smux go on with what it holds back: also a stream that waits for room at the very end
    /// of what has come.
    fn unblock(&mut self, shard: &mut Shard) -> Result<(), CloseReason> {
        if self.is_blocked { self.feed(shard, &[]).map(drop) } else { Ok(()) }
    }

    /// Gives bytes to smux, tells how many it took, and notes whether it can take no more.
    fn feed(&mut self, shard: &mut Shard, bytes: &[u8]) -> Result<usize, CloseReason> {
        let mut done = 0;
        self.is_blocked = true;
        loop {
            match self.mux.next_step(self.now, &bytes[done..]).map_err(CloseReason::Protocol)? {
                Step::Blocked { taken, .. } => return Ok(done + taken),
                Step::NeedMore { taken } => {
                    self.is_blocked = false;
                    return Ok(done + taken);
                }
                Step::Body { taken, stream, len, .. } => {
                    done += taken;
                    let stored = self.mux.store(stream, &mut shard.pool, &bytes[done..done + len]);
                    done += stored;
                    if stored < len {
                        // Room elsewhere in the session is told of by reading; of this, nobody would.
                        self.is_short |= self.mux.block() == Some(Block::Memory);
                        return Ok(done);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::connection::Start;
    use crate::crypt::Margins;
    use crate::event::{Event, StreamError};
    use core::net::{Ipv4Addr, SocketAddr};
    use kcp_proto::ConvId;
    use smux_proto::{Role, wire::Version};

    const REMOTE: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5);

    /// Bytes that found no memory go on when another connection has left some, without a datagram.
    #[test]
    fn a_session_that_found_no_memory_goes_on_when_there_is_some() {
        for compression in [false, cfg!(feature = "snappy")] {
            let config = Config { compression, ..Config::default() };
            let config = config.check(20).expect("settings that work");
            let mut shard = Shard::new(1 << 18).expect("memory");
            let now = Instant::from_millis(5);
            let start = |role| Start { role, conv: ConvId(1), clock_offset: 0, seed: 1, now };
            let mut client = Connection::new(&config, &start(Role::Client)).expect("settings");
            let mut server = Connection::new(&config, &start(Role::Server)).expect("settings");
            let mut memory = Shard::new(1 << 18).expect("memory");
            let id = client.mux.open().expect("room");
            client.write_control(&mut memory);
            let zeros = |slot: &mut [u8]| {
                slot.fill(0);
                (slot.len(), slot.len())
            };
            let written = client.write_with(&mut memory, id, 9_000, zeros).expect("room");
            let mut batch = crate::batch::TransmitBatch::new();
            client.fill(now, &mut memory, &mut batch, Margins::default());
            let stride = batch.stride();
            for payload in batch.bytes().chunks(stride) {
                server.handle_payload(now, &mut shard, payload);
            }

            // Another connection takes all the rest.
            let mut others = alloc::vec::Vec::new();
            for len in [16_384, 1_536, 512, 1] {
                others.extend(core::iter::from_fn(|| shard.pool.alloc(len)));
            }
            server.conclude(&mut shard);
            let stream = server.mux.accept().expect("a stream has come");
            let before = server.mux.unread(stream);
            assert!(before < written && server.wants_memory() && server.is_blocked);
            others.into_iter().for_each(|buf| shard.pool.release(buf));
            server.handle_room(&mut shard);
            assert!(server.mux.unread(stream) > before);
            assert!(!server.wants_memory() && !server.is_blocked);
        }
    }

    /// A peer that says it has read more than it was sent: whoever waits to write is told, and not
    /// left waiting for a window that can never open.
    #[test]
    fn a_writer_whose_stream_has_failed_is_told_so() {
        let mut config = Config { compression: false, ..Config::default() };
        config.smux.version = Version::V2;
        let config = config.check(20).expect("settings that work");
        let mut shard = Shard::new(1 << 22).expect("memory");
        let now = Instant::from_millis(5);
        let start = Start { role: Role::Client, conv: ConvId(1), clock_offset: 0, seed: 1, now };
        let mut connection = Connection::new(&config, &start).expect("settings that work");
        let id = connection.mux.open().expect("room");
        connection.write_control(&mut shard);
        let fill = |slot: &mut [u8]| (slot.len(), slot.len());
        assert_eq!(connection.write_with(&mut shard, id, 100, fill), Ok(100));

        // Version 2, UPD, 8 bytes, the stream, bytes read, window.
        let mut update = alloc::vec![2, 4, 8, 0];
        for field in [id.wire(), 1_000_000, 65_536] {
            update.extend_from_slice(&field.to_le_bytes());
        }
        assert_eq!(connection.feed(&mut shard, &update), Ok(update.len()));
        let mut events = core::iter::from_fn(|| connection.poll_event(REMOTE));
        assert!(events.any(|event| event == Event::Failed(id)));
        let refused = connection.write_with(&mut shard, id, 100, fill);
        assert_eq!(refused, Err(StreamError::Gone));
    }
}
