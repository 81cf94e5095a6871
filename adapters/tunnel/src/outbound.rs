//! The way out: frames of smux, compression, KCP, FEC, and the batch.

#[cfg(feature = "snappy")]
use kcp_proto::SendError;
use proto_base::Instant;

use crate::batch::TransmitBatch;
use crate::codec::Codec;
use crate::connection::Connection;
use crate::event::{StreamError, StreamId};
use crate::shard::Shard;

/// Bytes of a smux header, and of the longest frame without data.
const FRAME_HEADER: usize = 8;
const CONTROL_FRAME: usize = 16;
/// Most bytes of data that one frame takes from a writer: what a page holds behind its header.
const LARGEST_BODY: usize = 16_384 - FRAME_HEADER;

impl Connection {
    /// Writes to a stream: `fill` is lent memory and tells how many bytes of it it filled, which
    /// become one frame. At most one frame leaves per call.
    pub(crate) fn write_with<R>(
        &mut self,
        shard: &mut Shard,
        id: StreamId,
        wanted: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<R, StreamError> {
        if self.closed.is_some() || !self.mux.is_live(id) {
            return Err(StreamError::Gone);
        }
        self.write_control(shard);
        let window = self.mux.send_window(id).min(wanted).min(LARGEST_BODY);
        if window == 0 {
            // Either the peer's window is shut, and smux says when it opens, or this end finished.
            return Err(if self.mux.want_send(id, false) {
                StreamError::Blocked
            } else {
                StreamError::Closed
            });
        }
        let written = match self.codec {
            Codec::Plain => self.write_plain(shard, id, window, fill),
            #[cfg(feature = "snappy")]
            Codec::Snappy(_) => self.write_snappy(shard, id, window, fill),
        };
        if matches!(written, Err(StreamError::Blocked)) {
            self.mux.want_send(id, true);
        }
        let (count, result) = written?;
        self.stats.stream_bytes_out += count as u64;
        if count > 0 {
            self.used_at = self.now;
            self.has_spare_memory = true;
        }
        Ok(result)
    }

    /// Gives KCP the frames without data that are due.
    pub(crate) fn write_control(&mut self, shard: &mut Shard) {
        while self.closed.is_none() && self.mux.has_control() {
            match self.codec {
                Codec::Plain => {
                    let slot = self.kcp.send_slot(&mut shard.pool, CONTROL_FRAME, CONTROL_FRAME);
                    let Ok(slot) = slot else { return };
                    let len = match self.mux.poll_control(self.now) {
                        Some(frame) => {
                            slot[..frame.as_bytes().len()].copy_from_slice(frame.as_bytes());
                            frame.as_bytes().len()
                        }
                        None => 0,
                    };
                    self.kcp.commit(&mut shard.pool, len);
                }
                #[cfg(feature = "snappy")]
                Codec::Snappy(_) => {
                    if !self.flush_tail(shard) || self.kcp.send_capacity() == 0 {
                        return;
                    }
                    let Some(frame) = self.mux.poll_control(self.now) else { return };
                    self.send_compressed(shard, frame.as_bytes());
                }
            }
        }
    }

    /// Whether a control frame could be written now.
    pub(crate) fn can_write_control(&self) -> bool {
        self.kcp.send_capacity() > 0
    }

    /// Appends datagrams to `batch` until it is full or nothing is left to send. Each has
    /// `headroom` bytes in front for packet protection.
    pub(crate) fn fill(
        &mut self,
        now: Instant,
        shard: &mut Shard,
        batch: &mut TransmitBatch,
        headroom: usize,
    ) {
        self.now = self.now.max(now);
        // A deadline that passed since the last call is output, too: otherwise a connection would
        // stay in the queue of senders without anything to send.
        self.kcp.handle_timeout(now);
        self.note_kcp_events();
        #[cfg(feature = "snappy")]
        self.flush_tail(shard);
        self.write_control(shard);
        let fec = if self.encoder.is_some() { fec_proto::HEADROOM } else { 0 };
        while !self.is_gated() {
            let longest = batch.longest();
            if let Some(encoder) = self.encoder.as_mut().filter(|encoder| encoder.has_parity()) {
                let Some(out) = batch.spare().get_mut(headroom..longest) else { return };
                let Ok(Some(len)) = encoder.poll_transmit(&mut shard.pool, out) else { return };
                self.count_out(headroom + len);
                let _ = batch.push(headroom + len);
                continue;
            }
            let Some(out) = batch.spare().get_mut(headroom..longest) else { return };
            let Some(room) = out.get_mut(fec..) else { return };
            let written = if self.variety.is_due() {
                self.kcp.window_update(now, room).map(Some)
            } else {
                self.kcp.poll_transmit(now, &shard.pool, room)
            };
            let Ok(Some(len)) = written else { return };
            self.variety.on_sent(len);
            if let Some(encoder) = &mut self.encoder {
                // The packet is within the mtu, so sealing cannot fail.
                let _ = encoder.seal(now, &mut shard.pool, &mut out[..fec + len]);
            }
            self.count_out(headroom + fec + len);
            let _ = batch.push(headroom + fec + len);
        }
    }

    /// Whether something waits to be sent now.
    pub(crate) fn has_output(&self) -> bool {
        let has_parity = self.encoder.as_ref().is_some_and(fec_proto::Encoder::has_parity);
        self.closed.is_none()
            && !self.is_gated()
            && (has_parity || self.kcp.poll_timeout().is_some_and(|at| at <= self.now))
    }

    fn count_out(&mut self, len: usize) {
        self.sent_at = self.now;
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += len as u64;
    }

    fn write_plain<R>(
        &mut self,
        shard: &mut Shard,
        id: StreamId,
        window: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<(usize, R), StreamError> {
        let slot = self.kcp.send_slot(&mut shard.pool, FRAME_HEADER + 1, FRAME_HEADER + window);
        let Ok(slot) = slot else { return Err(StreamError::Blocked) };
        let (head, body) = slot.split_at_mut(FRAME_HEADER);
        let (count, result) = fill(body);
        let count = count.min(body.len());
        let header = if count > 0 { self.mux.begin_frame(id, count).ok() } else { None };
        let written = match header {
            Some(header) => {
                head.copy_from_slice(&header);
                FRAME_HEADER + count
            }
            None => 0,
        };
        self.kcp.commit(&mut shard.pool, written);
        Ok((written, result))
    }

    #[cfg(feature = "snappy")]
    fn write_snappy<R>(
        &mut self,
        shard: &mut Shard,
        id: StreamId,
        window: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<(usize, R), StreamError> {
        if !self.flush_tail(shard) || self.kcp.send_capacity() == 0 {
            return Err(StreamError::Blocked);
        }
        let mut plain = core::mem::take(&mut shard.snappy.plain);
        plain.resize(FRAME_HEADER + LARGEST_BODY, 0);
        let (count, result) = fill(&mut plain[FRAME_HEADER..FRAME_HEADER + window]);
        let count = count.min(window);
        let header = if count > 0 { self.mux.begin_frame(id, count).ok() } else { None };
        let written = match header {
            Some(header) => {
                plain[..FRAME_HEADER].copy_from_slice(&header);
                self.send_compressed(shard, &plain[..FRAME_HEADER + count])
            }
            None => 0,
        };
        shard.snappy.plain = plain;
        Ok((written, result))
    }

    /// Compresses a frame and gives it to KCP; what does not fit becomes the tail.
    #[cfg(feature = "snappy")]
    fn send_compressed(&mut self, shard: &mut Shard, frame: &[u8]) -> usize {
        let Codec::Snappy(codec) = &mut self.codec else { return 0 };
        let compression = &mut shard.snappy;
        compression.framed.clear();
        codec.compressor.compress(&mut compression.scratch, frame, &mut compression.framed);
        let taken = self.kcp.send(&mut shard.pool, &compression.framed).unwrap_or(0);
        codec.tail.extend_from_slice(&compression.framed[taken..]);
        compression.framed.len()
    }

    /// Gives KCP the rest of an earlier frame; `true` when nothing of it is left.
    #[cfg(feature = "snappy")]
    pub(crate) fn flush_tail(&mut self, shard: &mut Shard) -> bool {
        let Codec::Snappy(codec) = &mut self.codec else { return true };
        while codec.tail_taken < codec.tail.len() {
            let rest = &codec.tail[codec.tail_taken..];
            match self.kcp.send(&mut shard.pool, rest) {
                Ok(taken) => codec.tail_taken += taken,
                Err(SendError::Empty) => break,
                Err(_) => return false,
            }
        }
        codec.tail.clear();
        codec.tail_taken = 0;
        true
    }
}
