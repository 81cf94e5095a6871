//! Running a server: streams in, connections to the target out.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kcptun_async::runtime::{Bytes as _, Runtime};
use kcptun_async::{Relay, Server, Stream, TargetAddress};
use kcptun_status::Side;

use crate::RunError;
use crate::config::{ServerConfig, SmuxVersion};
use crate::host::{Chosen, Host};
use crate::log::Log;
use crate::operate::{self, Launch};
use crate::service::Service;
use crate::shards::{Place, Recipe, Workers, bind_all};

/// Runs the server until it is told to stop. `started` is called once, when all that can fail has
/// been done. Signals, counters and totals are looked after, with `log` for what they have to say.
///
/// # Errors
/// When a listening address cannot be bound, a socket failed, or a setting cannot work.
pub fn run(
    config: &ServerConfig,
    log: &Log,
    started: impl FnOnce(&ServerConfig),
) -> Result<(), RunError> {
    operate::run::<Chosen, _>(Side::Server, log, &config.common, |runtime, launch| {
        serve::<Chosen>(runtime, config, launch, started)
    })
}

/// The first shard runs on this thread, the others on theirs.
async fn serve<H: Host>(
    runtime: H::Runtime,
    config: &ServerConfig,
    launch: Launch<H::Runtime>,
    started: impl FnOnce(&ServerConfig),
) -> Result<(), RunError> {
    let place = Place::new(config);
    let mut sockets = bind_all(&runtime, config, &place).await?.into_iter();
    let recipe = Recipe::new(config, place)?;
    let relay = RelayPlan::new(config);
    let own = recipe.serve_on(&runtime, sockets.next().unwrap_or_default())?;
    let workers = Workers::start::<H>(sockets, &recipe, &relay)?;
    started(config);
    for server in &own {
        tracing::info!("Listening on: {}/udp", server.local_addr());
    }
    let all = own.iter().chain(workers.servers()).cloned().collect();
    launch.service(&Service::of_servers(all));
    poll_fn(|cx| {
        workers.poll_failure(cx)?;
        poll_accept(cx, &runtime, &own, &relay)
    })
    .await
}

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
    fn new(config: &ServerConfig) -> Self {
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
