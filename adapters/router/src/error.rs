//! Why a client or server cannot start.

use std::fmt;
use std::io;

use kcptun_tunnel::ConfigError;

use crate::plan::TooSmall;

/// Why a client or server cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The listening address cannot be bound; the text names it.
    Listen(io::Error),
    /// The remote or target address, a literal, makes no sense.
    Remote(io::Error),
    /// The memory is not enough.
    Memory(TooSmall),
    /// A setting cannot work.
    Config(ConfigError),
    /// The system refuses what a poll loop needs.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) | Self::Remote(error) => error.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::System(error) => write!(f, "the poll loop cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<TooSmall> for StartError {
    fn from(error: TooSmall) -> Self {
        Self::Memory(error)
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}
