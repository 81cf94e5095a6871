//! What goes on around a client or server while it runs: signals, rows of counters, the status
//! server, and the line of totals at the end.

use std::future::{Future, poll_fn};

use std::sync::Arc;

use kcptun_async::Runtime;
use kcptun_net::{AddressError, BindAddress};
use kcptun_status::{Addresses, Program, Side, Site};

use crate::RunError;
use crate::config::CommonConfig;
use crate::host::{Host, Notice, race};
use crate::log::Log;
use crate::service::Service;
use crate::signals::{Signal, Signals};
use crate::snmp::{Snmp, write_rows};

/// Runs what `serve` makes until it fails or a signal ends it. It gets a [`Launch`] to call when
/// all that can fail has been done.
pub(crate) fn run<H, F>(
    side: Side,
    log: &Log,
    config: &CommonConfig,
    serve: impl FnOnce(H::Runtime, Launch<H::Runtime>) -> F,
) -> Result<(), RunError>
where
    H: Host,
    F: Future<Output = Result<(), RunError>>,
{
    // Each connection is a file, and so are the sockets of a range of ports. That more cannot be had
    // is said when they are wanted.
    let _ = kcptun_net::allow_files(0);
    let service = Notice::new();
    let outcome = H::run(|runtime| {
        // Before anything is said: who reads the first line may send a signal at once.
        let signals = H::signals(config.log.is_some());
        let launch = Launch {
            side,
            config: config.clone(),
            runtime: runtime.clone(),
            service: service.clone(),
        };
        race(serve(runtime, launch), heed(signals, log, &service))
    });
    // By now every socket is closed and every thread has ended, so these figures are the last.
    if let Some(service) = service.get() {
        log.line(&service.summary());
    }
    outcome.map_err(|error| RunError::new(format!("the runtime cannot start: {error}")))?
}

/// Starts what watches a service.
pub(crate) struct Launch<R> {
    side: Side,
    config: CommonConfig,
    runtime: R,
    service: Notice<Service>,
}

impl<R: Runtime> Launch<R> {
    /// The service runs.
    pub(crate) fn service(self, service: &Service) {
        let Self { side, config, runtime, service: notice } = self;
        notice.set(service.clone());
        if let Some(file) = config.snmp.clone() {
            runtime.spawn(write_rows(runtime.clone(), file, service.clone()));
        }
        let program =
            Program::new(side, env!("CARGO_PKG_VERSION")).with_settings(in_short(&config));
        let site = Site::new(program, Arc::new(service.clone()));
        for (flag, address, addresses) in listeners(config.status, config.pprof) {
            let (site, listening) = (site.clone(), runtime.clone());
            runtime.spawn(async move {
                let result = match addresses {
                    Ok(addresses) => site.listen(&listening, addresses).await,
                    Err(error) => Err(std::io::Error::other(error)),
                };
                tell_listener(flag, &address, result);
            });
        }
    }
}

/// The listeners asked for, apart, so that one that cannot be had does not cost the other.
fn listeners(
    status: Option<BindAddress>,
    pprof: Option<BindAddress>,
) -> Vec<(&'static str, String, Result<Addresses, AddressError>)> {
    let is_shared = status == pprof;
    let mut listeners = Vec::new();
    let mut add = |flag, address: BindAddress, has_status, has_pprof| {
        let address = address.to_string();
        let addresses = address.parse().map(|parsed: kcptun_net::ListenAddress| Addresses {
            status: Some(parsed.clone()).filter(|_| has_status),
            pprof: Some(parsed).filter(|_| has_pprof),
        });
        listeners.push((flag, address, addresses));
    };
    if let Some(address) = status {
        add("--status", address, true, is_shared);
    }
    if let Some(address) = pprof.filter(|_| !is_shared) {
        add("--pprof", address, false, true);
    }
    listeners
}

/// A page that cannot be shown is no reason to carry nothing: the original does not even mention it.
fn tell_listener(flag: &str, address: &str, result: std::io::Result<Vec<kcptun_status::Bound>>) {
    match result {
        Ok(bound) => {
            for bound in bound {
                let what = if bound.status { "status page: http://" } else { "pprof: http://" };
                let path = if bound.status { "/" } else { "/debug/pprof/" };
                tracing::info!("{what}{}{path}", bound.address);
                if !bound.is_local {
                    tracing::warn!(
                        "{flag} {address}: whoever reaches this address reads the addresses and \
                         traffic of all sessions; 127.0.0.1 keeps it to this machine"
                    );
                }
            }
        }
        Err(error) => tracing::error!("{flag} {address}: {error}; the tunnel runs without it"),
    }
}

/// What the status page shows of the configuration.
fn in_short(config: &CommonConfig) -> [(&'static str, String); 8] {
    let fec = config.fec.map_or_else(|| "off".into(), |fec| format!("{}+{}", fec.data, fec.parity));
    [
        ("crypt", config.crypt.name().to_string()),
        ("mode", format!("{:?}", config.mode).to_lowercase()),
        ("fec", fec),
        ("mtu", config.mtu.to_string()),
        ("sndwnd", config.send_window.to_string()),
        ("rcvwnd", config.receive_window.to_string()),
        ("compression", config.compression.to_string()),
        ("smuxver", config.smux_version.number().to_string()),
    ]
}

/// Does what signals ask for, until one asks for the end.
async fn heed(
    mut signals: impl Signals,
    log: &Log,
    service: &Notice<Service>,
) -> Result<(), RunError> {
    loop {
        match poll_fn(|cx| signals.poll_next(cx)).await {
            Signal::Stop(name) => {
                log.line(&format_args!("{name}: stopping"));
                return Ok(());
            }
            Signal::Reopen => {
                log.line(if log.reopen() {
                    "hangup: the log file was opened again"
                } else {
                    "error: hangup: the log file cannot be opened again; lines go to the old one"
                });
            }
            // Whatever the level of the log is: somebody asked.
            Signal::Report => {
                let snmp = service.get().map(|service| Snmp::from(&service.stats()));
                log.line(&snmp.unwrap_or_default());
            }
        }
    }
}
