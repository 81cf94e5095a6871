//! Processes under test: their id is known, and none outlives the bench.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kcptun_interop::Process;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::failure::Failure;

/// The first argument of this program when it stands in for a process under test.
pub(crate) const STAND_IN: &str = "stand-in-for";
/// Begins the line that names the process id.
const ID: &str = "bench process id ";
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running process and its id.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) process: Process,
    pub(crate) id: u32,
}

impl Child {
    /// Starts `program` by way of this program (see [`stand_in`]), so that the kernel ends it
    /// when the thread that called this ends, even by SIGKILL.
    pub(crate) fn start(name: &str, program: &Path, args: &[String]) -> Result<Self, Failure> {
        let own = std::env::current_exe()
            .map_err(|error| Failure(format!("cannot find this program: {error}")))?;
        let mut command = Command::new(own);
        command.arg(STAND_IN).arg(std::process::id().to_string()).arg(program).args(args);
        let process = Process::spawn(&format!("{name} {}", args.join(" ")), command);
        let id = process
            .wait_line(START_LIMIT, |line| line.starts_with(ID))
            .and_then(|line| line.strip_prefix(ID)?.parse().ok());
        match id {
            Some(id) => Ok(Self { process, id }),
            None => Err(Failure(format!("{name} did not start: {}", process.log()))),
        }
    }
}

/// Becomes another program: `PARENT PROGRAM ARGUMENTS...`. Answers only if that fails.
pub(crate) fn stand_in(args: &[String]) -> Failure {
    let [parent, program, args @ ..] = args else {
        return Failure(format!("{STAND_IN} needs the id of its parent and a program"));
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return Failure(format!("cannot ask for a signal at the end of the parent: {error}"));
    }
    // The parent may have ended before the request.
    if getppid().map(|id| id.as_raw_nonzero().to_string()).as_deref() != Some(parent.as_str()) {
        return Failure("the parent is gone".into());
    }
    eprintln!("{ID}{}", std::process::id());
    let error = Command::new(program).args(args).exec();
    Failure(format!("cannot run {program}: {error}"))
}
