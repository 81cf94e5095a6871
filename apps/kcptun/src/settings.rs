//! From the configuration to the settings of the layers, with what this program knows besides.

use kcptun_async::PacketCipher;

use crate::RunError;
use crate::config::CommonConfig;
pub(crate) use crate::config::settings::{socket, tunnel};

/// Derives the key and prepares the cipher.
pub(crate) fn cipher(config: &CommonConfig) -> Result<PacketCipher, RunError> {
    crate::config::settings::cipher(config)
        .map_err(|error| RunError::new(format!("--crypt {}: {error}", config.crypt.name())))
}
