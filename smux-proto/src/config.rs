//! What a session is told when it starts.

use core::fmt;
use core::time::Duration;

use crate::wire::Version;

/// Longest time between signs of life that smux allows (smux, `VerifyConfig`).
const THIRTY_SECONDS: Duration = Duration::from_secs(30);
/// The original looks every 30 s whether anything has come since it looked last, so it notices death
/// 30 to 60 s after the last sign of life. The longer of these, so that streams survive here each
/// outage that they may survive there.
const ONE_MINUTE: Duration = Duration::from_secs(60);
/// Most streams a session may be told to hold.
const STREAM_LIMIT: usize = 1 << 24;

/// Which end of the session this is. It decides the ids of the streams that this end opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens streams 3, 5, 7 …
    Client,
    /// Opens streams 2, 4, 6 … (kcptun's servers open none).
    Server,
}

/// Settings of a session. The defaults are those of kcptun, with version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Version of the protocol, the same at both ends.
    pub version: Version,
    /// A NOP leaves when nothing was sent for this long; above 0, at most 30 s.
    pub keepalive: Duration,
    /// The session is dead when nothing was received for this long; at least `keepalive`. It must
    /// also be longer than the `keepalive` of the peer, which can be up to 30 s.
    pub timeout: Duration,
    /// Most bytes of data in one frame sent, 1..=65,535.
    pub max_frame: u16,
    /// Most unread bytes held for all streams together (kcptun: `--smuxbuf`).
    pub session_buffer: usize,
    /// Window told for each stream in version 2, in bytes below 2^31 (kcptun: `--streambuf`).
    pub stream_buffer: u32,
    /// Most streams at a time, of both ends together, 1..=16,777,216. The protocol knows no bound.
    pub max_streams: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: Version::V1,
            keepalive: Duration::from_secs(10),
            timeout: ONE_MINUTE,
            max_frame: 32_768,
            session_buffer: 4_194_304,
            stream_buffer: 2_097_152,
            max_streams: 16_384,
        }
    }
}

impl Config {
    /// Sets `keepalive`, and the `timeout` that suits a peer with any value: 60 s, after which the
    /// original gives up at the latest.
    #[must_use]
    pub fn with_keepalive(self, keepalive: Duration) -> Self {
        Self { keepalive, timeout: keepalive.saturating_mul(2).max(ONE_MINUTE), ..self }
    }

    /// Checks all fields.
    ///
    /// # Errors
    /// The first field that is out of its range, by the rules of smux (mux.go, `VerifyConfig`).
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.keepalive.is_zero() || self.keepalive > THIRTY_SECONDS {
            Err(ConfigError::Keepalive)
        } else if self.timeout < self.keepalive {
            Err(ConfigError::Timeout)
        } else if self.max_frame == 0 {
            Err(ConfigError::MaxFrame)
        } else if self.session_buffer == 0 {
            Err(ConfigError::SessionBuffer)
        } else if self.stream_buffer == 0 || self.stream_buffer > i32::MAX.cast_unsigned() {
            Err(ConfigError::StreamBuffer)
        } else if self.stream_buffer as usize > self.session_buffer {
            Err(ConfigError::StreamBufferAboveSession)
        } else if self.max_streams == 0 || self.max_streams > STREAM_LIMIT {
            Err(ConfigError::MaxStreams)
        } else {
            Ok(())
        }
    }
}

/// Which field of a [`Config`] is out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `keepalive`
    Keepalive,
    /// `timeout`
    Timeout,
    /// `max_frame`
    MaxFrame,
    /// `session_buffer`
    SessionBuffer,
    /// `stream_buffer`
    StreamBuffer,
    /// `stream_buffer` against `session_buffer`
    StreamBufferAboveSession,
    /// `max_streams`
    MaxStreams,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keepalive => "keepalive must be above 0 and at most 30 seconds",
            Self::Timeout => "timeout must not be shorter than keepalive",
            Self::MaxFrame => "max_frame must be from 1 to 65535 bytes",
            Self::SessionBuffer => "session_buffer must be above 0",
            Self::StreamBuffer => "stream_buffer must be above 0 and below 2147483648 bytes",
            Self::StreamBufferAboveSession => "stream_buffer must not be above session_buffer",
            Self::MaxStreams => "max_streams must be from 1 to 16777216",
        })
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_named_when_it_is_wrong() {
        let good = Config::default();
        assert_eq!(good.check(), Ok(()));
        let secs = Duration::from_secs;
        for (config, error) in [
            (Config { keepalive: secs(0), ..good.clone() }, ConfigError::Keepalive),
            (good.clone().with_keepalive(secs(31)), ConfigError::Keepalive),
            (Config { timeout: secs(9), ..good.clone() }, ConfigError::Timeout),
            (Config { max_frame: 0, ..good.clone() }, ConfigError::MaxFrame),
            (Config { session_buffer: 0, ..good.clone() }, ConfigError::SessionBuffer),
            (Config { stream_buffer: 0, ..good.clone() }, ConfigError::StreamBuffer),
            (Config { stream_buffer: 1 << 31, ..good.clone() }, ConfigError::StreamBuffer),
            (
                Config { session_buffer: 1 << 20, ..good.clone() },
                ConfigError::StreamBufferAboveSession,
            ),
            (Config { max_streams: 0, ..good.clone() }, ConfigError::MaxStreams),
        ] {
            assert_eq!(config.check(), Err(error));
        }
        assert_eq!(good.with_keepalive(secs(30)).timeout, secs(60));
    }
}
