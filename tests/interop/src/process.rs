//! A child process that ends with its guard and whose output is kept.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::ports::wait_until;

/// Output beyond this is dropped, in bytes: a process gone wild must not fill the memory.
const MAX_LOG: usize = 4 << 20;
/// How long a process may take to bind its port.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running program. Dropping it kills it; if that happens because a test fails, its output is
/// printed first.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// A kind of port, as listed under `/proc/PID/net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortKind {
    Tcp,
    Udp,
}

impl Process {
    /// Starts `program`; `name` stands in messages.
    ///
    /// # Panics
    ///
    /// When it cannot be started at all.
    pub fn start(name: &str, program: &Path, args: &[String]) -> Self {
        let mut command = Command::new(program);
        command.args(args);
        Self::spawn(&format!("{name} {}", args.join(" ")), command)
    }

    /// Starts a prepared command. Its standard input is closed, its outputs are kept. What
    /// kcptun reads from the environment does not reach it.
    ///
    /// # Panics
    ///
    /// When it cannot be started at all.
    pub fn spawn(name: &str, mut command: Command) -> Self {
        command.env_remove("KCPTUN_KEY").env_remove("KCPTUN_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|out| Box::new(out) as _),
            child.stderr.take().map(|err| Box::new(err) as _),
        ];
        let readers = outputs.into_iter().flatten().map(|out| keep(out, &log)).collect();
        Self { name: name.into(), child, log, readers }
    }

    /// Waits until the process has bound `port`.
    ///
    /// # Panics
    ///
    /// When it ends before, or does not within ten seconds.
    pub(crate) fn wait_bound(&mut self, kind: PortKind, port: u16) {
        let mut ended = None;
        let bound = wait_until(START_LIMIT, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || is_bound(self.child.id(), kind, port)
        });
        if let Some(status) = ended {
            panic!("{} ended at its start with {status}", self.name);
        }
        assert!(bound, "{} did not bind {kind:?} port {port}", self.name);
    }

    /// Waits until the TCP port `port` is listening in the network of the process.
    ///
    /// # Panics
    ///
    /// As when the process ends before, or does not listen within ten seconds.
    pub fn wait_tcp(&mut self, port: u16) {
        self.wait_bound(PortKind::Tcp, port);
    }

    /// Waits until the UDP port `port` is bound in the network of the process.
    ///
    /// # Panics
    ///
    /// As when the process ends before, or does not bind within ten seconds.
    pub fn wait_udp(&mut self, port: u16) {
        self.wait_bound(PortKind::Udp, port);
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far to both outputs.
    pub fn log(&self) -> String {
        match self.log.lock() {
            Ok(log) => String::from_utf8_lossy(&log).into_owned(),
            Err(_) => String::new(),
        }
    }

    /// Waits until `fits` holds for a line of its log; that line, or `None` after `limit`.
    pub fn wait_line(&self, limit: Duration, fits: impl Fn(&str) -> bool) -> Option<String> {
        let mut found = None;
        wait_until(limit, || {
            found = self.log().lines().find(|line| fits(line)).map(String::from);
            found.is_some()
        });
        found
    }

    /// Waits until it ends; `None` if it still runs after `limit`. Its log is complete then.
    pub fn wait_exit(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        wait_until(limit, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        if status.is_some() {
            self.finish_log();
        }
        status
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    fn finish_log(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let status = self.child.wait();
        if std::thread::panicking() {
            self.finish_log();
            let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            eprintln!("---- {} ({status}) wrote:\n{}----", self.name, self.log());
        }
    }
}

fn keep(mut from: Box<dyn Read + Send>, log: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(len @ 1..) = from.read(&mut chunk) {
            let Ok(mut log) = log.lock() else { return };
            let room = MAX_LOG - log.len().min(MAX_LOG);
            log.extend_from_slice(&chunk[..len.min(room)]);
        }
    })
}

/// Looks the port up in the tables of the network namespace that the process lives in. (Trying
/// it with a connection instead would open a stream through the tunnel.)
fn is_bound(pid: u32, kind: PortKind, port: u16) -> bool {
    // States: 0A is LISTEN for TCP, 07 (CLOSE) is a UDP socket without a peer.
    let (tables, state) = match kind {
        PortKind::Tcp => (["tcp", "tcp6"], "0A"),
        PortKind::Udp => (["udp", "udp6"], "07"),
    };
    let port = format!("{port:04X}");
    tables.iter().any(|table| {
        let rows = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        rows.lines().skip(1).any(|row| {
            let mut fields = row.split_whitespace().skip(1);
            let local = fields.next().and_then(|local| local.rsplit(':').next());
            local == Some(port.as_str()) && fields.nth(1) == Some(state)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("sh", Path::new("sh"), &["-c".into(), script.into()])
    }

    #[test]
    fn output_and_status_are_kept() {
        let mut process = shell("echo out; echo err >&2; exit 3");
        let status = process.wait_exit(Duration::from_secs(5)).expect("ends");
        assert_eq!(status.code(), Some(3));
        let log = process.log();
        assert!(log.contains("out\n") && log.contains("err\n"), "{log}");
    }

    #[test]
    fn a_dropped_process_is_dead() {
        let process = shell("echo ready; exec sleep 1000");
        assert!(process.wait_line(Duration::from_secs(5), |line| line == "ready").is_some());
        let status = format!("/proc/{}", process.child.id());
        drop(process);
        assert!(!Path::new(&status).exists());
    }

    #[test]
    fn signals_arrive() {
        let mut process = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        assert!(process.wait_line(Duration::from_secs(5), |line| line == "ready").is_some());
        assert!(process.is_running());
        process.signal(Signal::TERM);
        let status = process.wait_exit(Duration::from_secs(5)).expect("ends");
        assert_eq!(status.code(), Some(7));
    }
}
