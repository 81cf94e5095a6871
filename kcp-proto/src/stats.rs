//! Counters of a session.

/// What happened so far; plain numbers, never reset.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Segments in, of every kind.
    pub segments_in: u64,
    /// Segments out, of every kind, repetitions included.
    pub segments_out: u64,
    /// Push segments (those with data) out, repetitions included.
    pub pushes_out: u64,
    /// Datagrams refused.
    pub bad_packets: u64,
    /// Repetitions because `resend` later transmissions were acknowledged.
    pub fast_retransmits: u64,
    /// Repetitions because one was, and nothing new was there to send.
    pub early_retransmits: u64,
    /// Repetitions because time was up.
    pub timeout_retransmits: u64,
    /// Repetitions of segments that had arrived, as far as acks tell.
    pub spurious_retransmits: u64,
    /// Pushes that had arrived before or lay outside the window.
    pub repeated: u64,
    /// Pushes dropped because no buffer memory was left.
    pub no_memory: u64,
    /// Segments that were transmitted 20 times; the original calls that a dead link.
    pub dead_link: u64,
}

impl core::ops::AddAssign for Stats {
    /// Adds up counters, as of several conversations.
    fn add_assign(&mut self, other: Self) {
        let Self {
            segments_in,
            segments_out,
            pushes_out,
            bad_packets,
            fast_retransmits,
            early_retransmits,
            timeout_retransmits,
            spurious_retransmits,
            repeated,
            no_memory,
            dead_link,
        } = other;
        self.segments_in += segments_in;
        self.segments_out += segments_out;
        self.pushes_out += pushes_out;
        self.bad_packets += bad_packets;
        self.fast_retransmits += fast_retransmits;
        self.early_retransmits += early_retransmits;
        self.timeout_retransmits += timeout_retransmits;
        self.spurious_retransmits += spurious_retransmits;
        self.repeated += repeated;
        self.no_memory += no_memory;
        self.dead_link += dead_link;
    }
}
