//! All tests.

use std::path::PathBuf;

use crate::peer;
use crate::step::{self, Failure, Workspace, run_tests};

/// The binaries under test: optimised as the released ones, without their whole-program
/// optimisation (which takes minutes and changes no behaviour), with the checks of a debug
/// build: an overflow in the data path shall show here.
const PROFILE: [&str; 6] = [
    "profile.interop.inherits='release'",
    "profile.interop.lto=false",
    "profile.interop.codegen-units=16",
    "profile.interop.debug-assertions=true",
    "profile.interop.overflow-checks=true",
    "profile.interop.strip='debuginfo'",
];

/// Runs them; answers a summary.
pub(crate) fn run(workspace: &Workspace, with_peer: bool) -> Result<String, Failure> {
    // First, because it fails fastest.
    if with_peer {
        peer::ensure()?;
    }
    // Includes the examples in the documentation.
    let title = "cargo test --workspace";
    let own = run_tests(title, &mut workspace.cargo("test --workspace --no-fail-fast"))?;
    let binaries = build_binaries(workspace)?;
    let which = if with_peer { "--no-fail-fast" } else { "--test bad_input" };
    let mut command = workspace.cargo(&format!("test -p kcptun-interop {which} -- --ignored"));
    command.env("KCPTUN_BIN_DIR", binaries);
    let title = if with_peer { "our binaries against Debian's" } else { "our binaries alone" };
    let real = run_tests(title, &mut command)?;
    if !with_peer {
        return Ok(format!(
            "{own} tests and {real} with the binaries alone; \
             interop with Debian's kcptun was LEFT OUT (--no-peer)"
        ));
    }
    let version = peer::version();
    Ok(format!("{own} tests, and {real} with real binaries against Debian's kcptun {version}"))
}

/// Builds the binaries; answers their directory.
fn build_binaries(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let mut command = workspace.cargo("build -p kcptun --bins --profile interop");
    command.arg("--target-dir").arg(&workspace.target);
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    step::run("build of the binaries under test", &mut command)?;
    Ok(workspace.target.join("interop"))
}
