//! Frames to the peer.

use proto_base::Instant;

use super::Mux;
use crate::error::SendError;
use crate::slot::{Local, StreamId, due, news};
use crate::wire::{Command, ControlFrame, HEADER_LEN, Header, Version};

impl Mux<'_> {
    /// The next frame without data: SYN, UPD and FIN of streams, refusals, and NOP when nothing was
    /// sent for the keepalive interval. Write all of them before frames of data. A frame taken
    /// counts as sent.
    ///
    /// The original sends its NOPs even while other frames leave. A peer only looks whether any
    /// frame came (smux, session.go, `keepalive`), so the saving does no harm.
    pub fn poll_control(&mut self, now: Instant) -> Option<ControlFrame> {
        self.clock.see(now);
        if self.death.is_some() {
            return None;
        }
        let version = self.config.version;
        let frame = if let Some(at) = self.control.pop(self.streams.slots()) {
            self.control_frame(at)
        } else if let Some(wire) = self.refusals.pop() {
            self.retry_refused();
            ControlFrame::new(version, Command::Fin, wire)
        } else if self.clock.is_nop_due() {
            ControlFrame::new(version, Command::Nop, 0)
        } else {
            return None;
        };
        self.clock.spoke();
        self.stats.frames_out += 1;
        Some(frame)
    }

    /// Begins a frame of `len` bytes of data: the header to write, directly behind which the caller
    /// writes the body. The bytes count as sent.
    ///
    /// # Errors
    /// When the frame cannot be sent (now); nothing has changed then.
    pub fn begin_frame(&mut self, id: StreamId, len: usize) -> Result<[u8; HEADER_LEN], SendError> {
        if self.death.is_some() {
            return Err(SendError::Dead);
        }
        let at = self.streams.get(id).ok_or(SendError::UnknownStream)?;
        let slot = &self.streams[at];
        if slot.local != Local::Open {
            return Err(SendError::Finished);
        } else if slot.due & due::SYN != 0 {
            return Err(SendError::ControlFirst);
        } else if slot.bad_update {
            return Err(SendError::BadUpdate);
        } else if len == 0 {
            return Err(SendError::Empty);
        }
        let room = self.frame_room(at);
        let length = u16::try_from(len)
            .ok()
            .filter(|_| len <= room)
            .ok_or(SendError::WindowFull { room })?;
        self.streams[at].window.sent(u32::from(length));
        self.streams[at].bytes_out += u64::from(length);
        self.refresh_turn(at);
        self.clock.spoke();
        self.stats.frames_out += 1;
        self.stats.bytes_out += u64::from(length);
        let version = self.config.version;
        Ok(Header { version, command: Command::Psh, length, stream: id.wire() }.emit())
    }

    /// Tells whether the application has bytes to send to a stream, for
    /// [`next_sender`](Self::next_sender). `false`: no such stream, or it is finished here.
    pub fn want_send(&mut self, id: StreamId, wants: bool) -> bool {
        let Some(at) = self.streams.get(id).filter(|&at| self.streams[at].local == Local::Open)
        else {
            return false;
        };
        self.streams[at].wants = wants;
        self.refresh_turn(at);
        true
    }

    /// The stream whose turn it is to send a frame: round robin over those that want to and have
    /// window. Each call passes the turn on; a stream keeps taking part until
    /// [`want_send`](Self::want_send) says otherwise or it is finished.
    pub fn next_sender(&mut self) -> Option<StreamId> {
        if self.death.is_some() {
            return None;
        }
        let at = self.scheduler.next(self.streams.slots())?;
        Some(self.streams.id(at))
    }

    /// Whether [`next_sender`](Self::next_sender) has a stream.
    #[must_use]
    pub const fn has_sender(&self) -> bool {
        self.death.is_none() && !self.scheduler.is_empty()
    }

    /// Whether [`poll_control`](Self::poll_control) has a frame, by the latest time seen.
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.death.is_none()
            && (!self.control.is_empty() || self.refusals.len > 0 || self.clock.is_nop_due())
    }

    /// Largest body, in bytes, that [`begin_frame`](Self::begin_frame) takes for a stream now: the
    /// configured frame size, in version 2 also bounded by the peer's window. 0: none, wait for
    /// [`Event::Writable`](crate::Event::Writable).
    #[must_use]
    pub fn send_window(&self, id: StreamId) -> usize {
        match self.streams.get(id) {
            Some(at) if self.may_send(at) => self.frame_room(at),
            _ => 0,
        }
    }

    pub(super) fn may_send(&self, at: u32) -> bool {
        self.death.is_none() && self.streams[at].is_writable() && self.frame_room(at) > 0
    }

    /// Lets the scheduler know what has changed for a stream.
    pub(super) fn refresh_turn(&mut self, at: u32) {
        let may_send = self.may_send(at);
        self.scheduler.refresh(self.streams.slots(), at, may_send);
    }

    fn frame_room(&self, at: u32) -> usize {
        let max_frame = usize::from(self.config.max_frame);
        match self.config.version {
            Version::V1 => max_frame,
            Version::V2 => max_frame.min(self.streams[at].window.room()),
        }
    }

    /// The first frame due of a stream that was taken out of the list.
    fn control_frame(&mut self, at: u32) -> ControlFrame {
        let version = self.config.version;
        let slot = &mut self.streams[at];
        let (wire, first) = (slot.wire, slot.due & slot.due.wrapping_neg());
        slot.due &= !first;
        if slot.due != 0 {
            self.control.push(self.streams.slots(), at);
        }
        match first {
            due::SYN => {
                // Whoever opened it may not have known the time.
                self.streams[at].opened_at = self.clock.now();
                if self.may_send(at) {
                    self.add_news(at, news::WRITABLE);
                }
                self.refresh_turn(at);
                ControlFrame::new(version, Command::Syn, wire)
            }
            due::UPD => {
                let update = self.streams[at].reads.tell(self.config.stream_buffer);
                ControlFrame::update(version, wire, update)
            }
            due::READS => ControlFrame::new(version, Command::Nop, wire),
            _ => {
                self.fin_sent(at);
                ControlFrame::new(version, Command::Fin, wire)
            }
        }
    }

    fn fin_sent(&mut self, at: u32) {
        if self.streams[at].local == Local::Aborted {
            if self.streams[at].due == 0 {
                self.streams.free(at);
            }
        } else {
            self.streams[at].local = Local::Finished;
            self.check_end(at);
        }
    }
}
