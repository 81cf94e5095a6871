//! The way out: frames of smux, compression, KCP, FEC, and the batch.

use kcp_proto::SendError;
use proto_base::Instant;

use crate::batch::TransmitBatch;
use crate::codec::Codec;
use crate::connection::Connection;
use crate::crypt::Margins;
use crate::event::{StreamError, StreamId};
use crate::pace::Pacer;
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
        let written = self.try_write(shard, id, wanted, fill);
        let count = written.as_ref().map_or(0, |&(count, _)| count);
        if matches!(written, Err(StreamError::Blocked)) {
            // There was no room, so the next one in turn has no use for it either.
            self.grants.settle(id, true);
        } else {
            self.grants.settle(id, count > 0);
            // It does not wait any more, even if it did when it was last asked.
            self.mux.want_send(id, false);
        }
        if count > 0 {
            self.stats.stream_bytes_out += count as u64;
            self.used_at = self.now;
            self.has_spare_memory = true;
        }
        written.map(|(_, result)| result)
    }

    /// What [`Self::write_with`] does; tells how many bytes, of the smux header too, went to KCP.
    fn try_write<R>(
        &mut self,
        shard: &mut Shard,
        id: StreamId,
        wanted: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<(usize, R), StreamError> {
        if self.closed.is_some() || !self.mux.is_live(id) {
            return Err(StreamError::Gone);
        }
        self.write_control(shard);
        let window = self.mux.send_window(id).min(wanted).min(LARGEST_BODY);
        if window == 0 {
            // No frame can begin now; smux says whether that will change.
            return Err(match self.mux.begin_frame(id, 1) {
                Err(smux_proto::SendError::Finished) => StreamError::Closed,
                Err(smux_proto::SendError::BadUpdate) => StreamError::Gone,
                _ => {
                    self.mux.want_send(id, false);
                    self.grants.settle(id, false);
                    StreamError::Blocked
                }
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
        written
    }

    /// Gives KCP the frames without data that are due.
    pub(crate) fn write_control(&mut self, shard: &mut Shard) {
        while self.closed.is_none() && self.mux.has_control() {
            match self.codec {
                Codec::Plain => {
                    let slot = self.kcp.send_slot(&mut shard.pool, CONTROL_FRAME, CONTROL_FRAME);
                    let slot = match slot {
                        Ok(slot) => slot,
                        Err(error) => {
                            self.is_hungry |= error == SendError::NoMemory;
                            return;
                        }
                    };
                    let len = match self.mux.poll_control(self.now) {
                        Some(frame) => {
                            slot[..frame.as_bytes().len()].copy_from_slice(frame.as_bytes());
                            frame.as_bytes().len()
                        }
                        None => 0,
                    };
                    self.kcp.commit(&mut shard.pool, len);
                    self.stats.stream_bytes_out += len as u64;
                }
                #[cfg(feature = "snappy")]
                Codec::Snappy(_) => {
                    if !self.flush_tail(shard) || self.kcp.send_capacity() == 0 {
                        return;
                    }
                    let Some(frame) = self.mux.poll_control(self.now) else { return };
                    let len = self.send_compressed(shard, frame.as_bytes());
                    self.stats.stream_bytes_out += len as u64;
                }
            }
        }
    }

    /// Whether a control frame could be written now.
    pub(crate) fn can_write_control(&self) -> bool {
        self.kcp.send_capacity() > 0 && !self.is_hungry
    }

    /// Appends datagrams to `batch` until it is full or nothing is left to send. Each has
    /// `margins` for packet protection.
    pub(crate) fn fill(
        &mut self,
        now: Instant,
        shard: &mut Shard,
        batch: &mut TransmitBatch,
        margins: Margins,
    ) {
        self.now = self.now.max(now);
        // A deadline that passed since the last call is output, too: otherwise a connection would
        // stay in the queue of senders without anything to send.
        self.kcp.handle_timeout(now);
        self.note_kcp_events();
        #[cfg(feature = "snappy")]
        self.flush_tail(shard);
        self.write_control(shard);
        self.fill_acks(shard, batch, margins);
        let fec = self.fec_headroom();
        while self.may_send() {
            let end = margins.end_of_payload(batch.longest());
            if let Some(encoder) = self.encoder.as_mut().filter(|encoder| encoder.has_parity()) {
                let Some(out) = batch.spare().get_mut(margins.front..end) else { return };
                let Ok(Some(len)) = encoder.poll_transmit(&mut shard.pool, out) else { return };
                self.count_out(margins.around(len));
                let _ = batch.push(margins.around(len));
                continue;
            }
            let Some(out) = batch.spare().get_mut(margins.front..end) else { return };
            let Some(room) = out.get_mut(fec..) else { return };
            let written = if self.variety.is_due() {
                self.kcp.window_update(now, room).map(Some)
            } else {
                self.kcp.poll_transmit(now, &shard.pool, room)
            };
            let Ok(Some(len)) = written else { return };
            self.push_packet(shard, batch, margins, len);
        }
    }

    /// With a rate limit, acks that are due go first each time that datagrams may leave again.
    fn fill_acks(&mut self, shard: &mut Shard, batch: &mut TransmitBatch, margins: Margins) {
        let (may_send, from) = (self.may_send(), margins.front + self.fec_headroom());
        if !may_send || !self.pacer.as_mut().is_some_and(Pacer::take_acks_turn) {
            return;
        }
        let end = margins.end_of_payload(batch.longest());
        let Some(room) = batch.spare().get_mut(from..end) else { return };
        let Ok(Some(len)) = self.kcp.poll_control(self.now, room) else { return };
        self.push_packet(shard, batch, margins, len);
        if let Some(pacer) = &mut self.pacer {
            pacer.let_data_follow();
        }
    }

    /// Adds a packet of `len` bytes of KCP's, written behind the headers' room, to the batch.
    fn push_packet(
        &mut self,
        shard: &mut Shard,
        batch: &mut TransmitBatch,
        margins: Margins,
        len: usize,
    ) {
        self.variety.on_sent(len);
        let end = margins.front + self.fec_headroom() + len;
        if let Some(encoder) = &mut self.encoder {
            // The packet is within the mtu, so sealing cannot fail.
            let _ = encoder.seal(self.now, &mut shard.pool, &mut batch.spare()[margins.front..end]);
        }
        self.count_out(end + margins.back);
        let _ = batch.push(end + margins.back);
    }

    /// Whether something waits to be sent now.
    pub(crate) fn has_output(&self) -> bool {
        self.closed.is_none()
            && self.may_send()
            && (self.has_parity() || self.kcp.poll_timeout().is_some_and(|at| at <= self.now))
    }

    /// Whether finished parity waits to be sent.
    pub(crate) fn has_parity(&self) -> bool {
        self.encoder.as_ref().is_some_and(fec_proto::Encoder::has_parity)
    }

    /// Whether neither the gate nor the rate holds datagrams back.
    fn may_send(&self) -> bool {
        !self.is_gated() && self.pacer.is_none_or(|pacer| pacer.is_open(self.now))
    }

    /// Bytes that FEC puts in front of KCP's.
    fn fec_headroom(&self) -> usize {
        if self.encoder.is_some() { fec_proto::HEADROOM } else { 0 }
    }

    fn count_out(&mut self, len: usize) {
        self.sent_at = self.now;
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += len as u64;
        if let Some(pacer) = &mut self.pacer {
            pacer.on_sent(self.now, len);
        }
    }

    fn write_plain<R>(
        &mut self,
        shard: &mut Shard,
        id: StreamId,
        window: usize,
        fill: impl FnOnce(&mut [u8]) -> (usize, R),
    ) -> Result<(usize, R), StreamError> {
        let slot = self.kcp.send_slot(&mut shard.pool, FRAME_HEADER + 1, FRAME_HEADER + window);
        let slot = slot.map_err(|error| {
            self.is_hungry |= error == SendError::NoMemory;
            StreamError::Blocked
        })?;
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
        let taken = self.kcp.send(&mut shard.pool, &compression.framed);
        self.is_hungry |= taken == Err(SendError::NoMemory);
        let taken = taken.unwrap_or(0);
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
                Err(error) => {
                    self.is_hungry |= error == SendError::NoMemory;
                    return false;
                }
            }
        }
        codec.tail.clear();
        codec.tail_taken = 0;
        true
    }
}
