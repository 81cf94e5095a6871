//! The way out: what is due, written to one datagram after the other.

use proto_base::{Instant, Pool};

use crate::error::TooSmall;
use crate::flush::Datagram;
use crate::kcp::{Kcp, wire_ms};
use crate::sender::Allowance;
use crate::tx_segment::Cause;
use crate::wire::{Command, Header, Sn, WireMs};

impl Kcp<'_> {
    /// Writes the next datagram to `out` and tells its length; `None` when nothing is to be sent.
    ///
    /// Repetitions come first, then new data, then probes and acks, so that full datagrams follow
    /// each other and a batch keeps one size. A datagram counts as sent at `now`.
    ///
    /// # Errors
    /// When `out` cannot take the datagram; `out` of [`Config::datagram_len`](crate::Config::datagram_len) always can.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        pool: &Pool<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, TooSmall> {
        self.advance(now);
        loop {
            let mut datagram = Datagram::new(&mut *out, self.config.datagram_len);
            self.write_data(pool, &mut datagram)?;
            self.write_probes(&mut datagram)?;
            self.write_acks(&mut datagram)?;
            let len = datagram.finish();
            if len > 0 {
                self.flush.told_window = self.receiver.free();
                return Ok(Some(len));
            }
            // The end of a flush may widen the congestion window.
            if !self.end_flush() || !self.has_output() {
                return Ok(None);
            }
        }
    }

    /// Writes a datagram that only tells the window, wanted or not, and tells its length. Legal at
    /// any time and otherwise without effect.
    ///
    /// # Errors
    /// When `out` cannot take a header.
    pub fn window_update(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, TooSmall> {
        self.advance(now);
        let mut datagram = Datagram::new(out, self.config.datagram_len);
        datagram.push(self.header(Command::TellWindow), &[])?;
        self.stats.segments_out += 1;
        self.flush.tell_window = false;
        self.flush.told_window = self.receiver.free();
        Ok(datagram.finish())
    }

    /// Writes a datagram of acks and window probes that are due, without data, and tells its length;
    /// `None` when none is. [`poll_transmit`](Self::poll_transmit) writes them as well, behind the
    /// data: this is for callers who hold data back, to keep to a rate.
    ///
    /// # Errors
    /// When `out` cannot take a header.
    pub fn poll_control(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<usize>, TooSmall> {
        self.advance(now);
        let mut datagram = Datagram::new(out, self.config.datagram_len);
        self.write_probes(&mut datagram)?;
        self.write_acks(&mut datagram)?;
        if datagram.is_empty() {
            return Ok(None);
        }
        self.flush.told_window = self.receiver.free();
        Ok(Some(datagram.finish()))
    }

    fn write_data(&mut self, pool: &Pool<'_>, datagram: &mut Datagram<'_>) -> Result<(), TooSmall> {
        let first = self.sender.next_order;
        loop {
            let Some(segment) = self.sender.next_outgoing(pool, self.allowance()) else {
                if !self.flush.take_early() {
                    // Either something waits, or the window is so full that nothing could.
                    if self.sender.has_queued() || self.sender.free() == 0 {
                        self.flight.on_full();
                        self.pacer.on_full();
                    }
                    return Ok(());
                }
                self.sender.detect_early_losses(self.now);
                continue;
            };
            let header = Header {
                sn: segment.sn,
                fragment: segment.fragment,
                ts: wire_ms(self.now, self.clock_offset),
                len: u32::try_from(segment.data.len()).unwrap_or(0),
                ..self.header(Command::Push)
            };
            let sn = segment.sn;
            if self.sender.is_twin_since(sn, first) {
                // Two copies in one datagram would be lost together.
                return Ok(());
            }
            if !datagram.push(header, segment.data)? {
                return Ok(());
            }
            self.stats.segments_out += 1;
            self.stats.pushes_out += 1;
            self.waiting_since.get_or_insert(self.now);
            let cause = self.sender.mark_sent(sn, self.now, &mut self.stats);
            self.flight.on_sent(cause.is_some(), self.sender.pipe());
            match cause {
                None => {
                    self.pacer.on_sent();
                    self.flush.on_new_data();
                }
                Some(Cause::Fast) => {
                    self.stats.fast_retransmits += 1;
                    self.flush.losses.fast = true;
                }
                Some(Cause::Early) => {
                    self.stats.early_retransmits += 1;
                    self.flush.losses.fast = true;
                }
                Some(Cause::Timeout) => {
                    self.stats.timeout_retransmits += 1;
                    self.flush.losses.timeout = true;
                }
            }
            self.flush.is_open = true;
        }
    }

    fn write_probes(&mut self, datagram: &mut Datagram<'_>) -> Result<(), TooSmall> {
        if self.flush.ask_window && datagram.push(self.header(Command::AskWindow), &[])? {
            self.flush.ask_window = false;
            self.stats.segments_out += 1;
        }
        if self.flush.tell_window && datagram.push(self.header(Command::TellWindow), &[])? {
            self.flush.tell_window = false;
            self.stats.segments_out += 1;
        }
        Ok(())
    }

    /// Writes acks that are due; others ride along when there is room behind other segments.
    fn write_acks(&mut self, datagram: &mut Datagram<'_>) -> Result<(), TooSmall> {
        if !self.flush.acks_due && datagram.is_empty() {
            return Ok(());
        }
        while self.acks.len() > 0 && datagram.has_room(Header::LEN)? {
            if let Some((sn, ts)) = self.acks.pop(self.receiver.next()) {
                datagram.push(Header { sn, ts, ..self.header(Command::Ack) }, &[])?;
                self.stats.segments_out += 1;
            }
        }
        if self.acks.len() == 0 {
            self.flush.on_acks_written();
        }
        Ok(())
    }

    /// All that could leave has left: the congestion window learns what this took. Tells whether
    /// anything had left since the last flush ended.
    fn end_flush(&mut self) -> bool {
        if !core::mem::take(&mut self.flush.is_open) {
            return false;
        }
        let losses = core::mem::take(&mut self.flush.losses);
        let limit = self.allowance().window;
        self.congestion.on_flush(losses, self.sender.in_flight(), limit, self.config.resend);
        true
    }

    fn header(&self, command: Command) -> Header {
        Header {
            conv: self.conv,
            command,
            fragment: 0,
            window: self.receiver.free(),
            ts: WireMs::new(0),
            sn: Sn::new(0),
            una: self.receiver.next(),
            len: 0,
        }
    }

    /// Segments that may be in flight.
    pub(crate) fn allowance(&self) -> Allowance {
        let window = self.remote_window.min(u32::from(self.config.send_window));
        if self.config.congestion_control {
            let window = window.min(self.congestion.window());
            Allowance { window, flight: u32::MAX, is_now: true }
        } else {
            Allowance { window, flight: self.flight.limit(), is_now: self.pacer.is_ready() }
        }
    }
}
