//! The send side: segments queued and in flight, and what is lost among them.

use core::time::Duration;

use proto_base::{Buf, Instant, Pool, SeqRing, Storage};

use crate::evidence::Evidence;
use crate::order::Lists;
use crate::rtt::Rtt;
use crate::stats::Stats;
use crate::tx_segment::{Cause, Place, Transmission, Twin, TxSegment};
use crate::wire::{Sn, WireMs};

/// Timeouts of one segment after which its wait grows no further, so that a stream that outlived
/// an outage of hours is back within seconds. The original has no ceiling.
const MAX_BACK_OFF: u32 = 31;

/// A chunk of pool memory that holds the data of one or more segments.
#[derive(Debug, Default)]
pub struct Chunk(pub(crate) Option<Buf>);

/// What may be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// Segments from una to the last one sent.
    pub(crate) window: u32,
    /// Segments in the network (the "pipe").
    pub(crate) flight: u32,
    /// A new segment need not wait for its time.
    pub(crate) is_now: bool,
}

/// A segment ready to be written: header fields that belong to it, and where its data is.
pub(crate) struct Outgoing<'p> {
    pub(crate) sn: Sn,
    pub(crate) fragment: u8,
    pub(crate) data: &'p [u8],
}

/// Segments from the first unacknowledged one to the last one queued.
///
/// ```text
///      una                 next               end
///        |    in flight     |      queued      |
///   -----+------------------+------------------+-----> sn
/// ```
///
/// Data lies in chunks of pool memory, filled one after the other; a segment is a range of a chunk,
/// so bytes are written once, where they stay until una passes them.
#[derive(Debug)]
pub(crate) struct Sender<'s> {
    pub(crate) segments: SeqRing<'s, TxSegment>,
    pub(crate) una: Sn,
    pub(crate) next: Sn,
    pub(crate) end: Sn,
    pub(crate) window: u32,
    pub(crate) mss: usize,
    pub(crate) is_stream: bool,
    pub(crate) nodelay: bool,

    pub(crate) chunks: SeqRing<'s, Chunk>,
    pub(crate) first_chunk: u32,
    pub(crate) chunk_count: u32,
    /// Bytes of the last chunk that are taken.
    pub(crate) filled: usize,
    /// Bytes behind what is filled that are lent to a writer.
    pub(crate) lent: usize,

    pub(crate) lists: Lists,
    pub(crate) evidence: Evidence,
    /// Number that the next transmission gets.
    pub(crate) next_order: Transmission,
    /// When a segment was last found to have arrived.
    pub(crate) last_progress: Instant,
    /// When a peer that had been silent for long was heard again.
    pub(crate) resumed_at: Option<Instant>,
    /// Segments found to have arrived, not reported yet.
    pub(crate) delivered: u32,
}

impl<'s> Sender<'s> {
    pub(crate) fn new(
        segments: Storage<'s, TxSegment>,
        chunks: Storage<'s, Chunk>,
        config: &crate::Config,
    ) -> Self {
        let window = usize::from(config.send_window);
        let segments = SeqRing::new(segments, window);
        let chunks = SeqRing::new(chunks, window + 1);
        let fits = segments.limit().min(window).min(chunks.limit());
        Self {
            segments,
            una: Sn::default(),
            next: Sn::default(),
            end: Sn::default(),
            window: u32::try_from(fits).unwrap_or(u32::MAX),
            mss: config.mss(),
            is_stream: config.mode == crate::Mode::Stream,
            nodelay: config.nodelay,
            chunks,
            first_chunk: 0,
            chunk_count: 0,
            filled: 0,
            lent: 0,
            lists: Lists::default(),
            evidence: Evidence::new(config.resend),
            next_order: Transmission::default(),
            last_progress: Instant::ZERO,
            resumed_at: None,
            delivered: 0,
        }
    }

    /// The peer has everything before `una`. Tells how many segments that freed.
    pub(crate) fn handle_una(
        &mut self,
        pool: &mut Pool<'_>,
        una: Sn,
        now: Instant,
        rtt: &Rtt,
        stats: &mut Stats,
    ) -> u32 {
        let una = if self.next.is_before(una) { self.next } else { una };
        let hole = self.una;
        let mut freed = 0;
        while self.una.is_before(una) {
            let segment = &self.segments[self.una.get()];
            let chunk = segment.chunk;
            if segment.place != Place::Acked {
                // Sooner than any round trip after a repetition: the first one had arrived.
                let soon = rtt.shortest().map_or(Duration::ZERO, |rtt| rtt * 3 / 4);
                let is_repeated = segment.transmissions > 1 && segment.twin == Twin::No;
                if is_repeated && now - segment.sent_at < soon {
                    stats.spurious_retransmits += 1;
                    // What una waited for came late; of what lay behind it only the ack was lost.
                    if self.una == hole {
                        self.evidence.on_disorder(segment.cause, rtt);
                    }
                }
                self.lists.unlink(&mut self.segments, self.una.get());
                self.last_progress = now;
                self.delivered += 1;
            }
            self.una += 1;
            freed += 1;
            let keep = (self.una != self.end).then(|| self.segments[self.una.get()].chunk);
            if keep != Some(chunk) {
                self.release_chunks(pool, keep);
            }
        }
        freed
    }

    /// The peer acknowledges the transmission of `sn` stamped `ts`.
    pub(crate) fn handle_ack(
        &mut self,
        sn: Sn,
        ts: WireMs,
        wire: impl Fn(Instant) -> WireMs,
        now: Instant,
        rtt: &Rtt,
        stats: &mut Stats,
    ) {
        if sn.is_before(self.una) || !sn.is_before(self.next) {
            return;
        }
        let segment = &mut self.segments[sn.get()];
        if segment.place == Place::Acked {
            return;
        }
        if wire(segment.sent_at) == ts {
            self.evidence.on_ack(segment.order, now - segment.sent_at);
        } else if segment.transmissions > 1 && segment.twin == Twin::No {
            stats.spurious_retransmits += 1;
            self.evidence.on_disorder(segment.cause, rtt);
        }
        self.lists.unlink(&mut self.segments, sn.get());
        self.segments[sn.get()].place = Place::Acked;
        self.last_progress = now;
        self.delivered += 1;
    }

    /// Takes segments that `resend` later transmissions overtook to the resend list.
    pub(crate) fn detect_losses(&mut self, now: Instant) {
        let Some(mark) = self.evidence.fast_mark() else { return };
        self.take_overtaken(mark, Cause::Fast, now);
    }

    /// Takes segments that any later transmission overtook to the resend list.
    pub(crate) fn detect_early_losses(&mut self, now: Instant) {
        let Some(mark) = self.evidence.newest() else { return };
        self.take_overtaken(mark, Cause::Early, now);
    }

    /// When the first segment that was overtaken by an acknowledged later transmission has had the
    /// time that disorder on this path takes; `None` when no segment was.
    pub(crate) fn overtaken_at(&self) -> Option<Instant> {
        let mark = self.evidence.newest()?;
        let heads = self.lists.heads();
        heads.filter_map(|(_, head)| self.lost_at(&self.segments[head], mark)).min()
    }

    /// Whether that time is up.
    pub(crate) fn is_overtaken(&self, now: Instant) -> bool {
        self.overtaken_at().is_some_and(|at| at <= now)
    }

    /// Takes segments whose time is up to the resend list.
    pub(crate) fn handle_timeout(&mut self, now: Instant, rtt: &Rtt) {
        self.detect_losses(now);
        for list in 0..Lists::IN_FLIGHT {
            while let Some(head) = self.lists.head(list) {
                if self.due(&self.segments[head], rtt) > now {
                    break;
                }
                let segment = &mut self.segments[head];
                segment.cause = Cause::Timeout;
                segment.timeouts = segment.timeouts.saturating_add(1);
                self.lists.move_to(&mut self.segments, head, Place::Resend);
            }
        }
    }

    /// The segment to transmit next: one to repeat, else a new one if allowed.
    pub(crate) fn next_outgoing<'p>(
        &self,
        pool: &'p Pool<'_>,
        allowed: Allowance,
    ) -> Option<Outgoing<'p>> {
        let number = match self.lists.resend() {
            Some(number) => number,
            None if self.has_new(allowed) => self.next.get(),
            None => return None,
        };
        let segment = &self.segments[number];
        let from = usize::from(segment.offset);
        let data = match &self.chunks[segment.chunk].0 {
            Some(buf) => &pool.bytes(buf)[from..from + usize::from(segment.len)],
            None => &[],
        };
        Some(Outgoing { sn: Sn::new(number), fragment: segment.fragment, data })
    }

    /// Whether this is the second of two copies, and the first left with, or after, the transmission
    /// numbered `first`.
    pub(crate) fn is_twin_since(&self, sn: Sn, first: Transmission) -> bool {
        let segment = &self.segments[sn.get()];
        segment.twin == Twin::Due && !segment.order.is_before(first)
    }

    /// The segment given by [`Self::next_outgoing`] was written. Tells why it had to be repeated,
    /// `None` for a first transmission.
    pub(crate) fn mark_sent(&mut self, sn: Sn, now: Instant, stats: &mut Stats) -> Option<Cause> {
        let order = self.next_order;
        self.next_order += 1;
        let segment = &mut self.segments[sn.get()];
        segment.order = order;
        segment.sent_at = now;
        segment.transmissions = segment.transmissions.saturating_add(1);
        if segment.transmissions == DEAD_LINK {
            stats.dead_link += 1;
        }
        let cause = (segment.transmissions > 1).then_some(segment.cause);
        match cause {
            None => self.next += 1,
            Some(Cause::Fast | Cause::Early) => segment.timeouts = 0,
            Some(Cause::Timeout) => {}
        }
        let is_lost_again = segment.transmissions >= TWICE && cause != Some(Cause::Timeout);
        segment.twin = match segment.twin {
            Twin::Due => Twin::Sent,
            _ if is_lost_again => Twin::Due,
            _ => Twin::No,
        };
        let place = match segment.twin {
            // Behind what else is to be repeated, so that one burst of loss does not take both.
            Twin::Due => Place::Resend,
            _ => Place::InFlight(u8::try_from(segment.timeouts).unwrap_or(u8::MAX)),
        };
        self.lists.move_to(&mut self.segments, sn.get(), place);
        cause
    }

    /// When the next segment in flight times out, or has been waited for long enough after it was
    /// overtaken.
    pub(crate) fn deadline(&self, rtt: &Rtt) -> Option<Instant> {
        let mark = self.evidence.fast_mark();
        let heads = self.lists.heads().map(|(_, head)| &self.segments[head]);
        heads.fold(None, |first, segment| {
            let lost_at = mark.and_then(|mark| self.lost_at(segment, mark));
            let next = Instant::earliest(lost_at, Some(self.due(segment, rtt)));
            Instant::earliest(first, next)
        })
    }

    /// Whether a segment waits to be repeated.
    pub(crate) fn has_resend(&self) -> bool {
        self.lists.resend().is_some()
    }

    /// Whether a new segment may be sent now.
    pub(crate) fn has_new(&self, allowed: Allowance) -> bool {
        // The segment that a writer is at stays, or its slot would have no place in the window.
        let queued = self.end - self.next;
        allowed.is_now
            && queued > u32::from(self.lent > 0)
            && self.next - self.una < allowed.window
            && self.lists.pipe() < allowed.flight
    }

    /// Whether anything waits to be sent for the first time.
    pub(crate) fn has_queued(&self) -> bool {
        self.next != self.end
    }

    /// Segments that are probably in the network, the "pipe" of RFC 6675: sent, and neither
    /// acknowledged nor taken for lost.
    pub(crate) fn pipe(&self) -> u32 {
        self.lists.pipe()
    }

    /// Segments found to have arrived since this was last asked.
    pub(crate) fn take_delivered(&mut self) -> u32 {
        core::mem::take(&mut self.delivered)
    }

    /// Segments sent and not yet passed by una.
    pub(crate) fn in_flight(&self) -> u32 {
        self.next - self.una
    }

    /// Segments queued or in flight.
    pub(crate) fn pending(&self) -> u32 {
        self.end - self.una
    }

    /// Segments that may still be queued.
    pub(crate) fn free(&self) -> u32 {
        self.window - self.pending()
    }

    pub(crate) const fn una(&self) -> Sn {
        self.una
    }

    pub(crate) const fn mss(&self) -> usize {
        self.mss
    }

    pub(crate) fn release(&mut self, pool: &mut Pool<'_>) {
        self.una = self.end;
        self.next = self.end;
        self.lists = Lists::default();
        self.lent = 0;
        self.release_chunks(pool, None);
    }

    /// Gives an idle window's index memory back.
    pub(crate) fn shrink(&mut self) {
        if self.una == self.end && self.chunk_count == 0 {
            self.segments.shrink();
            self.chunks.shrink();
        }
    }

    pub(crate) fn into_storage(self) -> (Storage<'s, TxSegment>, Storage<'s, Chunk>) {
        (self.segments.into_storage(), self.chunks.into_storage())
    }

    #[cfg(all(test, feature = "alloc"))]
    pub(crate) fn start_at(&mut self, sn: Sn) {
        (self.una, self.next, self.end) = (sn, sn, sn);
        (self.first_chunk, self.next_order) = (sn.get(), Transmission::new(sn.get()));
    }

    /// When a segment in flight times out. Acks that still come in push this back, unless they
    /// show that the segment was overtaken: a path that grew slower is not a path that lost. What
    /// was sent into a silence is not waited for any longer than anew once that is over.
    fn due(&self, segment: &TxSegment, rtt: &Rtt) -> Instant {
        let timeouts = u32::from(segment.timeouts).min(MAX_BACK_OFF);
        let mut own = segment.sent_at + rtt.backed_off(timeouts, self.nodelay);
        if let Some(resumed) = self.resumed_at.filter(|&resumed| segment.sent_at < resumed) {
            own = own.min(resumed + rtt.rto());
        }
        match self.evidence.newest().and_then(|mark| self.lost_at(segment, mark)) {
            Some(lost_at) => own.max(lost_at),
            None if self.last_progress <= segment.sent_at => own,
            None => own.max(self.last_progress + rtt.rto()),
        }
    }

    fn lost_at(&self, segment: &TxSegment, mark: Transmission) -> Option<Instant> {
        self.evidence.lost_at(segment.order, segment.sent_at, mark)
    }

    fn take_overtaken(&mut self, mark: Transmission, cause: Cause, now: Instant) {
        for list in 0..Lists::IN_FLIGHT {
            while let Some(head) = self.lists.head(list) {
                if self.lost_at(&self.segments[head], mark).is_none_or(|at| at > now) {
                    break;
                }
                self.segments[head].cause = cause;
                self.lists.move_to(&mut self.segments, head, Place::Resend);
            }
        }
    }
}

/// The transmission from which on a segment goes twice each time evidence says that it was lost. It
/// holds up all that came after it, and where even its repetition was lost, another round trip costs
/// more than another packet: at 30 % loss a window of 1024 is through in four rounds, not six.
const TWICE: u16 = 3;

/// Transmissions of one segment that the original calls a dead link (kcp-go 5.6.1, kcp.go,
/// `IKCP_DEADLINK`). Nothing reads its state there; here it is a counter.
const DEAD_LINK: u16 = 20;
