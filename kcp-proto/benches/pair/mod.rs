//! Two ends of a KCP connection that pass full segments of 1,298 bytes (kcptun's default) in rounds,
//! cut into the parts whose cost is measured.

use core::hint::black_box;
use core::time::Duration;
use std::collections::VecDeque;

use kcp_proto::{Config, ConvId, Kcp, Rings, Stats, Via};
use proto_base::{Instant, Pool};

/// Segments in a round, whatever the window: about what one batch of reads brings.
pub(crate) const ROUND: usize = 64;
/// Distance of datagrams in the batch.
const STRIDE: usize = 1_536;

/// The parts of a round, in order: queued, together with the application's writing of the bytes;
/// written to datagrams; taken from datagrams, put in order, read, and the acks written; freed by
/// the acks, with all that is due checked.
pub(crate) const PARTS: [fn(&mut Pair); 4] = [
    Pair::write,
    Pair::transmit,
    |pair| {
        pair.receive();
        pair.read();
        pair.answer();
    },
    Pair::acknowledge,
];

/// Two ends; behind the round that is measured, the rest of the window is under way.
pub(crate) struct Pair {
    now: Instant,
    client: Kcp<'static>,
    server: Kcp<'static>,
    pools: [Pool<'static>; 2],
    batch: Vec<u8>,
    lens: Vec<usize>,
    /// Datagrams from the server that the client gets one window later.
    acks: VecDeque<Vec<u8>>,
    behind: usize,
    rounds: u64,
    /// A datagram of each round is lost, so that acks come one by one.
    loses: bool,
}

impl Pair {
    /// Ends with these windows, which are full of what is under way. With `loses`, a datagram of each
    /// round is lost, so that acks come one by one.
    pub(crate) fn new(window: u16, loses: bool) -> Self {
        let config = Config {
            send_window: window,
            receive_window: window,
            ack_no_delay: true,
            ..Config::default()
        };
        let end = || Kcp::new(ConvId(1), 0, config, Rings::owned(), Instant::ZERO).unwrap();
        let pool = || Pool::owned(1 << 28, 1 << 14).unwrap();
        let mut pair = Self {
            now: Instant::ZERO,
            client: end(),
            server: end(),
            pools: [pool(), pool()],
            batch: vec![0; STRIDE * 2 * ROUND],
            lens: Vec::with_capacity(2 * ROUND),
            acks: VecDeque::new(),
            behind: 0,
            rounds: 0,
            loses: false,
        };
        // The window has to be told first; then it fills.
        (0..4).for_each(|_| pair.round());
        pair.loses = loses;
        // Repairs take round trips, in which the window must not fill.
        pair.behind = usize::from(window) / ROUND / if loses { 4 } else { 1 } - 1;
        (0..3 * pair.behind).for_each(|_| pair.round());
        assert!(pair.client.in_flight() as usize >= pair.behind * ROUND);
        pair
    }

    /// A whole round.
    fn round(&mut self) {
        PARTS.iter().for_each(|part| part(self));
    }

    /// Counters of the sender, and the rounds that it has begun.
    pub(crate) fn progress(&self) -> (Stats, u64) {
        (self.client.stats(), self.rounds)
    }

    fn write(&mut self) {
        self.now += Duration::from_micros(20);
        self.rounds += 1;
        let mut left = ROUND * Config::default().mss();
        while left > 0 {
            let Ok(slot) = self.client.send_slot(&mut self.pools[0], 1, left) else { break };
            // What the application does: the data is in the cache then.
            slot.fill(7);
            let count = slot.len();
            self.client.commit(&mut self.pools[0], count);
            left -= count;
        }
    }

    fn transmit(&mut self) {
        self.lens.clear();
        for out in self.batch.chunks_mut(STRIDE) {
            match self.client.poll_transmit(self.now, &self.pools[0], out).unwrap() {
                Some(len) => self.lens.push(len),
                None => break,
            }
        }
    }

    fn receive(&mut self) {
        for (number, (packet, &len)) in self.batch.chunks(STRIDE).zip(&self.lens).enumerate() {
            // The first one repeats what was lost before.
            if self.loses && number == 1 {
                continue;
            }
            let packet = &packet[..len];
            self.server.handle_packet(self.now, &mut self.pools[1], packet, Via::Direct).unwrap();
        }
    }

    fn read(&mut self) {
        while let Some(bytes) = self.server.peek(&self.pools[1]) {
            let count = black_box(bytes).len();
            self.server.consume(&mut self.pools[1], count);
        }
    }

    fn answer(&mut self) {
        let mut out = [0; 1500];
        let mut all = Vec::new();
        while let Some(len) = self.server.poll_transmit(self.now, &self.pools[1], &mut out).unwrap()
        {
            all.extend_from_slice(&(len as u16).to_le_bytes());
            all.extend_from_slice(&out[..len]);
        }
        self.acks.push_back(all);
    }

    fn acknowledge(&mut self) {
        while self.acks.len() > self.behind {
            let all = self.acks.pop_front().unwrap_or_default();
            let mut rest = all.as_slice();
            while let Some((len, after)) = rest.split_first_chunk() {
                let (packet, after) = after.split_at(usize::from(u16::from_le_bytes(*len)));
                self.client
                    .handle_packet(self.now, &mut self.pools[0], packet, Via::Direct)
                    .unwrap();
                rest = after;
            }
            self.client.handle_timeout(self.now);
        }
    }
}
