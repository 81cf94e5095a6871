//! The checked configuration of a client or server.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use kcptun_net::{BindAddress, ListenAddress, RemoteAddress, TargetAddress};

use crate::given::Given;
use crate::kinds::{Crypt, Dscp, FecShape, Memory, Mode, Secret, SmuxVersion, SnmpLog, Timing};

/// The configuration of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Where to accept connections.
    pub listen: ListenAddress,
    /// The server. Its name is looked up when a session is dialed.
    pub remote: RemoteAddress,
    /// Sessions to hold, used in turn.
    pub conn: u16,
    /// Age at which a session takes no more connections; `None`: never.
    pub auto_expire: Option<Duration>,
    /// How long after that age a session is closed, with the connections it still has. Without
    /// effect when `auto_expire` is `None`.
    pub scavenge_ttl: Duration,
    /// What client and server share.
    pub common: CommonConfig,
}

/// The configuration of a server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to receive UDP packets.
    pub listen: BindAddress,
    /// Where to hand connections on. A name is looked up for each connection.
    pub target: TargetAddress,
    /// UDP sockets for each port, with a thread each: 1 to 64.
    pub shards: u16,
    /// What client and server share.
    pub common: CommonConfig,
}

/// The part of a configuration that client and server share.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// The pre-shared secret.
    pub key: Secret,
    /// The packet protection.
    pub crypt: Crypt,
    /// The mode asked for.
    pub mode: Mode,
    /// When to send, acknowledge and resend: of the mode, or as given with `manual`.
    pub timing: Timing,
    /// Send every acknowledgement at once.
    pub ack_nodelay: bool,
    /// Largest UDP payload to send, in bytes, all headers included: leaves room for at least
    /// one byte of data, and is at most 1500.
    pub mtu: u16,
    /// Send window in packets, at least 1.
    pub send_window: u16,
    /// Receive window in packets, at least 1.
    pub receive_window: u16,
    /// The group of forward error correction; `None`: off, no header.
    pub fec: Option<FecShape>,
    /// Most bytes per second that a session sends, parity included; `None`: no limit.
    pub rate_limit: Option<NonZeroU64>,
    /// Whether sessions are compressed.
    pub compression: bool,
    /// The traffic class of outgoing packets.
    pub dscp: Dscp,
    /// Socket buffer to ask the kernel for, each way, in bytes, at most `i32::MAX`.
    pub socket_buffer: u32,
    /// The version of the stream protocol.
    pub smux_version: SmuxVersion,
    /// Unread received data that a session may hold, in bytes: 1 to `i32::MAX`.
    pub session_buffer: u32,
    /// Unread received data that a stream may hold, in bytes: 1 to `session_buffer`.
    pub stream_buffer: u32,
    /// Most bytes of data in a frame sent, at least 1.
    pub frame_size: u16,
    /// Time between signs of life: 1 to 30 s.
    pub keepalive: Duration,
    /// How long a connection that one side has ended may go on without a sign of life of the other
    /// direction, at most 68 years; zero stands for ten minutes. The end itself is passed on at once.
    pub close_wait: Duration,
    /// No log lines about single streams.
    pub quiet: bool,
    /// The file to append the log to; `None`: standard error.
    pub log: Option<PathBuf>,
    /// The file to append the counters to; `None`: none.
    pub snmp: Option<SnmpLog>,
    /// Where to serve profiles and counters, on one port; `None`: nowhere.
    pub pprof: Option<BindAddress>,
    /// Where to serve the status page and metrics, on one port; `None`: nowhere.
    pub status: Option<BindAddress>,
    /// The memory of the tunnel; `None`: not this program's option.
    pub memory: Option<Memory>,
    pub(crate) given: Given,
}

impl CommonConfig {
    /// The option of `memory` with its value as the user knows it, and where that stands, for
    /// messages: `--mem 100k`, `--mem 8M (the default)`, `router.json:3:5: mem 100k`. Empty in
    /// programs without it.
    #[must_use]
    pub fn memory_called(&self) -> &str {
        self.given.memory()
    }
}
