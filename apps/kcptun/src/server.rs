//! Running a server: streams in, connections to the target out.

use std::future::poll_fn;

use kcptun_status::Side;

use crate::config::ServerConfig;
use crate::forward::{RelayPlan, poll_accept};
use crate::host::Host;
use crate::log::Log;
use crate::operate::{self, Launch};
use crate::service::Service;
use crate::shards::{Place, Recipe, Workers, bind_all};
use crate::{Chosen, RunError};

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
