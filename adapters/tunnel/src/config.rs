//! Settings of a tunnel end, beyond its key.

use core::fmt;
use core::num::NonZeroU64;

use fec_proto::Shape;

use crate::batch::MAX_DATAGRAM_LEN;

/// What both kinds of end are told. `key`, cipher, `compression` and the smux version must be the
/// same at both ends; all else may differ.
#[derive(Debug, Clone)]
pub struct Config {
    /// Longest UDP payload sent, in bytes, with all headers in it (kcptun: `--mtu`); up to 1500.
    pub mtu: usize,
    /// Settings of KCP. Its `datagram_len` is set by what the other layers leave of the mtu.
    pub kcp: kcp_proto::Config,
    /// Shape of the FEC groups sent; `None` sends none. Incoming groups may have any shape.
    pub fec: Option<Shape>,
    /// Arithmetic for FEC. The default is the fastest that this CPU can run with the feature `simd`,
    /// and portable code without it.
    pub fec_kernel: fec_proto::Kernel,
    /// Settings of smux. Its `max_frame` (newest kcptun: `--framesize`) bounds what one read of a
    /// TCP connection makes a frame of; frames of more than 16,376 bytes are never made.
    pub smux: smux_proto::Config,
    /// Whether the byte stream of a connection is compressed (kcptun: not `--nocomp`).
    pub compression: bool,
    /// Most bytes per second that a connection sends, headers of UDP and IP not counted, parity
    /// included, after a burst of up to 96,000 bytes (newest kcptun: `--ratelimit`). What waits is
    /// kept and not lost, and acks do not wait behind data. `None` is as fast as the windows let it.
    pub rate_limit: Option<NonZeroU64>,
    /// Most bytes of payload memory for all connections of an endpoint together.
    pub memory: usize,
    /// Most connections of a server's endpoint. When a client comes while all are taken, one whose
    /// peer has not shown that it receives, and is silent, makes room
    /// ([`CloseReason::Evicted`](crate::CloseReason::Evicted)).
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mtu: 1350,
            kcp: kcp_proto::Config::default(),
            fec: Shape::new(10, 3).unwrap_or(None),
            fec_kernel: fastest_kernel(),
            smux: smux_proto::Config::default(),
            compression: cfg!(feature = "snappy"),
            rate_limit: None,
            memory: 1 << 30,
            max_connections: 65_536,
        }
    }
}

#[cfg(feature = "simd")]
fn fastest_kernel() -> fec_proto::Kernel {
    fec_simd::detect()
}

#[cfg(not(feature = "simd"))]
fn fastest_kernel() -> fec_proto::Kernel {
    fec_proto::Kernel::PORTABLE
}

impl Config {
    /// Checks all settings and works out the room for KCP, given the bytes that packet protection
    /// adds to each payload.
    pub(crate) fn check(mut self, protection: usize) -> Result<Self, ConfigError> {
        let fec = if self.fec.is_some() { fec_proto::HEADROOM } else { 0 };
        let headers = protection + fec;
        if self.mtu > MAX_DATAGRAM_LEN || self.mtu <= headers + kcp_proto::wire::Header::LEN {
            return Err(ConfigError::Mtu { least: headers + kcp_proto::wire::Header::LEN + 1 });
        }
        self.kcp.datagram_len = self.mtu - headers;
        self.kcp = self.kcp.validate().map_err(ConfigError::Kcp)?;
        self.smux.check().map_err(ConfigError::Smux)?;
        if self.compression && !cfg!(feature = "snappy") {
            return Err(ConfigError::NoCompression);
        }
        Ok(self)
    }
}

/// A setting that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The mtu leaves no room for data, or is above 1500.
    Mtu {
        /// Least mtu with these settings.
        least: usize,
    },
    /// KCP says so.
    Kcp(kcp_proto::ConfigError),
    /// smux says so.
    Smux(smux_proto::ConfigError),
    /// FEC says so.
    Fec(fec_proto::ConfigError),
    /// Compression was not compiled in (feature `snappy`).
    NoCompression,
    /// The cipher was not compiled in.
    NoCipher(crate::crypt::CipherUnavailable),
    /// `memory` is 0 or more than can be addressed.
    Memory(proto_base::PoolError),
    /// The memory that was to be [reserved](crate::Endpoint::reserved) is not to be had.
    OutOfMemory,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mtu { least } => write!(f, "mtu must be {least} to {MAX_DATAGRAM_LEN} bytes"),
            Self::Kcp(error) => error.fmt(f),
            Self::Smux(error) => error.fmt(f),
            Self::Fec(error) => error.fmt(f),
            Self::NoCompression => f.write_str(
                "compression is not in this build: turn it off at both ends (--nocomp), or enable the \
                 feature `snappy`",
            ),
            Self::NoCipher(error) => error.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::OutOfMemory => f.write_str("the system does not give so much memory"),
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel is taken by default, and only where the feature is on.
    #[test]
    fn the_default_kernel_is_the_fastest_of_the_build() {
        let name = Config::default().fec_kernel.name();
        #[cfg(feature = "simd")]
        assert_eq!(name, fec_simd::detect().name());
        #[cfg(not(feature = "simd"))]
        assert_eq!(name, fec_proto::Kernel::PORTABLE.name());
    }
}
