//! The link itself: what happens to one datagram, step by step.

use proto_base::Instant;

use crate::bottleneck::Bottleneck;
use crate::config::{Blackout, Burst, ConfigError, LinkConfig, MAX_DATAGRAM, micros};
use crate::flight::Flight;
use crate::rng::{Chance, Rng};
use crate::stats::LinkStats;

/// One direction of a bad path; two of them make a path.
///
/// Bytes and times go in, bytes come out later, changed or not at all. The same configuration,
/// seed and inputs give the same outputs. It follows the driving contract of
/// [`proto_base`]: time never decreases (an earlier value counts as the latest seen), any order
/// of calls is legal, and a caller that polls late gets its datagrams late, none twice.
///
/// | call | changes |
/// |---|---|
/// | [`handle_datagram`](Self::handle_datagram) | may add a datagram and bring `poll_timeout` forward |
/// | [`poll_transmit`](Self::poll_transmit) | takes what is due out of the link |
/// | [`poll_timeout`](Self::poll_timeout) | nothing; when to call `poll_transmit` again |
///
/// There is no `handle_timeout`: `poll_transmit` takes the time and does all there is to do.
#[derive(Debug)]
pub struct Link {
    mtu: usize,
    line: Option<Bottleneck>,
    blackouts: Vec<Blackout>,
    loss: Dice,
    burst: Option<BurstState>,
    corrupt: Dice,
    duplicate: Dice,
    delay: u64,
    jitter: u64,
    jitter_rng: Rng,
    jitter_reorders: bool,
    reorder: Dice,
    reorder_hold: u64,
    /// Arrival of the latest datagram that keeps its place in the order, in microseconds.
    latest_due: u64,
    /// The first time the link was told: blackouts count from here.
    start: Option<u64>,
    now: u64,
    flight: Flight,
    stats: LinkStats,
}

impl Link {
    /// A link in its initial state: idle line, good state, nothing on its way.
    ///
    /// # Errors
    ///
    /// A field out of its range; see [`LinkConfig::validate`].
    pub fn new(config: LinkConfig, seed: u64) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            mtu: config.mtu.unwrap_or(MAX_DATAGRAM),
            line: config.rate.map(|rate| Bottleneck::new(rate, config.queue)),
            blackouts: config.blackouts,
            loss: Dice::new(seed, 1, config.loss),
            burst: config.burst.map(|burst| BurstState::new(seed, burst)),
            corrupt: Dice::new(seed, 3, config.corrupt),
            duplicate: Dice::new(seed, 4, config.duplicate),
            delay: micros(config.delay),
            jitter: micros(config.jitter),
            jitter_rng: Rng::new(seed, 5),
            jitter_reorders: config.jitter_reorders,
            reorder: Dice::new(seed, 6, config.reorder),
            reorder_hold: micros(config.reorder_hold),
            latest_due: 0,
            start: None,
            now: 0,
            flight: Flight::default(),
            stats: LinkStats::default(),
        })
    }

    /// Takes a datagram that the sender sends at `now`. Its bytes are copied.
    pub fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) {
        self.handle_tagged(now, 0, bytes);
    }

    /// As [`handle_datagram`](Self::handle_datagram), with a number that comes out together with
    /// the datagram: a relay that serves several flows over one path tells them apart by it.
    pub fn handle_tagged(&mut self, now: Instant, tag: u64, bytes: &[u8]) {
        let now = self.advance(now);
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += bytes.len() as u64;
        let Some(leaves) = self.enter_line(now, bytes.len()) else { return };
        if self.is_down(leaves) {
            self.stats.blacked_out += 1;
            return;
        }
        // Both kinds of loss draw for every datagram, so that one does not shift the other.
        let lost = self.loss.happens();
        let lost_in_burst = self.burst.as_mut().is_some_and(BurstState::loses);
        if lost {
            self.stats.lost += 1;
        } else if lost_in_burst {
            self.stats.lost_in_burst += 1;
        } else {
            self.carry(leaves, tag, bytes);
        }
    }

    /// The next datagram that has arrived at `now`, in the order of arrival; `None` when no more
    /// are due. The bytes are lent until the next call that takes the link mutably; they may be
    /// changed in place (by a cipher, say).
    pub fn poll_transmit(&mut self, now: Instant) -> Option<&mut [u8]> {
        self.poll_tagged(now).map(|(_, bytes)| bytes)
    }

    /// As [`poll_transmit`](Self::poll_transmit), with the number given to
    /// [`handle_tagged`](Self::handle_tagged).
    pub fn poll_tagged(&mut self, now: Instant) -> Option<(u64, &mut [u8])> {
        let now = self.advance(now);
        let (tag, bytes) = self.flight.take(now)?;
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += bytes.len() as u64;
        Some((tag, bytes))
    }

    /// When the next datagram arrives; the latest time seen if one is due already; `None` when
    /// nothing is on its way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flight.next_due().map(|due| Instant::from_micros(due.max(self.now)))
    }

    /// What became of the datagrams so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Datagrams on their way.
    pub fn held(&self) -> usize {
        self.flight.len()
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.held() == 0
    }

    fn advance(&mut self, now: Instant) -> u64 {
        self.now = self.now.max(now.as_micros());
        self.start.get_or_insert(self.now);
        self.now
    }

    /// When the last bit of the datagram leaves the bottleneck, unless it is dropped there.
    fn enter_line(&mut self, now: u64, len: usize) -> Option<u64> {
        if len > self.mtu {
            self.stats.too_long += 1;
            return None;
        }
        let leaves = match &mut self.line {
            _ if !self.flight.has_room(len) => None,
            Some(line) => line.accept(now, len),
            None => Some(now),
        };
        if leaves.is_none() {
            self.stats.queue_drops += 1;
        }
        leaves
    }

    fn is_down(&self, at: u64) -> bool {
        let since = at - self.start.unwrap_or(at);
        self.blackouts.iter().any(|blackout| blackout.covers(since))
    }

    /// Sends a datagram that is not lost over the stretch behind the bottleneck.
    fn carry(&mut self, leaves: u64, tag: u64, bytes: &[u8]) {
        let due = self.arrival(leaves);
        let sent = self.flight.put(due, tag, bytes);
        if self.corrupt.happens() && damage(&mut self.corrupt.rng, sent) {
            self.stats.corrupted += 1;
        }
        if self.duplicate.happens() && self.flight.has_room(bytes.len()) {
            self.stats.duplicated += 1;
            let due = self.arrival(leaves);
            self.flight.put(due, tag, bytes);
        }
    }

    fn arrival(&mut self, leaves: u64) -> u64 {
        let jitter = self.jitter_rng.below(self.jitter + 1);
        let due = leaves.saturating_add(self.delay + jitter);
        if self.reorder.happens() {
            self.stats.reordered += 1;
            return due.saturating_add(self.reorder_hold);
        }
        if self.jitter_reorders {
            return due;
        }
        self.latest_due = self.latest_due.max(due);
        self.latest_due
    }
}

/// A chance and the generator it draws from.
#[derive(Debug)]
struct Dice {
    rng: Rng,
    chance: Chance,
}

impl Dice {
    fn new(seed: u64, purpose: u64, probability: f64) -> Self {
        Self { rng: Rng::new(seed, purpose), chance: Chance::new(probability) }
    }

    fn happens(&mut self) -> bool {
        self.rng.happens(self.chance)
    }
}

/// The two states of Gilbert and Elliott.
#[derive(Debug)]
struct BurstState {
    is_bad: bool,
    enter: Dice,
    leave: Dice,
    loss: Dice,
}

impl BurstState {
    fn new(seed: u64, burst: Burst) -> Self {
        Self {
            is_bad: false,
            enter: Dice::new(seed, 7, burst.enter),
            leave: Dice::new(seed, 8, burst.leave),
            loss: Dice::new(seed, 9, burst.loss),
        }
    }

    /// Moves on by one datagram; whether that datagram is lost.
    fn loses(&mut self) -> bool {
        let change = if self.is_bad { self.leave.happens() } else { self.enter.happens() };
        self.is_bad ^= change;
        self.is_bad && self.loss.happens()
    }
}

/// Changes one byte, never to what it was. Nothing to damage in an empty datagram.
fn damage(rng: &mut Rng, bytes: &mut [u8]) -> bool {
    let at = rng.below(bytes.len() as u64) as usize;
    let flips = 1 + rng.below(255) as u8;
    let Some(byte) = bytes.get_mut(at) else { return false };
    *byte ^= flips;
    true
}

/// The two directions of one path, there and back. Equal configurations have different fates:
/// the seed of the way back is derived from `seed`.
///
/// # Errors
///
/// As [`Link::new`].
pub fn path(there: LinkConfig, back: LinkConfig, seed: u64) -> Result<(Link, Link), ConfigError> {
    Ok((Link::new(there, seed)?, Link::new(back, seed ^ 0x5bd1_e995_9d1b_54a5)?))
}
