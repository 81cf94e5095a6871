//! Running a server: streams in, connections to the target out.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use kcptun_async::runtime::Runtime;
use kcptun_async::{PacketCipher, Relay, Server, ServerSettings, Stream, TargetAddress};
use kcptun_tokio::Tokio;

use crate::config::{ServerConfig, SmuxVersion};
use crate::{RunError, on_tokio, settings};

/// How long the rest of a half-closed pair may go without a sign of life (the default of
/// `--closewait` for servers since kcptun 2024).
const CLOSE_WAIT: Duration = Duration::from_secs(30);

/// Runs the server until it is told to stop.
///
/// # Errors
/// When the listening address cannot be bound, or a setting cannot work.
pub fn run(config: ServerConfig) -> Result<(), RunError> {
    on_tokio::run(serve(Tokio, config))
}

async fn serve<R: Runtime>(runtime: R, config: ServerConfig) -> Result<(), RunError> {
    let cipher = settings::cipher(&config.common)?;
    let mut servers = Vec::new();
    for port in config.listen.ports().iter() {
        let server = bind(&runtime, &config, &cipher, port).await?;
        tracing::info!("Listening on: {}/udp", server.local_addr());
        servers.push(server);
    }
    let relay = RelayPlan {
        target: config.target.clone(),
        windows: config.common.smux_version == SmuxVersion::V2,
        quiet: config.common.quiet,
    };
    poll_fn(|cx| {
        for server in &servers {
            while let Poll::Ready(stream) = server.poll_accept(cx) {
                let stream = stream.map_err(RunError::new)?;
                runtime.spawn(relay.clone().carry(runtime.clone(), stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// Binds one port of the range on the first address that can be had.
async fn bind<R: Runtime>(
    runtime: &R,
    config: &ServerConfig,
    cipher: &PacketCipher,
    port: u16,
) -> Result<Server, RunError> {
    let address = config.listen.clone();
    let resolved = runtime.blocking(move || address.resolve(port)).await.map_err(RunError::new)?;
    let mut bound = Err(RunError::new(format!("{}: the name has no address", config.listen)));
    for listen in resolved {
        let server = Server::bind(
            runtime,
            ServerSettings {
                listen,
                cipher: cipher.clone(),
                tunnel: settings::tunnel(&config.common),
                socket: settings::socket(&config.common),
            },
        );
        bound = server.map_err(RunError::new);
        if bound.is_ok() {
            break;
        }
    }
    bound
}

/// What to do with each stream.
#[derive(Clone)]
struct RelayPlan {
    target: TargetAddress,
    /// Whether streams have windows (smux 2).
    windows: bool,
    quiet: bool,
}

impl RelayPlan {
    /// Joins a stream with a new connection to the target.
    async fn carry<R: Runtime>(self, runtime: R, stream: Stream) {
        let Self { target, windows, quiet } = self;
        let from = format!("{}({})", stream.remote(), stream.number());
        let tcp = match runtime.connect(target.clone()).await {
            Ok(tcp) => tcp,
            Err(error) => {
                tracing::error!("{error} in: {from} out: {target}");
                return;
            }
        };
        if !quiet {
            tracing::info!("stream opened in: {from} out: {target}");
        }
        let result = Relay::new(&runtime, stream, tcp, CLOSE_WAIT, windows).await;
        if !quiet {
            if let Err(error) = result {
                tracing::debug!("pipe: {error} in: {from} out: {target}");
            }
            tracing::info!("stream closed in: {from} out: {target}");
        }
    }
}
