//! Running a client: TCP connections in, streams out.

use std::time::Duration;

use kcptun_async::runtime::{Bytes as _, Listener as _, Runtime};
use kcptun_async::{Client, ClientSettings, PolicyConfig, Relay};
use kcptun_tokio::Tokio;

use crate::RunError;
use crate::config::{ClientConfig, SmuxVersion};
use crate::{on_tokio, pause, settings};

/// Runs the client until it is told to stop.
///
/// # Errors
/// When the listening address cannot be bound, or a setting cannot work.
pub fn run(config: ClientConfig) -> Result<(), RunError> {
    on_tokio::run(serve(Tokio, config))
}

async fn serve<R: Runtime>(runtime: R, config: ClientConfig) -> Result<(), RunError> {
    let listener = kcptun_net::tcp::listen(&config.listen).map_err(RunError::new)?;
    let listener = runtime.listener(listener).map_err(RunError::new)?;
    let windows = config.common.smux_version == SmuxVersion::V2;
    let quiet = config.common.quiet;
    let client = Client::new(
        runtime.clone(),
        ClientSettings {
            remote: config.remote.clone(),
            cipher: settings::cipher(&config.common)?,
            tunnel: settings::tunnel(&config.common),
            socket: settings::socket(&config.common),
            policy: PolicyConfig {
                conn: config.conn.try_into().unwrap_or(std::num::NonZeroU16::MIN),
                ..PolicyConfig::default()
            },
        },
    );
    loop {
        let tcp = match listener.accept().await {
            Ok(tcp) => tcp,
            Err(error) => {
                // Out of file descriptors, mostly: connections that end make room.
                tracing::error!("accept: {error}");
                pause(&runtime, Duration::from_millis(200)).await;
                continue;
            }
        };
        let (client, task_runtime) = (client.clone(), runtime.clone());
        runtime.spawn(async move {
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
            let result = Relay::new(&task_runtime, stream, tcp, Duration::ZERO, windows).await;
            if !quiet {
                if let Err(error) = result {
                    tracing::debug!("pipe: {error} in: {from} out: {to}");
                }
                tracing::info!("stream closed in: {from} out: {to}");
            }
        });
    }
}
