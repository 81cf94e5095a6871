//! Datagrams of different kinds in the first FEC groups.

use fec_proto::Shape;

/// Groups after which every receiver has found out the shape of our groups: it needs one whole run
/// of data between two runs of parity.
const GROUPS: usize = 3;

/// Sees to it that the first FEC groups of a connection are not made of equal datagrams.
///
/// A receiver of the original that runs with another shape than ours, or without FEC, takes parity
/// for data until it has tuned itself (kcp-go up to 5.6.53, fec.go, `decode`). It then rebuilds
/// "packets" from the wrong ones. Reed–Solomon keeps what all of them share, so in a group of full
/// data segments such a packet has a valid size, conversation and command, and a number that is made
/// up: garbage in the stream, which was seen between two ends of the original, too. Its own traffic
/// mostly escapes that by luck, as it begins with datagrams of many sizes and commands; ours begins
/// with full segments. So between equal datagrams a window update is put, which differs in size and
/// command: what is rebuilt from both is neither.
#[derive(Debug)]
pub(crate) struct Variety {
    /// Datagrams to watch.
    left: usize,
    last_len: usize,
    is_due: bool,
}

impl Variety {
    pub(crate) fn new(shape: Option<Shape>) -> Self {
        let left = shape.map_or(0, |shape| GROUPS * shape.total());
        Self { left, last_len: 0, is_due: false }
    }

    /// A datagram of `len` bytes was sent.
    pub(crate) fn on_sent(&mut self, len: usize) {
        if self.left > 0 {
            self.left -= 1;
            self.is_due = !self.is_due && len == self.last_len && self.left > 0;
            self.last_len = len;
        }
    }

    /// Whether the next datagram should be a window update.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_datagrams_are_kept_apart_for_three_groups() {
        let mut variety = Variety::new(Shape::new(3, 1).unwrap());
        let kinds: alloc::string::String = (0..16)
            .map(|_| {
                let is_update = variety.is_due();
                variety.on_sent(if is_update { 24 } else { 1300 });
                if is_update { 'w' } else { 'd' }
            })
            .collect();
        assert_eq!(kinds, "ddwddwddwddwdddd");
        let mut without = Variety::new(None);
        without.on_sent(5);
        without.on_sent(5);
        assert!(!without.is_due());
    }
}
