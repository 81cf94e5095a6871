//! The index memory of one connection: owned and growing, or reserved at the start.

use alloc::vec::Vec;
use core::hint::black_box;

use fec_proto::{DecoderStorage, EncoderStorage, ParitySlot, Shape, ShardSlot};
use kcp_proto::{Ack, Chunk, Rings, RxSegment, TxSegment};
use proto_base::Storage;
use smux_proto::{MuxStorage, Slot};

use crate::codec::Codec;
use crate::config::{Config, ConfigError};
use crate::shard::PAGE;

/// Acks that may wait: those of a few batches. More push out the oldest, which a later ack or a
/// repetition covers.
const ACKS: usize = 256;

/// Groups of up to this many data packets can be received with repair whatever our own shape is;
/// the longer ones of a peer come without.
const LEAST_GROUP: usize = 32;

/// What a connection works in, besides the payload memory of its shard.
pub(crate) struct ConnectionMemory {
    pub(crate) rings: Rings<'static>,
    pub(crate) encoder: EncoderStorage<'static>,
    pub(crate) decoder: DecoderStorage<'static>,
    pub(crate) mux: MuxStorage<'static>,
    pub(crate) codec: Codec,
}

impl ConnectionMemory {
    /// Nothing yet; grows with what the connection needs.
    pub(crate) fn owned(compression: bool) -> Self {
        Self {
            rings: Rings::owned(),
            encoder: EncoderStorage::owned(),
            decoder: DecoderStorage::owned(),
            mux: MuxStorage::owned(),
            codec: Codec::new(compression),
        }
    }

    /// All that a connection of these settings can ever use, for good.
    pub(crate) fn reserved(config: &Config) -> Self {
        let counts = Counts::of(config);
        Self {
            rings: Rings {
                sent: reserve(counts.sent),
                chunks: reserve(counts.sent),
                received: reserve(counts.received),
                acks: reserve(ACKS),
            },
            encoder: EncoderStorage::fixed(slots::<ParitySlot>(counts.parity)),
            decoder: DecoderStorage::fixed(slots::<ShardSlot>(counts.shards)),
            mux: MuxStorage::borrowed(slots::<Slot>(counts.streams), slots::<u32>(counts.buckets)),
            codec: Codec::reserved(config.compression, PAGE),
        }
    }

    /// Bytes that [`reserved`](Self::reserved) takes.
    pub(crate) fn size(config: &Config) -> usize {
        let counts = Counts::of(config);
        let compression = if config.compression { Codec::reserved_size(PAGE) } else { 0 };
        counts.sent * (size_of::<TxSegment>() + size_of::<Chunk>())
            + counts.received * size_of::<RxSegment>()
            + ACKS * size_of::<Ack>()
            + counts.parity * size_of::<ParitySlot>()
            + counts.shards * size_of::<ShardSlot>()
            + counts.streams * size_of::<Slot>()
            + counts.buckets * size_of::<u32>()
            + compression
    }
}

/// How many of each.
struct Counts {
    sent: usize,
    received: usize,
    parity: usize,
    shards: usize,
    streams: usize,
    buckets: usize,
}

impl Counts {
    fn of(config: &Config) -> Self {
        let data = config.fec.map_or(0, Shape::data).max(LEAST_GROUP);
        Self {
            // Rings use the power of two that fits.
            sent: usize::from(config.kcp.send_window).next_power_of_two(),
            received: usize::from(config.kcp.receive_window).next_power_of_two(),
            parity: config.fec.map_or(0, EncoderStorage::slots_for),
            shards: fec_proto::GROUPS_KEPT * data,
            streams: config.smux.max_streams,
            buckets: config.smux.max_streams.next_power_of_two(),
        }
    }
}

/// Whether the system has so many bytes. What takes them afterwards, in parts, takes a refusal for the
/// end of the process; the largest part, zeroed, could not be asked for in another way without being
/// written, and costs nothing before it is used.
pub(crate) fn ensure_available(bytes: usize) -> Result<(), ConfigError> {
    let mut probe = Vec::<u8>::new();
    probe.try_reserve_exact(bytes).map_err(|_| ConfigError::OutOfMemory)?;
    // A block that nobody looks at would never be asked for.
    black_box(&mut probe);
    Ok(())
}

fn reserve<T: Default>(count: usize) -> Storage<'static, T> {
    slots(count).into()
}

fn slots<T: Default>(count: usize) -> &'static mut [T] {
    let mut slots = Vec::with_capacity(count);
    slots.resize_with(count, T::default);
    slots.leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_to_be_had_is_an_error() {
        for bytes in [usize::MAX / 4, usize::MAX / 2, usize::MAX] {
            assert_eq!(ensure_available(bytes), Err(ConfigError::OutOfMemory));
        }
        assert_eq!(ensure_available(1 << 20), Ok(()));
    }
}
