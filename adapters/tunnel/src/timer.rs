//! Many deadlines in one place: a hierarchical timing wheel.

use alloc::vec::Vec;

use proto_base::Instant;

/// A tick is 2^10 µs, about a millisecond: KCP's own clock is no finer.
const TICK_BITS: u32 = 10;
/// Slots of a level, as bits of a tick's number: 64, so that one word tells which are occupied.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 4;
/// Ticks that the levels cover, as bits: 2^24 ticks are 4.8 hours.
const RANGE_BITS: u32 = SLOT_BITS * 4;
/// The list of the deadlines beyond the range.
const FAR: usize = LEVELS * SLOTS;
/// How many timers of a list are looked at one by one. Lists that short are exact to the
/// microsecond; longer ones cost no more than that and are exact to a tick.
const LOOK: usize = 8;
/// No key, and no list.
const NIL: u32 = u32::MAX;

/// Deadlines of many things, each named by a small number (an index into a slab), at most one each.
///
/// Setting, moving, cancelling and finding what is due are O(1), amortised over the at most five
/// lists a deadline passes through. A timer never comes before its deadline, and at most one tick
/// (1024 µs) after it; when few share a tick, it comes exactly.
///
/// Deadlines lie by the highest group of six bits in which their tick differs from the current one,
/// so everything on a lower level is earlier than everything on a higher one, and nothing wraps.
/// What is beyond the top level waits in a list of its own, looked at every 4.8 hours.
///
/// Memory: 16 bytes per key up to the largest ever used, and 2 KiB.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    nodes: Vec<Node>,
    lists: [List; FAR + 1],
    /// Which lists of a level hold timers.
    occupied: [u64; LEVELS],
    /// The tick that the places are relative to.
    tick: u64,
    /// The latest time seen.
    now: Instant,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    at: Instant,
    prev: u32,
    next: u32,
    list: u32,
}

#[derive(Debug, Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

impl TimerWheel {
    /// No deadlines.
    pub(crate) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            lists: [List { head: NIL, tail: NIL }; FAR + 1],
            occupied: [0; LEVELS],
            tick: 0,
            now: Instant::ZERO,
            len: 0,
        }
    }

    /// Takes the memory for `count` keys now.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.nodes.reserve_exact(count);
    }

    /// Sets or moves the deadline of `key`. One in the past is due at once.
    pub(crate) fn schedule(&mut self, key: u32, at: Instant) {
        self.ensure(key);
        let node = self.nodes[key as usize];
        if node.list == NIL {
            self.len += 1;
        } else if node.at == at {
            return;
        } else {
            self.unlink(key);
        }
        self.nodes[key as usize].at = at;
        self.link(key);
    }

    /// Forgets the deadline of `key`, if it has one.
    pub(crate) fn cancel(&mut self, key: u32) {
        if self.nodes.get(key as usize).is_some_and(|node| node.list != NIL) {
            self.unlink(key);
            self.len -= 1;
        }
    }

    /// Takes one key whose deadline has passed. Call it until it says `None`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        self.now = self.now.max(now);
        let now_tick = tick_of(self.now);
        while let Some((level, slot)) = self.first() {
            let start = self.start_of(level, slot);
            if start > now_tick {
                break;
            }
            // Level 0 is popped from; the lists of the others are spread over the levels below.
            // From beyond the range everything comes nearer at once: what the clock jumped over
            // is due, in whatever order.
            self.tick = if level == LEVELS { now_tick >> RANGE_BITS << RANGE_BITS } else { start };
            if level > 0 {
                self.spread(list_of(level, slot));
                continue;
            }
            let key = if start < now_tick {
                Some(self.lists[slot].head)
            } else {
                self.look(slot).find(|&key| self.nodes[key as usize].at <= self.now)
            };
            if let Some(key) = key {
                self.cancel(key);
            }
            return key;
        }
        // No list begins between here and now, so the places stay right.
        self.tick = self.tick.max(now_tick);
        None
    }

    /// When to call [`pop_due`](Self::pop_due) next: never later than the end of the tick of the
    /// earliest deadline. Exactly the deadline when few lie close to it; an earlier time, at which
    /// perhaps nothing is due yet, when many do.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (level, slot) = self.first()?;
        let list = list_of(level, slot);
        let is_whole = self.look(list).last() == Some(self.lists[list].tail);
        if level == 0 || is_whole {
            self.look(list).map(|key| self.nodes[key as usize].at).min()
        } else {
            Some(instant_of(self.start_of(level, slot)))
        }
    }

    /// How many deadlines are set.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Makes a node for `key`. Keys are the caller's own indices, so this grows with its slab.
    fn ensure(&mut self, key: u32) {
        let len = key as usize + 1;
        if self.nodes.len() < len {
            let free = Node { at: Instant::ZERO, prev: NIL, next: NIL, list: NIL };
            self.nodes.resize(len, free);
        }
    }

    /// The place of the earliest deadlines: level and slot, or the list of the far ones.
    fn first(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|&slots| slots != 0);
        match level {
            Some(level) => Some((level, self.occupied[level].trailing_zeros() as usize)),
            None => (self.lists[FAR].head != NIL).then_some((LEVELS, 0)),
        }
    }

    /// The first tick of a slot; for the far ones, the first tick beyond the range.
    const fn start_of(&self, level: usize, slot: usize) -> u64 {
        let shift = SLOT_BITS * level as u32;
        if level == LEVELS {
            ((self.tick >> shift) + 1) << shift
        } else {
            let block = shift + SLOT_BITS;
            (self.tick >> block << block) + ((slot as u64) << shift)
        }
    }

    /// The first few keys of a list.
    fn look(&self, list: usize) -> impl Iterator<Item = u32> {
        let head = self.lists[list].head;
        core::iter::successors((head != NIL).then_some(head), |&key| {
            let next = self.nodes[key as usize].next;
            (next != NIL).then_some(next)
        })
        .take(LOOK)
    }

    /// Moves all timers of a list to where they belong now.
    fn spread(&mut self, list: usize) {
        let mut key = self.lists[list].head;
        self.lists[list] = List { head: NIL, tail: NIL };
        if list < FAR {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
        while key != NIL {
            let next = self.nodes[key as usize].next;
            self.link(key);
            key = next;
        }
    }

    /// Puts a node into the list its deadline belongs to: overdue ones in front, where `pop_due`
    /// looks first.
    fn link(&mut self, key: u32) {
        let at = self.nodes[key as usize].at;
        let tick = tick_of(at).max(self.tick);
        let level = ((tick ^ self.tick) | 1).ilog2() / SLOT_BITS;
        let list = if level as usize >= LEVELS {
            FAR
        } else {
            let slot = (tick >> (SLOT_BITS * level)) as usize % SLOTS;
            self.occupied[level as usize] |= 1 << slot;
            list_of(level as usize, slot)
        };
        let List { head, tail } = self.lists[list];
        let (prev, next) = if at <= self.now { (NIL, head) } else { (tail, NIL) };
        self.nodes[key as usize] = Node { at, prev, next, list: list as u32 };
        self.join(list, prev, key);
        self.join(list, key, next);
    }

    fn unlink(&mut self, key: u32) {
        let Node { prev, next, list, .. } = self.nodes[key as usize];
        let list = list as usize;
        self.nodes[key as usize].list = NIL;
        self.join(list, prev, next);
        if list < FAR && self.lists[list].head == NIL {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
    }

    /// Makes `next` follow `prev`; `NIL` stands for the ends of the list.
    fn join(&mut self, list: usize, prev: u32, next: u32) {
        match self.nodes.get_mut(prev as usize) {
            Some(node) => node.next = next,
            None => self.lists[list].head = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(node) => node.prev = prev,
            None => self.lists[list].tail = prev,
        }
    }
}

const fn list_of(level: usize, slot: usize) -> usize {
    level * SLOTS + slot
}

const fn tick_of(at: Instant) -> u64 {
    at.as_micros() >> TICK_BITS
}

const fn instant_of(tick: u64) -> Instant {
    Instant::from_micros(tick.saturating_mul(1 << TICK_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use core::time::Duration;
    use proptest::prelude::*;

    const fn us(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    const TICK: Duration = Duration::from_micros(1 << TICK_BITS);

    #[test]
    fn a_lone_timer_is_exact_at_any_distance() {
        for at in [0, 1, 1_023, 1_024, 65_535, 65_536, 10_000_000, 1 << 34, 1 << 50, u64::MAX] {
            let mut wheel = TimerWheel::new();
            wheel.schedule(7, us(at));
            assert_eq!(wheel.next(), Some(us(at)));
            if at > 0 {
                assert_eq!(wheel.pop_due(us(at - 1)), None, "{at}");
                assert_eq!(wheel.next(), Some(us(at)));
            }
            assert_eq!(wheel.pop_due(us(at)), Some(7), "{at}");
            assert_eq!((wheel.next(), wheel.len()), (None, 0));
        }
    }

    #[test]
    fn moving_replaces_and_cancelling_forgets() {
        let mut wheel = TimerWheel::new();
        wheel.schedule(0, us(5_000));
        wheel.schedule(1, us(9_000));
        wheel.schedule(0, us(20_000_000));
        assert_eq!(wheel.next(), Some(us(9_000)));
        wheel.cancel(1);
        wheel.cancel(1);
        wheel.cancel(99);
        assert_eq!(wheel.pop_due(us(19_999_999)), None);
        assert_eq!(wheel.pop_due(us(20_000_000)), Some(0));
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn what_is_overdue_comes_at_once_from_behind_a_crowd() {
        let mut wheel = TimerWheel::new();
        assert_eq!(wheel.pop_due(us(1 << 20)), None);
        for key in 0..100 {
            wheel.schedule(key, us((1 << 20) + 1_000));
        }
        wheel.schedule(100, us(3));
        assert!(wheel.next() <= Some(us(1 << 20)));
        assert_eq!(wheel.pop_due(us(1 << 20)), Some(100));
        assert_eq!(wheel.pop_due(us(1 << 20)), None);
    }

    #[test]
    fn a_year_of_timers_is_popped_after_a_year_of_sleep() {
        let mut wheel = TimerWheel::new();
        for key in 0..1_000 {
            wheel.schedule(key, us(31_536_000_000 * u64::from(key)));
        }
        let now = us(31_536_000_000 * 999);
        let mut popped: Vec<_> = core::iter::from_fn(|| wheel.pop_due(now)).collect();
        popped.sort_unstable();
        assert!(popped.into_iter().eq(0..1_000));
    }

    /// Sleeping by `next` wakes rarely when nothing is due: the far list, then one slot of each
    /// level at most.
    #[test]
    fn a_crowd_far_away_costs_few_wakes() {
        let mut wheel = TimerWheel::new();
        let at = us(1 << 40);
        for key in 0..1_000 {
            wheel.schedule(key, at);
        }
        let mut wakes = 0;
        while let Some(wake) = wheel.next() {
            assert!(wake <= at + TICK);
            while wheel.pop_due(wake).is_some() {}
            wakes += 1;
            assert!(wakes < 200, "woken {wakes} times");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Schedule(u32, i64),
        Crowd(u32, i64),
        Cancel(u32),
        Sleep,
        Pass(u64),
    }

    fn distance() -> impl Strategy<Value = i64> {
        prop_oneof![
            -3_000_i64..3_000,
            0_i64..200_000,
            0_i64..50_000_000,
            0_i64..40_000_000_000,
            any::<i32>().prop_map(|wide| i64::from(wide) << 20),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..50_u32, distance()).prop_map(|(key, at)| Step::Schedule(key, at)),
            1 => (0..50_u32, distance()).prop_map(|(key, at)| Step::Crowd(key, at)),
            2 => (0..50_u32).prop_map(Step::Cancel),
            3 => Just(Step::Sleep),
            3 => distance().prop_map(|time| Step::Pass(time.unsigned_abs())),
        ]
    }

    /// The wheel beside a map from key to deadline.
    struct Pair {
        wheel: TimerWheel,
        model: BTreeMap<u32, Instant>,
        now: Instant,
    }

    impl Pair {
        fn schedule(&mut self, key: u32, distance: i64) {
            let at = us(self.now.as_micros().saturating_add_signed(distance));
            self.wheel.schedule(key, at);
            self.model.insert(key, at);
        }

        fn pop_all(&mut self) {
            while let Some(key) = self.wheel.pop_due(self.now) {
                let at = self.model.remove(&key).expect("popped what was not set");
                assert!(at <= self.now, "popped before its time");
            }
            for at in self.model.values() {
                assert!(at.as_micros() >> TICK_BITS >= self.now.as_micros() >> TICK_BITS, "late");
            }
            self.check_next();
            assert!(self.wheel.next().is_none_or(|next| next > self.now), "would spin");
        }

        fn check_next(&self) {
            assert_eq!(self.wheel.len(), self.model.len());
            let earliest = self.model.values().min().copied();
            let next = self.wheel.next();
            assert_eq!(next.is_some(), earliest.is_some());
            if let (Some(next), Some(earliest)) = (next, earliest) {
                let end = us(((earliest.as_micros() >> TICK_BITS) + 1) << TICK_BITS);
                assert!(next <= end.max(self.now), "next {next:?} after {earliest:?}");
                if self.model.len() <= LOOK {
                    assert_eq!(next, earliest, "few timers are exact");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn behaves_like_a_map(start in 0_u64..1 << 45, steps in prop::collection::vec(step(), 1..80)) {
            let mut pair = Pair {
                wheel: TimerWheel::new(),
                model: BTreeMap::new(),
                now: us(start),
            };
            pair.pop_all();
            for step in steps {
                match step {
                    Step::Schedule(key, distance) => pair.schedule(key, distance),
                    Step::Crowd(key, distance) => {
                        (0..20).for_each(|i| pair.schedule(key + i, distance + i64::from(i) * 40));
                    }
                    Step::Cancel(key) => {
                        pair.wheel.cancel(key);
                        pair.model.remove(&key);
                    }
                    Step::Sleep => {
                        pair.now = pair.wheel.next().map_or(pair.now, |next| next.max(pair.now));
                        pair.pop_all();
                    }
                    Step::Pass(time) => {
                        pair.now += Duration::from_micros(time);
                        pair.pop_all();
                    }
                }
                pair.check_next();
            }
        }
    }
}
