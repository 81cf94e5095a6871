//! Whether the programs compile for other operating systems.

use std::process::Command;

use crate::needs;
use crate::step::{Failure, Workspace, run};

/// One of each family: what they have in common is that they are not Linux.
const TARGETS: [&str; 3] =
    ["x86_64-pc-windows-gnu", "aarch64-apple-darwin", "x86_64-unknown-freebsd"];
/// What runs there: the programs with all they are made of, and the adapter for smol.
const PACKAGES: &str = "-p kcptun -p kcptun-smol";

/// What is built for this is build scripts and macros, which run once.
const QUICKLY: [&str; 2] = ["--config", "profile.dev.package.'*'.opt-level=0"];

/// Checks all of them; answers a summary.
pub(crate) fn check(workspace: &Workspace) -> Result<String, Failure> {
    let title = "programs for other operating systems";
    match rustup_targets() {
        Ok(()) => {
            let mut cargo = workspace.cargo("check --locked");
            run(title, cargo.args(PACKAGES.split(' ')).args(targets()).args(QUICKLY))?;
        }
        Err(failure) => {
            println!("{failure}: building std from Debian's source instead");
            needs::ensure(needs::PLATFORMS)?;
            run(title, &mut debian(workspace))?;
        }
    }
    Ok(format!("programs compile for {}", TARGETS.join(", ")))
}

fn rustup_targets() -> Result<(), Failure> {
    let title = format!("rustup target add {}", TARGETS.join(" "));
    run(&title, Command::new("rustup").args(["target", "add"]).args(TARGETS))
}

fn targets() -> impl Iterator<Item = String> {
    TARGETS.iter().map(|target| format!("--target={target}"))
}

/// Debian's compiler brings no libraries for these targets, but the source of std. Its cargo and
/// rustup's know nothing of each other, so it has a target directory of its own.
fn debian(workspace: &Workspace) -> Command {
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo.current_dir(&workspace.root).args(["check", "--locked"]);
    cargo.args(PACKAGES.split(' ')).args(targets()).args(QUICKLY);
    cargo.args(["-Z", "build-std=std,panic_abort"]);
    cargo.arg("--target-dir").arg(workspace.target.join("platforms"));
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTDOC", "/usr/bin/rustdoc");
    // Allows -Z with a stable compiler.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    // What rustup sets for the cargo that runs this program.
    for variable in ["CARGO", "RUSTUP_TOOLCHAIN", "CARGO_MANIFEST_DIR", "RUSTFLAGS"] {
        cargo.env_remove(variable);
    }
    cargo
}
