//! Running a client: TCP connections in, streams out.

use std::io;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use kcptun_async::runtime::{Bytes as _, Listener as _, Runtime};
use kcptun_async::{Client, ClientSettings, PolicyConfig, Relay};
use kcptun_net::tcp;
use kcptun_tokio::Tokio;

use crate::RunError;
use crate::config::{ClientConfig, SmuxVersion};
use crate::log::RateLimit;
use crate::{on_tokio, pause, settings};

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Runs the client until it is told to stop. `started` is called once, when all that can fail has
/// been done, with the configuration and the address that connections are accepted at.
///
/// # Errors
/// When the listening address cannot be bound, or a setting cannot work.
pub fn run(
    config: ClientConfig,
    started: impl FnOnce(&ClientConfig, &str),
) -> Result<(), RunError> {
    on_tokio::run(serve(Tokio, config, started))
}

async fn serve<R: Runtime>(
    runtime: R,
    config: ClientConfig,
    started: impl FnOnce(&ClientConfig, &str),
) -> Result<(), RunError> {
    let at_listen =
        |error: io::Error| RunError::new(format!("--localaddr {}: {error}", config.listen));
    let address = config.listen.clone();
    let listener = runtime.blocking(move || tcp::listen(&address)).await.map_err(at_listen)?;
    let bound = bound_address(&listener, &config);
    let listener = runtime.listener(listener).map_err(at_listen)?;
    let client = Client::new(
        runtime.clone(),
        ClientSettings {
            remote: config.remote.clone(),
            cipher: settings::cipher(&config.common)?,
            tunnel: settings::tunnel(&config.common),
            socket: settings::socket(&config.common),
            policy: PolicyConfig {
                conn: config.conn.try_into().unwrap_or(NonZeroU16::MIN),
                ..PolicyConfig::default()
            },
        },
    );
    started(&config, &bound);
    let plan = RelayPlan {
        client,
        windows: config.common.smux_version == SmuxVersion::V2,
        quiet: config.common.quiet,
    };
    accept(runtime, &listener, plan).await
}

/// The address as bound; a path as given.
fn bound_address(listener: &tcp::Listener, config: &ClientConfig) -> String {
    match listener {
        tcp::Listener::Tcp(listener) => listener
            .local_addr()
            .map_or_else(|_| config.listen.to_string(), |address| address.to_string()),
        #[cfg(unix)]
        tcp::Listener::Unix(_) => config.listen.to_string(),
    }
}

async fn accept<R: Runtime>(
    runtime: R,
    listener: &R::Listener,
    plan: RelayPlan<R>,
) -> Result<(), RunError> {
    let complaints = RateLimit::new(Duration::from_secs(10));
    loop {
        match listener.accept().await {
            Ok(tcp) => runtime.spawn(plan.clone().carry(runtime.clone(), tcp)),
            Err(error) => {
                // Out of file descriptors, mostly: connections that end make room.
                if let Some(held_back) = complaints.admit(Instant::now()) {
                    tracing::error!("accept: {error} (and {held_back} times before)");
                }
                pause(&runtime, ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What to do with each connection.
#[derive(Clone)]
struct RelayPlan<R: Runtime> {
    client: Client<R>,
    /// Whether streams have windows (smux 2).
    windows: bool,
    quiet: bool,
}

impl<R: Runtime> RelayPlan<R> {
    /// Joins a connection with a new stream.
    async fn carry(self, runtime: R, tcp: R::Bytes) {
        let Self { client, windows, quiet } = self;
        let from = tcp.peer();
        let stream = match client.open().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!("{error} in: {from}");
                return;
            }
        };
        let to = format!("{}({})", stream.remote(), stream.number());
        if !quiet {
            tracing::info!("stream opened in: {from} out: {to}");
        }
        let result = Relay::new(&runtime, stream, tcp, Duration::ZERO, windows).await;
        if !quiet {
            if let Err(error) = result {
                tracing::debug!("pipe: {error} in: {from} out: {to}");
            }
            tracing::info!("stream closed in: {from} out: {to}");
        }
    }
}
