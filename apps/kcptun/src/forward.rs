//! What becomes of a server's streams: each is joined with a connection to the target.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kcptun_async::runtime::{Bytes as _, Runtime};
use kcptun_async::{Relay, Server, Stream, TargetAddress};

use crate::RunError;
use crate::config::{ServerConfig, SmuxVersion};

/// Hands each new stream of `servers` on, until one of their sockets fails.
pub(crate) fn poll_accept<R: Runtime>(
    cx: &mut Context<'_>,
    runtime: &R,
    servers: &[Arc<Server>],
    relay: &RelayPlan,
) -> Poll<Result<(), RunError>> {
    for server in servers {
        while let Poll::Ready(stream) = server.poll_accept(cx) {
            // The reason was logged where it was found.
            let failed =
                |_| RunError::new(format!("{}/udp: the socket has failed", server.local_addr()));
            let stream = stream.map_err(failed)?;
            runtime.spawn(relay.clone().carry(runtime.clone(), stream));
        }
    }
    Poll::Pending
}

/// What to do with each stream.
#[derive(Clone)]
pub(crate) struct RelayPlan {
    target: TargetAddress,
    /// What `--closewait` says.
    close_wait: Duration,
    /// Whether streams have windows (smux 2).
    windows: bool,
    quiet: bool,
}

impl RelayPlan {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self {
            target: config.target.clone(),
            close_wait: config.common.close_wait,
            windows: config.common.smux_version == SmuxVersion::V2,
            quiet: config.common.quiet,
        }
    }

    /// Joins a stream with a new connection to the target. The lines are the original's.
    async fn carry<R: Runtime>(self, runtime: R, stream: Stream) {
        let Self { target, close_wait, windows, quiet } = self;
        let from = format!("{}({})", stream.remote(), stream.number());
        let tcp = match runtime.connect(target.clone()).await {
            Ok(tcp) => tcp,
            Err(error) => {
                tracing::error!("{error} in: {from} out: {target}");
                return;
            }
        };
        let to = match target {
            TargetAddress::Tcp(_) => tcp.peer(),
            TargetAddress::Unix(path) => path.display().to_string(),
        };
        if !quiet {
            tracing::info!("stream opened in: {from} out: {to}");
        }
        let result = Relay::new(&runtime, stream, tcp, close_wait, windows).await;
        if !quiet {
            if let Err(error) = result {
                tracing::info!("pipe: {error} in: {from} out: {to}");
            }
            tracing::info!("stream closed in: {from} out: {to}");
        }
    }
}
