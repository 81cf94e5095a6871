//! The tunnel of the demo: a server, a bad link and a client, on ports of this machine that are
//! free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use kcptun_async::runtime::{Listener as _, Runtime as _};
use kcptun_async::{
    Client, ClientSettings, PolicyConfig, Relay, Server, ServerSettings, TargetAddress,
};
use kcptun_tokio::{Tokio, TokioListener};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::options::Ends;
use crate::host::Host as _;
use crate::link::{BadLink, BadLinkConfig, BadLinkStats};
use crate::on_tokio::OnTokio;
use crate::{RunError, settings};

/// Any free port of this machine.
pub(super) const FREE_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long a half-closed pair may go without a sign of life.
const CLOSE_WAIT: Duration = Duration::from_secs(30);

/// Both ends of the tunnel and the link between them.
pub(super) struct Tunnel {
    pub(super) client: Client<Tokio>,
    pub(super) server: std::sync::Arc<Server>,
    pub(super) link: LinkThread,
    /// Where the client takes TCP connections.
    pub(super) entrance: SocketAddr,
}

impl Tunnel {
    /// Starts all three. What comes to the entrance goes to `target`.
    pub(super) async fn start(
        ends: &Ends,
        link: BadLinkConfig,
        target: SocketAddr,
    ) -> Result<Self, RunError> {
        let failed = |what: &'static str| {
            move |error: io::Error| RunError::new(format!("{what} cannot start: {error}"))
        };
        let cipher = settings::cipher(&ends.client.common)?;
        let server = Server::bind(
            &Tokio,
            ServerSettings {
                listen: FREE_PORT,
                cipher: cipher.clone(),
                tunnel: settings::tunnel(&ends.server.common),
                socket: settings::socket(&ends.server.common),
            },
        );
        let server = std::sync::Arc::new(server.map_err(failed("the server"))?);
        let link =
            LinkThread::start(server.local_addr(), link).await.map_err(failed("the link"))?;
        let remote = link.entrance.to_string().parse().map_err(RunError::new)?;
        let client = Client::new(
            Tokio,
            ClientSettings {
                remote,
                cipher,
                tunnel: settings::tunnel(&ends.client.common),
                socket: settings::socket(&ends.client.common),
                policy: PolicyConfig::default(),
            },
        );
        let listener = TcpListener::bind(FREE_PORT).await.map_err(failed("the client"))?;
        let entrance = listener.local_addr().map_err(failed("the client"))?;
        Tokio.spawn(hand_on(std::sync::Arc::clone(&server), target));
        Tokio.spawn(take_in(listener, client.clone()));
        Ok(Self { client, server, link, entrance })
    }
}

/// The server's part: each stream gets a connection to the target.
async fn hand_on(server: std::sync::Arc<Server>, target: SocketAddr) {
    let Ok(target) = target.to_string().parse::<TargetAddress>() else { return };
    while let Ok(stream) = server.accept().await {
        let target = target.clone();
        Tokio.spawn(async move {
            if let Ok(tcp) = Tokio.connect(target).await {
                // How it ended is seen in what was downloaded.
                let _ = Relay::new(&Tokio, stream, tcp, CLOSE_WAIT, false).await;
            }
        });
    }
}

/// The client's part: each connection gets a stream.
async fn take_in(listener: TcpListener, client: Client<Tokio>) {
    let listener = TokioListener::Tcp(listener);
    while let Ok(tcp) = listener.accept().await {
        let client = client.clone();
        Tokio.spawn(async move {
            if let Ok(stream) = client.open().await {
                let _ = Relay::new(&Tokio, stream, tcp, Duration::ZERO, false).await;
            }
        });
    }
}

/// The bad link on a thread of its own, so that its clock does not wait for the tunnel's work.
pub(super) struct LinkThread {
    /// Where the client sends to.
    pub(super) entrance: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<BadLinkStats>>,
}

impl LinkThread {
    async fn start(target: SocketAddr, config: BadLinkConfig) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("link".into()).spawn(move || {
            OnTokio::run(|_| async {
                let mut link = BadLink::bind(&[FREE_PORT], target, config)?;
                let _ = tell.send(link.local_addr());
                tokio::select! {
                    _ = link.run() => {}
                    _ = stopped => {}
                }
                Ok(link.stats())
            })?
        })?;
        let Ok(entrance) = told.await else {
            // It has ended already.
            let error = thread.join().map(Result::err).ok().flatten();
            return Err(error.unwrap_or_else(|| io::Error::other("its thread has failed")));
        };
        Ok(Self { entrance, stop, thread })
    }

    /// Ends the link; what became of all datagrams.
    pub(super) fn stop(self) -> BadLinkStats {
        let _ = self.stop.send(());
        self.thread.join().ok().and_then(Result::ok).unwrap_or_default()
    }
}
