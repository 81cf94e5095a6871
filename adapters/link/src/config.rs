//! What a path does to datagrams, and the limits of each setting.

use core::fmt;
use core::time::Duration;

/// The longest delay, jitter or reordering hold that may be asked for.
pub const MAX_DELAY: Duration = Duration::from_secs(60);
/// The highest rate that may be asked for, in bits per second.
pub const MAX_RATE: u64 = 1_000_000_000_000;
/// The longest datagram a link carries, in bytes (the largest UDP payload is 65,507).
pub const MAX_DATAGRAM: usize = 65_535;
/// The queue in front of a rate limit when none is given: what a home router holds.
pub const DEFAULT_QUEUE: Queue = Queue::Time(Duration::from_millis(100));
/// How long a reordered datagram is held back when `reorder_hold` is not given.
pub const DEFAULT_REORDER_HOLD: Duration = Duration::from_millis(10);

/// One direction of a path. The default is perfect: no delay, no loss, no limit.
///
/// A datagram meets the effects in the order of the fields from `mtu` to `reorder`: the
/// bottleneck and its queue stand at the sender, the lossy stretch comes after it. So a
/// datagram that is lost has used up its share of the rate, as on a real path.
///
/// Probabilities are fractions from 0 to 1, each drawn from a generator of its own: with the
/// same seed, the same datagrams are lost whatever the jitter.
///
/// It can be read from a short text, the form used on command lines; see [`LinkConfig::from_str`]
/// (`core::str::FromStr`).
///
/// [`LinkConfig::from_str`]: #impl-FromStr-for-LinkConfig
#[derive(Debug, Clone, PartialEq)]
pub struct LinkConfig {
    /// Datagrams longer than this many bytes (UDP payload) are dropped. `None`: nothing is too
    /// long up to [`MAX_DATAGRAM`].
    pub mtu: Option<usize>,
    /// Bottleneck in bits per second, counted on the bytes handed in, without IP and UDP
    /// headers. `None`: no limit.
    pub rate: Option<u64>,
    /// Drop-tail queue in front of the bottleneck; without meaning when `rate` is `None`.
    pub queue: Queue,
    /// Times at which the path carries nothing, counted from the first time the link is told.
    pub blackouts: Vec<Blackout>,
    /// Chance that a datagram is lost, each on its own.
    pub loss: f64,
    /// Losses that come in bursts, in addition to `loss`.
    pub burst: Option<Burst>,
    /// Chance that one byte of a datagram arrives changed (one to eight bits of it flipped).
    pub corrupt: f64,
    /// Chance that a datagram arrives twice, each copy with a jitter of its own.
    pub duplicate: f64,
    /// Time every datagram takes at least.
    pub delay: Duration,
    /// A random time of `0..=jitter` is added to `delay`, evenly spread.
    pub jitter: Duration,
    /// Whether jitter may let a datagram overtake an earlier one. If not, a datagram waits for
    /// those before it, as in the queues of real routers.
    pub jitter_reorders: bool,
    /// Chance that a datagram is held back by `reorder_hold` while later ones pass it.
    pub reorder: f64,
    /// How long a reordered datagram is held back.
    pub reorder_hold: Duration,
}

/// Room in front of the bottleneck. A datagram that finds the line idle always fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// As many bytes as this may wait, the datagram being sent included.
    Bytes(usize),
    /// A datagram is dropped if it had to wait longer than this.
    Time(Duration),
}

/// Burst loss after Gilbert and Elliott: a path is in a good or in a bad state, and changes
/// between them from datagram to datagram. Bursts last `1 / leave` datagrams on average; the
/// share of time spent in the bad state is `enter / (enter + leave)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Chance to enter the bad state before a datagram.
    pub enter: f64,
    /// Chance to leave the bad state before a datagram; not 0.
    pub leave: f64,
    /// Chance that a datagram is lost in the bad state.
    pub loss: f64,
}

/// A time without any delivery: what would be put on the wire during it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blackout {
    /// When it begins, after the first time the link was told.
    pub start: Duration,
    /// How long it lasts.
    pub length: Duration,
    /// Begins again this long after each beginning; longer than `length`. `None`: once.
    pub every: Option<Duration>,
}

/// A setting that no path can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value is not in its range.
    OutOfRange {
        /// The field of [`LinkConfig`], as written in its text form.
        field: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            mtu: None,
            rate: None,
            queue: DEFAULT_QUEUE,
            blackouts: Vec::new(),
            loss: 0.0,
            burst: None,
            corrupt: 0.0,
            duplicate: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            jitter_reorders: false,
            reorder: 0.0,
            reorder_hold: DEFAULT_REORDER_HOLD,
        }
    }
}

impl LinkConfig {
    /// Checks every field against its range.
    ///
    /// # Errors
    ///
    /// The first field that is out of range, with what is allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check(self.mtu.is_none_or(|mtu| (1..=MAX_DATAGRAM).contains(&mtu)), "mtu", "1 to 65535")?;
        check(
            self.rate.is_none_or(|rate| (1..=MAX_RATE).contains(&rate)),
            "rate",
            "1bit to 1000gbit per second",
        )?;
        if let Queue::Time(time) = self.queue {
            check(time <= MAX_DELAY, "queue", "at most 60s")?;
        }
        for blackout in &self.blackouts {
            let repeats = blackout.every.is_none_or(|every| every > blackout.length);
            check(repeats, "down", "a period longer than the time down, LENGTH@START/PERIOD")?;
        }
        check_chance(self.loss, "loss")?;
        if let Some(burst) = self.burst {
            check_chance(burst.enter, "burst")?;
            check_chance(burst.leave, "burst")?;
            check_chance(burst.loss, "burst")?;
            check(burst.leave > 0.0, "burst", "a chance above 0 to leave, ENTER/LEAVE/LOSS")?;
        }
        check_chance(self.corrupt, "corrupt")?;
        check_chance(self.duplicate, "duplicate")?;
        check(self.delay <= MAX_DELAY, "delay", "at most 60s")?;
        check(self.jitter <= MAX_DELAY, "jitter", "at most 60s")?;
        check_chance(self.reorder, "reorder")?;
        check(self.reorder_hold <= MAX_DELAY, "hold", "at most 60s")
    }
}

impl Blackout {
    /// Whether the path is down at `since` after its start, both in microseconds.
    pub(crate) fn covers(&self, since: u64) -> bool {
        let Some(into) = since.checked_sub(micros(self.start)) else { return false };
        let into = match self.every {
            Some(every) => into % micros(every).max(1),
            None => into,
        };
        into < micros(self.length)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { field, allowed } => {
                write!(f, "link setting \"{field}\" is out of range; allowed: {allowed}")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

fn check(fine: bool, field: &'static str, allowed: &'static str) -> Result<(), ConfigError> {
    if fine { Ok(()) } else { Err(ConfigError::OutOfRange { field, allowed }) }
}

fn check_chance(chance: f64, field: &'static str) -> Result<(), ConfigError> {
    // The range test is false for NaN.
    check((0.0..=1.0).contains(&chance), field, "0% to 100%, or a fraction from 0 to 1")
}

/// Whole microseconds, the resolution of the link's clock; saturates at u64.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: LinkConfig) -> &'static str {
        let ConfigError::OutOfRange { field, allowed } = config.validate().unwrap_err();
        assert!(!allowed.is_empty());
        field
    }

    #[test]
    fn a_perfect_path_is_valid() {
        assert_eq!(LinkConfig::default().validate(), Ok(()));
    }

    #[test]
    fn each_field_is_checked_and_named() {
        let perfect = LinkConfig::default;
        let long = MAX_DELAY + Duration::from_micros(1);
        assert_eq!(refused(LinkConfig { mtu: Some(0), ..perfect() }), "mtu");
        assert_eq!(refused(LinkConfig { mtu: Some(65_536), ..perfect() }), "mtu");
        assert_eq!(refused(LinkConfig { rate: Some(0), ..perfect() }), "rate");
        assert_eq!(refused(LinkConfig { rate: Some(MAX_RATE + 1), ..perfect() }), "rate");
        assert_eq!(refused(LinkConfig { queue: Queue::Time(long), ..perfect() }), "queue");
        assert_eq!(refused(LinkConfig { loss: 1.1, ..perfect() }), "loss");
        assert_eq!(refused(LinkConfig { loss: f64::NAN, ..perfect() }), "loss");
        assert_eq!(refused(LinkConfig { corrupt: -0.1, ..perfect() }), "corrupt");
        assert_eq!(refused(LinkConfig { duplicate: 2.0, ..perfect() }), "duplicate");
        assert_eq!(refused(LinkConfig { delay: long, ..perfect() }), "delay");
        assert_eq!(refused(LinkConfig { jitter: long, ..perfect() }), "jitter");
        assert_eq!(refused(LinkConfig { reorder: f64::INFINITY, ..perfect() }), "reorder");
        assert_eq!(refused(LinkConfig { reorder_hold: long, ..perfect() }), "hold");
        for (enter, leave, loss) in [(0.1, 0.0, 1.0), (2.0, 0.5, 1.0), (0.1, 0.5, -1.0)] {
            let burst = Some(Burst { enter, leave, loss });
            assert_eq!(refused(LinkConfig { burst, ..perfect() }), "burst");
        }
        let second = Duration::from_secs(1);
        let always = Blackout { start: second, length: second, every: Some(second) };
        assert_eq!(refused(LinkConfig { blackouts: vec![always], ..perfect() }), "down");
    }

    #[test]
    fn blackouts_cover_their_times_only() {
        let millis = Duration::from_millis;
        let once = Blackout { start: millis(2), length: millis(3), every: None };
        let covered: Vec<u64> = (0..12).filter(|ms| once.covers(ms * 1000)).collect();
        assert_eq!(covered, [2, 3, 4]);
        let again = Blackout { every: Some(millis(5)), ..once };
        let covered: Vec<u64> = (0..12).filter(|ms| again.covers(ms * 1000)).collect();
        assert_eq!(covered, [2, 3, 4, 7, 8, 9]);
    }
}
