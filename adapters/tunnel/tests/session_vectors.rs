//! The way of a write to datagrams, and back, against kcp-go 5.6.1: KCP, FEC, nonce, checksum and
//! cipher of whole recorded sessions, whose clock stood still and whose nonces are known.
#![cfg(feature = "all-ciphers")]

mod support;

use core::time::Duration;

use fec_proto::{
    Accepted, Decoder, DecoderStorage, Encoder, EncoderConfig, EncoderStorage, HEADROOM, Kernel,
    Kind, Shape, classify,
};
use kcp_proto::{Config, ConvId, Kcp, Rings, Via};
use kcptun_tunnel::crypt::{CipherKind, PacketCipher, Protection, TunnelKey};
use proto_base::{Instant, Pool};
use serde_json::Value;
use support::{list, number, open, pool, protection, seal_with, unhex, vectors};

/// A recorded session: its settings, and each write with the datagrams that left after it.
struct Session {
    conv: ConvId,
    now: Instant,
    cipher: PacketCipher,
    shape: Option<Shape>,
    mtu: usize,
    writes: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

impl Session {
    fn all() -> Vec<Self> {
        let file = vectors("session.json");
        let key = TunnelKey::from(<[u8; 32]>::try_from(unhex(&file["pass"])).unwrap());
        list(&file["sessions"]).iter().map(|session| Self::read(&file, key, session)).collect()
    }

    fn read(file: &Value, key: TunnelKey, session: &Value) -> Self {
        let kind = CipherKind::from_name(session["crypt"].as_str().unwrap()).unwrap();
        let [data, parity] = ["data_shards", "parity_shards"].map(|key| number(&session[key]));
        let write = |write: &Value| {
            (unhex(&write["write"]), list(&write["datagrams"]).iter().map(unhex).collect())
        };
        Self {
            conv: ConvId(number(&file["conv"]).try_into().unwrap()),
            now: Instant::from_millis(number(&file["clock_ms"])),
            cipher: PacketCipher::from_key(kind, &key).unwrap(),
            shape: Shape::new(data.cast_signed(), parity.cast_signed()).unwrap(),
            mtu: number(&session["mtu"]).try_into().unwrap(),
            writes: list(&session["writes"]).iter().map(write).collect(),
        }
    }

    fn kcp(&self) -> Kcp<'static> {
        let fec = if self.shape.is_some() { HEADROOM } else { 0 };
        let config = Config {
            datagram_len: self.mtu - self.cipher.overhead() - fec,
            nodelay: true,
            interval: Duration::from_millis(10),
            ..Config::default()
        };
        Kcp::new(self.conv, 0, config, Rings::owned(), self.now).unwrap()
    }

    fn protection(&self) -> Protection {
        protection(self.cipher.clone())
    }

    fn written(&self) -> Vec<u8> {
        self.writes.iter().flat_map(|(write, _)| write).copied().collect()
    }

    fn datagrams(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.writes.iter().flat_map(|(_, datagrams)| datagrams)
    }
}

/// Nonce number `k` of a session.
fn nonce(k: usize) -> Vec<u8> {
    (0..16).map(|i| ((16 * k + i) % 256) as u8).collect()
}

/// Our layers on the way out.
struct Sender {
    now: Instant,
    pool: Pool<'static>,
    kcp: Kcp<'static>,
    encoder: Option<Encoder<'static>>,
    protection: Protection,
    mtu: usize,
    sealed: usize,
}

impl Sender {
    fn new(session: &Session) -> Self {
        let encoder = |shape| {
            let storage = EncoderStorage::owned();
            Encoder::new(shape, Kernel::PORTABLE, EncoderConfig::default(), storage).unwrap()
        };
        Self {
            now: session.now,
            pool: pool(),
            kcp: session.kcp(),
            encoder: session.shape.map(encoder),
            protection: session.protection(),
            mtu: session.mtu,
            sealed: 0,
        }
    }

    /// One write, and all that leaves then.
    fn write(&mut self, data: &[u8]) -> Vec<Vec<u8>> {
        assert_eq!(self.kcp.send(&mut self.pool, data), Ok(data.len()));
        let mut sent = Vec::new();
        let fec = if self.encoder.is_some() { HEADROOM } else { 0 };
        let room = self.mtu - self.protection.margins().front;
        let mut payload = [0; 1500];
        let payload = &mut payload[..room];
        while let Some(len) =
            self.kcp.poll_transmit(self.now, &self.pool, &mut payload[fec..]).unwrap()
        {
            if let Some(encoder) = &mut self.encoder {
                encoder.seal(self.now, &mut self.pool, &mut payload[..fec + len]).unwrap();
            }
            sent.push(self.seal(&payload[..fec + len]));
            while let Some(len) = self.parity(payload) {
                sent.push(self.seal(&payload[..len]));
            }
        }
        sent
    }

    fn parity(&mut self, out: &mut [u8]) -> Option<usize> {
        self.encoder.as_mut()?.poll_transmit(&mut self.pool, out).unwrap()
    }

    fn seal(&mut self, payload: &[u8]) -> Vec<u8> {
        let nonce = nonce(self.sealed);
        self.sealed += 1;
        seal_with(&mut self.protection, &nonce, payload)
    }
}

/// Our layers on the way in.
struct Receiver {
    now: Instant,
    pool: Pool<'static>,
    kcp: Kcp<'static>,
    decoder: Decoder<'static>,
    protection: Protection,
    rebuilt: usize,
}

impl Receiver {
    fn new(session: &Session) -> Self {
        let decoder = Decoder::new(session.shape, Kernel::PORTABLE, DecoderStorage::owned());
        Self {
            now: session.now,
            pool: pool(),
            kcp: session.kcp(),
            decoder: decoder.unwrap(),
            protection: session.protection(),
            rebuilt: 0,
        }
    }

    fn handle_datagram(&mut self, datagram: &[u8]) {
        let (_, payload) = open(&self.protection, datagram);
        if classify(&payload) == Kind::Plain {
            return self.handle_segments(&payload, Via::Direct);
        }
        let accepted = self.decoder.handle_packet(self.now, &mut self.pool, &payload).unwrap();
        if let Accepted::Data(segments) = accepted {
            self.handle_segments(segments, Via::Direct);
        }
        let mut rebuilt = [0; 1500];
        while let Some(len) = self.decoder.poll_recovered(&mut self.pool, &mut rebuilt).unwrap() {
            self.rebuilt += 1;
            self.handle_segments(&rebuilt[..len], Via::Recovered);
        }
    }

    fn handle_segments(&mut self, segments: &[u8], via: Via) {
        self.kcp.handle_packet(self.now, &mut self.pool, segments, via).unwrap();
    }

    fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.kcp.peek(&self.pool) {
            let len = piece.len();
            bytes.extend_from_slice(piece);
            self.kcp.consume(&mut self.pool, len);
        }
        bytes
    }
}

#[test]
fn the_vectors_are_all_there() {
    let sessions = Session::all();
    let crypts: Vec<_> = sessions.iter().map(|session| session.cipher.kind().name()).collect();
    assert_eq!(crypts, ["aes", "salsa20", "tea", "none", "null", "null"]);
    let shapes: Vec<_> = sessions
        .iter()
        .map(|session| session.shape.map_or((0, 0), |shape| (shape.data(), shape.parity())))
        .collect();
    assert_eq!(shapes, [(3, 1), (2, 2), (0, 0), (10, 3), (5, 5), (0, 0)]);
    assert_eq!(sessions.iter().map(|session| session.writes.len()).sum::<usize>(), 23);
    let per_session: Vec<_> = sessions.iter().map(|session| session.datagrams().count()).collect();
    assert_eq!(per_session, [14, 12, 5, 15, 10, 5]);
}

#[test]
fn each_write_becomes_the_datagrams_of_kcp_go_byte_for_byte() {
    let (mut compared, mut parity) = (0, 0);
    for session in Session::all() {
        let mut sender = Sender::new(&session);
        for (at, (write, datagrams)) in session.writes.iter().enumerate() {
            let sent = sender.write(write);
            let crypt = session.cipher.kind();
            assert_eq!(sent.len(), datagrams.len(), "{crypt}, write {at}");
            for (index, (ours, theirs)) in sent.iter().zip(datagrams).enumerate() {
                assert_eq!(ours, theirs, "{crypt}, write {at}, datagram {index}");
                compared += 1;
            }
        }
        parity += sender.encoder.map_or(0, |encoder| encoder.stats().parity);
    }
    assert_eq!((compared, parity), (61, 17));
}

#[test]
fn each_datagram_opens_and_seals_to_itself() {
    let mut checked = 0;
    for session in Session::all() {
        let mut protection = session.protection();
        for (k, datagram) in session.datagrams().enumerate() {
            let (found, payload) = open(&protection, datagram);
            let expected = if protection.margins().front > 0 { nonce(k) } else { Vec::new() };
            assert_eq!(found, expected, "{}", session.cipher.kind());
            assert_eq!(&seal_with(&mut protection, &expected, &payload), datagram);
            checked += 1;
        }
    }
    assert_eq!(checked, 61);
}

#[test]
fn each_write_is_read_again_once_its_datagrams_are_in() {
    let mut read = 0;
    for session in Session::all() {
        let mut receiver = Receiver::new(&session);
        for (write, datagrams) in &session.writes {
            for datagram in datagrams {
                receiver.handle_datagram(datagram);
            }
            assert_eq!(receiver.read(), *write, "{}", session.cipher.kind());
            read += 1;
        }
        assert_eq!(receiver.rebuilt, 0);
    }
    assert_eq!(read, 23);
}

/// Of each full group as many neighbouring data packets are lost as it has parity, at each place
/// in turn; what kcp-go's parity says of them must be what was lost.
#[test]
fn parity_of_kcp_go_makes_up_for_lost_datagrams() {
    let (mut runs, mut rebuilt) = (0, 0);
    for session in Session::all() {
        let Some(shape) = session.shape else { continue };
        let full_groups = session.datagrams().count() / shape.total();
        let losses = shape.parity().min(shape.data());
        for first in 0..shape.data() {
            let mut receiver = Receiver::new(&session);
            for (id, datagram) in session.datagrams().enumerate() {
                let (group, position) = (id / shape.total(), id % shape.total());
                let distance = (position + shape.data() - first) % shape.data();
                let is_data = position < shape.data();
                if group < full_groups && is_data && distance < losses {
                    continue;
                }
                receiver.handle_datagram(datagram);
            }
            assert_eq!(receiver.rebuilt, full_groups * losses, "{}", session.cipher.kind());
            assert_eq!(receiver.read(), session.written(), "{}", session.cipher.kind());
            runs += 1;
            rebuilt += receiver.rebuilt;
        }
    }
    assert_eq!((runs, rebuilt), (3 + 2 + 10 + 5, 3 * 3 + 2 * 3 * 2 + 10 * 3 + 5 * 5));
}
