//! Running a client: TCP connections in, streams out.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use kcptun_async::runtime::{Bytes as _, Listener as _, Runtime};
use kcptun_async::{Client, ClientSettings, PolicyConfig};
use kcptun_net::tcp;
use kcptun_status::Side;

use crate::config::ClientConfig;
use crate::host::pause;
use crate::log::{Log, RateLimit};
use crate::operate::{self, Launch};
use crate::pipe::Pipe;
use crate::service::Service;
use crate::{Chosen, RunError, settings};

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Runs the client until it is told to stop. `started` is called once, when all that can fail has
/// been done, with the configuration and the address that connections are accepted at. Signals,
/// counters and totals are looked after, with `log` for what they have to say.
///
/// # Errors
/// When the listening address cannot be bound, or a setting cannot work.
pub fn run(
    config: &ClientConfig,
    log: &Log,
    started: impl FnOnce(&ClientConfig, &str),
) -> Result<(), RunError> {
    operate::run::<Chosen, _>(Side::Client, log, &config.common, |runtime, launch| {
        serve(runtime, config, launch, started)
    })
}

async fn serve<R: Runtime>(
    runtime: R,
    config: &ClientConfig,
    launch: Launch<R>,
    started: impl FnOnce(&ClientConfig, &str),
) -> Result<(), RunError> {
    let at_listen =
        |error: io::Error| RunError::new(format!("--localaddr {}: {error}", config.listen));
    let address = config.listen.clone();
    let listener = runtime.blocking(move || tcp::listen(&address)).await.map_err(at_listen)?;
    let bound = bound_address(&listener, config);
    let listener = runtime.listener(listener).map_err(at_listen)?;
    let client = Client::new(
        runtime.clone(),
        ClientSettings {
            remote: config.remote.clone(),
            cipher: settings::cipher(&config.common)?,
            tunnel: settings::tunnel(&config.common),
            socket: settings::socket(&config.common),
            policy: policy(config),
        },
    );
    started(config, &bound);
    launch.service(&Service::of_client(client.clone()));
    let plan = RelayPlan { client, pipe: Pipe::new(&config.common) };
    accept(runtime, &listener, plan).await
}

/// How many sessions there are, and how long they live.
fn policy(config: &ClientConfig) -> PolicyConfig {
    PolicyConfig {
        conn: config.conn.try_into().unwrap_or(NonZeroU16::MIN),
        autoexpire: config.auto_expire.unwrap_or_default(),
        scavengettl: config.scavenge_ttl,
    }
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
                match complaints.admit(Instant::now()) {
                    Some(0) => tracing::error!("accept: {error}"),
                    Some(held_back) => {
                        tracing::error!("accept: {error} (and {held_back} times before)");
                    }
                    None => {}
                }
                pause(&runtime, ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A peer's address for the log: IPv4 as such, also when the socket takes both families.
fn as_go_writes(peer: String) -> String {
    match peer.parse::<SocketAddr>() {
        Ok(address) => SocketAddr::new(address.ip().to_canonical(), address.port()).to_string(),
        Err(_) => peer,
    }
}

/// What to do with each connection.
#[derive(Clone)]
struct RelayPlan<R: Runtime> {
    client: Client<R>,
    pipe: Pipe,
}

impl<R: Runtime> RelayPlan<R> {
    /// Joins a connection with a new stream. The lines are the original's.
    async fn carry(self, runtime: R, mut tcp: R::Bytes) {
        let Self { client, pipe } = self;
        let from = as_go_writes(tcp.peer());
        let stream = match client.open_for(&mut tcp).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::error!("{error} in: {from}");
                return;
            }
        };
        let to = format!("{}({})", stream.remote(), stream.number());
        pipe.carry(&runtime, stream, tcp, &from, &to).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_written_as_go_writes_them() {
        for (peer, written) in [
            ("[::ffff:192.0.2.1]:5", "192.0.2.1:5"),
            ("192.0.2.1:5", "192.0.2.1:5"),
            ("[2001:db8::1]:5", "[2001:db8::1]:5"),
            ("@", "@"),
        ] {
            assert_eq!(as_go_writes(peer.into()), written);
        }
    }
}
