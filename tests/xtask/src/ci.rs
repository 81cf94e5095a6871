//! What has to hold before tests are worth running.

use crate::cross::{self, Share};
use crate::needs;
use crate::step::{Failure, Workspace, run};
use crate::test::Extent;

/// Runs all checks; answers a summary.
pub(crate) fn check(workspace: &Workspace) -> Result<String, Failure> {
    let cargo = |arguments: &str| {
        let title = format!("cargo {arguments}");
        run(&title, &mut workspace.cargo(arguments))
    };
    cargo("fmt --all --check")?;
    cargo("clippy --locked --workspace --all-targets -- -D warnings")?;
    cargo("clippy --locked -p kcptun-crypt --no-default-features -- -D warnings")?;
    cargo("clippy --locked -p kcptun-tunnel --no-default-features -- -D warnings")?;
    let title = "cargo doc, warnings denied";
    let mut doc = workspace.cargo("doc --locked --workspace --no-deps");
    run(title, doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok("format, lints and docs clean".into())
}

/// The share of `cross` that goes with `extent`, as the beginning of a summary.
pub(crate) fn machines(workspace: &Workspace, extent: Extent) -> Result<String, Failure> {
    let share = match extent {
        // Part of the tests then.
        Extent::All => return Ok(String::new()),
        Extent::Usual => Share::Usual,
        Extent::WithoutPeer => Share::WithoutPeer,
    };
    if share == Share::Usual {
        needs::ensure(needs::TESTS)?;
    }
    Ok(format!("{}; ", cross::check(workspace, share)?))
}
