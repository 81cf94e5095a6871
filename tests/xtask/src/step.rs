//! Running other programs, one step after the other.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Why a run ended, in one line.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The checkout that is worked on.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Found by what cargo tells the programs it runs.
    pub(crate) fn find() -> Result<Self, Failure> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .ok_or_else(|| Failure("run me as `cargo xtask`".into()))?;
        // This package is tests/xtask.
        let root = PathBuf::from(manifest).join("../..");
        let root = root
            .canonicalize()
            .map_err(|error| Failure(format!("no workspace at {}: {error}", root.display())))?;
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |given| root.join(given));
        Ok(Self { root, target })
    }

    /// The cargo that runs this program, called with `arguments` separated by spaces.
    pub(crate) fn cargo(&self, arguments: &str) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root).args(arguments.split_whitespace());
        command
    }
}

/// Runs one step, its output shown; fails if it does.
pub(crate) fn run(title: &str, command: &mut Command) -> Result<(), Failure> {
    println!("\n==> {title}");
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| cannot_run(title, &error))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("{title} ({status})"))) }
}

/// Runs a command and answers what it wrote; what it complains about is part of the failure.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let title = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| cannot_run(&title, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Failure(format!("{title} ({}): {}", output.status, complaint.trim())))
}

/// As [`run`], for a test run: answers how many tests passed.
pub(crate) fn run_tests(title: &str, command: &mut Command) -> Result<u64, Failure> {
    println!("\n==> {title}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_run(title, &error))?;
    let (mut passed, mut failed) = (0, Vec::new());
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).split(b'\n')) {
        let line = line.map_err(|error| cannot_run(title, &error))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        passed += passed_tests(&line);
        failed.extend(failed_test(&line).map(String::from));
    }
    let status = child.wait().map_err(|error| cannot_run(title, &error))?;
    if status.success() {
        return Ok(passed);
    }
    let which = if failed.is_empty() { status.to_string() } else { failed.join(", ") };
    Err(Failure(format!("{title}: {which}")))
}

fn cannot_run(title: &str, error: &std::io::Error) -> Failure {
    Failure(format!("{title}: {error}"))
}

/// From `test result: ok. 5 passed; 0 failed; ...`.
fn passed_tests(line: &str) -> u64 {
    let counts = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "));
    counts
        .and_then(|(_, counts)| counts.split_once(" passed"))
        .and_then(|(count, _)| count.parse().ok())
        .unwrap_or(0)
}

/// From `test NAME ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_reports_are_read() {
        let line = "test result: ok. 17 passed; 0 failed; 3 ignored; 0 measured; finished in 0.1s";
        assert_eq!(passed_tests(line), 17);
        assert_eq!(passed_tests("test result: FAILED. 2 passed; 1 failed; 0 ignored"), 2);
        assert_eq!(passed_tests("test some::name ... ok"), 0);
        assert_eq!(failed_test("test some::name ... FAILED"), Some("some::name"));
        assert_eq!(failed_test("test some::name ... ok"), None);
    }

    #[test]
    fn a_failing_step_is_named() {
        let failure = run("a step", &mut Command::new("false")).unwrap_err();
        assert!(failure.to_string().starts_with("a step"), "{failure}");
        let mut script = Command::new("sh");
        script.args(["-c", "echo 'test a::b ... FAILED'; exit 1"]);
        let failure = run_tests("tests", &mut script).unwrap_err();
        assert_eq!(failure.to_string(), "tests: a::b");
        assert!(run("nothing", &mut Command::new("/no/such/program")).is_err());
    }

    #[test]
    fn passing_tests_are_counted() {
        let mut script = Command::new("sh");
        script.args(["-c", "printf 'test result: ok. 3 passed; 0\ntest result: ok. 4 passed; 0'"]);
        assert_eq!(run_tests("tests", &mut script).unwrap(), 7);
    }
}
