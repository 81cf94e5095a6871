//! From the words of the command line to the settings of the layers.

use kcptun_async::{Config, PacketCipher, SocketConfig};
use kcptun_tunnel::crypt::CipherKind;

use crate::RunError;
use crate::config::CommonConfig;

/// Derives the key and prepares the cipher.
pub(crate) fn cipher(config: &CommonConfig) -> Result<PacketCipher, RunError> {
    let kind = CipherKind::from_name(config.crypt.name()).unwrap_or(CipherKind::Aes);
    PacketCipher::new(kind, config.key.as_bytes())
        .map_err(|error| RunError::new(format!("--crypt {}: {error}", config.crypt.name())))
}

/// What FEC, KCP, compression and smux are told.
pub(crate) fn tunnel(config: &CommonConfig) -> Config {
    let shape = config.fec.and_then(|shape| {
        fec_proto::Shape::new(i64::from(shape.data), i64::from(shape.parity)).unwrap_or(None)
    });
    let version = smux_proto::wire::Version::from_number(config.smux_version.number());
    let defaults = Config::default();
    Config {
        mtu: usize::from(config.mtu),
        fec: shape,
        #[cfg(feature = "simd")]
        fec_kernel: fec_simd::detect(),
        compression: config.compression,
        kcp: kcp_proto::Config {
            nodelay: config.timing.nodelay,
            interval: config.timing.interval,
            resend: config.timing.resend,
            congestion_control: config.timing.congestion_control,
            ack_no_delay: config.ack_nodelay,
            send_window: config.send_window,
            receive_window: config.receive_window,
            ..defaults.kcp
        },
        smux: smux_proto::Config {
            version: version.unwrap_or(smux_proto::wire::Version::V1),
            session_buffer: config.session_buffer as usize,
            stream_buffer: config.stream_buffer,
            ..defaults.smux.clone()
        }
        .with_keepalive(config.keepalive),
        ..defaults
    }
}

/// What the UDP sockets are told.
pub(crate) fn socket(config: &CommonConfig) -> SocketConfig {
    SocketConfig {
        dscp: i32::from(config.dscp.ipv6_traffic_class()),
        send_buffer: config.socket_buffer as usize,
        receive_buffer: config.socket_buffer as usize,
        ..SocketConfig::default()
    }
}
