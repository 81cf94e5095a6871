//! What becomes of a server's streams: each is joined with a connection to the target.

use std::sync::Arc;
use std::task::{Context, Poll};

use kcptun_async::runtime::{Bytes as _, Runtime};
use kcptun_async::{Server, Stream, TargetAddress};

use crate::RunError;
use crate::config::ServerConfig;
use crate::pipe::Pipe;

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
    pipe: Pipe,
}

impl RelayPlan {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self { target: config.target.clone(), pipe: Pipe::new(&config.common) }
    }

    /// Joins a stream with a new connection to the target. The lines are the original's.
    async fn carry<R: Runtime>(self, runtime: R, stream: Stream) {
        let Self { target, pipe } = self;
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
        pipe.carry(&runtime, stream, tcp, &from, &to).await;
    }
}
