//! Datagrams that leave together.

/// Most datagrams of a batch: what one system call carries.
const MOST: usize = 64;
/// Most bytes of a batch.
const MOST_BYTES: usize = 60_000;

/// A run of equal datagrams for one client, the last may be shorter; and the first one that did not
/// fit, which begins the next run.
#[derive(Debug, Default)]
pub(super) struct Batch {
    tag: u64,
    bytes: Vec<u8>,
    stride: usize,
    count: usize,
    /// Datagrams already sent.
    sent: usize,
    aside: Option<u64>,
    aside_bytes: Vec<u8>,
}

impl Batch {
    /// Adds a datagram. `false`: the batch is complete, and the datagram waits for the next.
    pub(super) fn push(&mut self, tag: u64, datagram: &[u8]) -> bool {
        let fits = match self.count {
            0 => true,
            // An empty datagram goes alone: it has no place in a run of bytes.
            _ if datagram.is_empty() || self.stride == 0 => false,
            count => {
                let is_run = self.bytes.len() == count * self.stride;
                let len = self.bytes.len() + datagram.len();
                self.tag == tag
                    && is_run
                    && datagram.len() <= self.stride
                    && count < MOST
                    && len <= MOST_BYTES
            }
        };
        if fits {
            if self.count == 0 {
                self.tag = tag;
                self.stride = datagram.len();
            }
            self.bytes.extend_from_slice(datagram);
            self.count += 1;
        } else {
            self.aside = Some(tag);
            self.aside_bytes.extend_from_slice(datagram);
        }
        fits
    }

    /// Begins the next run, once all was sent; with the datagram put aside, if there is one.
    pub(super) fn next(&mut self) {
        self.bytes.clear();
        (self.count, self.sent) = (0, 0);
        if let Some(tag) = self.aside.take() {
            std::mem::swap(&mut self.bytes, &mut self.aside_bytes);
            (self.tag, self.count, self.stride) = (tag, 1, self.bytes.len());
        }
        self.aside_bytes.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// For whom it is.
    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    /// What is still to be sent, and where to cut it; stride 0 is one empty datagram.
    pub(super) fn rest(&self) -> (&[u8], usize) {
        (self.bytes.get(self.sent * self.stride..).unwrap_or_default(), self.stride)
    }

    /// `count` more datagrams were sent, or given up. Whether that was all.
    pub(super) fn advance(&mut self, count: usize) -> bool {
        self.sent += count;
        self.sent >= self.count
    }

    /// Datagrams that are still to be sent.
    pub(super) fn left(&self) -> usize {
        self.count.saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Cut into runs and sent in parts, each datagram comes out once, whole, in order and for
        /// its client.
        #[test]
        fn what_goes_in_comes_out(
            datagrams in prop::collection::vec((0u64..2, prop_oneof![0usize..4, Just(1000usize), Just(30_000)]), 0..300),
            parts in prop::collection::vec(1usize..70, 1..10),
        ) {
            let mut batch = Batch::default();
            let mut out = Vec::new();
            let mut parts = parts.into_iter().cycle();
            let mut drain = |batch: &mut Batch, out: &mut Vec<(u64, usize)>| {
                while !batch.is_empty() {
                    let (rest, stride) = batch.rest();
                    let lens: Vec<usize> = match stride {
                        0 => vec![0],
                        _ => rest.chunks(stride).map(<[u8]>::len).collect(),
                    };
                    prop_assert_eq!(lens.len(), batch.left());
                    prop_assert!(lens.len() <= MOST && (lens.len() == 1 || rest.len() <= MOST_BYTES));
                    let taken = lens.len().min(parts.next().unwrap());
                    out.extend(lens[..taken].iter().map(|&len| (batch.tag(), len)));
                    if batch.advance(taken) {
                        batch.next();
                        break;
                    }
                }
                Ok(())
            };
            for &(tag, len) in &datagrams {
                if !batch.push(tag, &vec![0; len]) {
                    drain(&mut batch, &mut out)?;
                }
            }
            while !batch.is_empty() {
                drain(&mut batch, &mut out)?;
            }
            prop_assert_eq!(out, datagrams);
        }
    }
}
