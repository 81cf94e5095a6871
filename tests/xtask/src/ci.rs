//! What has to hold before tests are worth running.

use std::process::Command;

use crate::step::{Failure, Workspace, run};

/// The machines that must build without an operating system.
const CORE: [&str; 4] = ["proto-base", "kcp-proto", "fec-proto", "smux-proto"];
/// A target that has no std: what builds for it does not use std, whatever it says of itself.
const BARE_METAL: &str = "thumbv7em-none-eabi";

/// Runs all checks; answers a summary.
pub(crate) fn check(workspace: &Workspace) -> Result<String, Failure> {
    let cargo = |arguments: &str| {
        let title = format!("cargo {arguments}");
        run(&title, &mut workspace.cargo(arguments))
    };
    cargo("fmt --all --check")?;
    cargo("clippy --locked --workspace --all-targets -- -D warnings")?;
    cargo("clippy --locked -p kcptun-tunnel --no-default-features -- -D warnings")?;
    let title = "cargo doc, warnings denied";
    let mut doc = workspace.cargo("doc --locked --workspace --no-deps");
    run(title, doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    let target = bare_metal_target();
    for features in ["--no-default-features", ""] {
        let packages: String = CORE.iter().map(|name| format!(" -p {name}")).collect();
        cargo(&format!("build --locked --lib{packages} {features} {target}"))?;
    }
    let built_for = if target.is_empty() { "this machine" } else { BARE_METAL };
    Ok(format!("format, lints and docs clean, no_std core built for {built_for}"))
}

/// The flag that selects the bare-metal target. Where its core library cannot be had, the core
/// is built for this machine instead: that checks the `no_std` attributes and the features, but
/// not what dependencies do. The summary says which it was.
fn bare_metal_target() -> String {
    let title = format!("rustup target add {BARE_METAL}");
    match run(&title, Command::new("rustup").args(["target", "add", BARE_METAL])) {
        Ok(()) => format!("--target {BARE_METAL}"),
        Err(failure) => {
            println!("{failure}: building the core for this machine instead");
            String::new()
        }
    }
}
