//! The receiving side: lost packets from parity, whatever the peer's shape.

use core::time::Duration;

use proto_base::{Instant, Pool, Storage};

use crate::KEPT_WHEN_IDLE;
use crate::group::{Group, Phase, ShardSlot, rebuild};
use crate::packet::Packet;
use crate::tune::{Trust, Tuner};
use crate::{ConfigError, HEADROOM, Kernel, Kind, MAX_PACKET, PARITY_OVERHEAD, PacketError, Shape};
use crate::{ShardId, TooSmall};

/// Groups that are kept: the newest and the three before it (kcp-go 5.6.22, fec.go).
pub const GROUPS_KEPT: usize = 4;

/// A group whose first packet came this long ago is given up (kcp-go 5.6.1, fec.go, `fecExpire`).
pub const MAX_AGE: Duration = Duration::from_secs(60);

/// This many packets in a row of groups long gone mean that the newest id was a false one, and
/// that the peer counts here. Late packets come mixed with newer ones.
const STRAYS: u8 = 32;

/// Index memory of a [`Decoder`].
#[derive(Debug)]
pub struct DecoderStorage<'s> {
    slots: Storage<'s, ShardSlot>,
}

impl<'s> DecoderStorage<'s> {
    /// Storage lent by the caller. A peer whose shape needs more than it has
    /// ([`DecoderStorage::slots_for`]) is received without recovery.
    pub fn fixed(slots: &'s mut [ShardSlot]) -> Self {
        Self { slots: slots.into() }
    }

    /// Owned storage; takes memory with the first FEC packet, as much as the peer's shape needs:
    /// at most `slots_for` 255+1, 12 KiB.
    #[cfg(feature = "alloc")]
    pub const fn owned() -> Self {
        Self { slots: Storage::owned() }
    }

    /// Slots that a shape needs.
    pub const fn slots_for(shape: Shape) -> usize {
        GROUPS_KEPT * shape.data()
    }
}

/// What a packet was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted<'p> {
    /// Data: these bytes go to KCP now. The size field is not compared with their number, as the
    /// original does not.
    Data(&'p [u8]),
    /// Parity: look for recovered packets.
    Parity,
    /// Beside the stream (newer peers): nothing to do.
    OutOfBand,
}

/// What a [`Decoder`] has counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DecoderStats {
    /// Data packets in.
    pub data: u64,
    /// Parity packets in (`FECParityShards`).
    pub parity: u64,
    /// Out-of-band packets in (`OOBPackets`).
    pub out_of_band: u64,
    /// Packets rebuilt (`FECRecovered`).
    pub recovered: u64,
    /// Rebuilt packets with an impossible size field (`FECErrs`).
    pub errors: u64,
    /// Data packets that were kept for a group that could not be rebuilt (`FECShortShards`).
    pub short: u64,
    /// Parity packets that were not needed: their group was complete, or became so.
    pub parity_unused: u64,
    /// Packets whose id had come before in a group that is kept.
    pub duplicates: u64,
    /// Packets of groups no longer kept.
    pub late: u64,
    /// Packets whose id is not below [`Shape::id_limit`].
    pub bad_ids: u64,
    /// Packets whose type does not fit the place in the group.
    pub misfits: u64,
    /// Times the shape was changed to the peer's.
    pub tuned: u64,
    /// Times the peer's shape did not fit into borrowed storage.
    pub refused_shapes: u64,
    /// Packets that were not kept because the pool had no memory.
    pub without_memory: u64,
}

impl core::ops::AddAssign for DecoderStats {
    /// Adds up counters, as of several connections.
    fn add_assign(&mut self, other: Self) {
        let Self {
            data,
            parity,
            out_of_band,
            recovered,
            errors,
            short,
            parity_unused,
            duplicates,
            late,
            bad_ids,
            misfits,
            tuned,
            refused_shapes,
            without_memory,
        } = other;
        self.data += data;
        self.parity += parity;
        self.out_of_band += out_of_band;
        self.recovered += recovered;
        self.errors += errors;
        self.short += short;
        self.parity_unused += parity_unused;
        self.duplicates += duplicates;
        self.late += late;
        self.bad_ids += bad_ids;
        self.misfits += misfits;
        self.tuned += tuned;
        self.refused_shapes += refused_shapes;
        self.without_memory += without_memory;
    }
}

/// Passes data packets on and rebuilds those that were lost.
///
/// Hand each packet with an FEC header to `handle_packet`, pass [`Accepted::Data`] to KCP, then
/// call `poll_recovered` until it gives nothing: only lost data packets come out, as soon as as many
/// packets of a group are there as it has data.
///
/// The peer's shape is its own affair. The decoder starts from the shape it is told to expect, or
/// from none, and finds out the real one from the types of the packets (see [`Decoder::shape`]).
///
/// # Memory
/// At most [`GROUPS_KEPT`] groups are kept, of each at most as many packets as it has data, each in
/// a pool buffer of its size class: [`Decoder::memory_bound`]. A group gives its buffers back when
/// all its data is there, when it is rebuilt, when three newer groups have begun after it, or
/// [`MAX_AGE`] after its first packet. Without memory in the pool packets are not kept, and
/// recovery has to do without them.
#[derive(Debug)]
pub struct Decoder<'s> {
    kernel: Kernel,
    shape: Option<Shape>,
    trust: Trust,
    tuner: Tuner,
    /// Group `i` keeps its shards in slots `i * data..(i + 1) * data`.
    groups: [Group; GROUPS_KEPT],
    slots: Storage<'s, ShardSlot>,
    /// Number of the newest group.
    newest: Option<u32>,
    strays: u8,
    latest: Instant,
    stats: DecoderStats,
}

impl<'s> Decoder<'s> {
    /// A decoder that expects groups of shape `expected`, usually the one we send with. `None`: FEC
    /// is off here, so nothing is rebuilt until the peer's shape is known.
    ///
    /// # Errors
    /// When borrowed storage has fewer slots than [`DecoderStorage::slots_for`] the shape.
    pub fn new(
        expected: Option<Shape>,
        kernel: Kernel,
        storage: DecoderStorage<'s>,
    ) -> Result<Self, ConfigError> {
        let mut slots = storage.slots;
        let need = expected.map_or(0, DecoderStorage::slots_for);
        if !slots.is_growable() && !slots.grow(need) {
            return Err(ConfigError::StorageTooSmall { need, have: slots.len() });
        }
        Ok(Self {
            kernel,
            shape: expected,
            trust: if expected.is_some() { Trust::Full } else { Trust::DOUBT },
            tuner: Tuner::default(),
            groups: Default::default(),
            slots,
            newest: None,
            strays: 0,
            latest: Instant::ZERO,
            stats: DecoderStats::default(),
        })
    }

    /// Believes the expected shape only once packets have proved it: by a whole run of data and one
    /// of parity, or by four groups' worth of types that fit in a row. Until then packets are kept,
    /// but nothing is rebuilt. For ends that cannot know the peer's shape: see
    /// [`shape`](Self::shape).
    #[must_use]
    pub const fn in_doubt(mut self) -> Self {
        self.trust = Trust::DOUBT;
        self
    }

    /// Takes in a decrypted payload that starts with an FEC header.
    ///
    /// # Errors
    /// When it is no FEC packet ([`PacketError::NotFec`]: plain KCP) or too short or too long.
    /// Nothing has changed then.
    pub fn handle_packet<'p>(
        &mut self,
        now: Instant,
        pool: &mut Pool<'_>,
        packet: &'p [u8],
    ) -> Result<Accepted<'p>, PacketError> {
        let Packet { id, kind, shard } = Packet::parse(packet)?;
        self.handle_timeout(now, pool);
        let is_parity = match kind {
            Kind::Data => {
                self.stats.data += 1;
                false
            }
            Kind::Parity => {
                self.stats.parity += 1;
                true
            }
            Kind::OutOfBand | Kind::Plain => {
                self.stats.out_of_band += 1;
                return Ok(Accepted::OutOfBand);
            }
        };
        self.observe(pool, id, is_parity);
        self.keep(pool, id, is_parity, shard);
        Ok(if is_parity { Accepted::Parity } else { Accepted::Data(&packet[HEADROOM..]) })
    }

    /// Gives up groups that are older than [`MAX_AGE`].
    pub fn handle_timeout(&mut self, now: Instant, pool: &mut Pool<'_>) {
        self.latest = self.latest.max(now);
        for at in 0..GROUPS_KEPT {
            let group = &self.groups[at];
            if group.phase == Phase::Collecting && self.latest - group.opened >= MAX_AGE {
                self.give_up(pool, at, Phase::Spent);
            }
        }
    }

    /// Rebuilds the next lost data packet, if there is one, and writes its KCP bytes to the front of
    /// `out`; tells their number. A buffer of [`MAX_PACKET`] bytes always suffices.
    ///
    /// The bytes are written to memory of the caller so that KCP may take them while it has the
    /// pool.
    ///
    /// # Errors
    /// When `out` is too small; nothing is lost.
    pub fn poll_recovered(
        &mut self,
        pool: &mut Pool<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, TooSmall> {
        while let Some((shape, at)) = self.rebuildable() {
            let slots = &mut self.slots[at * shape.data()..][..shape.data()];
            let group = &mut self.groups[at];
            let Some(position) = group.next_missing(shape, slots) else {
                self.spend(pool, at);
                continue;
            };
            let rebuilt = rebuild(slots, position, &self.kernel, pool, out)?;
            group.skip_missing();
            if group.next_missing(shape, slots).is_none() {
                self.spend(pool, at);
            }
            match rebuilt {
                Some(len) => {
                    self.stats.recovered += 1;
                    return Ok(Some(len));
                }
                None => self.stats.errors += 1,
            }
        }
        Ok(None)
    }

    /// When [`Decoder::handle_timeout`] has something to do: memory of an aged group to give back.
    /// The latest time seen while a recovered packet waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.rebuildable().is_some() {
            return Some(self.latest);
        }
        let live = self.groups.iter().filter(|group| group.phase == Phase::Collecting);
        live.map(|group| group.opened + MAX_AGE).min()
    }

    /// Gives all memory back but a few hundred bytes: before the decoder is dropped, or because the connection is idle. The
    /// decoder works on; what it kept of unfinished groups is gone.
    pub fn release(&mut self, pool: &mut Pool<'_>) {
        self.give_up_all(pool, Phase::Spent);
        self.slots.shrink_above(KEPT_WHEN_IDLE);
    }

    /// Takes the decoder apart and gives its storage back, for another connection.
    pub fn into_storage(mut self, pool: &mut Pool<'_>) -> DecoderStorage<'s> {
        self.give_up_all(pool, Phase::Spent);
        DecoderStorage { slots: self.slots }
    }

    /// The shape of the peer's groups, as far as it is known: the expected one until packets proved
    /// another.
    ///
    /// An expected shape is believed until a type does not fit, as by the original. Should every
    /// packet that would tell be lost, something nobody sent may be rebuilt; KCP then has to refuse
    /// it. Who cannot know the peer's shape had better be [in doubt](Self::in_doubt).
    pub const fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// Whether packets can be rebuilt now. Not while the peer's shape is unknown or in doubt: a
    /// packet came whose type does not fit its place in the group.
    pub const fn is_certain(&self) -> bool {
        self.trust.is_full()
    }

    /// Packets kept at the moment.
    pub fn kept(&self) -> usize {
        self.groups.iter().map(|group| usize::from(group.kept)).sum()
    }

    /// What has been counted so far.
    pub const fn stats(&self) -> DecoderStats {
        self.stats
    }

    /// The most memory that a decoder of a peer with this shape holds, in bytes: itself, its index,
    /// and pool buffers of the class that holds the longest packet (1,536 bytes).
    pub const fn memory_bound(shape: Shape) -> usize {
        let slots = DecoderStorage::slots_for(shape);
        size_of::<Self>() + slots * (size_of::<ShardSlot>() + SHARD_CLASS)
    }

    /// Learns from the type of a packet, and adopts the peer's shape once it is proved.
    fn observe(&mut self, pool: &mut Pool<'_>, id: ShardId, is_parity: bool) {
        self.tuner.sample(id, is_parity);
        if let Some(shape) = self.shape
            && let Some((_, position)) = shape.place(id)
        {
            let fits = shape.is_parity(position) == is_parity;
            self.stats.misfits += u64::from(!fits);
            self.trust.observe(shape, position, fits);
        }
        if self.trust.is_full() {
            return;
        }
        if let Some(shape) = self.tuner.search(id) {
            self.tuner.forget_runs();
            self.adopt(pool, shape);
        }
    }

    fn adopt(&mut self, pool: &mut Pool<'_>, shape: Shape) {
        if self.shape != Some(shape) {
            let need = DecoderStorage::slots_for(shape);
            if !self.slots.is_growable() && self.slots.len() < need {
                self.stats.refused_shapes += 1;
                return;
            }
            self.give_up_all(pool, Phase::Vacant);
            self.newest = None;
            self.shape = Some(shape);
            self.stats.tuned += 1;
        }
        self.trust = Trust::Full;
    }

    /// Puts a packet into its group.
    fn keep(&mut self, pool: &mut Pool<'_>, id: ShardId, is_parity: bool, shard: &[u8]) {
        let Some(shape) = self.shape else { return };
        let Some((number, position)) = shape.place(id) else {
            self.stats.bad_ids += 1;
            return;
        };
        if shape.is_parity(position) != is_parity {
            return;
        }
        let Some(at) = self.group_of(pool, shape, number) else {
            self.stats.late += 1;
            return;
        };
        let group = &mut self.groups[at];
        if !group.mark(position) {
            self.stats.duplicates += 1;
            return;
        }
        if group.phase == Phase::Spent {
            self.stats.parity_unused += u64::from(is_parity);
            return;
        }
        group.data_seen += u16::from(!is_parity);
        if usize::from(group.data_seen) == shape.data() {
            self.stats.parity_unused += u64::from(group.parity_kept);
            self.spend(pool, at);
            return;
        }
        if usize::from(group.kept) == shape.data() {
            return;
        }
        let room = self.slots.grow(DecoderStorage::slots_for(shape));
        let slot = at * shape.data() + usize::from(group.kept);
        if room && self.slots[slot].fill(pool, position, shard) {
            group.kept += 1;
            group.parity_kept += u16::from(is_parity);
        } else {
            self.stats.without_memory += 1;
        }
    }

    /// The place of a group, newly opened if need be; `None` when it is long gone.
    fn group_of(&mut self, pool: &mut Pool<'_>, shape: Shape, number: u32) -> Option<usize> {
        let ahead = self.newest.map_or(1, |newest| shape.groups_ahead(number, newest));
        let long_gone = |ahead| ahead <= -(GROUPS_KEPT as i64);
        if long_gone(ahead) {
            self.strays += 1;
            if self.strays < STRAYS {
                return None;
            }
            self.give_up_all(pool, Phase::Vacant);
        }
        self.strays = 0;
        if ahead > 0 || long_gone(ahead) {
            self.newest = Some(number);
            for at in 0..GROUPS_KEPT {
                // After a jump half way round, an old group can seem to be ahead.
                let ahead = shape.groups_ahead(self.groups[at].number, number);
                if ahead > 0 || long_gone(ahead) {
                    self.give_up(pool, at, Phase::Vacant);
                }
            }
        }
        let known = |group: &Group| group.phase != Phase::Vacant && group.number == number;
        if let Some(at) = self.groups.iter().position(known) {
            return Some(at);
        }
        let at = self.groups.iter().position(|group| group.phase == Phase::Vacant)?;
        self.groups[at] = Group::open(number, self.latest);
        Some(at)
    }

    /// The oldest group that can be rebuilt now.
    fn rebuildable(&self) -> Option<(Shape, usize)> {
        let shape = self.shape.filter(|_| self.trust.is_full())?;
        let ready = (0..GROUPS_KEPT).filter(|&at| self.groups[at].is_rebuildable(shape));
        let newest = self.newest?;
        let oldest = ready.min_by_key(|&at| shape.groups_ahead(self.groups[at].number, newest))?;
        Some((shape, oldest))
    }

    fn give_up_all(&mut self, pool: &mut Pool<'_>, phase: Phase) {
        for at in 0..GROUPS_KEPT {
            self.give_up(pool, at, phase);
        }
    }

    /// Ends a group whatever its state; a vacant one stays vacant.
    fn give_up(&mut self, pool: &mut Pool<'_>, at: usize, phase: Phase) {
        if self.groups[at].phase == Phase::Collecting {
            let group = &self.groups[at];
            self.stats.short += u64::from(group.kept - group.parity_kept);
            self.spend(pool, at);
        }
        if self.groups[at].phase == Phase::Spent {
            self.groups[at].phase = phase;
        }
    }

    /// Gives back the shards of a group that needs no more of them.
    fn spend(&mut self, pool: &mut Pool<'_>, at: usize) {
        let group = &mut self.groups[at];
        let first = at * self.shape.map_or(0, Shape::data);
        for slot in self.slots.iter_mut().skip(first).take(usize::from(group.kept)) {
            slot.clear(pool);
        }
        (group.kept, group.parity_kept) = (0, 0);
        group.phase = Phase::Spent;
    }
}

/// Size class of the pool that holds the longest shard, in bytes.
const SHARD_CLASS: usize = 1_536;
const _: () = assert!(MAX_PACKET - PARITY_OVERHEAD <= SHARD_CLASS);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoder, ParitySlot};

    /// The figures of the crate page.
    #[test]
    fn index_memory_is_as_stated() {
        assert!(size_of::<Encoder<'_>>() < 500, "{}", size_of::<Encoder<'_>>());
        assert!(size_of::<Decoder<'_>>() < 800, "{}", size_of::<Decoder<'_>>());
        assert_eq!((size_of::<ParitySlot>(), size_of::<ShardSlot>()), (8, 12));
        let largest = Shape::new(255, 1).ok().flatten().map(Decoder::memory_bound);
        assert_eq!(largest, Some(size_of::<Decoder<'_>>() + 1020 * 1548));
    }
}
