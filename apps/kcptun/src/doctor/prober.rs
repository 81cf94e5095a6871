//! Probes over a socket: whether the server answers, how fast, what is lost, what is too long.

use std::io;
use std::time::Duration;

use kcptun_async::now;
use kcptun_tunnel::batch::{Datagrams, MAX_DATAGRAM_LEN};
use kcptun_tunnel::crypt::NonceSource;
use kcptun_tunnel::crypt::Protection;
use proto_base::Instant;

use super::Subject;
use super::line::{Arrival, Line};
use super::talk::Talk;

/// Whether a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// It does, this long after the first probe.
    Answers(Duration),
    /// Its host says that nothing listens there.
    Refused,
    /// What comes back fails the checksum: this many datagrams.
    Damaged(u64),
    /// Nothing comes back.
    Silent,
}

/// A conversation of probes on a socket of its own.
pub(super) struct Prober {
    line: Line,
    protection: Protection,
    talk: Talk,
    random: Vec<u8>,
    datagram: Vec<u8>,
    tally: Tally,
}

/// What else was met with.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    damaged: u64,
    refused: u64,
}

/// What a run of probes has shown.
#[derive(Debug, Default, Clone)]
pub(super) struct Survey {
    /// Round trips by acks, sorted.
    pub(super) round_trips: Vec<Duration>,
    /// Probes sent, and how many of them did not arrive.
    pub(super) up: [u32; 2],
    /// Datagrams of the server, and how many did not arrive; `None` when that cannot be told.
    pub(super) down: Option<[u32; 2]>,
    /// Whether that was told by FEC numbers, not by acks.
    pub(super) has_numbers: bool,
    /// Whether the server forgot the conversation meanwhile.
    pub(super) has_forgotten: bool,
}

/// What passes towards the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathMtu {
    /// Longest UDP payload that arrived, in bytes; 0 when none of the sizes did.
    pub(super) passes: usize,
    /// Whether fragments were forbidden.
    pub(super) is_strict: bool,
}

impl Prober {
    /// A new conversation with the server.
    ///
    /// # Errors
    /// When there is no route, or no randomness.
    pub(super) fn open(subject: &Subject) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let mut ids = [0; 8];
        getrandom::fill(&mut ids).map_err(io::Error::other)?;
        let mut random = vec![0; MAX_DATAGRAM_LEN];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let [a, b, c, d, e, f, g, h] = ids;
        let ids = [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])];
        let version = subject.tunnel.smux.version;
        Ok(Self {
            line: Line::open(subject.remote, &subject.socket)?,
            protection: Protection::with(subject.cipher.clone(), NonceSource::new(seed)),
            talk: Talk::new(ids, version, subject.tunnel.compression),
            random,
            datagram: Vec::new(),
            tally: Tally::default(),
        })
    }

    /// The socket, for what the system granted it.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Finds out whether the server answers, within `patience`.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub(super) async fn reach(&mut self, patience: Duration) -> io::Result<Reached> {
        let start = now();
        let (mut pause, end) = (Duration::from_millis(250), start + patience);
        self.send_probe()?;
        loop {
            let until = (now() + pause).min(end);
            self.wait(until, |this| this.talk.heard().datagrams > 0 || this.tally.refused > 0)
                .await?;
            if self.talk.heard().datagrams > 0 {
                return Ok(Reached::Answers(now() - start));
            }
            // One refusal may be about an earlier program's datagram; this socket is new.
            if self.tally.refused > 0 {
                return Ok(Reached::Refused);
            }
            if now() >= end {
                return Ok(match self.tally.damaged {
                    0 => Reached::Silent,
                    count => Reached::Damaged(count),
                });
            }
            pause *= 2;
            self.send_again(0)?;
        }
    }

    /// Sends `count` small probes `spacing` apart, and finds out what became of each.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub(super) async fn survey(&mut self, count: u32, spacing: Duration) -> io::Result<Survey> {
        self.settle().await?;
        self.talk.forget_ids();
        let first = self.talk.count();
        let start = now();
        for number in 0..count {
            self.send_probe()?;
            self.wait(start + spacing * (number + 1), |_| false).await?;
        }
        self.wait(now() + self.patience(), |this| this.talk.missing() == this.talk.count()).await?;
        let heard = self.talk.heard().ids.clone();
        let acked = (first..self.talk.count()).filter(|&it| self.talk.is_acked(it)).count();
        let round_trips = self.talk.round_trips();
        let mut round_trips: Vec<Duration> = round_trips.skip(first as usize).collect();
        round_trips.sort_unstable();
        let lost = self.find_gaps(Duration::from_secs(4)).await?;
        let arrived = count.saturating_sub(lost);
        // The server numbers its datagrams from 0 if it sends FEC.
        let numbers = heard.first().zip(heard.last()).map(|(first, last)| last - first + 1);
        let numbered = u32::try_from(heard.len()).unwrap_or(u32::MAX);
        let by_numbers = numbers.map(|all| [all, all.saturating_sub(numbered)]);
        let acked = u32::try_from(acked).unwrap_or(u32::MAX);
        // A server that holds acks for longer than probes are apart answers several at once.
        let by_acks = [arrived, arrived.saturating_sub(acked)];
        let holds = spacing < Duration::from_millis(45);
        Ok(Survey {
            round_trips,
            up: [count, lost],
            down: by_numbers.or((!holds && arrived > 0).then_some(by_acks)),
            has_numbers: by_numbers.is_some(),
            has_forgotten: self.talk.heard().has_forgotten,
        })
    }

    /// Finds the longest datagram that arrives, by probes of many lengths.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub(super) async fn path_mtu(&mut self) -> io::Result<PathMtu> {
        const LADDER: [usize; 16] = [
            1500, 1472, 1464, 1452, 1440, 1420, 1400, 1372, 1350, 1300, 1280, 1252, 1200, 1000,
            800, 576,
        ];
        self.settle().await?;
        let is_strict = self.line.forbid_fragments();
        let (mut passes, mut fails) = (0, MAX_DATAGRAM_LEN + 1);
        let mut sizes = LADDER.to_vec();
        loop {
            for (size, has_passed) in self.try_sizes(&sizes).await? {
                if has_passed {
                    passes = passes.max(size);
                } else {
                    fails = fails.min(size);
                }
            }
            // Losses can make a shorter one fail and a longer one pass.
            fails = if fails <= passes { MAX_DATAGRAM_LEN + 1 } else { fails };
            fails = sizes
                .iter()
                .copied()
                .filter(|&it| it > passes)
                .min()
                .map_or(fails, |next| fails.min(next));
            if passes == 0 || fails - passes <= 1 {
                return Ok(PathMtu { passes, is_strict });
            }
            let step = ((fails - passes) / 9).max(1);
            sizes = (passes + step..fails).step_by(step).take(16).collect();
        }
    }

    /// Whether a datagram of `size` bytes of UDP payload arrives, in fragments if need be.
    ///
    /// # Errors
    /// When the socket is unusable.
    pub(super) async fn fits(&mut self, size: usize) -> io::Result<bool> {
        self.settle().await?;
        Ok(self.try_sizes(&[size]).await?.iter().all(|&(_, has_passed)| has_passed))
    }

    /// Sends a probe of each size, up to four times, and tells which arrived.
    async fn try_sizes(&mut self, sizes: &[usize]) -> io::Result<Vec<(usize, bool)>> {
        const TRIES: usize = 4;
        let mut tried = Vec::new();
        for &size in sizes {
            let len = size.saturating_sub(self.protection.margins().around(0));
            let mut body = Vec::new();
            let number = self.talk.large_probe(now(), len, &self.random, &mut body);
            if let Some(number) = number {
                self.send(&body)?;
                tried.push((size, number));
            }
        }
        for round in 0..TRIES {
            let numbers: Vec<u32> = tried.iter().map(|&(_, number)| number).collect();
            let until = now() + self.patience();
            self.wait(until, |this| numbers.iter().all(|&it| this.talk.has(it))).await?;
            for &number in numbers.iter().filter(|_| round + 1 < TRIES) {
                if !self.talk.has(number) {
                    self.send_again(number)?;
                }
            }
        }
        let result: Vec<(usize, bool)> =
            tried.iter().map(|&(size, number)| (size, self.talk.has(number))).collect();
        for (_, number) in tried {
            if !self.talk.has(number) {
                self.talk.fill_gap(number);
            }
        }
        self.find_gaps(Duration::from_secs(4)).await?;
        Ok(result)
    }

    /// Sends again what the server does not have, one after the other; how many those were.
    async fn find_gaps(&mut self, time: Duration) -> io::Result<u32> {
        let end = now() + time;
        let (mut gaps, mut last) = (0, None);
        loop {
            let gap = self.talk.missing();
            if gap >= self.talk.count() {
                return Ok(gaps);
            }
            if now() >= end {
                // The rest: what was never acknowledged.
                let rest = (gap..self.talk.count()).filter(|&it| !self.talk.has(it)).count();
                let rest = u32::try_from(rest).unwrap_or(u32::MAX);
                return Ok(gaps + rest - u32::from(last == Some(gap) && rest > 0));
            }
            if last != Some(gap) {
                gaps += 1;
                last = Some(gap);
            }
            self.send_again(gap)?;
            let until = (now() + self.patience()).min(end);
            self.wait(until, |this| this.talk.missing() > gap).await?;
        }
    }

    /// Gets a first probe through, which the server begins the conversation with.
    async fn settle(&mut self) -> io::Result<()> {
        if self.talk.count() == 0 {
            self.send_probe()?;
        }
        self.wait(now() + self.patience(), |this| this.talk.missing() == this.talk.count()).await?;
        self.find_gaps(Duration::from_secs(5)).await.map(drop)
    }

    /// How long an answer may take.
    fn patience(&self) -> Duration {
        let longest = self.talk.round_trips().max().unwrap_or(Duration::from_millis(700));
        longest.mul_f64(1.5) + Duration::from_millis(100)
    }

    fn send_probe(&mut self) -> io::Result<()> {
        let mut body = Vec::new();
        self.talk.probe(now(), &mut body);
        self.send(&body)
    }

    fn send_again(&mut self, number: u32) -> io::Result<()> {
        let mut body = Vec::new();
        self.talk.repeat(now(), number, &mut body);
        self.send(&body)
    }

    fn send(&mut self, body: &[u8]) -> io::Result<()> {
        self.datagram.clear();
        let margins = self.protection.margins();
        self.datagram.resize(margins.front, 0);
        self.datagram.extend_from_slice(body);
        self.datagram.resize(margins.around(body.len()), 0);
        self.protection.seal(Datagrams::single(&mut self.datagram));
        let is_refused = self.line.send(&self.datagram, self.datagram.len())?;
        self.tally.refused += u64::from(is_refused);
        Ok(())
    }

    /// Takes what comes, and acknowledges it, until `done` or the time has come.
    async fn wait(&mut self, until: Instant, done: impl Fn(&Self) -> bool) -> io::Result<()> {
        while !done(self) {
            match self.line.receive(until).await? {
                Arrival::Time => return Ok(()),
                Arrival::Refused => self.tally.refused += 1,
                Arrival::Datagrams => {
                    let Self { line, protection, talk, tally, .. } = self;
                    for message in line.messages() {
                        let datagrams = Datagrams::new(message.bytes, message.stride);
                        for payload in protection.open(datagrams) {
                            match payload {
                                Ok(payload) => talk.handle_payload(now(), payload),
                                Err(_) => tally.damaged += 1,
                            }
                        }
                    }
                    let mut acks = Vec::new();
                    self.talk.acks(&mut acks);
                    if !acks.is_empty() {
                        self.send(&acks)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a server answers at all, for those who only want to know that.
pub(super) async fn answers(subject: Subject, patience: Duration) -> bool {
    match Prober::open(&subject) {
        Ok(mut prober) => matches!(prober.reach(patience).await, Ok(Reached::Answers(_))),
        Err(_) => false,
    }
}
