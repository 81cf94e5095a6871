//! A tunnel under test.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use kcptun_interop::{LossyUdpRelay, Path, flags, free_port};

use crate::child::Child;
use crate::failure::Failure;
use crate::service::Service;
use crate::usage::cpu_seconds;

/// The two binaries of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) client: PathBuf,
    pub(crate) server: PathBuf,
}

/// What a tunnel is made of.
#[derive(Debug, Clone)]
pub(crate) struct Plan<'a> {
    pub(crate) binaries: &'a Binaries,
    /// Flags of each end.
    pub(crate) client: String,
    pub(crate) server: String,
    pub(crate) path: Option<&'a Path>,
    /// Decides which datagrams the path loses.
    pub(crate) seed: u64,
    /// Where the server connects to; `None` is the bench's own service.
    pub(crate) target: Option<SocketAddr>,
}

/// Service, server, path and client, all running. Dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) client: Child,
    pub(crate) server: Child,
    pub(crate) relay: Option<LossyUdpRelay>,
    pub(crate) service: Service,
    pub(crate) entrance: SocketAddr,
}

impl Tunnel {
    /// A tunnel with the same flags at both ends, to the bench's own service.
    pub(crate) fn start(
        binaries: &Binaries,
        options: &str,
        path: Option<&Path>,
        seed: u64,
    ) -> Result<Self, Failure> {
        let (client, server) = (options.to_owned(), options.to_owned());
        Self::start_as(&Plan { binaries, client, server, path, seed, target: None })
    }

    /// Starts all of it on 127.0.0.1 and returns when the ports are bound.
    pub(crate) fn start_as(plan: &Plan<'_>) -> Result<Self, Failure> {
        let Plan { binaries, client, server, path, seed, target } = plan;
        let service =
            Service::start().map_err(|error| Failure(format!("no port for a service: {error}")))?;
        let port = free_port();
        let target = target.unwrap_or_else(|| service.address());
        let args = flags(&format!("--listen 127.0.0.1:{port} --target {target} {server}"));
        let mut server = Child::start("server", &binaries.server, &args)?;
        server.process.wait_udp(port);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let relay = path.map(|path| LossyUdpRelay::start(address, path, *seed));
        let remote = relay.as_ref().map_or(address, LossyUdpRelay::address);
        let entrance = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let args = flags(&format!("--localaddr {entrance} --remoteaddr {remote} {client}"));
        let mut client = Child::start("client", &binaries.client, &args)?;
        client.process.wait_tcp(entrance.port());
        Ok(Self { client, server, relay, service, entrance })
    }

    /// Processor time of both ends so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Failure> {
        let both = cpu_seconds(self.client.id).zip(cpu_seconds(self.server.id));
        both.map(|(a, b)| a + b).ok_or_else(|| Failure("a process is gone".into()))
    }

    /// Whether both ends run still and all bytes were right.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        for child in [&mut self.client, &mut self.server] {
            if !child.process.is_running() {
                return Err(Failure(format!("a process ended: {}", child.process.log())));
            }
        }
        if self.service.is_garbled() {
            return Err(Failure("other bytes came out of the tunnel than went in".into()));
        }
        Ok(())
    }
}
