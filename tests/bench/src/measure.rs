//! One measurement: a tunnel, a work, and what came out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::failure::Failure;
use crate::figure::Figure;
use crate::tunnel::Binaries;
use crate::{bulk, idle, ping, requests};

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
}

/// The circumstances of one measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) ends: &'a Binaries,
    /// Flags of both ends.
    pub(crate) flags: &'a str,
    /// How long to measure, after the warm-up.
    pub(crate) time: Duration,
    /// Decides which datagrams a link loses.
    pub(crate) seed: u64,
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
        }))
        .unwrap_or_else(|_| Err(Failure("it did not start, see above".into())))
    }
}
