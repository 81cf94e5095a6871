//! Running a server: streams in, connections to the target out.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
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

/// Runs the server until it is told to stop. `started` is called once, when all that can fail has
/// been done.
///
/// # Errors
/// When a listening address cannot be bound, a socket failed, or a setting cannot work.
pub fn run(config: ServerConfig, started: impl FnOnce(&ServerConfig)) -> Result<(), RunError> {
    on_tokio::run(serve(Tokio, config, started))
}

async fn serve<R: Runtime>(
    runtime: R,
    config: ServerConfig,
    started: impl FnOnce(&ServerConfig),
) -> Result<(), RunError> {
    let servers = bind_all(&runtime, &config).await?;
    started(&config);
    for server in &servers {
        tracing::info!("Listening on: {}/udp", server.local_addr());
    }
    let relay = RelayPlan {
        target: config.target.clone(),
        windows: config.common.smux_version == SmuxVersion::V2,
        quiet: config.common.quiet,
    };
    poll_fn(|cx| {
        for server in &servers {
            while let Poll::Ready(stream) = server.poll_accept(cx) {
                // The reason was logged where it was found.
                let failed = |_| {
                    RunError::new(format!("{}/udp: the socket has failed", server.local_addr()))
                };
                let stream = stream.map_err(failed)?;
                runtime.spawn(relay.clone().carry(runtime.clone(), stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// One server for each port of the range, or none.
async fn bind_all<R: Runtime>(runtime: &R, config: &ServerConfig) -> Result<Vec<Server>, RunError> {
    let cipher = settings::cipher(&config.common)?;
    let (address, ports) = (config.listen.clone(), config.listen.ports());
    let at_listen =
        |error: io::Error| RunError::new(format!("--listen {}: {error}", config.listen));
    let resolved = runtime.blocking(move || address.resolve(ports.first())).await;
    let resolved = resolved.map_err(at_listen)?;
    // No waiting from here on: no server runs before all of them are bound.
    let bind_port = |port| bind(runtime, config, &cipher, &resolved, port);
    ports.iter().map(bind_port).collect::<io::Result<_>>().map_err(at_listen)
}

/// Binds one port, on the first of the host's addresses that this machine has.
fn bind<R: Runtime>(
    runtime: &R,
    config: &ServerConfig,
    cipher: &PacketCipher,
    addresses: &[SocketAddr],
    port: u16,
) -> io::Result<Server> {
    let mut bound = Err(io::ErrorKind::NotFound.into());
    for address in addresses {
        let settings = ServerSettings {
            listen: SocketAddr::new(address.ip(), port),
            cipher: cipher.clone(),
            tunnel: settings::tunnel(&config.common),
            socket: settings::socket(&config.common),
        };
        bound = Server::bind(runtime, settings);
        match &bound {
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            _ => break,
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
