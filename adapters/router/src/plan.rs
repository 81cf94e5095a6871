//! Fitting windows, streams and sessions into a given memory.

use std::fmt;

use kcptun_tunnel::{Config, Endpoint};

use crate::pairs::Pairs;

/// Payload memory that a tunnel cannot do without, in bytes.
const LEAST_PAYLOAD: usize = 256 << 10;
/// What a segment of any length takes of the receive window's memory: the largest size class of the
/// pool, with what is left over at the end of a page.
const RECEIVED: usize = 1_640;
/// What unread bytes take of the pool's memory, times their number: usually less than half as much
/// again, three times in streams with half a page each ([`Fifo`](proto_base::Fifo)). Should all be
/// like that, reading waits for memory.
const UNREAD: usize = 2;
/// Memory of the batch being sent, of the messages being received, and of what else there is once.
const ONCE: usize = (64 << 10) + MESSAGES * (64 << 10) + (24 << 10);
/// Messages that one receive call may bring; with UDP_GRO each holds dozens of datagrams.
pub(crate) const MESSAGES: usize = 2;
/// Least windows, in segments, and least unread bytes of a session.
const LEAST_WINDOW: u16 = 32;
const LEAST_UNREAD: usize = 64 << 10;
/// Most sessions of a server, however much memory there is.
const MOST_SESSIONS: usize = 1_024;

/// Who needs the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// A client with this many sessions at a time, which are replaced now and then.
    Client {
        /// `--conn`
        conn: u16,
    },
    /// A server: as many sessions as there is room for.
    Server,
}

/// What fits into a given memory. Displayed, it is the line for the log.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The settings with windows and buffers cut to what fits, and the numbers of sessions, streams
    /// and bytes.
    pub config: Config,
    /// TCP connections at a time.
    pub pairs: usize,
    /// All of it, in bytes.
    pub total: usize,
}

/// The memory is not enough for a tunnel of these settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSmall {
    /// What would do, in bytes; no more than a sixteenth above the least.
    pub least: usize,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = if self.least < 10 << 20 { (1 << 10, "KB") } else { (1 << 20, "MB") };
        write!(f, "too small for these settings; at least {} {name}", self.least.div_ceil(unit))
    }
}

impl std::error::Error for TooSmall {}

impl Plan {
    /// Fits a tunnel into `memory` bytes.
    ///
    /// Index memory comes first: for TCP connections (one for each 32 KiB of memory), and for the
    /// sessions. What is left is payload memory, shared by all sessions. A session may hold an
    /// eighth of the memory unread. Windows are as asked for while those of one session (of a
    /// client: of `conn` sessions) fill the payload memory to three quarters at the most; else what
    /// is largest is halved. Sessions that want more at the same time wait for each other.
    ///
    /// # Errors
    /// When not even the least windows fit.
    pub fn fit(memory: usize, wanted: &Config, demand: Demand) -> Result<Self, TooSmall> {
        if let Some(plan) = Self::try_fit(memory, wanted, demand) {
            return Ok(plan);
        }
        let mut least = memory.max(LEAST_PAYLOAD);
        while least < usize::MAX / 2 && Self::try_fit(least, wanted, demand).is_none() {
            least += least / 16;
        }
        Err(TooSmall { least })
    }

    fn try_fit(memory: usize, wanted: &Config, demand: Demand) -> Option<Self> {
        let mut config = wanted.clone();
        let pairs = (memory / (32 << 10)).clamp(8, 4_096);
        // What slow readers leave unread stays touched for good.
        let unread = (memory / 8).max(LEAST_UNREAD);
        config.smux.session_buffer = config.smux.session_buffer.min(unread);
        // Streams that are over live on until their end was told.
        config.smux.max_streams = pairs + pairs / 2;
        let once = ONCE + pairs * Pairs::SIZE_EACH;
        let (together, least, most) = match demand {
            Demand::Client { conn } => {
                (usize::from(conn), usize::from(conn) + 1, 2 * usize::from(conn) + 1)
            }
            Demand::Server => (1, 1, MOST_SESSIONS),
        };
        loop {
            let each = Endpoint::reserved_size(&config);
            let sessions = (memory / 4 / each).clamp(least, most);
            let fixed = once + sessions * each;
            config.max_connections = sessions;
            config.memory = memory.saturating_sub(fixed);
            let is_enough = config.memory >= LEAST_PAYLOAD.max(together * LEAST_PAYLOAD / 4);
            if is_enough && Self::demand_of(&config) * together <= config.memory / 4 * 3 {
                config.smux.stream_buffer = config
                    .smux
                    .stream_buffer
                    .min(u32::try_from(config.smux.session_buffer).unwrap_or(u32::MAX));
                return Some(Self { config, pairs, total: memory });
            }
            if !Self::cut(&mut config) {
                return None;
            }
        }
    }

    /// Payload memory that a session may fill.
    fn demand_of(config: &Config) -> usize {
        let Parts { received, sent, unread } = Parts::of(config);
        received + sent + unread
    }

    /// Halves what is largest; `false` when all is as small as can be.
    fn cut(config: &mut Config) -> bool {
        let Parts { received, sent, unread } = Parts::of(config);
        let buffer = config.smux.session_buffer;
        if buffer > LEAST_UNREAD && unread >= received.max(sent) {
            config.smux.session_buffer = (buffer / 2).max(LEAST_UNREAD);
        } else if config.kcp.receive_window > LEAST_WINDOW && received >= sent {
            config.kcp.receive_window = (config.kcp.receive_window / 2).max(LEAST_WINDOW);
        } else if config.kcp.send_window > LEAST_WINDOW {
            config.kcp.send_window = (config.kcp.send_window / 2).max(LEAST_WINDOW);
        } else if config.kcp.receive_window > LEAST_WINDOW {
            config.kcp.receive_window = (config.kcp.receive_window / 2).max(LEAST_WINDOW);
        } else if buffer > LEAST_UNREAD {
            config.smux.session_buffer = (buffer / 2).max(LEAST_UNREAD);
        } else {
            return false;
        }
        true
    }
}

/// Payload memory that a session may fill, by what is in it.
struct Parts {
    received: usize,
    sent: usize,
    unread: usize,
}

impl Parts {
    fn of(config: &Config) -> Self {
        Self {
            received: usize::from(config.kcp.receive_window) * RECEIVED,
            sent: usize::from(config.kcp.send_window) * config.mtu,
            unread: config.smux.session_buffer.saturating_mul(UNREAD),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { kcp, smux, memory, max_connections, .. } = &self.config;
        write!(
            f,
            "memory: {} KB, {} of it for data; connections: {} sessions: {max_connections} \
             sndwnd: {} rcvwnd: {} smuxbuf: {} streambuf: {}",
            self.total / 1024,
            memory / 1024,
            self.pairs,
            kcp.send_window,
            kcp.receive_window,
            smux.session_buffer,
            smux.stream_buffer,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_into_eight_megabytes() {
        let plan = Plan::fit(8 << 20, &Config::default(), Demand::Client { conn: 1 }).unwrap();
        assert_eq!((plan.config.kcp.send_window, plan.config.kcp.receive_window), {
            let kcp = Config::default().kcp;
            (kcp.send_window, kcp.receive_window)
        });
        assert_eq!(plan.pairs, 256);
    }

    #[test]
    fn whatever_fits_adds_up() {
        for megabytes in 1..64usize {
            for demand in [Demand::Server, Demand::Client { conn: 1 }, Demand::Client { conn: 9 }] {
                let mut config = Config::default();
                config.kcp.send_window = 1024;
                config.kcp.receive_window = 65_535;
                let memory = megabytes << 20;
                match Plan::fit(memory, &config, demand) {
                    Ok(plan) => {
                        let each = Endpoint::reserved_size(&plan.config);
                        let parts = plan.config.memory
                            + plan.config.max_connections * each
                            + plan.pairs * Pairs::SIZE_EACH
                            + ONCE;
                        assert!(parts <= memory, "{plan}");
                        assert!(plan.config.memory >= LEAST_PAYLOAD);
                    }
                    Err(error) => {
                        assert!(error.least > memory, "{error}");
                        assert!(Plan::fit(error.least, &config, demand).is_ok());
                    }
                }
            }
        }
    }
}
