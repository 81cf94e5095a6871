//! Bulk data from a client to a server, in rounds.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use kcptun_tunnel::crypt::{CipherKind, PacketCipher, TunnelKey};
use kcptun_tunnel::{Config, ConnectionKey, Endpoint, Event, Side, StreamId, TransmitBatch};
use proto_base::Instant;

/// Full packets of a round: what a client on a fast line has in hand at a time.
pub(crate) const PACKETS: usize = 40;
/// Bytes of a smux header, and of the longest frame with it.
const HEADER: usize = 8;
const FRAME: usize = 16_384;
/// From one end to the other.
const DELAY: Duration = Duration::from_millis(10);
/// Longer than the server waits with its acks.
const PAUSE: Duration = Duration::from_millis(20);

/// What the ends are told.
pub(crate) struct Setup {
    cipher: PacketCipher,
    config: Config,
}

impl Setup {
    pub(crate) fn parse(cipher: &str, fec: &str) -> Result<Self, Box<dyn Error>> {
        let kind = CipherKind::from_name(cipher).ok_or("no such cipher")?;
        let cipher = PacketCipher::from_key(kind, &TunnelKey::from([0x5a; 32]))?;
        let defaults = Config::default();
        let config = Config {
            fec: if fec == "on" { defaults.fec } else { None },
            kcp: kcp_proto::Config {
                nodelay: true,
                interval: Duration::from_millis(10),
                ..defaults.kcp
            },
            compression: false,
            ..defaults
        };
        Ok(Self { cipher, config })
    }

    fn endpoint(&self, side: Side, seed: u8) -> Result<Endpoint, Box<dyn Error>> {
        Ok(Endpoint::new(self.config.clone(), self.cipher.clone(), side, [seed; 32])?)
    }

    /// Bytes for a stream that make [`PACKETS`] full packets.
    fn round_bytes(&self) -> usize {
        let fec = if self.config.fec.is_some() { fec_proto::HEADROOM } else { 0 };
        let headers = self.cipher.overhead() + fec + kcp_proto::wire::Header::LEN;
        let all = PACKETS * (self.config.mtu - headers);
        all - all.div_ceil(FRAME) * HEADER
    }
}

/// A batch that came to the server.
pub(crate) struct Arrival<'a> {
    at: Instant,
    stride: usize,
    bytes: &'a [u8],
}

/// The end that takes the data.
struct Server {
    endpoint: Endpoint,
    stream: Option<(ConnectionKey, StreamId)>,
    taken: usize,
}

impl Server {
    fn new(setup: &Setup) -> Result<Self, Box<dyn Error>> {
        Ok(Self { endpoint: setup.endpoint(Side::Server, 2)?, stream: None, taken: 0 })
    }

    fn take(&mut self, arrival: &mut [u8], at: Instant, stride: usize) {
        self.endpoint.handle_batch(at, address(1), arrival, stride);
        while let Some((key, event)) = self.endpoint.poll_event() {
            if event == Event::Incoming {
                self.stream = self.endpoint.accept(key).map(|id| (key, id));
            }
        }
        let Some((key, id)) = self.stream else { return };
        let take = |bytes: &[u8]| (bytes.len(), bytes.len());
        while let Ok(count) = self.endpoint.read_with(at, key, id, take) {
            self.taken += count;
        }
    }

    /// Acks: the end of a round.
    fn answer(&mut self, at: Instant, batch: &mut TransmitBatch) -> bool {
        self.endpoint.handle_timeout(at);
        self.endpoint.poll_transmit(at, batch).is_some()
    }
}

/// Both ends; `tap` sees what comes to the server.
pub(crate) fn both(
    setup: &Setup,
    rounds: usize,
    mut tap: impl FnMut(&Arrival<'_>),
) -> Result<String, Box<dyn Error>> {
    let mut client = setup.endpoint(Side::Client, 1)?;
    let mut server = Server::new(setup)?;
    let mut batch = TransmitBatch::new();
    let mut copy = Vec::new();
    let mut now = Instant::ZERO;
    let key = client.connect(now, address(2))?;
    let stream = client.open(now, key)?;
    for _ in 0..rounds {
        let mut left = setup.round_bytes();
        while left > 0 {
            let fill = |slot: &mut [u8]| {
                let count = slot.len();
                slot.fill(0x2a);
                (count, count)
            };
            left -= client.write_with(now, key, stream, left, fill)?;
        }
        let arrives = now + DELAY;
        while client.poll_transmit(now, &mut batch).is_some() {
            copy.clear();
            copy.extend_from_slice(batch.bytes());
            tap(&Arrival { at: arrives, stride: batch.stride(), bytes: &copy });
            server.take(&mut copy, arrives, batch.stride());
        }
        now = arrives + PAUSE;
        while server.answer(now, &mut batch) {
            copy.clear();
            copy.extend_from_slice(batch.bytes());
            client.handle_batch(now + DELAY, address(2), &mut copy, batch.stride());
        }
        now += DELAY;
        while client.poll_event().is_some() {}
    }
    let sent = client.connection_stats(key).ok_or("the connection is gone")?;
    check(setup, rounds, server.taken)?;
    Ok(format!(
        "{} bytes of data in {} segments, {} datagrams of the client, {} of the server",
        server.taken,
        sent.kcp.segments_out,
        sent.datagrams_out,
        server.endpoint.total_stats().datagrams_out,
    ))
}

/// As [`both`]; what comes to the server is written to `file`.
pub(crate) fn record(setup: &Setup, rounds: usize, file: &str) -> Result<String, Box<dyn Error>> {
    let mut tape = Vec::new();
    let line = both(setup, rounds, |arrival| {
        for field in [arrival.at.as_micros(), arrival.stride as u64, arrival.bytes.len() as u64] {
            tape.extend_from_slice(&field.to_le_bytes());
        }
        tape.extend_from_slice(arrival.bytes);
    })?;
    std::fs::write(file, tape)?;
    Ok(line)
}

/// The server alone, with what was recorded.
pub(crate) fn replay(setup: &Setup, rounds: usize, file: &str) -> Result<String, Box<dyn Error>> {
    let mut tape = std::fs::read(file)?;
    let mut rest = tape.as_mut_slice();
    let mut server = Server::new(setup)?;
    let mut batch = TransmitBatch::new();
    let mut last = None;
    while let Some((head, more)) = rest.split_at_mut_checked(24) {
        let mut fields = head.as_chunks::<8>().0.iter().map(|field| u64::from_le_bytes(*field));
        let mut next = || fields.next().ok_or("a short tape");
        let at = Instant::from_micros(next()?);
        let (stride, len) = (usize::try_from(next()?)?, usize::try_from(next()?)?);
        let (arrival, more) = more.split_at_mut_checked(len).ok_or("a short tape")?;
        if let Some(last) = last.filter(|last| *last != at) {
            while server.answer(last + PAUSE, &mut batch) {}
        }
        last = Some(at);
        server.take(arrival, at, stride);
        rest = more;
    }
    if let Some(last) = last {
        while server.answer(last + PAUSE, &mut batch) {}
    }
    check(setup, rounds, server.taken)?;
    Ok(format!("{} bytes of data", server.taken))
}

/// Whether all that was sent has come.
fn check(setup: &Setup, rounds: usize, taken: usize) -> Result<(), Box<dyn Error>> {
    let wanted = rounds * setup.round_bytes();
    if taken == wanted { Ok(()) } else { Err(format!("{taken} bytes of {wanted} came").into()) }
}

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, host], 4_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_the_same_work() {
        for (cipher, fec) in [("aes", "on"), ("salsa20", "off"), ("none", "on")] {
            let setup = Setup::parse(cipher, fec).unwrap();
            let file = std::env::temp_dir().join(format!("kcptun-cost-{}", std::process::id()));
            let file = file.to_str().unwrap();
            let line = record(&setup, 5, file).unwrap();
            assert!(line.contains("segments"), "{line}");
            replay(&setup, 5, file).unwrap();
            assert!(replay(&setup, 6, file).is_err());
            std::fs::remove_file(file).unwrap();
        }
    }
}
