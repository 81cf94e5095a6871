//! What is parsed can be used: the layers take every configuration.

use kcptun_config::options::Side;
use kcptun_config::{ClientConfig, CommonConfig, Outcome, ServerConfig, settings};
use kcptun_tunnel::Endpoint;
use proptest::prelude::*;

use crate::values::{Chosen, some_options};

#[test]
fn flags_reach_their_layers() {
    let line = "--key=k --mtu=1200 --datashard=7 --parityshard=2 --mode=fast3 --acknodelay \
                --sndwnd=100 --rcvwnd=200 --nocomp --ratelimit=90000 --smuxver=2 \
                --smuxbuf=4000000 --streambuf=500000 --framesize=4096 --keepalive=7 --dscp=46 \
                --sockbuf=600000";
    let Ok(Outcome::Run(parsed)) = ClientConfig::parse(line.split_whitespace(), &|_| None) else {
        panic!("{line}")
    };
    let common = &parsed.config.common;
    let tunnel = settings::tunnel(common);
    assert_eq!((tunnel.mtu, tunnel.compression), (1200, false));
    assert_eq!(tunnel.fec, fec_proto::Shape::new(7, 2).unwrap());
    assert_eq!(tunnel.rate_limit.map(u64::from), Some(90_000));
    let kcp = &tunnel.kcp;
    assert!(kcp.nodelay && !kcp.congestion_control && kcp.ack_no_delay);
    assert_eq!((kcp.interval.as_millis(), kcp.resend), (10, 2));
    assert_eq!((kcp.send_window, kcp.receive_window), (100, 200));
    let smux = &tunnel.smux;
    assert_eq!((smux.session_buffer, smux.stream_buffer), (4_000_000, 500_000));
    assert_eq!((smux.max_frame, smux.version.number()), (4096, 2));
    assert_eq!((smux.keepalive, smux.keepalive.as_secs()), (common.keepalive, 7));
    let socket = settings::socket(common);
    assert_eq!((socket.dscp, socket.send_buffer, socket.receive_buffer), (46, 600_000, 600_000));
}

fn endpoint(config: &CommonConfig, side: kcptun_tunnel::Side) -> Result<(), String> {
    let cipher = settings::cipher(config).map_err(|error| error.to_string())?;
    let made = Endpoint::new(settings::tunnel(config), cipher, side, [1; 32]);
    made.map(|_| ()).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_configuration_makes_an_endpoint(
        client in some_options(Side::Client),
        server in some_options(Side::Server),
    ) {
        let outcome = ClientConfig::parse(client.iter().map(Chosen::flag), &|_| None).unwrap();
        if let Outcome::Run(parsed) = outcome {
            prop_assert_eq!(endpoint(&parsed.config.common, kcptun_tunnel::Side::Client), Ok(()));
        }
        let outcome = ServerConfig::parse(server.iter().map(Chosen::flag), &|_| None).unwrap();
        if let Outcome::Run(parsed) = outcome {
            prop_assert_eq!(endpoint(&parsed.config.common, kcptun_tunnel::Side::Server), Ok(()));
        }
    }
}
