//! The recorded runs of `tests/vectors/capture.json`: real clients and servers of kcptun on
//! loopback, each datagram between them, and what is in it.

use core::time::Duration;

use fec_proto::Shape;
use kcp_proto::wire::{Command, Header, Sn, WireMs};
use kcp_proto::{ConvId, Mode};
use kcptun_tunnel::Config;
use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
use proto_base::Instant;
use serde_json::Value;
use smux_proto::{Role, Version, wire};

use crate::support::{list, number, unhex, vectors};

/// Key of all runs: the default of kcptun.
const KEY: &[u8] = b"it's a secrect";

/// What was said in a run: how its ends were set up, each datagram in order, each direction.
pub(crate) struct Capture {
    pub(crate) name: String,
    pub(crate) cipher: PacketCipher,
    pub(crate) shape: Option<Shape>,
    pub(crate) compression: bool,
    pub(crate) version: Version,
    pub(crate) kcp: kcp_proto::Config,
    pub(crate) conv: ConvId,
    pub(crate) datagrams: Vec<Datagram>,
    pub(crate) client: Direction,
    pub(crate) server: Direction,
}

/// A datagram, and what the file says that its layers are.
pub(crate) struct Datagram {
    pub(crate) from: Role,
    pub(crate) at: Instant,
    pub(crate) bytes: Vec<u8>,
    /// Empty without protection.
    pub(crate) nonce: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) fec: Option<Fec>,
    /// None in parity.
    pub(crate) segments: Vec<(Header, Vec<u8>)>,
}

pub(crate) struct Fec {
    pub(crate) id: u32,
    /// None in parity.
    pub(crate) size: Option<u16>,
}

/// What one end sent, as streams of bytes and frames.
pub(crate) struct Direction {
    pub(crate) kcp_stream: Vec<u8>,
    /// The stream that smux wrote.
    pub(crate) plain: Vec<u8>,
    pub(crate) frames: Vec<Frame>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    pub(crate) header: wire::Header,
    pub(crate) body: Vec<u8>,
}

impl Capture {
    pub(crate) fn all() -> Vec<Self> {
        list(&vectors("capture.json")["captures"]).iter().map(Self::read).collect()
    }

    fn read(capture: &Value) -> Self {
        let options: Vec<_> = capture["options"].as_str().unwrap().split(' ').collect();
        let option = |name: &str| {
            options.iter().position(|option| *option == name).map(|at| options[at + 1])
        };
        let shards = |name| option(name).unwrap().parse().unwrap();
        let kind = CipherKind::from_name(option("--crypt").unwrap_or("aes")).unwrap();
        let smux = option("--smuxver").unwrap_or("1").parse().unwrap();
        let datagrams: Vec<_> = list(&capture["datagrams"]).iter().map(Datagram::read).collect();
        Self {
            name: capture["name"].as_str().unwrap().to_owned(),
            cipher: PacketCipher::new(kind, KEY).unwrap(),
            shape: Shape::new(shards("--datashard"), shards("--parityshard")).unwrap(),
            compression: !options.contains(&"--nocomp"),
            version: Version::from_number(smux).unwrap(),
            kcp: mode(option("--mode").unwrap()),
            conv: datagrams[0].segments[0].0.conv,
            datagrams,
            client: Direction::read(&capture["c2s"]),
            server: Direction::read(&capture["s2c"]),
        }
    }

    pub(crate) fn direction(&self, from: Role) -> &Direction {
        match from {
            Role::Client => &self.client,
            Role::Server => &self.server,
        }
    }

    pub(crate) fn datagrams_of(&self, from: Role) -> impl Iterator<Item = &Datagram> {
        self.datagrams.iter().filter(move |datagram| datagram.from == from)
    }

    /// Settings of KCP at one end: windows are what kcptun's ends have by default.
    pub(crate) fn kcp_of(&self, role: Role) -> kcp_proto::Config {
        let fec = if self.shape.is_some() { fec_proto::HEADROOM } else { 0 };
        let (send_window, receive_window) = match role {
            Role::Client => (128, 512),
            Role::Server => (1024, 1024),
        };
        let datagram_len = 1350 - self.cipher.overhead() - fec;
        kcp_proto::Config { datagram_len, send_window, receive_window, ..self.kcp }
    }

    pub(crate) fn smux(&self) -> smux_proto::Config {
        smux_proto::Config { version: self.version, ..smux_proto::Config::default() }
    }

    /// Settings of our server in the place of the recorded one.
    pub(crate) fn server_config(&self) -> Config {
        Config {
            kcp: self.kcp_of(Role::Server),
            fec: self.shape,
            smux: self.smux(),
            compression: self.compression,
            ..Config::default()
        }
    }
}

impl Datagram {
    fn read(value: &Value) -> Self {
        let bytes = unhex(&value["datagram"]);
        let field = |key: &str| value.get(key).map(unhex);
        let payload = field("decrypted").unwrap_or_else(|| bytes.clone());
        assert!(value.get("crc_ok").is_none_or(|ok| ok == true));
        Self {
            from: match value["dir"].as_str().unwrap() {
                "c2s" => Role::Client,
                "s2c" => Role::Server,
                other => panic!("no direction: {other}"),
            },
            at: Instant::from_millis(number(&value["t_ms"])),
            bytes,
            nonce: field("nonce").unwrap_or_default(),
            payload,
            fec: value.get("fec").map(Fec::read),
            segments: value
                .get("kcp")
                .map_or(Vec::new(), |kcp| list(kcp).iter().map(segment).collect()),
        }
    }

    /// Data packets of FEC and datagrams without FEC carry segments, parity does not.
    pub(crate) fn is_parity(&self) -> bool {
        self.fec.as_ref().is_some_and(|fec| fec.size.is_none())
    }
}

impl Fec {
    fn read(value: &Value) -> Self {
        let size = value.get("size").map(|size| number(size).try_into().unwrap());
        let expected = if size.is_some() { "0xf1" } else { "0xf2" };
        assert_eq!(value["type"], expected);
        Self { id: number(&value["seqid"]).try_into().unwrap(), size }
    }
}

impl Direction {
    fn read(value: &Value) -> Self {
        let kcp_stream = unhex(&value["kcp_stream"]);
        let plain = value.get("uncompressed").map_or_else(|| kcp_stream.clone(), unhex);
        Self { kcp_stream, plain, frames: list(&value["smux"]).iter().map(Frame::read).collect() }
    }

    /// Data of the one stream that the run had.
    pub(crate) fn data(&self) -> Vec<u8> {
        let psh = self.frames.iter().filter(|frame| frame.header.command == wire::Command::Psh);
        psh.flat_map(|frame| &frame.body).copied().collect()
    }
}

impl Frame {
    fn read(value: &Value) -> Self {
        let command = match value["cmd"].as_str().unwrap() {
            "SYN" => wire::Command::Syn,
            "FIN" => wire::Command::Fin,
            "PSH" => wire::Command::Psh,
            "UPD" => wire::Command::Upd,
            other => panic!("no command: {other}"),
        };
        let header = wire::Header {
            version: Version::from_number(number(&value["ver"]).try_into().unwrap()).unwrap(),
            command,
            length: number(&value["len"]).try_into().unwrap(),
            stream: number(&value["sid"]).try_into().unwrap(),
        };
        Self { header, body: unhex(&value["data"]) }
    }

    /// Takes the first frame of `bytes`, if it is all there.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let header = wire::Header::parse(bytes.first_chunk()?).unwrap();
        let end = wire::HEADER_LEN + usize::from(header.length);
        let body = bytes.get(wire::HEADER_LEN..end)?.to_vec();
        bytes.drain(..end);
        Some(Self { header, body })
    }

    pub(crate) fn emit(&self) -> Vec<u8> {
        [&self.header.emit()[..], &self.body].concat()
    }
}

pub(crate) fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

fn segment(value: &Value) -> (Header, Vec<u8>) {
    let field = |key: &str| u32::try_from(number(&value[key])).unwrap();
    let command = match value["cmd"].as_str().unwrap() {
        "PUSH" => Command::Push,
        "ACK" => Command::Ack,
        other => panic!("no command: {other}"),
    };
    let header = Header {
        conv: ConvId(field("conv")),
        command,
        fragment: field("frg").try_into().unwrap(),
        window: field("wnd").try_into().unwrap(),
        ts: WireMs::new(field("ts")),
        sn: Sn::new(field("sn")),
        una: Sn::new(field("una")),
        len: field("len"),
    };
    (header, value.get("data").map(unhex).unwrap_or_default())
}

/// The modes of kcptun that the runs had.
fn mode(name: &str) -> kcp_proto::Config {
    let (nodelay, interval) = match name {
        "normal" => (false, 40),
        "fast2" => (true, 20),
        "fast3" => (true, 10),
        other => panic!("no mode: {other}"),
    };
    kcp_proto::Config {
        mode: Mode::Stream,
        nodelay,
        interval: Duration::from_millis(interval),
        resend: 2,
        congestion_control: false,
        ack_no_delay: false,
        ..kcp_proto::Config::default()
    }
}
