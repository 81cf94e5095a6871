//! Bytes read as numbers and choices.

/// What is left of an input. At its end numbers are 0 and slices are empty, so that cutting an
/// input short cuts the run short and changes nothing else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'d> {
    rest: &'d [u8],
}

impl<'d> Input<'d> {
    pub(crate) fn new(data: &'d [u8]) -> Self {
        Self { rest: data }
    }

    /// The next operation, while there is one.
    pub(crate) fn operation(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.operation().unwrap_or(0)
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, of one byte.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// The next `len` bytes, or those that are left.
    pub(crate) fn bytes(&mut self, len: usize) -> &'d [u8] {
        let (taken, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'d [u8] {
        self.bytes(usize::MAX)
    }

    /// Cuts all that is left into pieces, whose lengths come from it as well: mostly short ones.
    pub(crate) fn pieces(&mut self) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        let all = self.rest();
        let mut at = 0;
        let mut step = 0_usize;
        std::iter::from_fn(move || {
            let &hint = all.get(at)?;
            step = step.wrapping_mul(31).wrapping_add(usize::from(hint));
            let len = if step.is_multiple_of(16) { 1 + step % 997 } else { 1 + step % 13 };
            let piece = &all[at..(at + len).min(all.len())];
            at += piece.len();
            Some(piece)
        })
    }
}

/// The byte at `offset` of the stream `lane`: no two places of a stream look alike for long.
pub(crate) fn pattern(lane: u32, offset: u64) -> u8 {
    let mixed = (offset + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ u64::from(lane) << 7);
    (mixed >> 32) as u8
}

/// Bytes `from..from + len` of the stream `lane`.
pub(crate) fn patterned(lane: u32, from: u64, len: usize) -> Vec<u8> {
    (from..from + len as u64).map(|at| pattern(lane, at)).collect()
}

/// Panics unless `bytes` are those of the stream `lane` at `from`.
#[track_caller]
pub(crate) fn check_pattern(lane: u32, from: u64, bytes: &[u8]) {
    for (&byte, at) in bytes.iter().zip(from..) {
        assert_eq!(byte, pattern(lane, at), "byte {at} of stream {lane}");
    }
}
