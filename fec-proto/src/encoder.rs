//! The sending side: headers in place, parity as packets leave.

use core::time::Duration;

use proto_base::{Buf, Instant, Pool, Storage};

use crate::KEPT_WHEN_IDLE;
use crate::code::ParityRows;
use crate::packet::{write_data_header, write_parity};
use crate::{ConfigError, HEADROOM, Kernel, MAX_PACKET, PARITY_OVERHEAD, Rows, SealError, Shape};
use crate::{ShardId, TooSmall};

/// How an [`Encoder`] behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderConfig {
    /// A group whose last packet comes this long after the one before it is sent without parity;
    /// the ids of the parity are used up all the same. `None`: parity always follows.
    ///
    /// kcp-go skips after 500 ms from 5.6.16 on and never before 5.6.6; the versions between did
    /// not use up the ids, which nobody should imitate.
    pub skip_parity_after: Option<Duration>,
    /// Id of the first packet, rounded down to the start of a group. 0 for every peer; another
    /// value serves tests of the wrap.
    pub first_id: ShardId,
}

impl Default for EncoderConfig {
    /// 500 ms, and ids from 0.
    fn default() -> Self {
        Self { skip_parity_after: Some(Duration::from_millis(500)), first_id: ShardId::new(0) }
    }
}

/// A parity shard that is being summed up or waits to be sent.
#[derive(Debug, Default)]
pub struct ParitySlot(Option<Buf>);

/// Index memory of an [`Encoder`].
#[derive(Debug)]
pub struct EncoderStorage<'s> {
    slots: Storage<'s, ParitySlot>,
}

impl<'s> EncoderStorage<'s> {
    /// Storage lent by the caller, of at least [`EncoderStorage::slots_for`] slots.
    pub fn fixed(slots: &'s mut [ParitySlot]) -> Self {
        Self { slots: slots.into() }
    }

    /// Owned storage; takes memory with the first packet.
    #[cfg(feature = "alloc")]
    pub const fn owned() -> Self {
        Self { slots: Storage::owned() }
    }

    /// Slots that a shape needs: its parity twice, for the group being filled and for the finished
    /// one.
    pub const fn slots_for(shape: Shape) -> usize {
        2 * shape.parity()
    }
}

/// What an [`Encoder`] has counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct EncoderStats {
    /// Data packets sealed.
    pub data: u64,
    /// Parity packets given to the caller.
    pub parity: u64,
    /// Parity packets left out because the group had a pause before its last packet.
    pub parity_skipped: u64,
    /// Parity packets left out because the pool had no memory, or by [`Encoder::release`].
    pub parity_without_memory: u64,
    /// Finished parity packets that the next finished group replaced before they were taken.
    pub parity_overrun: u64,
}

impl core::ops::AddAssign for EncoderStats {
    /// Adds up counters, as of several connections.
    fn add_assign(&mut self, other: Self) {
        let Self { data, parity, parity_skipped, parity_without_memory, parity_overrun } = other;
        self.data += data;
        self.parity += parity;
        self.parity_skipped += parity_skipped;
        self.parity_without_memory += parity_without_memory;
        self.parity_overrun += parity_overrun;
    }
}

/// Puts the FEC header before each packet and sums up the parity of its group.
///
/// `seal` each datagram as it leaves, then take parity packets with `poll_transmit` until it gives
/// none: they are ready at once when a group is full. No data packet is kept. Parity shards live in
/// the pool from the first packet of a group to the taking of its parity, in the size class of the
/// longest packet so far, so a connection that sends little holds little.
///
/// Parity that is not taken waits, in a set of its own, until the next group is full.
#[derive(Debug)]
pub struct Encoder<'s> {
    shape: Shape,
    kernel: Kernel,
    skip_after: Option<Duration>,
    code: ParityRows,
    slots: Storage<'s, ParitySlot>,
    next: ShardId,
    last: Option<Instant>,
    open: OpenGroup,
    finished: Finished,
    stats: EncoderStats,
}

/// The group being filled. Its parity stands in the half of the slots that [`Finished`] has not.
#[derive(Debug, Default)]
struct OpenGroup {
    /// Packets so far.
    count: u8,
    /// Length of the longest shard so far, and so of the sums, in bytes.
    len: usize,
    /// No parity for this group: memory ran out, or was taken away.
    forsaken: bool,
}

/// Parity that waits to be taken.
#[derive(Debug, Default)]
struct Finished {
    /// Whether it stands in the upper half of the slots.
    upper: bool,
    /// Rows taken so far; all of them when nothing waits.
    taken: usize,
    /// Id of the first row.
    first: ShardId,
    len: usize,
}

impl<'s> Encoder<'s> {
    /// An encoder of this shape.
    ///
    /// # Errors
    /// When borrowed storage has fewer slots than [`EncoderStorage::slots_for`] the shape.
    pub fn new(
        shape: Shape,
        kernel: Kernel,
        config: EncoderConfig,
        storage: EncoderStorage<'s>,
    ) -> Result<Self, ConfigError> {
        let mut slots = storage.slots;
        let need = EncoderStorage::slots_for(shape);
        if !slots.is_growable() && !slots.grow(need) {
            return Err(ConfigError::StorageTooSmall { need, have: slots.len() });
        }
        Ok(Self {
            shape,
            kernel,
            skip_after: config.skip_parity_after,
            code: ParityRows::new(shape),
            slots,
            next: shape.group_start(config.first_id),
            last: None,
            open: OpenGroup::default(),
            finished: Finished { taken: shape.parity(), ..Finished::default() },
            stats: EncoderStats::default(),
        })
    }

    /// Writes the header into the first [`HEADROOM`] bytes of `packet`, whose KCP bytes stand
    /// behind them, and adds the packet to the parity of its group.
    ///
    /// Without memory in the pool the group goes without parity, which is counted; the packet is
    /// sealed all the same.
    ///
    /// # Errors
    /// When `packet` is shorter than the header or longer than [`MAX_PACKET`].
    pub fn seal(
        &mut self,
        now: Instant,
        pool: &mut Pool<'_>,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        let have = packet.len();
        if have < HEADROOM {
            return Err(SealError::TooShort { have });
        }
        if have > MAX_PACKET {
            return Err(SealError::TooLong { have });
        }
        let size = u16::try_from(have - PARITY_OVERHEAD).unwrap_or(u16::MAX);
        write_data_header(packet, self.next, size);
        self.add(pool, &packet[PARITY_OVERHEAD..]);
        self.next = self.shape.advance(self.next, 1);
        self.open.count += 1;
        self.stats.data += 1;
        let now = self.last.map_or(now, |last| last.max(now));
        if usize::from(self.open.count) == self.shape.data() {
            self.finish_group(pool, now);
        }
        self.last = Some(now);
        Ok(())
    }

    /// Writes the next parity packet, if one is due, to the front of `out` and tells its length.
    ///
    /// # Errors
    /// When `out` is too small; the packet stays due.
    pub fn poll_transmit(
        &mut self,
        pool: &mut Pool<'_>,
        out: &mut [u8],
    ) -> Result<Option<usize>, TooSmall> {
        let Finished { taken, first, len, .. } = self.finished;
        if taken == self.shape.parity() {
            return Ok(None);
        }
        let need = PARITY_OVERHEAD + len;
        if out.len() < need {
            return Err(TooSmall { need });
        }
        let at = self.finished_half() + taken;
        self.finished.taken += 1;
        let Some(buf) = self.slots[at].0.take() else { return Ok(None) };
        write_parity(out, self.shape.advance(first, taken), &pool.bytes(&buf)[..len]);
        pool.release(buf);
        self.stats.parity += 1;
        Ok(Some(need))
    }

    /// Gives all memory back but a few hundred bytes: before the encoder is dropped, or because the connection is idle.
    ///
    /// The encoder works on; the group being filled then has no parity, and finished parity that
    /// was not taken is gone.
    pub fn release(&mut self, pool: &mut Pool<'_>) {
        self.drop_finished(pool);
        if self.open.count > 0 {
            self.forsake(pool);
        }
        self.slots.shrink_above(KEPT_WHEN_IDLE);
    }

    /// Takes the encoder apart and gives its storage back, for another connection.
    pub fn into_storage(mut self, pool: &mut Pool<'_>) -> EncoderStorage<'s> {
        self.drop_finished(pool);
        self.forsake(pool);
        EncoderStorage { slots: self.slots }
    }

    /// The shape of the groups sent.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The id that the next data packet will have.
    pub const fn next_id(&self) -> ShardId {
        self.next
    }

    /// Whether parity waits to be taken.
    pub const fn has_parity(&self) -> bool {
        self.finished.taken < self.shape.parity()
    }

    /// What has been counted so far.
    pub const fn stats(&self) -> EncoderStats {
        self.stats
    }

    /// Adds a data shard to the sums of the open group.
    fn add(&mut self, pool: &mut Pool<'_>, shard: &[u8]) {
        if self.open.forsaken {
            return;
        }
        if (self.open.count == 0 || shard.len() > self.open.len)
            && !self.lengthen(pool, shard.len())
        {
            self.forsake(pool);
            return;
        }
        let parity = self.shape.parity();
        let mut coefficients = [0; Shape::MAX_TOTAL];
        for (row, coefficient) in coefficients[..parity].iter_mut().enumerate() {
            let position = (self.shape.data() + row) as u8;
            *coefficient = self.code.coefficient(position, self.open.count);
        }
        let half = self.open_half();
        let mut rows = PoolRows { slots: &self.slots[half..half + parity], pool };
        self.kernel.mul_add_rows(&coefficients[..parity], shard, &mut rows);
    }

    /// Makes the sums of the open group `len` bytes long, the new bytes zero.
    fn lengthen(&mut self, pool: &mut Pool<'_>, len: usize) -> bool {
        if !self.slots.grow(EncoderStorage::slots_for(self.shape)) {
            return false;
        }
        let half = self.open_half();
        let old_len = self.open.len;
        for slot in &mut self.slots[half..half + self.shape.parity()] {
            if slot.0.as_ref().is_none_or(|buf| pool.capacity(buf) < len) {
                let Some(new) = pool.alloc(len) else { return false };
                if let Some(old) = slot.0.take() {
                    pool.copy(&old, 0, &new, old_len);
                    pool.release(old);
                }
                slot.0 = Some(new);
            }
            if let Some(buf) = &slot.0 {
                pool.bytes_mut(buf)[old_len..len].fill(0);
            }
        }
        self.open.len = len;
        true
    }

    fn finish_group(&mut self, pool: &mut Pool<'_>, now: Instant) {
        let parity = self.shape.parity();
        let pause = self.last.map_or(Duration::ZERO, |last| now.since(last));
        let first = self.next;
        self.next = self.shape.advance(first, parity);
        if self.open.forsaken {
            self.stats.parity_without_memory += parity as u64;
        } else if self.skip_after.is_some_and(|limit| pause >= limit) {
            self.stats.parity_skipped += parity as u64;
            self.release_half(pool, self.open_half());
        } else {
            self.drop_finished(pool);
            let upper = !self.finished.upper;
            self.finished = Finished { upper, taken: 0, first, len: self.open.len };
        }
        self.open = OpenGroup::default();
    }

    fn drop_finished(&mut self, pool: &mut Pool<'_>) {
        let parity = self.shape.parity();
        self.stats.parity_overrun += (parity - self.finished.taken) as u64;
        self.finished.taken = parity;
        self.release_half(pool, self.finished_half());
    }

    /// The open group goes without parity.
    fn forsake(&mut self, pool: &mut Pool<'_>) {
        self.release_half(pool, self.open_half());
        self.open.forsaken = true;
        self.open.len = 0;
    }

    fn release_half(&mut self, pool: &mut Pool<'_>, half: usize) {
        for slot in self.slots.iter_mut().skip(half).take(self.shape.parity()) {
            if let Some(buf) = slot.0.take() {
                pool.release(buf);
            }
        }
    }

    const fn open_half(&self) -> usize {
        if self.finished.upper { 0 } else { self.shape.parity() }
    }

    const fn finished_half(&self) -> usize {
        self.shape.parity() - self.open_half()
    }
}

/// The sums of the open group as targets of the kernel.
struct PoolRows<'a, 'p> {
    slots: &'a [ParitySlot],
    pool: &'a mut Pool<'p>,
}

impl Rows for PoolRows<'_, '_> {
    fn row(&mut self, index: usize) -> &mut [u8] {
        self.slots[index].0.as_ref().map_or(&mut [], |buf| self.pool.bytes_mut(buf))
    }

    fn three(&mut self, first: usize) -> Option<[&mut [u8]; 3]> {
        let [a, b, c] = self.slots.get(first..)?.first_chunk()?;
        self.pool.disjoint_mut([a.0.as_ref()?, b.0.as_ref()?, c.0.as_ref()?])
    }
}
