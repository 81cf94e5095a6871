//! From the configuration to the settings of the layers, with what this program knows besides.

use kcptun_async::{Config, PacketCipher};

use crate::RunError;
use crate::config::CommonConfig;
pub(crate) use crate::config::settings::socket;

/// Derives the key and prepares the cipher.
pub(crate) fn cipher(config: &CommonConfig) -> Result<PacketCipher, RunError> {
    crate::config::settings::cipher(config)
        .map_err(|error| RunError::new(format!("--crypt {}: {error}", config.crypt.name())))
}

/// What FEC, KCP, compression and smux are told, FEC with the vector unit of this CPU.
pub(crate) fn tunnel(config: &CommonConfig) -> Config {
    Config {
        #[cfg(feature = "simd")]
        fec_kernel: fec_simd::detect(),
        ..crate::config::settings::tunnel(config)
    }
}
