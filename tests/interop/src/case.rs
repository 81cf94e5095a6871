//! One row of a test table.

use kcptun_link::LinkConfig;

use crate::peer::{Maker, Role};
use crate::relay::Path;
use crate::transfer::Job;
use crate::tunnel::{Tunnel, flags};

/// Who made the client, and who the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Maker of the client.
    pub client: Maker,
    /// Maker of the server.
    pub server: Maker,
}

/// Our client with the original's server, and the original's client with our server.
pub const BOTH_WAYS: [Pair; 2] = [
    Pair { client: Maker::Ours, server: Maker::Debian },
    Pair { client: Maker::Debian, server: Maker::Ours },
];

/// Both ends ours: what the original does not have.
pub const OURS_ALONE: Pair = Pair { client: Maker::Ours, server: Maker::Ours };

/// Flags of the two ends, a path between them, and a job that has to get through.
#[derive(Debug, Clone)]
#[must_use = "a case does nothing until it is run"]
pub struct Case {
    name: String,
    client: Vec<String>,
    server: Vec<String>,
    link: Option<String>,
    only_to_ours: bool,
    job: Job,
}

impl Case {
    /// A case with default flags, a perfect path and the default [`Job`].
    pub fn new(name: impl Into<String>) -> Self {
        let (client, server) = (Vec::new(), Vec::new());
        Self {
            name: name.into(),
            client,
            server,
            link: None,
            only_to_ours: false,
            job: Job::default(),
        }
    }

    /// Flags for both ends, as on a command line.
    pub fn both(self, text: &str) -> Self {
        self.client(text).server(text)
    }

    /// Flags for the client.
    pub fn client(mut self, text: &str) -> Self {
        self.client.extend(flags(text));
        self
    }

    /// Flags for the server.
    pub fn server(mut self, text: &str) -> Self {
        self.server.extend(flags(text));
        self
    }

    /// The path in both directions, in the text form of [`kcptun_link::LinkConfig`].
    pub fn link(mut self, text: &str) -> Self {
        self.link = Some(text.into());
        self
    }

    /// The path towards our end; the other direction is perfect. For what the original does not
    /// bear; between two ends of ours it is the same as [`Case::link`].
    pub fn link_to_ours(mut self, text: &str) -> Self {
        self.only_to_ours = true;
        self.link(text)
    }

    /// The job.
    pub fn job(mut self, job: Job) -> Self {
        self.job = job;
        self
    }

    /// Starts the tunnel, without a job.
    ///
    /// # Panics
    ///
    /// When a binary is missing or does not start.
    pub fn start(&self, pair: Pair) -> Tunnel {
        Tunnel::start(
            &pair.client.binary(Role::Client),
            &pair.server.binary(Role::Server),
            &self.client,
            &self.server,
            self.path(pair).as_ref(),
        )
    }

    /// Starts the tunnel, runs the job and ends the tunnel. One line is printed, as a record
    /// (shown with `--nocapture` or on failure).
    ///
    /// # Panics
    ///
    /// When the job fails, with the output of both processes.
    pub fn run(&self, pair: Pair) {
        let mut tunnel = self.start(pair);
        let who = format!("{} ({:?} client, {:?} server)", self.name, pair.client, pair.server);
        match tunnel.run(&self.job) {
            Ok(report) => println!(
                "{who}: {} bytes in {:.2} s, {:.0} Mbit/s",
                report.bytes,
                report.elapsed.as_secs_f64(),
                report.mbit_per_second()
            ),
            Err(error) => panic!("{who}: {error}"),
        }
        assert!(tunnel.client.is_running(), "{who}: the client ended");
        assert!(tunnel.server.is_running(), "{who}: the server ended");
    }

    /// Runs the case in both directions, see [`BOTH_WAYS`].
    ///
    /// # Panics
    ///
    /// As [`Case::run`].
    pub fn run_both_ways(&self) {
        for pair in BOTH_WAYS {
            self.run(pair);
        }
    }

    fn path(&self, pair: Pair) -> Option<Path> {
        let link = |text: &String| -> LinkConfig {
            text.parse().unwrap_or_else(|error| panic!("{}: link {text}: {error}", self.name))
        };
        let mut path = self.link.as_ref().map(|text| Path { up: link(text), down: link(text) })?;
        if self.only_to_ours && pair.server == Maker::Debian {
            path.up = LinkConfig::default();
        }
        if self.only_to_ours && pair.client == Maker::Debian {
            path.down = LinkConfig::default();
        }
        Some(path)
    }
}
