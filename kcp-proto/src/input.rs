//! The way in: a datagram of segments, handed on one by one.

use core::time::Duration;

use proto_base::{Instant, Pool};

use crate::error::PacketError;
use crate::event::Event;
use crate::kcp::{Kcp, Via, wire_ms};
use crate::receiver::Insert;
use crate::wire::{Command, Header, Segments, Sn, WireMs};

impl Kcp<'_> {
    /// Takes a datagram of segments. It is checked whole before anything of it is applied.
    ///
    /// # Errors
    /// Says why the datagram was refused; it is counted and the conversation goes on.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        pool: &mut Pool<'_>,
        packet: &[u8],
        via: Via,
    ) -> Result<(), PacketError> {
        self.advance(now);
        let segments = Segments::parse(self.conv, packet).inspect_err(|_| {
            self.stats.bad_packets += 1;
        })?;
        self.last_heard = self.now;
        if core::mem::take(&mut self.is_suspect) {
            self.sender.resumed_at = Some(self.now);
        }
        let (in_order, acknowledged) = (self.receiver.next(), self.sender.una());
        let could_send = self.sender.free() > 0;
        let mut input = Input::default();
        for (header, data) in segments {
            self.handle_segment(pool, header, data, via, &mut input);
        }
        let una = self.sender.una();
        if una == Sn::new(0) {
            // At the start, or where the numbers wrap: una 0 is what acks say.
            self.settled_at = None;
        } else if self.settled_at.is_none() || una.get() < acknowledged.get() {
            self.settled_at = (input.freed > 0).then_some(self.now);
        }
        self.conclude(via, input);
        if self.receiver.next() != in_order {
            self.events.set(Event::Readable);
        }
        if input.freed > 0 && (!could_send || self.flush.writer_waits) {
            self.flush.writer_waits = false;
            self.events.set(Event::Writable);
        }
        Ok(())
    }

    fn handle_segment(
        &mut self,
        pool: &mut Pool<'_>,
        header: Header,
        data: &[u8],
        via: Via,
        input: &mut Input,
    ) {
        self.stats.segments_in += 1;
        if via == Via::Direct {
            self.remote_window = u32::from(header.window);
        }
        if header.command == Command::Ack {
            // Before una frees the segment: which transmission arrived is evidence.
            let (now, offset) = (self.now, self.clock_offset);
            self.sender.handle_ack(
                header.sn,
                header.ts,
                |at| wire_ms(at, offset),
                now,
                &self.rtt,
                &mut self.stats,
            );
            self.is_proven = self.is_proven || self.is_echo(header);
            input.last_ack = Some(header.ts);
        }
        input.freed +=
            self.sender.handle_una(pool, header.una, self.now, &self.rtt, &mut self.stats);
        match header.command {
            Command::Push => self.handle_push(pool, header, data, via),
            Command::Ack => self.note_restart(header),
            Command::AskWindow => self.flush.tell_window = true,
            Command::TellWindow => {}
        }
    }

    /// Whether an ack repeats a time that our wire clock has shown since the conversation began. Its
    /// offset is random, so who has not received anything of ours guesses one in 2^32 for each
    /// millisecond of that time. (Whether the segment is still in flight does not matter: in traffic
    /// both ways the una of the data in front of the ack has freed it.)
    fn is_echo(&self, ack: Header) -> bool {
        let age = wire_ms(self.now, self.clock_offset).ahead_of(ack.ts);
        let life = (self.now - self.started).as_millis();
        u128::try_from(age).is_ok_and(|age| age <= life) && ack.sn.is_before(self.sender.next)
    }

    fn handle_push(&mut self, pool: &mut Pool<'_>, header: Header, data: &[u8], via: Via) {
        let result = self.receiver.insert(pool, header.sn, header.fragment, data);
        match result {
            Insert::New | Insert::Repeated => {
                self.rhythm.on_push(result == Insert::Repeated && via == Via::Direct);
                self.push_ack(header.sn, header.ts);
            }
            // The original says nothing (kcp-go 5.6.1, kcp.go, `Input`). When nothing at all has
            // come in order, the peer probably speaks to one that we replace: an ack of the number
            // before the first, which nobody waits for, tells it that we start from 0.
            Insert::OutOfWindow if self.receiver.next() == Sn::new(0) => {
                self.push_ack(Sn::new(u32::MAX), header.ts);
            }
            Insert::OutOfWindow => {}
            Insert::NoMemory => self.stats.no_memory += 1,
        }
        if via == Via::Direct && matches!(result, Insert::Repeated | Insert::OutOfWindow) {
            self.stats.repeated += 1;
        }
    }

    fn push_ack(&mut self, sn: Sn, ts: WireMs) {
        self.acks.push(sn, ts);
        let batch = (self.rhythm.batch())
            .min((self.receiver.window() as usize).div_ceil(2))
            .min(self.acks.limit());
        if self.config.ack_no_delay || self.acks.len() >= batch {
            self.flush.want_acks_now();
        } else {
            self.flush.want_acks(self.rhythm.leave_at(self.now, self.config.interval));
        }
    }

    /// The reader freed slots and memory.
    pub(crate) fn on_read(&mut self) {
        self.flush.on_window(&self.receiver);
        // A writer may wait for this memory; one that waits for the window does not.
        if self.flush.writer_waits && self.sender.free() > 0 {
            self.flush.writer_waits = false;
            self.events.set(Event::Writable);
        }
    }

    /// After all segments of a datagram.
    fn conclude(&mut self, via: Via, input: Input) {
        self.probe.on_window(self.remote_window, self.now);
        if let (Some(ts), Via::Direct) = (input.last_ack, via) {
            let rtt = wire_ms(self.now, self.clock_offset).ahead_of(ts);
            // A peer that slept acknowledges what came before: its sleep is no round trip.
            let heard_for = self.sender.resumed_at.map(|resumed| (self.now - resumed).as_millis());
            if heard_for.is_none_or(|time| u128::try_from(rtt).is_ok_and(|rtt| rtt <= time)) {
                self.rtt.sample(rtt, self.now);
            }
        }
        if input.freed > 0 {
            self.congestion.on_progress(self.remote_window);
        }
        let delivered = self.sender.take_delivered();
        self.flight.on_delivered(self.now, delivered, self.rtt.smoothed());
        if let Some((smoothed, shortest)) = self.rtt.smoothed().zip(self.rtt.shortest()) {
            let window = self.flight_limit();
            self.pacer.on_delivered(delivered, smoothed, shortest, window);
        }
        self.waiting_since = (self.sender.in_flight() > 0).then_some(self.now);
        if self.waiting_since.is_none() {
            self.flight.on_pause();
            self.pacer.on_pause();
        }
        self.sender.detect_losses(self.now);
        if input.freed > 0 {
            self.flush.arm_early();
        }
        if input.last_ack.is_some()
            && let Some(at) = self.sender.overtaken_at()
        {
            let soonest = self.now + self.config.interval / 2;
            if input.freed == 0 {
                self.flush.arm_early_at(at.max(soonest));
            } else if at > self.now {
                self.flush.arm_early_at(at);
            }
        }
    }

    /// A receiver's una never goes back. An ack of a recent transmission that says una 0 after it
    /// had been more is proof that the peer started over.
    fn note_restart(&mut self, ack: Header) {
        let Some(settled) = self.settled_at.filter(|_| ack.una == Sn::new(0)) else { return };
        let age = wire_ms(self.now, self.clock_offset).ahead_of(ack.ts);
        let is_recent = u64::try_from(age)
            .is_ok_and(|age| self.now - settled > Duration::from_millis(age.saturating_add(1)));
        if self.sender.una() != Sn::new(0) && is_recent {
            self.events.set(Event::PeerRestarted);
        }
    }
}

/// What the segments of one datagram amounted to.
#[derive(Debug, Default, Clone, Copy)]
struct Input {
    /// Segments that una passed.
    freed: u32,
    /// Clock echoed by the last ack.
    last_ack: Option<WireMs>,
}
