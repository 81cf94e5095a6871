//! Two processes that make a tunnel.

use std::net::{Ipv4Addr, SocketAddr};

use crate::ports::free_port;
use crate::process::Process;
use crate::relay::{LossyUdpRelay, Path};
use crate::target::Target;
use crate::transfer::{Job, Report};

/// Client, path, server and target, all running. Dropping it ends them all.
#[derive(Debug)]
pub struct Tunnel {
    /// The client's process.
    pub client: Process,
    /// The server's process.
    pub server: Process,
    /// The bad path, if there is one.
    pub relay: Option<LossyUdpRelay>,
    /// The service behind the server.
    pub target: Target,
    entrance: SocketAddr,
    server_port: u16,
}

impl Tunnel {
    /// Starts a server, a relay unless `path` is `None`, and a client, all on 127.0.0.1, and
    /// returns when their ports are bound. The flags are added to those that name the addresses.
    ///
    /// # Panics
    ///
    /// When a process does not start.
    pub fn start(
        client_binary: &std::path::Path,
        server_binary: &std::path::Path,
        client_flags: &[String],
        server_flags: &[String],
        path: Option<&Path>,
    ) -> Self {
        let target = Target::start();
        let server_port = free_port();
        let server = start_server(server_binary, server_port, target.address(), server_flags);
        let server_address = SocketAddr::from((Ipv4Addr::LOCALHOST, server_port));
        let relay = path.map(|path| LossyUdpRelay::start(server_address, path, 1));
        let remote = relay.as_ref().map_or(server_address, LossyUdpRelay::address);
        let entrance = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let client = start_client(client_binary, entrance, remote, client_flags);
        Self { client, server, relay, target, entrance, server_port }
    }

    /// The TCP address of the client.
    pub fn entrance(&self) -> SocketAddr {
        self.entrance
    }

    /// The UDP port of the server itself.
    pub fn server_port(&self) -> u16 {
        self.server_port
    }

    /// Runs a job through the tunnel.
    ///
    /// # Errors
    ///
    /// What went wrong, in words, with what the target has to say.
    pub fn run(&self, job: &Job) -> Result<Report, String> {
        job.run(self.entrance).map_err(|error| {
            let complaints = self.target.complaints().join("\n");
            let path = self.relay.as_ref().map(LossyUdpRelay::stats);
            format!("{error}\ntarget: {complaints}\npath: {path:?}")
        })
    }
}

/// Splits flags written as on a command line; values hold no spaces.
pub fn flags(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

/// A server on every address of `port`; returns when the port is bound.
///
/// # Panics
///
/// When it does not start.
fn start_server(
    binary: &std::path::Path,
    port: u16,
    target: SocketAddr,
    more: &[String],
) -> Process {
    let mut args = flags(&format!("--listen :{port} --target {target}"));
    args.extend_from_slice(more);
    let mut server = Process::start("server", binary, &args);
    server.wait_udp(port);
    server
}

/// A client whose entrance is `entrance`; returns when it listens.
///
/// # Panics
///
/// When it does not start.
fn start_client(
    binary: &std::path::Path,
    entrance: SocketAddr,
    remote: SocketAddr,
    more: &[String],
) -> Process {
    let mut args = flags(&format!("--localaddr {entrance} --remoteaddr {remote}"));
    args.extend_from_slice(more);
    let mut client = Process::start("client", binary, &args);
    client.wait_tcp(entrance.port());
    client
}
