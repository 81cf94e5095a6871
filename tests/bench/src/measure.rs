//! One measurement: a tunnel, a work, and what came out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::failure::Failure;
use crate::figure::Figure;
use crate::functions::{Function, Tools};
use crate::tunnel::{Binaries, Plan};
use crate::{bulk, idle, ping, requests, shards, wrk};

/// What a tunnel has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// Bytes one way on loopback.
    Loopback { is_upload: bool },
    /// Bytes one way over a link, in the text form of `kcptun_link::LinkConfig`.
    Link { link: String, is_upload: bool },
    /// Small requests on kept connections.
    Requests,
    /// A small message each 20 ms.
    Ping,
    /// Ten open streams without traffic.
    Idle,
    /// Memory while bytes go both ways.
    Memory,
    /// Small requests of `wrk` to `nginx`.
    Wrk,
    /// Bytes in many sessions: a server of two shards against one of a single shard.
    Shards,
    /// A part of the tunnel without sockets.
    Function(Function),
}

/// Whose column is being filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Peer,
}

/// The circumstances of one measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) side: Side,
    pub(crate) ends: &'a Binaries,
    /// Flags of both ends.
    pub(crate) flags: &'a str,
    /// How long to measure, after the warm-up.
    pub(crate) time: Duration,
    /// Decides which datagrams a link loses.
    pub(crate) seed: u64,
    /// Programs for the rows without sockets, if any of these are to be measured.
    pub(crate) tools: Option<&'a Tools>,
}

impl<'a> Setting<'a> {
    /// A tunnel with the same flags at both ends, on loopback, to the bench's own service.
    pub(crate) fn plan(&self) -> Plan<'a> {
        let flags = || self.flags.to_owned();
        let (client, server) = (flags(), flags());
        Plan { binaries: self.ends, client, server, path: None, seed: self.seed, target: None }
    }
}

/// The result of one measurement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) figures: Vec<(Figure, f64)>,
    /// Round trips through the tunnel in ms, for works that have them.
    pub(crate) round_trips: Vec<f64>,
    /// The same without the tunnel.
    pub(crate) direct_round_trips: Vec<f64>,
}

impl Work {
    /// Whether there is something to compare with.
    pub(crate) fn has_rival(&self) -> bool {
        !matches!(self, Self::Function(function) if !function.has_rival())
    }

    /// Starts a tunnel, measures, and ends it.
    pub(crate) fn measure(&self, setting: &Setting<'_>) -> Result<Outcome, Failure> {
        // The harness of the tests panics when a process does not start, printing its output.
        catch_unwind(AssertUnwindSafe(|| match self {
            Self::Loopback { is_upload } => bulk::loopback(setting, *is_upload),
            Self::Link { link, is_upload } => bulk::over_link(setting, link, *is_upload),
            Self::Requests => requests::measure(setting),
            Self::Ping => ping::measure(setting),
            Self::Idle => idle::measure(setting),
            Self::Memory => bulk::memory(setting),
            Self::Wrk => wrk::measure(setting),
            Self::Shards => shards::measure(setting),
            Self::Function(function) => match setting.tools {
                Some(tools) => function.measure(tools, setting.side),
                None => Err(Failure("its program was not looked for".into())),
            },
        }))
        .unwrap_or_else(|_| Err(Failure("it did not start, see above".into())))
    }
}
