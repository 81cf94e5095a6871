//! All tests.

use std::path::PathBuf;

use crate::cross::{self, Share};
use crate::step::{self, Failure, Workspace, run_tests};
use crate::{cost, deb, dist, needs};

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

/// How much is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What needs neither the peer nor root.
    WithoutPeer,
    /// What is tested before each commit.
    Usual,
    /// That, and what takes long.
    All,
}

/// Runs them; answers a summary.
pub(crate) fn run(workspace: &Workspace, extent: Extent) -> Result<String, Failure> {
    let with_peer = extent != Extent::WithoutPeer;
    // First, because it fails fastest.
    needs::ensure(needs::OWN)?;
    if with_peer {
        needs::ensure(needs::TESTS)?;
        needs::root()?;
    }
    // Includes the examples in the documentation.
    let title = "cargo test --workspace";
    let own = run_tests(title, &mut workspace.cargo("test --workspace --no-fail-fast"))?;
    let binaries = build_binaries(workspace)?;
    if !with_peer {
        let mut command = workspace.cargo("test -p kcptun-interop --test bad_input -- --ignored");
        command.env("KCPTUN_BIN_DIR", binaries);
        let real = run_tests("our binaries alone", &mut command)?;
        return Ok(format!(
            "{own} tests and {real} with the binaries alone; \
             interop with Debian's kcptun was LEFT OUT (--no-peer)"
        ));
    }
    let package = deb::build(workspace, &binaries)?;
    let mut command = workspace.cargo("test -p kcptun-interop --no-fail-fast -- --ignored");
    command.env("KCPTUN_ROUTER_BIN", binaries.join("kcptun-router"));
    command.env("KCPTUN_BIN_DIR", binaries).env("KCPTUN_DEB", package);
    let real = run_tests("our binaries against Debian's", &mut command)?;
    let version = needs::peer_version();
    let summary =
        format!("{own} tests, and {real} with real binaries against Debian's kcptun {version}");
    if extent == Extent::Usual {
        return Ok(summary);
    }
    let machines = cross::check(workspace, Share::All)?;
    let cost = cost::run_task(workspace)?;
    let archives = dist::run_task(workspace, &[])?;
    Ok(format!("{summary}; {machines}; {cost}; {archives}"))
}

/// Builds the binaries; answers their directory.
fn build_binaries(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let mut command = workspace.cargo("build -p kcptun -p kcptun-router --bins --profile interop");
    command.arg("--target-dir").arg(&workspace.target);
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    step::run("build of the binaries under test", &mut command)?;
    Ok(workspace.target.join("interop"))
}
