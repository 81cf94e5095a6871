//! One end of a tunnel: FEC, KCP and smux joined over lent memory.

use core::fmt;
use core::time::Duration;

use fec_proto::{Accepted, Decoder, DecoderStorage, Encoder, EncoderConfig, EncoderStorage};
use fec_proto::{Kernel, Kind, Shape, classify};
use kcp_proto::{Config, ConvId, Kcp, Rings, Via};
use proto_base::{Instant, Pool};
use smux_proto::{Mux, MuxStorage, Role, StreamId, Version, wire::HEADER_LEN};

use crate::memory::{EndMemory, PAGE, SHAPE, WINDOW};
use crate::{MTU, STREAMS};

/// Bytes of the longest smux frame without data.
const CONTROL_FRAME: usize = 16;
/// Unread bytes that the streams of an end may hold, together.
pub(crate) const UNREAD: usize = 32 * 1024;

/// One end.
#[derive(Debug)]
pub struct End<'m> {
    pool: Pool<'m>,
    kcp: Kcp<'m>,
    encoder: Option<Encoder<'m>>,
    decoder: Decoder<'m>,
    pub(crate) mux: Mux<'m>,
    scratch: &'m mut [u8; MTU],
    now: Instant,
}

/// A machine did not take its memory or its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupError(&'static str);

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: memory or settings do not suit it", self.0)
    }
}

impl core::error::Error for SetupError {}

impl<'m> End<'m> {
    /// An end that starts at `now` in `memory`.
    ///
    /// # Errors
    /// Names the machine that cannot work so.
    pub fn new(
        role: Role,
        memory: &'m mut EndMemory,
        with_fec: bool,
        version: Version,
        now: Instant,
    ) -> Result<Self, SetupError> {
        let index = memory.index.make();
        let pool = Pool::fixed(&mut memory.arena, &mut index.pages, PAGE);
        let rings = Rings {
            sent: index.sent.as_mut_slice().into(),
            chunks: index.chunks.as_mut_slice().into(),
            received: index.received.as_mut_slice().into(),
            acks: index.acks.as_mut_slice().into(),
        };
        let shape = if with_fec { shape() } else { None };
        let headroom = if with_fec { fec_proto::HEADROOM } else { 0 };
        let settings = Config {
            datagram_len: MTU - headroom,
            nodelay: true,
            interval: Duration::from_millis(10),
            send_window: WINDOW as u16,
            receive_window: WINDOW as u16,
            ..Config::default()
        };
        let parity = EncoderStorage::fixed(&mut index.parity);
        let encoder = shape
            .map(|shape| Encoder::new(shape, Kernel::PORTABLE, EncoderConfig::default(), parity));
        let shards = DecoderStorage::fixed(&mut index.shards);
        let decoder = Decoder::new(shape, Kernel::PORTABLE, shards);
        let streams = MuxStorage::borrowed(&mut index.streams, &mut index.buckets);
        let session = smux_proto::Config {
            version,
            session_buffer: UNREAD,
            stream_buffer: (UNREAD / STREAMS) as u32,
            max_streams: STREAMS,
            ..Default::default()
        };
        Ok(Self {
            pool: pool.map_err(|_| SetupError("pool"))?,
            kcp: Kcp::new(ConvId(7), 0, settings, rings, now).map_err(|_| SetupError("KCP"))?,
            encoder: encoder.transpose().map_err(|_| SetupError("FEC, sending"))?,
            decoder: decoder.map_err(|_| SetupError("FEC, receiving"))?,
            mux: Mux::new(role, session, streams, 1, now).map_err(|_| SetupError("smux"))?,
            scratch: &mut memory.scratch,
            now,
        })
    }

    /// Takes a datagram. What makes no sense is dropped.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        self.now = now;
        if classify(datagram) == Kind::Plain {
            let _ = self.kcp.handle_packet(now, &mut self.pool, datagram, Via::Direct);
        } else {
            let accepted = self.decoder.handle_packet(now, &mut self.pool, datagram);
            if let Ok(Accepted::Data(segments)) = accepted {
                let _ = self.kcp.handle_packet(now, &mut self.pool, segments, Via::Direct);
            }
            while let Ok(Some(len)) =
                self.decoder.poll_recovered(&mut self.pool, &mut self.scratch[..])
            {
                let segments = &self.scratch[..len];
                let _ = self.kcp.handle_packet(now, &mut self.pool, segments, Via::Recovered);
            }
        }
        self.pump();
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.kcp.handle_timeout(now);
        self.mux.handle_timeout(now);
        self.decoder.handle_timeout(now, &mut self.pool);
        self.write_control();
    }

    /// The next datagram to send, in memory of the end.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<&[u8]> {
        let Some(encoder) = &mut self.encoder else {
            let len = self.kcp.poll_transmit(now, &self.pool, &mut self.scratch[..]).ok()??;
            return Some(&self.scratch[..len]);
        };
        if let Ok(Some(len)) = encoder.poll_transmit(&mut self.pool, &mut self.scratch[..]) {
            return Some(&self.scratch[..len]);
        }
        let room = &mut self.scratch[fec_proto::HEADROOM..];
        let len = fec_proto::HEADROOM + self.kcp.poll_transmit(now, &self.pool, room).ok()??;
        encoder.seal(now, &mut self.pool, &mut self.scratch[..len]).ok()?;
        Some(&self.scratch[..len])
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        // smux may want to write where KCP has no room; an ack will bring it.
        let mux =
            if self.kcp.send_capacity() > 0 { self.mux.poll_timeout() } else { self.mux.dead_at() };
        [self.kcp.poll_timeout(), mux, self.decoder.poll_timeout()]
            .into_iter()
            .fold(None, Instant::earliest)
    }

    /// Writes up to `wanted` bytes to a stream, as one frame; `fill` is lent memory for them, in
    /// which it must fill every byte. Tells how many there were; 0 when there is no room.
    pub fn write(&mut self, id: StreamId, wanted: usize, fill: impl FnOnce(&mut [u8])) -> usize {
        self.write_control();
        let body = self.mux.send_window(id).min(wanted);
        if body == 0 {
            return 0;
        }
        let slot = self.kcp.send_slot(&mut self.pool, HEADER_LEN + 1, HEADER_LEN + body);
        let Ok(slot) = slot else { return 0 };
        let body = slot.len() - HEADER_LEN;
        let Ok(header) = self.mux.begin_frame(id, body) else { return 0 };
        slot[..HEADER_LEN].copy_from_slice(&header);
        fill(&mut slot[HEADER_LEN..]);
        self.kcp.commit(&mut self.pool, HEADER_LEN + body);
        body
    }

    /// Shows the unread bytes of a stream that lie together to `take`, which tells how many it
    /// took.
    pub fn read(&mut self, id: StreamId, take: impl FnOnce(&[u8]) -> usize) -> usize {
        let taken = take(self.mux.peek(id, &self.pool));
        let taken = self.mux.consume(id, &mut self.pool, taken);
        self.pump();
        taken
    }

    /// Sends what a stream has unread back on it; tells how many bytes there was room for.
    pub fn echo(&mut self, id: StreamId) -> usize {
        let bytes = self.mux.peek(id, &self.pool);
        let len = bytes.len().min(MTU);
        // Both ways use the pool, so the bytes cross over by way of the stack.
        let mut copy = [0; MTU];
        copy[..len].copy_from_slice(&bytes[..len]);
        let sent = self.write(id, len, |slot| slot.copy_from_slice(&copy[..slot.len()]));
        self.read(id, |_| sent)
    }

    /// Datagrams rebuilt by FEC, and segments sent again by KCP.
    pub fn repairs(&self) -> (u64, u64) {
        let kcp = self.kcp.stats();
        let again = kcp.fast_retransmits + kcp.early_retransmits + kcp.timeout_retransmits;
        (self.decoder.stats().recovered, again)
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.kcp.is_idle()
    }

    /// Gives all buffers back; tells how many pages are still in use, which should be none.
    pub fn release(&mut self) -> usize {
        self.kcp.release(&mut self.pool);
        self.mux.release(&mut self.pool);
        self.decoder.release(&mut self.pool);
        if let Some(encoder) = &mut self.encoder {
            encoder.release(&mut self.pool);
        }
        self.pool.used_pages()
    }

    /// Moves bytes in order from KCP to smux, as far as it takes them.
    fn pump(&mut self) {
        while let Some(bytes) = self.kcp.peek(&self.pool) {
            let len = bytes.len().min(self.scratch.len());
            self.scratch[..len].copy_from_slice(&bytes[..len]);
            let bytes = &self.scratch[..len];
            match self.mux.handle_bytes(self.now, &mut self.pool, bytes) {
                Ok(taken @ 1..) => self.kcp.consume(&mut self.pool, taken),
                // Nothing fits now, or the session is over, which the events tell.
                Ok(0) | Err(_) => break,
            }
        }
        self.write_control();
    }

    /// Gives KCP the frames without data that are due.
    fn write_control(&mut self) {
        while self.mux.has_control() {
            let Ok(slot) = self.kcp.send_slot(&mut self.pool, CONTROL_FRAME, CONTROL_FRAME) else {
                return;
            };
            let Some(frame) = self.mux.poll_control(self.now) else { return };
            let frame = frame.as_bytes();
            slot[..frame.len()].copy_from_slice(frame);
            self.kcp.commit(&mut self.pool, frame.len());
        }
    }
}

fn shape() -> Option<Shape> {
    Shape::new(SHAPE.0 as i64, SHAPE.1 as i64).ok().flatten()
}
