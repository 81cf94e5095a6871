//! Our binaries and the original's in turn on the same work.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::step::{self, Failure, Workspace};

/// The program that measures: optimised as the binaries under test, without their whole-program
/// optimisation, and able to clean up after a panic.
const PROFILE: [&str; 4] = [
    "profile.bench-tool.inherits='release'",
    "profile.bench-tool.lto=false",
    "profile.bench-tool.codegen-units=16",
    "profile.bench-tool.panic='unwind'",
];

/// Measures our parts without sockets; optimised as the binaries under test.
const FUNCTIONS: &str = "kcptun-functions";

/// Builds the measuring program and the binaries under test, and becomes the former. Answers
/// only if that fails.
///
/// To become it, instead of starting it, leaves a single process between the terminal and the
/// tunnels: whatever ends this command ends the measuring, and the kernel then ends the tunnels.
pub(crate) fn run(workspace: &Workspace, options: &[String]) -> Result<String, Failure> {
    let mut build = workspace.cargo(
        "build --quiet -p kcptun-bench --bin kcptun-bench --no-default-features \
         --profile bench-tool",
    );
    build.arg("--target-dir").arg(&workspace.target);
    for setting in PROFILE {
        build.args(["--config", setting]);
    }
    step::run("build of the measuring program", &mut build)?;
    let program = workspace.target.join("bench-tool/kcptun-bench");
    let wants_help = options.iter().any(|option| option == "--help");
    if !wants_help {
        // Before the long build, so that a slip of the pen shows at once.
        let wanted = check(Command::new(&program).arg("check").args(options))?;
        if !brings_binaries(options) {
            let mut build = workspace.cargo("build --release -p kcptun --bins");
            build.arg("--target-dir").arg(&workspace.target);
            step::run("build of the binaries under test", &mut build)?;
        }
        if wanted.lines().any(|line| line == FUNCTIONS) {
            let mut build = workspace.cargo("build --release -p kcptun-bench --bin");
            build.arg(FUNCTIONS).arg("--target-dir").arg(&workspace.target);
            step::run("build of the program without sockets", &mut build)?;
        }
    }
    let mut bench = Command::new(&program);
    bench.args(options);
    bench.env("KCPTUN_BIN_DIR", workspace.target.join("release"));
    bench.env("KCPTUN_BENCH_DIR", workspace.target.join("bench"));
    bench.env("KCPTUN_BENCH_COMMIT", commit(workspace));
    let error = bench.exec();
    Err(Failure(format!("cannot run {}: {error}", program.display())))
}

/// Has the flags checked, and answers which programs the run wants besides the binaries under test.
fn check(command: &mut Command) -> Result<String, Failure> {
    let failed = |error| Failure(format!("check of flags and peer: {error}"));
    let output = command.stderr(Stdio::inherit()).output().map_err(failed)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Failure(format!("check of flags and peer: {}", output.status)))
    }
}

/// Whether the flags name both of our binaries.
fn brings_binaries(options: &[String]) -> bool {
    ["--client", "--server"]
        .iter()
        .all(|flag| options.iter().any(|option| option.split('=').next() == Some(flag)))
}

/// Short name of the commit, marked with `+` if files were changed since; empty without git.
fn commit(workspace: &Workspace) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(&workspace.root).args(arguments).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(mut name) = git(&["rev-parse", "--short", "HEAD"]) else { return String::new() };
    let changes = git(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"]);
    if changes.is_none_or(|changes| !changes.is_empty()) {
        name.push('+');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_given_by_path_are_not_built() {
        let given = |text: &str| {
            brings_binaries(&text.split_whitespace().map(String::from).collect::<Vec<_>>())
        };
        assert!(given("--client a --quick --server=b"));
        assert!(!given("--peer-client a --peer-server b"));
        assert!(!given("--client a"));
    }
}
