//! From a configuration to the settings of the layers.

use kcptun_net::SocketConfig;
use kcptun_tunnel::Config;
use kcptun_tunnel::crypt::{CipherKind, CipherUnavailable, PacketCipher};

use crate::config::CommonConfig;

/// Derives the key and prepares the cipher, which takes milliseconds.
///
/// # Errors
///
/// [`CipherUnavailable`] when the program was built without the cipher.
pub fn cipher(config: &CommonConfig) -> Result<PacketCipher, CipherUnavailable> {
    let kind = CipherKind::from_name(config.crypt.name()).unwrap_or(CipherKind::Aes);
    PacketCipher::new(kind, config.key.as_bytes())
}

/// What FEC, KCP, compression and smux are told. The FEC kernel is the portable one; a program
/// that knows a faster one puts it in.
#[must_use]
pub fn tunnel(config: &CommonConfig) -> Config {
    let shape = config.fec.and_then(|shape| {
        fec_proto::Shape::new(i64::from(shape.data), i64::from(shape.parity)).unwrap_or(None)
    });
    let version = smux_proto::wire::Version::from_number(config.smux_version.number());
    let defaults = Config::default();
    Config {
        mtu: usize::from(config.mtu),
        fec: shape,
        compression: config.compression,
        rate_limit: config.rate_limit,
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
            max_frame: config.frame_size,
            session_buffer: config.session_buffer as usize,
            stream_buffer: config.stream_buffer,
            ..defaults.smux.clone()
        }
        .with_keepalive(config.keepalive),
        ..defaults
    }
}

/// What the UDP sockets are told.
#[must_use]
pub fn socket(config: &CommonConfig) -> SocketConfig {
    SocketConfig {
        dscp: i32::from(config.dscp.ipv6_traffic_class()),
        send_buffer: config.socket_buffer as usize,
        receive_buffer: config.socket_buffer as usize,
        ..SocketConfig::default()
    }
}
