//! How many shards a group has, and what follows for packet ids.

use core::fmt;

proto_base::serial_number! {
    /// The id of an FEC packet: counted per sender and connection, over data and parity alike.
    ///
    /// Ids wrap at [`Shape::id_limit`], a little below 2^32, so that groups stay aligned.
    pub struct ShardId;
}

/// A group of the code: `data` packets, then `parity` packets.
///
/// Both counts are at least 1 and their sum is at most 256. Position of a packet in its group is
/// its id modulo the sum (kcp-go, fec.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    data: u8,
    parity: u8,
}

impl Shape {
    /// The largest group, in packets: the code has one point of GF(2^8) for each.
    pub const MAX_TOTAL: usize = 256;

    /// The shape that the two counts of a configuration mean. `Ok(None)`: one of them is 0 or
    /// negative, so there is no FEC and no FEC header.
    ///
    /// # Errors
    /// When the sum is above 256. The original then runs without FEC and says nothing; the caller
    /// should do the same and warn.
    ///
    /// ```
    /// use fec_proto::Shape;
    ///
    /// let shape = Shape::new(10, 3)?.expect("both counts are positive");
    /// assert_eq!((shape.data(), shape.parity(), shape.total()), (10, 3, 13));
    /// assert_eq!(Shape::new(0, 3)?, None);
    /// assert!(Shape::new(200, 100).is_err());
    /// # Ok::<(), fec_proto::ShapeError>(())
    /// ```
    pub const fn new(data: i64, parity: i64) -> Result<Option<Self>, ShapeError> {
        if data <= 0 || parity <= 0 {
            return Ok(None);
        }
        if data.saturating_add(parity) > Self::MAX_TOTAL as i64 {
            return Err(ShapeError { data, parity });
        }
        // Each is at least 1, so each is at most 255.
        Ok(Some(Self { data: data as u8, parity: parity as u8 }))
    }

    /// Data packets in a group.
    pub const fn data(self) -> usize {
        self.data as usize
    }

    /// Parity packets in a group.
    pub const fn parity(self) -> usize {
        self.parity as usize
    }

    /// Packets in a group.
    pub const fn total(self) -> usize {
        self.data() + self.parity()
    }

    /// The first id that is not used: after `id_limit - 1` comes 0. The largest multiple of the
    /// group below 2^32 - 1, so alignment survives the wrap (kcp-go, fec.go, `paws`).
    pub const fn id_limit(self) -> u32 {
        u32::MAX / self.step() * self.step()
    }

    /// Group number and position of an id; `None` when the id is not below [`Shape::id_limit`].
    pub fn place(self, id: ShardId) -> Option<(u32, u8)> {
        let step = self.step();
        (id.get() < self.id_limit()).then(|| (id.get() / step, (id.get() % step) as u8))
    }

    /// Whether the packet at this position of a group is parity.
    pub const fn is_parity(self, position: u8) -> bool {
        position >= self.data
    }

    /// The id `steps` (at most a group) after `id`.
    pub(crate) fn advance(self, id: ShardId, steps: usize) -> ShardId {
        let limit = u64::from(self.id_limit());
        let next = (u64::from(id.get()) + steps as u64) % limit;
        ShardId::new(u32::try_from(next).unwrap_or(0))
    }

    /// The id that starts the group of `id`; 0 when the id is not below the limit.
    pub(crate) fn group_start(self, id: ShardId) -> ShardId {
        ShardId::new(self.place(id).map_or(0, |(group, _)| group * self.step()))
    }

    /// How many groups `group` is ahead of `other`, the shorter way round.
    pub(crate) fn groups_ahead(self, group: u32, other: u32) -> i64 {
        let count = i64::from(self.id_limit() / self.step());
        let ahead = (i64::from(group) - i64::from(other)).rem_euclid(count);
        if ahead > count / 2 { ahead - count } else { ahead }
    }

    pub(crate) fn data_positions(self) -> impl Iterator<Item = u8> {
        0..self.data
    }

    /// All positions of a group: up to 256, so the last may be 255.
    pub(crate) fn positions(self) -> impl Iterator<Item = u8> {
        0..=(self.total() - 1) as u8
    }

    const fn step(self) -> u32 {
        self.data as u32 + self.parity as u32
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.data, self.parity)
    }
}

/// More shards than the code has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeError {
    /// Data shards asked for.
    pub data: i64,
    /// Parity shards asked for.
    pub parity: i64,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { data, parity } = self;
        write!(f, "{data} data and {parity} parity shards: their sum must be at most 256")
    }
}

impl core::error::Error for ShapeError {}
