//! What waits to be written, and the datagram it is written to.
//!
//! The original empties everything that is due in one long function. Here a flush is state: flags
//! and lists of what is due, from which each `poll_transmit` takes as much as one datagram holds.

use proto_base::Instant;

use crate::congestion::Losses;
use crate::error::TooSmall;
use crate::receiver::Receiver;
use crate::wire::Header;

/// Flags and deadlines of output other than data.
#[derive(Debug)]
pub(crate) struct Flush {
    pub(crate) ask_window: bool,
    pub(crate) tell_window: bool,
    pub(crate) acks_due: bool,
    acks_at: Option<Instant>,
    /// Repeat what was overtaken once there is nothing new to send.
    early: bool,
    early_at: Option<Instant>,
    /// Window that the peer was told last, in segments.
    pub(crate) told_window: u16,
    /// Data left since the last flush ended.
    pub(crate) is_open: bool,
    pub(crate) losses: Losses,
    /// A writer found the window or the memory used up.
    pub(crate) writer_waits: bool,
}

impl Flush {
    pub(crate) fn new(told_window: u16) -> Self {
        Self {
            ask_window: false,
            tell_window: false,
            acks_due: false,
            acks_at: None,
            early: false,
            early_at: None,
            told_window,
            is_open: false,
            losses: Losses::default(),
            writer_waits: false,
        }
    }

    /// An ack was queued, and leaves at `at` unless others leave sooner.
    pub(crate) fn want_acks(&mut self, at: Instant) {
        self.acks_at.get_or_insert(at);
    }

    pub(crate) fn want_acks_now(&mut self) {
        self.acks_due = true;
    }

    pub(crate) fn on_acks_written(&mut self) {
        self.acks_due = false;
        self.acks_at = None;
    }

    /// The reader made room. A peer that believes the window shut, or nearly, is told at once.
    pub(crate) fn on_window(&mut self, receiver: &Receiver<'_>) {
        let (free, told) = (receiver.free(), self.told_window);
        let half = u16::try_from(receiver.window() / 2).unwrap_or(u16::MAX).max(1);
        if free > told && (told == 0 || (told < half / 2 && free - told >= half)) {
            self.tell_window = true;
        }
    }

    pub(crate) fn arm_early(&mut self) {
        self.early = true;
        self.early_at = None;
    }

    pub(crate) fn arm_early_at(&mut self, at: Instant) {
        self.early_at.get_or_insert(at);
    }

    /// New data left: there was something better to do than early repetition.
    pub(crate) fn on_new_data(&mut self) {
        self.early = false;
    }

    /// Whether early repetition is asked for; asks are answered once.
    pub(crate) fn take_early(&mut self) -> bool {
        core::mem::take(&mut self.early)
    }

    pub(crate) fn is_early_armed(&self) -> bool {
        self.early
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.acks_at.is_some_and(|at| at <= now) {
            self.acks_due = true;
            self.acks_at = None;
        }
        if self.early_at.is_some_and(|at| at <= now) {
            self.arm_early();
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.ask_window || self.tell_window
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        Instant::earliest(self.acks_at, self.early_at)
    }
}

/// A datagram being filled with segments.
#[derive(Debug)]
pub(crate) struct Datagram<'a> {
    out: &'a mut [u8],
    at: usize,
    /// Bytes a datagram may have.
    limit: usize,
}

impl<'a> Datagram<'a> {
    pub(crate) fn new(out: &'a mut [u8], limit: usize) -> Self {
        Self { out, at: 0, limit }
    }

    /// Whether `need` more bytes fit.
    ///
    /// # Errors
    /// When the datagram is empty and the caller's slice is too short even for this.
    pub(crate) fn has_room(&self, need: usize) -> Result<bool, TooSmall> {
        if self.at + need <= self.limit.min(self.out.len()) {
            return Ok(true);
        }
        if self.at == 0 { Err(TooSmall { need: need.min(self.limit) }) } else { Ok(false) }
    }

    /// Appends a segment; `false` when it belongs to the next datagram.
    pub(crate) fn push(&mut self, header: Header, data: &[u8]) -> Result<bool, TooSmall> {
        if !self.has_room(Header::LEN + data.len())? {
            return Ok(false);
        }
        let (head, body) = self.out[self.at..].split_at_mut(Header::LEN);
        head.copy_from_slice(&header.emit());
        body[..data.len()].copy_from_slice(data);
        self.at += Header::LEN + data.len();
        Ok(true)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == 0
    }

    pub(crate) fn finish(self) -> usize {
        self.at
    }
}
