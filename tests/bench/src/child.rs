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
/// Stand around the process id in the line that names it. A line without its end may be cut.
const ID: &str = "bench process id ";
const END: &str = " is ready";
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
            .wait_line(START_LIMIT, |line| id_in(line).is_some())
            .and_then(|line| id_in(&line));
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
    eprintln!("{ID}{}{END}", std::process::id());
    let error = Command::new(program).args(args).exec();
    Failure(format!("cannot run {program}: {error}"))
}

fn id_in(line: &str) -> Option<u32> {
    line.strip_prefix(ID)?.strip_suffix(END)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_from_a_whole_line_only() {
        let line = format!("{ID}4711{END}");
        assert_eq!(id_in(&line), Some(4711));
        for len in 0..line.len() {
            assert_eq!(id_in(&line[..len]), None, "{len}");
        }
    }

    #[test]
    fn nobody_stands_in_for_a_lost_parent() {
        // Without a parent of that id nothing is run, or this test would become `true`.
        let failure = stand_in(&["0".into(), "true".into()]);
        assert!(failure.to_string().contains("parent"), "{failure}");
    }
}
