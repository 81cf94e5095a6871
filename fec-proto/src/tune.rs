//! Finding out a peer's shape from the types of its packets.

use crate::{Shape, ShardId};

/// Ids remembered, up to the newest. A whole run of the longest group, edges included, spans 258.
const WINDOW: u32 = 512;
/// Packets of one type that a group has at the most.
const LONGEST_RUN: u32 = 255;
/// Bits in a word of the window.
const WORD: u32 = 64;
/// This many packets in a row from before the window mean that the peer counts from there now.
const STRAYS: u8 = 32;

/// Types by id, and the runs seen in them.
///
/// kcp-go 5.6.72 (autotune.go) keeps the last 258 samples and sorts them at each packet that does
/// not fit. Two bits per id in a window that moves with the newest need no sorting: a packet can
/// complete only the run it stands in or those it touches, so a search looks at a window of ids at
/// most, whatever a peer sends, and never allocates. It runs only in doubt and takes about 0.15 µs
/// with runs of 255.
#[derive(Debug, Default)]
pub(crate) struct Tuner {
    newest: Option<ShardId>,
    strays: u8,
    known: [u64; (WINDOW / WORD) as usize],
    parity: [u64; (WINDOW / WORD) as usize],
    data_run: Option<Run>,
    parity_run: Option<Run>,
}

/// An unbroken run of packets of one type between packets of the other.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: ShardId,
    len: u32,
}

impl Tuner {
    /// Remembers the type of a packet.
    pub(crate) fn sample(&mut self, id: ShardId, is_parity: bool) {
        let newest = *self.newest.get_or_insert(id);
        let ahead = id.ahead_of(newest);
        if ahead > 0 {
            self.forget(newest, ahead.unsigned_abs());
            self.newest = Some(id);
        } else if ahead.unsigned_abs() >= WINDOW {
            self.strays += 1;
            if self.strays < STRAYS {
                return;
            }
            *self = Self { newest: Some(id), ..Self::default() };
        }
        self.strays = 0;
        let (word, bit) = place(id);
        self.known[word] |= bit;
        if is_parity {
            self.parity[word] |= bit;
        } else {
            self.parity[word] &= !bit;
        }
    }

    /// The shape that the samples prove, now that packet `id` is among them: an unbroken run of
    /// data and one of parity, each between packets of the other type and each standing where
    /// groups of that shape have it.
    pub(crate) fn search(&mut self, id: ShardId) -> Option<Shape> {
        let kind = self.get(id);
        for at in [id + u32::MAX, id, id + 1] {
            if at != id && self.get(at) == kind {
                continue; // the same run
            }
            match self.whole_run(at) {
                Some((run, false)) => self.data_run = Some(run),
                Some((run, true)) => self.parity_run = Some(run),
                None => {}
            }
        }
        let (data, parity) = (self.data_run?, self.parity_run?);
        let shape = Shape::new(data.len.into(), parity.len.into()).ok()??;
        let (_, data_at) = shape.place(data.first)?;
        let (_, parity_at) = shape.place(parity.first)?;
        (data_at == 0 && usize::from(parity_at) == shape.data()).then_some(shape)
    }

    /// Forgets the runs, once they have been used.
    pub(crate) fn forget_runs(&mut self) {
        (self.data_run, self.parity_run) = (None, None);
    }

    /// The run around `id` and whether it is parity; `None` while an edge of it is not known.
    fn whole_run(&self, id: ShardId) -> Option<(Run, bool)> {
        let kind = self.get(id)?;
        let mut run = Run { first: id, len: 1 };
        while self.get(run.first + u32::MAX)? == kind {
            run.first += u32::MAX;
            run.len += 1;
            if run.len > LONGEST_RUN {
                return None;
            }
        }
        while self.get(run.first + run.len)? == kind {
            run.len += 1;
        }
        Some((run, kind))
    }

    /// Whether packet `id` was parity; `None` when it is not in the window.
    fn get(&self, id: ShardId) -> Option<bool> {
        let (word, bit) = place(id);
        let in_window = self.newest? - id < WINDOW;
        (in_window && self.known[word] & bit != 0).then(|| self.parity[word] & bit != 0)
    }

    /// Clears the slots of the `count` ids behind `newest`.
    fn forget(&mut self, newest: ShardId, count: u32) {
        if count >= WINDOW {
            self.known = Default::default();
            return;
        }
        for step in 1..=count {
            let (word, bit) = place(newest + step);
            self.known[word] &= !bit;
        }
    }
}

fn place(id: ShardId) -> (usize, u64) {
    let at = id.get() % WINDOW;
    ((at / WORD) as usize, 1 << (at % WORD))
}

/// Whether the shape at hand is believed to be the peer's.
///
/// ```text
///            a type that does not fit
///   Full ─────────────────────────────▶ Doubt
///    ▲    a shape is proved by its runs    │
///    └───── or four groups' worth of ──────┘
///               types fit in a row
/// ```
///
/// Rebuilding with a wrong shape makes bytes nobody sent, and KCP may take them: the sum of three
/// segments of one connection has the right conv and a valid command. So nothing is rebuilt in
/// doubt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust {
    Full,
    Doubt {
        /// Packets in a row that fitted.
        fits: u32,
        /// Which of the four packets beside the edges of a group were among them.
        edges: u8,
    },
}

impl Trust {
    pub(crate) const DOUBT: Self = Self::Doubt { fits: 0, edges: 0 };

    /// Takes in whether the type of the packet at `position` fitted.
    pub(crate) fn observe(&mut self, shape: Shape, position: u8, fits: bool) {
        if !fits {
            *self = Self::DOUBT;
        }
        if let (Self::Doubt { fits, edges }, true) = (&mut *self, fits) {
            *fits = fits.saturating_add(1);
            let position = usize::from(position);
            let (data, total) = (shape.data(), shape.total());
            for (bit, edge) in [0, data - 1, data, total - 1].into_iter().enumerate() {
                *edges |= u8::from(position == edge) << bit;
            }
            if *fits as usize >= PROBATION_GROUPS * total && *edges == 0b1111 {
                *self = Self::Full;
            }
        }
    }

    pub(crate) const fn is_full(self) -> bool {
        matches!(self, Self::Full)
    }
}

/// Groups' worth of packets that must fit in a row to end a doubt.
const PROBATION_GROUPS: usize = 4;
