//! The short text form of a configuration: `delay=50ms,loss=10%,rate=50mbit`.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::config::{Blackout, Burst, ConfigError, LinkConfig, Queue};

/// A text that does not describe a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// A word that is no setting.
    UnknownSetting {
        /// The word.
        found: String,
    },
    /// A setting whose value has the wrong form.
    BadValue {
        /// The setting.
        setting: &'static str,
        /// The value as given.
        found: String,
        /// The form it must have, with an example.
        form: &'static str,
    },
    /// A value of the right form, out of its range.
    Invalid(ConfigError),
}

const SETTINGS: &str = "mtu, rate, queue, down, loss, burst, corrupt, duplicate, delay, jitter, \
                        order, reorder, hold";
const CHANCE: &str = "a share such as 10% or 0.1";
const TIME: &str = "a time such as 50ms, 1.5s or 200us";
const BURST: &str = "ENTER/LEAVE or ENTER/LEAVE/LOSS, such as 1%/25%/80%";
const DOWN: &str = "LENGTH@START or LENGTH@START/PERIOD, such as 2s@5s or 2s@5s/30s";

/// Settings are separated by commas, spaces around them are ignored, and each is `name=value`.
/// What is not named stays perfect; the last one counts if a name stands twice, except for
/// `down`, which may be given several times.
///
/// | setting | value | example |
/// |---|---|---|
/// | `mtu` | bytes of UDP payload | `mtu=1252` |
/// | `rate` | bits per second with `bit`, `kbit`, `mbit` or `gbit` | `rate=50mbit` |
/// | `queue` | a time, or bytes with `b`, `kb` or `mb` (powers of 1000) | `queue=100ms`, `queue=64kb` |
/// | `down` | `LENGTH@START`, or `LENGTH@START/PERIOD` to repeat | `down=2s@5s/30s` |
/// | `loss` | a share | `loss=10%` |
/// | `burst` | `ENTER/LEAVE/LOSS` shares; `LOSS` is 100% when left out | `burst=1%/25%/80%` |
/// | `corrupt`, `duplicate` | a share | `duplicate=0.5%` |
/// | `delay`, `jitter` | a time with `us`, `ms` or `s` | `delay=50ms,jitter=10ms` |
/// | `order` | `keep` or `free`: whether jitter may reorder | `order=free` |
/// | `reorder` | a share | `reorder=1%` |
/// | `hold` | a time: how long the reordered are held back | `hold=20ms` |
///
/// The empty text is the perfect path. The result has been checked by [`LinkConfig::validate`].
impl FromStr for LinkConfig {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut config = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = item.split_once('=').unwrap_or((item, ""));
            apply(&mut config, name.trim(), value.trim())?;
        }
        config.validate().map_err(ParseError::Invalid)?;
        Ok(config)
    }
}

/// The shortest text that reads back as the same configuration.
impl fmt::Display for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let perfect = Self::default();
        let mut items = Vec::new();
        let mut item = |shown: bool, text: String| items.extend(shown.then_some(text));
        item(self.mtu.is_some(), format!("mtu={}", self.mtu.unwrap_or(0)));
        item(self.rate.is_some(), format!("rate={}", show_rate(self.rate.unwrap_or(0))));
        let queue = match self.queue {
            Queue::Bytes(bytes) => format!("queue={bytes}b"),
            Queue::Time(time) => format!("queue={}", show_time(time)),
        };
        item(self.queue != perfect.queue, queue);
        for down in &self.blackouts {
            let every = down.every.map(|every| format!("/{}", show_time(every)));
            let (length, start) = (show_time(down.length), show_time(down.start));
            item(true, format!("down={length}@{start}{}", every.unwrap_or_default()));
        }
        item(self.loss > 0.0, format!("loss={}", self.loss));
        if let Some(Burst { enter, leave, loss }) = self.burst {
            item(true, format!("burst={enter}/{leave}/{loss}"));
        }
        item(self.corrupt > 0.0, format!("corrupt={}", self.corrupt));
        item(self.duplicate > 0.0, format!("duplicate={}", self.duplicate));
        item(!self.delay.is_zero(), format!("delay={}", show_time(self.delay)));
        item(!self.jitter.is_zero(), format!("jitter={}", show_time(self.jitter)));
        item(self.jitter_reorders, "order=free".into());
        item(self.reorder > 0.0, format!("reorder={}", self.reorder));
        let hold = format!("hold={}", show_time(self.reorder_hold));
        item(self.reorder_hold != perfect.reorder_hold, hold);
        f.write_str(&items.join(","))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSetting { found } => {
                write!(f, "unknown link setting \"{found}\"; known: {SETTINGS}")
            }
            Self::BadValue { setting, found, form } => {
                write!(f, "link setting \"{setting}\" cannot be \"{found}\"; allowed: {form}")
            }
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ParseError {}

fn apply(config: &mut LinkConfig, name: &str, value: &str) -> Result<(), ParseError> {
    match name {
        "mtu" => config.mtu = Some(read("mtu", value, "a number of bytes", |v| v.parse().ok())?),
        "rate" => config.rate = Some(read("rate", value, "a rate such as 50mbit", rate)?),
        "queue" => config.queue = read("queue", value, "a time (100ms) or bytes (64kb)", queue)?,
        "down" => config.blackouts.push(read("down", value, DOWN, down)?),
        "loss" => config.loss = read("loss", value, CHANCE, chance)?,
        "burst" => config.burst = Some(read("burst", value, BURST, burst)?),
        "corrupt" => config.corrupt = read("corrupt", value, CHANCE, chance)?,
        "duplicate" => config.duplicate = read("duplicate", value, CHANCE, chance)?,
        "delay" => config.delay = read("delay", value, TIME, time)?,
        "jitter" => config.jitter = read("jitter", value, TIME, time)?,
        "order" => config.jitter_reorders = read("order", value, "keep or free", order)?,
        "reorder" => config.reorder = read("reorder", value, CHANCE, chance)?,
        "hold" => config.reorder_hold = read("hold", value, TIME, time)?,
        _ => return Err(ParseError::UnknownSetting { found: name.into() }),
    }
    Ok(())
}

fn read<T>(
    setting: &'static str,
    value: &str,
    form: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, ParseError> {
    parse(value).ok_or_else(|| ParseError::BadValue { setting, found: value.into(), form })
}

fn chance(value: &str) -> Option<f64> {
    match value.strip_suffix('%') {
        Some(percent) => Some(number(percent)? / 100.0),
        None => number(value),
    }
}

fn time(value: &str) -> Option<Duration> {
    let (text, unit) = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(suffix)?, unit)))?;
    // Whole numbers are exact; fractions are rounded to the microsecond of the link's clock.
    let micros = (number(text)? * unit * 1e6).round();
    (micros < 1e15).then_some(Duration::from_micros(micros as u64))
}

fn rate(value: &str) -> Option<u64> {
    let (text, unit) = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(suffix)?, unit)))?;
    Some((number(text)? * unit).round() as u64)
}

fn queue(value: &str) -> Option<Queue> {
    if let Some(time) = time(value) {
        return Some(Queue::Time(time));
    }
    let (text, unit) = [("kb", 1e3), ("mb", 1e6), ("b", 1.0)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((value.strip_suffix(suffix)?, unit)))?;
    Some(Queue::Bytes((number(text)? * unit).round() as usize))
}

fn burst(value: &str) -> Option<Burst> {
    let mut parts = value.split('/').map(chance);
    let (enter, leave) = (parts.next()??, parts.next()??);
    let loss = parts.next().unwrap_or(Some(1.0))?;
    parts.next().is_none().then_some(Burst { enter, leave, loss })
}

fn down(value: &str) -> Option<Blackout> {
    let (length, rest) = value.split_once('@')?;
    let (start, every) = match rest.split_once('/') {
        Some((start, every)) => (start, Some(time(every)?)),
        None => (rest, None),
    };
    Some(Blackout { start: time(start)?, length: time(length)?, every })
}

fn order(value: &str) -> Option<bool> {
    match value {
        "keep" => Some(false),
        "free" => Some(true),
        _ => None,
    }
}

/// A plain non-negative number: no sign, no exponent, no "inf".
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

/// In the largest unit that divides it.
fn show_rate(bits: u64) -> String {
    let units = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1_000, "kbit")];
    let unit = units.into_iter().find(|(unit, _)| bits > 0 && bits.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "bit"));
    format!("{}{name}", bits / unit)
}

fn show_time(time: Duration) -> String {
    let micros = time.as_micros();
    if micros.is_multiple_of(1000) { format!("{}ms", micros / 1000) } else { format!("{micros}us") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> LinkConfig {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_full_description_is_understood() {
        let config = parse(
            "mtu=1252, rate=50mbit, queue=64kb, down=2s@5s/30s, down=1s@1.5s, loss=10%, \
             burst=1%/25%/80%, corrupt=0.5%, duplicate=0.25, delay=50ms, jitter=1500us, \
             order=free, reorder=1%, hold=20ms",
        );
        let millis = Duration::from_millis;
        let expected = LinkConfig {
            mtu: Some(1252),
            rate: Some(50_000_000),
            queue: Queue::Bytes(64_000),
            blackouts: vec![
                Blackout { start: millis(5000), length: millis(2000), every: Some(millis(30_000)) },
                Blackout { start: millis(1500), length: millis(1000), every: None },
            ],
            loss: 0.1,
            burst: Some(Burst { enter: 0.01, leave: 0.25, loss: 0.8 }),
            corrupt: 0.005,
            duplicate: 0.25,
            delay: millis(50),
            jitter: Duration::from_micros(1500),
            jitter_reorders: true,
            reorder: 0.01,
            reorder_hold: millis(20),
        };
        assert_eq!(config, expected);
        assert_eq!(parse(""), LinkConfig::default());
    }

    #[test]
    fn rates_are_shown_in_the_largest_unit_that_divides_them() {
        for text in ["1gbit", "1500mbit", "50mbit", "64kbit", "999bit", "1000001bit"] {
            assert_eq!(parse(&format!("rate={text}")).to_string(), format!("rate={text}"));
        }
        assert_eq!(parse("rate=1000mbit").to_string(), "rate=1gbit");
    }

    #[test]
    fn errors_name_the_setting_and_what_is_allowed() {
        for (text, named, allowed) in [
            ("speed=5", "speed", "rate"),
            ("loss", "loss", "10%"),
            ("loss=101%", "loss", "0% to 100%"),
            ("loss=-1", "loss", "10%"),
            ("loss=inf", "loss", "10%"),
            ("delay=50", "delay", "50ms"),
            ("delay=61s", "delay", "60s"),
            ("rate=5", "rate", "50mbit"),
            ("rate=0bit", "rate", "1bit"),
            ("rate=9999gbit", "rate", "1000gbit"),
            ("queue=full", "queue", "64kb"),
            ("mtu=big", "mtu", "bytes"),
            ("mtu=0", "mtu", "65535"),
            ("burst=1%", "burst", "ENTER/LEAVE"),
            ("burst=1%/2%/3%/4%", "burst", "ENTER/LEAVE"),
            ("burst=1%/0%", "burst", "above 0"),
            ("down=2s", "down", "LENGTH@START"),
            ("down=2s@0s/1s", "down", "longer"),
            ("order=maybe", "order", "keep or free"),
        ] {
            let message = text.parse::<LinkConfig>().unwrap_err().to_string();
            assert!(message.contains(named) && message.contains(allowed), "{text}: {message}");
        }
    }

    fn any_time() -> impl Strategy<Value = Duration> {
        (0u64..60_000_000).prop_map(Duration::from_micros)
    }

    prop_compose! {
        fn any_config()(
            mtu in prop::option::of(1usize..65_536),
            rate in prop::option::of(1u64..=1_000_000_000_000),
            queue in prop_oneof![
                (0usize..1 << 40).prop_map(Queue::Bytes),
                any_time().prop_map(Queue::Time),
            ],
            blackouts in prop::collection::vec(
                (any_time(), any_time(), any::<bool>()).prop_map(|(start, length, repeats)| {
                    let every = repeats.then_some(length + Duration::from_millis(7));
                    Blackout { start, length, every }
                }), 0..3),
            burst in prop::option::of((0.0..=1.0, 0.01..=1.0, 0.0..=1.0)
                .prop_map(|(enter, leave, loss)| Burst { enter, leave, loss })),
            chances in [0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0],
            times in [any_time(), any_time(), any_time()],
            jitter_reorders: bool,
        ) -> LinkConfig {
            let [loss, corrupt, duplicate, reorder] = chances;
            let [delay, jitter, reorder_hold] = times;
            LinkConfig {
                mtu, rate, queue, blackouts, loss, burst, corrupt, duplicate, delay, jitter,
                jitter_reorders, reorder, reorder_hold,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(config in any_config()) {
            let text = config.to_string();
            prop_assert_eq!(text.parse::<LinkConfig>(), Ok(config), "{}", text);
        }

        #[test]
        fn any_text_is_answered(text in "[a-z=%/@.0-9, ]{0,40}") {
            let _ = text.parse::<LinkConfig>();
        }
    }
}
