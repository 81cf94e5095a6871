//! Bytes from the peer.

use proto_base::{Instant, Pool};

use super::{ACCEPT_BACKLOG, Body, Mux};
use crate::config::Role;
use crate::error::{ProtocolError, Reason};
use crate::parser::Frame;
use crate::slot::{Local, StreamId, due, news};
use crate::wire::Update;

/// What [`Mux::next_step`] found. In each case `taken` bytes of the input are done with, and the
/// next call wants what follows them (and follows what was delivered or stored).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The whole input was taken.
    NeedMore {
        /// Bytes taken: all.
        taken: usize,
    },
    /// The `len` bytes of the input behind `taken` belong to `stream`: hand them to
    /// [`Mux::deliver`] or [`Mux::store`], in one or several pieces, as far as they go.
    Body {
        /// Bytes taken before the body.
        taken: usize,
        /// Whose bytes they are.
        stream: StreamId,
        /// Bytes of the body that lie in the input, at least 1.
        len: usize,
        /// Whether they may be delivered directly: nothing older of the stream is unread.
        direct: bool,
    },
    /// The rest of the input must wait. [`Event::Unblocked`](crate::Event::Unblocked) tells when;
    /// asking earlier is harmless.
    Blocked {
        /// Bytes taken.
        taken: usize,
        /// What is missing.
        reason: Block,
    },
}

/// Why reading stands still. But for [`Refusals`](Self::Refusals), until some unread bytes are read
/// (or their stream aborted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The session buffer is used up, or (version 2) has no room for the initial window of one more
    /// stream.
    Session,
    /// All that a peer may send to this stream is unread (version 2).
    Stream(StreamId),
    /// One more stream has to be refused, but as many refusals as can be remembered wait to be sent
    /// ([`Mux::poll_control`]).
    Refusals,
    /// The pool has no memory. It may also come from elsewhere, so ask again when it has.
    Memory,
}

impl Mux<'_> {
    /// Looks at the next bytes from the peer, however they are split, and takes frames up to a body
    /// that is to be handed on. No body is copied:
    ///
    /// ```
    /// # #[cfg(feature = "alloc")] {
    /// # use proto_base::{Instant, Pool};
    /// # use smux_proto::{Config, Mux, MuxStorage, ProtocolError, Role, Step, StreamId};
    /// # fn write_to_socket(stream: StreamId, bytes: &[u8]) -> usize { bytes.len() / 2 }
    /// /// Takes what it can of `input` and returns the rest.
    /// fn feed<'i>(
    ///     mux: &mut Mux<'_>, now: Instant, pool: &mut Pool<'_>, mut input: &'i [u8],
    /// ) -> Result<&'i [u8], ProtocolError> {
    ///     loop {
    ///         match mux.next_step(now, input)? {
    ///             Step::NeedMore { taken } | Step::Blocked { taken, .. } => return Ok(&input[taken..]),
    ///             Step::Body { taken, stream, len, direct } => {
    ///                 let body = &input[taken..taken + len];
    ///                 let written = if direct { write_to_socket(stream, body) } else { 0 };
    ///                 mux.deliver(stream, written);
    ///                 let stored = mux.store(stream, pool, &body[written..]);
    ///                 input = &input[taken + written + stored..];
    ///                 if written + stored < len {
    ///                     return Ok(input);
    ///                 }
    ///             }
    ///         }
    ///     }
    /// }
    /// # let mut pool = Pool::owned(1 << 20, 4096).unwrap();
    /// # let mut mux = Mux::new(Role::Server, Config::default(), MuxStorage::owned(), 0, Instant::ZERO).unwrap();
    /// # let input = [1, 0, 0, 0, 3, 0, 0, 0, 1, 2, 2, 0, 3, 0, 0, 0, 7, 8];
    /// # assert_eq!(feed(&mut mux, Instant::ZERO, &mut pool, &input), Ok(&[][..]));
    /// # let stream = mux.accept().unwrap();
    /// # assert_eq!(mux.peek(stream, &pool), [8]);
    /// # mux.release(&mut pool);
    /// # }
    /// ```
    ///
    /// Bodies of streams that are not there (any more) are taken and dropped.
    ///
    /// # Errors
    /// What the peer did wrong. The session is over then, and the answer stays the same. A session
    /// that ended otherwise takes all bytes and ignores them.
    pub fn next_step(&mut self, now: Instant, bytes: &[u8]) -> Result<Step, ProtocolError> {
        self.clock.see(now);
        match self.death {
            None => {}
            Some(Reason::Protocol(error)) => return Err(error),
            Some(_) => return Ok(Step::NeedMore { taken: bytes.len() }),
        }
        let mut taken = 0;
        loop {
            if let Some(wire) = self.held_syn
                && !self.admit(wire)
            {
                return Ok(Step::Blocked { taken, reason: Block::Session });
            }
            let rest = bytes.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(Step::NeedMore { taken });
            }
            if let Some(body) = self.body {
                match self.offer(body, taken, rest.len()) {
                    Ok(step) => return Ok(step),
                    Err(dropped) => taken += dropped,
                }
                continue;
            }
            match self.parser.next(rest) {
                Ok((used, frame)) => {
                    taken += used;
                    self.clock.heard();
                    if let Some(frame) = frame {
                        self.handle_frame(frame);
                    }
                }
                Err(error) => {
                    self.die(Reason::Protocol(error));
                    return Err(error);
                }
            }
        }
    }

    /// The first `count` bytes of the current body went straight to their reader. They count as
    /// read. Only for bodies that a [`Step`] called `direct`; returns how many bytes were counted.
    pub fn deliver(&mut self, stream: StreamId, count: usize) -> usize {
        let Some((at, left)) = self.current_body(stream) else { return 0 };
        let count = count.min(left);
        if count == 0 || !self.streams[at].stored.is_empty() {
            return 0;
        }
        self.body_taken(at, count);
        self.note_read(at, count);
        self.resume();
        count
    }

    /// Keeps the next bytes of the current body in the stream's queue; returns how many there was
    /// room for. Fewer than `bytes`: reading stands still, see [`Step::Blocked`].
    pub fn store(&mut self, stream: StreamId, pool: &mut Pool<'_>, bytes: &[u8]) -> usize {
        let Some((at, left)) = self.current_body(stream) else { return 0 };
        let offered = bytes.len().min(left);
        if offered == 0 {
            return 0;
        }
        let fitting = offered.min(self.room(at));
        let count = self.streams[at].stored.push(pool, &bytes[..fitting]);
        self.unread += count;
        self.body_taken(at, count);
        if count > 0 {
            self.resume();
            self.add_news(at, news::READABLE);
        }
        if count < fitting {
            self.stand_still(Block::Memory);
        } else if count < offered {
            self.stand_still(self.full_because(at));
        }
        count
    }

    /// Takes bytes from the peer and stores all bodies. Returns how many bytes were taken; fewer
    /// than given means that reading stands still until [`Event::Unblocked`](crate::Event) (or the
    /// pool has memory again), and the rest is to be given again then.
    ///
    /// # Errors
    /// As [`next_step`](Self::next_step).
    pub fn handle_bytes(
        &mut self,
        now: Instant,
        pool: &mut Pool<'_>,
        bytes: &[u8],
    ) -> Result<usize, ProtocolError> {
        let mut done = 0;
        loop {
            match self.next_step(now, &bytes[done..])? {
                Step::NeedMore { taken } | Step::Blocked { taken, .. } => return Ok(done + taken),
                Step::Body { taken, stream, len, .. } => {
                    done += taken;
                    let stored = self.store(stream, pool, &bytes[done..done + len]);
                    done += stored;
                    if stored < len {
                        return Ok(done);
                    }
                }
            }
        }
    }

    fn handle_frame(&mut self, frame: Frame) {
        self.stats.frames_in += 1;
        match frame {
            Frame::Nop(0) | Frame::Psh(_, 0) => {}
            Frame::Nop(wire) => {
                if let Some(at) = self.streams.find(wire) {
                    self.streams[at].peer_reads = true;
                }
            }
            Frame::Syn(wire) => self.held_syn = Some(wire),
            Frame::Psh(wire, length) => {
                let stream = self
                    .streams
                    .find(wire)
                    .filter(|&at| {
                        let slot = &self.streams[at];
                        slot.local != Local::Aborted && !slot.peer_finished
                    })
                    .map(|at| self.streams.id(at));
                self.body = Some(Body { stream, left: usize::from(length) });
            }
            Frame::Fin(wire) => {
                if let Some(at) = self.streams.find(wire) {
                    self.handle_fin(at);
                }
            }
            Frame::Upd(wire, update) => {
                if let Some(at) = self.streams.find(wire) {
                    self.handle_update(at, update);
                }
            }
        }
    }

    fn handle_fin(&mut self, at: u32) {
        let slot = &mut self.streams[at];
        if slot.local == Local::Aborted {
            return;
        }
        if slot.peer_finished {
            // Said again, it means that nobody reads what we send.
            if slot.local == Local::Open {
                self.end_sending(at);
                self.add_news(at, news::FAILED);
            }
            return;
        }
        slot.peer_finished = true;
        // Nothing more comes, so the peer needs no window and no word that it is read.
        slot.due &= !(due::UPD | due::READS);
        if slot.due == 0 {
            self.control.remove(self.streams.slots(), at);
        }
        self.add_news(at, news::FINISHED);
        self.check_end(at);
    }

    fn handle_update(&mut self, at: u32, update: Update) {
        if self.streams[at].local != Local::Open {
            return;
        }
        let could_send = self.may_send(at);
        let slot = &mut self.streams[at];
        if !slot.window.update(update) && !slot.bad_update {
            slot.bad_update = true;
            self.add_news(at, news::FAILED);
        }
        if !could_send && self.may_send(at) {
            self.add_news(at, news::WRITABLE);
        }
        self.refresh_turn(at);
    }

    /// Opens the stream of a SYN, or refuses it. `false`: it has to wait.
    pub(super) fn admit(&mut self, wire: u32) -> bool {
        if self.streams.find(wire).is_some() {
            self.held_syn = None;
            return true;
        }
        let is_ours = (wire & 1 == 1) == (self.role == Role::Client);
        if !is_ours && !self.fits_a_window() {
            self.stand_still(Block::Session);
            return false;
        }
        let has_place = !is_ours && self.backlog.len() < ACCEPT_BACKLOG;
        let place = if has_place { self.streams.insert(wire) } else { None };
        if place.is_none() && !is_ours && self.refusals.is_full() {
            self.stand_still(Block::Refusals);
            return false;
        }
        self.held_syn = None;
        self.resume();
        if let Some(at) = place {
            self.streams[at].opened_at = self.clock.now();
            self.backlog.push(self.streams.slots(), at);
            self.incoming = true;
            self.stats.incoming += 1;
        } else {
            self.stats.refused += 1;
            if !is_ours {
                self.refusals.push(wire);
            }
        }
        true
    }

    /// Looks again at a SYN that waited for room among the refusals, or for a place.
    pub(super) fn retry_refused(&mut self) {
        if self.block == Some(Block::Refusals)
            && let Some(wire) = self.held_syn
            && self.admit(wire)
        {
            self.unblocked = true;
        }
    }

    /// What to do with the body whose next `len` bytes (or fewer) are here; `Err`: so many of them
    /// are dropped.
    fn offer(&mut self, body: Body, taken: usize, len: usize) -> Result<Step, usize> {
        self.clock.heard();
        let len = len.min(body.left);
        let Some((stream, at)) = body.stream.and_then(|id| Some((id, self.streams.get(id)?)))
        else {
            self.stats.dropped += len as u64;
            self.shorten_body(len);
            // The stream was what reading waited for.
            self.resume();
            return Err(len);
        };
        let direct = self.streams[at].stored.is_empty();
        if !direct && self.room(at) == 0 {
            let reason = self.full_because(at);
            self.stand_still(reason);
            return Ok(Step::Blocked { taken, reason });
        }
        Ok(Step::Body { taken, stream, len, direct })
    }

    /// Why a stream has no room.
    fn full_because(&self, at: u32) -> Block {
        if self.unread >= self.config.session_buffer {
            Block::Session
        } else {
            Block::Stream(self.streams.id(at))
        }
    }

    /// Slot of `stream` and what is left of its body, if that is what the byte stream is at.
    fn current_body(&self, stream: StreamId) -> Option<(u32, usize)> {
        let body = self.body.filter(|body| body.stream == Some(stream))?;
        Some((self.streams.get(stream)?, body.left))
    }

    fn body_taken(&mut self, at: u32, count: usize) {
        self.stats.bytes_in += count as u64;
        self.streams[at].bytes_in += count as u64;
        self.shorten_body(count);
    }

    fn shorten_body(&mut self, count: usize) {
        if let Some(body) = &mut self.body {
            body.left -= count.min(body.left);
            if body.left == 0 {
                self.body = None;
            }
        }
    }
}
