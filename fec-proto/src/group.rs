//! One group of the receiving side.

use proto_base::{Buf, Instant, Pool};

use crate::code;
use crate::galois::{Log, multiply};
use crate::{Kernel, Shape, TooSmall};

/// A shard that a [`Decoder`](crate::Decoder) keeps.
#[derive(Debug, Default)]
pub struct ShardSlot {
    buf: Option<Buf>,
    len: u16,
    position: u8,
    /// What the shard counts in others, once the group is being rebuilt.
    weight: Log,
}

impl ShardSlot {
    /// Copies a shard into the pool; `false` when there is no memory.
    pub(crate) fn fill(&mut self, pool: &mut Pool<'_>, position: u8, shard: &[u8]) -> bool {
        let Some(buf) = pool.alloc(shard.len()) else { return false };
        pool.bytes_mut(&buf)[..shard.len()].copy_from_slice(shard);
        let len = u16::try_from(shard.len()).unwrap_or(u16::MAX);
        *self = Self { buf: Some(buf), len, position, weight: Log::ONE };
        true
    }

    pub(crate) fn clear(&mut self, pool: &mut Pool<'_>) {
        if let Some(buf) = self.buf.take() {
            pool.release(buf);
        }
    }

    fn bytes<'p>(&self, pool: &'p Pool<'_>) -> &'p [u8] {
        self.buf.as_ref().map_or(&[], |buf| &pool.bytes(buf)[..usize::from(self.len)])
    }
}

/// What a group is doing.
///
/// ```text
///            first packet                  all data there, rebuilt, or too old
///   Vacant ───────────────▶ Collecting ──────────────────────────────────────▶ Spent
///     ▲                                    more than 3 groups behind             │
///     └──────────────────────────────────────────────────────────────────────────┘
/// ```
///
/// A spent group holds no memory and takes no more packets, so late parity is free and a second
/// rebuild impossible.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Vacant,
    Collecting,
    Spent,
}

/// State of a group; its shards stand in a slice of the decoder's slots.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) phase: Phase,
    pub(crate) number: u32,
    /// When its first packet came.
    pub(crate) opened: Instant,
    /// One bit for each position whose packet has come.
    seen: [u64; 4],
    /// Data packets that have come.
    pub(crate) data_seen: u16,
    /// Shards kept: at most as many as a group has data.
    pub(crate) kept: u16,
    /// Parity among them.
    pub(crate) parity_kept: u16,
    /// Where the next rebuilt shard is looked for; the weights are there when it is `Some`.
    rebuild_from: Option<u16>,
}

impl Group {
    pub(crate) fn open(number: u32, now: Instant) -> Self {
        Self { phase: Phase::Collecting, number, opened: now, ..Self::default() }
    }

    /// Marks a position; `false` when its packet had come before.
    pub(crate) fn mark(&mut self, position: u8) -> bool {
        let word = &mut self.seen[usize::from(position / 64)];
        let bit = 1 << (position % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn is_rebuildable(&self, shape: Shape) -> bool {
        self.phase == Phase::Collecting && usize::from(self.kept) == shape.data()
    }

    /// The next data position to rebuild. `shards` are the kept ones.
    pub(crate) fn next_missing(&mut self, shape: Shape, shards: &mut [ShardSlot]) -> Option<u8> {
        let from = *self.rebuild_from.get_or_insert_with(|| {
            weigh(shards);
            0
        });
        let found = shape.data_positions().skip(usize::from(from)).find(|&at| !self.has(at));
        self.rebuild_from = Some(found.map_or(u16::MAX, u16::from));
        found
    }

    /// Goes on to the position after the one that [`Group::next_missing`] gave.
    pub(crate) fn skip_missing(&mut self) {
        self.rebuild_from = self.rebuild_from.map(|from| from.saturating_add(1));
    }

    fn has(&self, position: u8) -> bool {
        self.seen[usize::from(position / 64)] >> (position % 64) & 1 == 1
    }
}

/// Weights of the kept shards as points of the interpolation.
fn weigh(shards: &mut [ShardSlot]) {
    for at in 0..shards.len() {
        let known = shards.iter().map(|shard| shard.position);
        shards[at].weight = code::weight(shards[at].position, known);
    }
}

/// Sources handed to the kernel at once: their slices stand on the stack.
const SOURCES: usize = 16;

/// Rebuilds the KCP bytes of the data packet at `position` into `out` and tells their number.
/// `Ok(None)`: the size field is not one that a sender makes.
pub(crate) fn rebuild(
    shards: &[ShardSlot],
    position: u8,
    kernel: &Kernel,
    pool: &Pool<'_>,
    out: &mut [u8],
) -> Result<Option<usize>, TooSmall> {
    let product = code::product(position, shards.iter().map(|shard| shard.position));
    let coefficient =
        |shard: &ShardSlot| code::coefficient(position, product, shard.position, shard.weight);

    // The size field first: it tells how much is worth computing.
    let (mut size, mut longest) = ([0; 2], 0);
    for shard in shards {
        longest = longest.max(usize::from(shard.len));
        for (sum, &byte) in size.iter_mut().zip(shard.bytes(pool)) {
            *sum ^= multiply(coefficient(shard), byte);
        }
    }
    let size = usize::from(u16::from_le_bytes(size));
    if size < 2 || size > longest {
        return Ok(None);
    }
    let need = size - 2;
    let target = out.get_mut(..need).ok_or(TooSmall { need })?;
    target.fill(0);
    for batch in shards.chunks(SOURCES) {
        let mut coefficients = [0; SOURCES];
        let mut sources = [[].as_slice(); SOURCES];
        for (at, shard) in batch.iter().enumerate() {
            coefficients[at] = coefficient(shard);
            sources[at] = shard.bytes(pool).get(2..).unwrap_or(&[]);
        }
        kernel.combine(&coefficients[..batch.len()], &sources[..batch.len()], target);
    }
    Ok(Some(need))
}
