//! The packages, as a user would install and run them. See `apps/packaging/README.md`.
//!
//! Each test has a copy of this machine's file system to itself, see [`Machine`].

mod boot;
mod deb;
mod image;
mod kubernetes;
mod machine;
mod openwrt;
mod systemd;

use std::path::{Path, PathBuf};

use kcptun_interop::{Job, Process, Target, free_port};

use boot::Booted;
use machine::Machine;

/// The Debian package, which also is how the binaries get to their places.
///
/// # Panics
///
/// When it is not there, with a message that says how to get it.
fn package() -> PathBuf {
    let file = std::env::var_os("KCPTUN_DEB").map(PathBuf::from);
    file.filter(|file| file.is_file()).unwrap_or_else(|| {
        panic!("KCPTUN_DEB names no package: run `cargo xtask test`, or `cargo xtask deb`")
    })
}

/// A file of `apps/packaging`.
fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/packaging").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The ports of a tunnel on this machine, which are free, and the service behind it.
struct Ends {
    target: Target,
    server: u16,
    entrance: u16,
}

impl Ends {
    fn new() -> Self {
        Self { target: Target::start(), server: free_port(), entrance: free_port() }
    }

    /// The same JSON text with other addresses; what each end has no use for stays as it is.
    fn put_into(&self, text: &str) -> String {
        let mut lines = Vec::new();
        for line in text.lines() {
            let key = line.trim().split('"').nth(1).unwrap_or_default();
            let value = match key {
                "listen" => format!(":{}", self.server),
                "target" => self.target.address().to_string(),
                "localaddr" => format!("127.0.0.1:{}", self.entrance),
                "remoteaddr" => format!("127.0.0.1:{}", self.server),
                _ => {
                    lines.push(line.to_owned());
                    continue;
                }
            };
            let comma = if line.trim_end().ends_with(',') { "," } else { "" };
            lines.push(format!("  \"{key}\": \"{value}\"{comma}"));
        }
        lines.join("\n")
    }

    /// Runs a job through a tunnel of these two commands, whose processes are answered.
    ///
    /// # Panics
    ///
    /// When a command does not start, or the job fails.
    fn carry(
        &self,
        server: std::process::Command,
        client: std::process::Command,
    ) -> (Process, Process) {
        let mut server = Process::spawn("server", server);
        server.wait_udp(self.server);
        let mut client = Process::spawn("client", client);
        client.wait_tcp(self.entrance);
        let job = Job { connections: 2, up: 256 << 10, down: 256 << 10, ..Job::default() };
        job.run(([127, 0, 0, 1], self.entrance).into()).expect("the tunnel carries the job");
        (server, client)
    }
}
