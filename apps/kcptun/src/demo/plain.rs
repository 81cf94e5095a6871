//! What a plain reliable stream would do on the same link: simulated, on virtual time.
//!
//! The sender is TCP Reno as it is at its best: selective acknowledgements, losses of repetitions
//! found by their order, early retransmission at small windows (RFC 5681, 6298, 6675, 5827; every
//! packet acknowledged at once). Cubic, the default of most systems, behaves as Reno does on links
//! that lose this much (RFC 9438, 4.3: its Reno-friendly region). What follows from the losses is
//! Mathis' law: a rate of about `MSS / RTT · 1.22 / √loss`, whatever the bandwidth.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kcptun_link::{ConfigError, Link, LinkConfig};
use proto_base::Instant;

/// Bytes of a data packet as the link counts them: an IP packet of 1500 without 28 bytes of
/// headers, as for the tunnel's datagrams.
const PACKET: usize = 1472;
/// Bytes of headers in it: TCP with timestamps, less what is counted above.
const HEADERS: usize = 24;
/// An acknowledgement.
const ACK: usize = 48;
/// Packets that may be on their way: a receive window of 6 MB, the most Linux gives by itself.
const WINDOW: u64 = 4096;
/// Least and longest retransmission timeout, as in Linux.
const RTO_RANGE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(120)];
/// The simulated hosts are no faster than this, and no nearer than `NEAREST`.
const FASTEST: u64 = 1_000_000_000;
const NEAREST: Duration = Duration::from_micros(50);

/// What the stream did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PlainStream {
    /// Bytes that arrived in order.
    pub(crate) bytes: u64,
    /// How long it was given.
    pub(crate) time: Duration,
    /// Times that it had to wait for the retransmission timeout.
    pub(crate) timeouts: u64,
}

impl PlainStream {
    /// Sends for `time` over `data`, with acknowledgements over `acks`.
    ///
    /// # Errors
    /// A setting of the links is out of range.
    pub(crate) fn simulate(
        acks: LinkConfig,
        data: LinkConfig,
        seed: u64,
        time: Duration,
    ) -> Result<Self, ConfigError> {
        let packet = data.mtu.unwrap_or(PACKET).clamp(2 * HEADERS, PACKET);
        let (back, there) = kcptun_link::path(at_most(acks), at_most(data), seed)?;
        let mut sender = Sender::new(packet);
        let mut receiver = Receiver::default();
        let (mut there, mut back) = (there, back);
        let (mut now, end) = (Instant::ZERO, Instant::ZERO + time);
        while now < end {
            while let Some(bytes) = there.poll_transmit(now) {
                if let Some([number, order]) = Header::read(bytes) {
                    let ack = receiver.receive(number, order);
                    back.handle_datagram(now, &ack.write(ACK));
                }
            }
            while let Some(bytes) = back.poll_transmit(now) {
                if let Some([next, order]) = Header::read(bytes) {
                    sender.acknowledged(now, next, order);
                }
            }
            sender.check_timeout(now);
            sender.send(now, &mut there);
            let arrival = Instant::earliest(there.poll_timeout(), back.poll_timeout());
            now = Instant::earliest(arrival, sender.timeout_at).unwrap_or(end).max(now);
        }
        let bytes = receiver.next * (packet - HEADERS) as u64;
        Ok(Self { bytes, time, timeouts: sender.timeouts })
    }

    /// Bits per second.
    pub(crate) fn rate(&self) -> f64 {
        self.bytes as f64 * 8.0 / self.time.as_secs_f64().max(1e-3)
    }
}

fn at_most(config: LinkConfig) -> LinkConfig {
    let rate = config.rate.unwrap_or(FASTEST).min(FASTEST);
    LinkConfig { rate: Some(rate), delay: config.delay.max(NEAREST), ..config }
}

/// Two numbers, twice, and zeros: damage shows.
struct Header([u64; 2]);

impl Header {
    fn write(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for (place, number) in bytes.chunks_exact_mut(8).zip(self.0.iter().cycle().take(4)) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<[u64; 2]> {
        let (first, rest) = bytes.split_first_chunk::<16>()?;
        let (second, zeros) = rest.split_first_chunk::<16>()?;
        if first != second || zeros.iter().any(|&byte| byte != 0) {
            return None;
        }
        let number = |from: usize| {
            first[from..from + 8].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        };
        Some([number(0), number(8)])
    }
}

/// Tells the sender what is missing next and which transmission has come. That last part stands
/// for selective acknowledgements and timestamps.
#[derive(Debug, Default)]
struct Receiver {
    /// The packet that is waited for.
    next: u64,
    ahead: BTreeSet<u64>,
}

impl Receiver {
    fn receive(&mut self, number: u64, order: u64) -> Header {
        if number >= self.next {
            self.ahead.insert(number);
        }
        while self.ahead.remove(&self.next) {
            self.next += 1;
        }
        Header([self.next, order])
    }
}

/// One packet between `una` and `next`.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Number of its latest transmission.
    order: u64,
    sent_at: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    OnItsWay,
    Lost,
    Arrived,
}

/// Until everything sent before the loss was found has arrived, the window is not cut again.
#[derive(Debug, Clone, Copy)]
struct Recovery {
    until: u64,
    /// After a timeout the window grows again at once.
    is_growing: bool,
}

#[derive(Debug)]
struct Sender {
    packet: usize,
    una: u64,
    slots: VecDeque<Slot>,
    /// Transmissions in their order, with the packet of each.
    flight: VecDeque<(u64, u64)>,
    lost: BTreeSet<u64>,
    order: u64,
    latest_arrived: u64,
    /// Packets on their way.
    pipe: u64,
    window: f64,
    threshold: f64,
    recovery: Option<Recovery>,
    rtt: Option<(f64, f64)>,
    timeout: Duration,
    timeout_at: Option<Instant>,
    timeouts: u64,
}

impl Sender {
    fn new(packet: usize) -> Self {
        Self {
            packet,
            una: 0,
            slots: VecDeque::new(),
            flight: VecDeque::new(),
            lost: BTreeSet::new(),
            order: 0,
            latest_arrived: 0,
            pipe: 0,
            window: 10.0, // RFC 6928
            threshold: f64::INFINITY,
            recovery: None,
            rtt: None,
            timeout: Duration::from_secs(1),
            timeout_at: None,
            timeouts: 0,
        }
    }

    fn next(&self) -> u64 {
        self.una + self.slots.len() as u64
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let index = usize::try_from(number.checked_sub(self.una)?).ok()?;
        self.slots.get_mut(index)
    }

    fn acknowledged(&mut self, now: Instant, next: u64, order: u64) {
        let mut arrived = self.arrived_by_order(now, order);
        while self.una < next {
            let Some(slot) = self.slots.pop_front() else { break };
            self.pipe -= u64::from(slot.state == State::OnItsWay);
            arrived += u64::from(slot.state != State::Arrived);
            self.lost.remove(&self.una);
            self.una += 1;
            self.restart_timer(now);
        }
        self.latest_arrived = self.latest_arrived.max(order);
        if self.recovery.is_some_and(|recovery| self.una >= recovery.until) {
            self.recovery = None;
        }
        self.find_losses();
        self.grow(arrived);
    }

    /// Marks the packet of one transmission; 1 if that is news.
    fn arrived_by_order(&mut self, now: Instant, order: u64) -> u64 {
        let Ok(index) = self.flight.binary_search_by_key(&order, |&(order, _)| order) else {
            return 0;
        };
        let number = self.flight[index].1;
        let Some(slot) = self.slot(number) else { return 0 };
        let Slot { order: latest, sent_at, state } = *slot;
        if state == State::Arrived {
            return 0;
        }
        slot.state = State::Arrived;
        self.pipe -= u64::from(state == State::OnItsWay);
        self.lost.remove(&number);
        if latest == order {
            self.measure(now.since(sent_at).as_secs_f64());
        }
        1
    }

    /// RFC 6298.
    fn measure(&mut self, sample: f64) {
        let (smooth, variation) = match self.rtt {
            None => (sample, sample / 2.0),
            Some((smooth, variation)) => {
                let variation = 0.75 * variation + 0.25 * (smooth - sample).abs();
                (0.875 * smooth + 0.125 * sample, variation)
            }
        };
        self.rtt = Some((smooth, variation));
        let timeout = Duration::from_secs_f64(smooth + 4.0 * variation);
        self.timeout = timeout.clamp(RTO_RANGE[0], RTO_RANGE[1]);
    }

    /// A transmission is lost when three later ones have arrived; fewer when fewer are there.
    fn find_losses(&mut self) {
        let distance = self.pipe.saturating_sub(1).clamp(1, 3);
        while let Some(&(order, number)) = self.flight.front() {
            let is_latest = self
                .slot(number)
                .is_some_and(|slot| slot.order == order && slot.state == State::OnItsWay);
            if is_latest {
                if order + distance > self.latest_arrived {
                    break;
                }
                self.give_up(number);
                self.cut();
            }
            self.flight.pop_front();
        }
    }

    fn give_up(&mut self, number: u64) {
        if let Some(slot) = self.slot(number) {
            slot.state = State::Lost;
            self.pipe -= 1;
            self.lost.insert(number);
        }
    }

    /// Halves the window, once for all losses of a round trip.
    fn cut(&mut self) {
        if self.recovery.is_none() {
            self.threshold = (self.window / 2.0).max(2.0);
            self.window = self.threshold;
            self.recovery = Some(Recovery { until: self.next(), is_growing: false });
        }
    }

    fn grow(&mut self, arrived: u64) {
        if self.recovery.is_some_and(|recovery| !recovery.is_growing) {
            return;
        }
        let arrived = arrived as f64;
        let step = if self.window < self.threshold { arrived } else { arrived / self.window };
        self.window = (self.window + step).min(WINDOW as f64);
    }

    fn restart_timer(&mut self, now: Instant) {
        self.timeout_at = (!self.slots.is_empty()).then(|| now + self.timeout);
    }

    fn check_timeout(&mut self, now: Instant) {
        if self.timeout_at.is_none_or(|at| at > now) {
            return;
        }
        self.timeouts += 1;
        self.threshold = (self.window / 2.0).max(2.0);
        self.window = 1.0;
        self.recovery = Some(Recovery { until: self.next(), is_growing: true });
        for number in self.una..self.next() {
            if self.slot(number).is_some_and(|slot| slot.state == State::OnItsWay) {
                self.give_up(number);
            }
        }
        self.timeout = (self.timeout * 2).min(RTO_RANGE[1]);
        self.timeout_at = Some(now + self.timeout);
    }

    fn send(&mut self, now: Instant, link: &mut Link) {
        while (self.pipe as f64) < self.window.floor() {
            let number = match self.lost.pop_first() {
                Some(number) => number,
                None if self.slots.len() as u64 >= WINDOW => return,
                None => self.next(),
            };
            self.order += 1;
            let slot = Slot { order: self.order, sent_at: now, state: State::OnItsWay };
            match self.slot(number) {
                Some(old) => *old = slot,
                None => self.slots.push_back(slot),
            }
            self.flight.push_back((self.order, number));
            self.pipe += 1;
            link.handle_datagram(now, &Header([number, self.order]).write(self.packet));
            if self.timeout_at.is_none() {
                self.restart_timer(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulate(link: &str, seconds: u64) -> PlainStream {
        let config: LinkConfig = link.parse().unwrap();
        PlainStream::simulate(config.clone(), config, 7, Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn losses_set_the_rate_by_the_law_of_mathis() {
        for (loss, rtt) in [(0.0005, 0.1), (0.002, 0.1), (0.01, 0.1), (0.002, 0.03), (0.005, 0.2)] {
            let link = format!("delay={}us,loss={loss}", (rtt * 500_000.0) as u64);
            let rate = simulate(&link, 400).rate();
            let law = (PACKET - HEADERS) as f64 * 8.0 / rtt * (1.5_f64 / loss).sqrt();
            let ratio = rate / law;
            assert!((0.75..1.25).contains(&ratio), "{link}: {rate:.0} / {law:.0} = {ratio:.2}");
        }
    }

    /// Padhye and others (1998), eq. 30 without delayed acks: with timeouts, which rule here.
    #[test]
    fn heavy_losses_set_the_rate_by_the_law_of_padhye() {
        for loss in [0.03_f64, 0.1, 0.2] {
            let rate = simulate(&format!("delay=50ms,loss={loss}"), 2000).rate();
            let (rtt, timeout) = (0.1, 0.2);
            let waits =
                (3.0 * (3.0 * loss / 8.0).sqrt()).min(1.0) * loss * (1.0 + 32.0 * loss * loss);
            let time = rtt * (2.0 * loss / 3.0).sqrt() + timeout * waits;
            let law = (PACKET - HEADERS) as f64 * 8.0 / time;
            // Better than the law, which knows no selective acknowledgements.
            let ratio = rate / law;
            assert!((0.6..2.2).contains(&ratio), "{loss}: {rate:.0} / {law:.0} = {ratio:.2}");
        }
    }

    #[test]
    fn a_clean_link_is_filled() {
        for (link, rate) in [
            ("delay=50ms,rate=50mbit", 50e6),
            ("delay=5ms,rate=10mbit,queue=30ms", 10e6),
            ("delay=20ms,rate=20mbit,mtu=1000", 20e6),
        ] {
            let got = simulate(link, 30).rate();
            assert!((0.8 * rate..rate).contains(&got), "{link}: {got:.0}");
        }
    }

    #[test]
    fn nothing_arrives_on_a_dead_link_and_much_on_a_perfect_one() {
        let dead = simulate("delay=50ms,loss=100%", 30);
        assert_eq!(dead.bytes, 0);
        assert!((3..=6).contains(&dead.timeouts), "{dead:?}");
        assert!(simulate("", 1).rate() > 100e6);
    }

    #[test]
    fn damage_and_disorder_are_survived() {
        let good = simulate("delay=50ms,rate=5mbit", 20);
        let bad = simulate("delay=50ms,rate=5mbit,corrupt=2%,duplicate=5%", 20);
        assert!(bad.bytes > 0 && bad.bytes < good.bytes / 2, "{bad:?} {good:?}");
        let free = simulate("delay=50ms,jitter=20ms,order=free,reorder=5%,burst=1%/50%", 20);
        assert!(free.bytes > 0, "{free:?}");
    }
}
