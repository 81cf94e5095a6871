//! Whether the programs compile for other operating systems.

use std::process::Command;

use crate::needs;
use crate::step::{Failure, Workspace, run};

/// Systems with kqueue.
const UNIX: [&str; 2] = ["aarch64-apple-darwin", "x86_64-unknown-freebsd"];
const WINDOWS: [&str; 1] = ["x86_64-pc-windows-gnu"];
/// What runs on all of them: the programs with all they are made of, and the adapter for smol.
const PACKAGES: &str = "-p kcptun -p kcptun-smol";
/// What has a poll loop of its own.
const ROUTER: &str = "-p kcptun-router";

/// What is built for this is build scripts and macros, which run once.
const QUICKLY: [&str; 2] = ["--config", "profile.dev.package.'*'.opt-level=0"];

/// Checks all of them; answers a summary.
pub(crate) fn check(workspace: &Workspace) -> Result<String, Failure> {
    let has_targets = match rustup_targets() {
        Ok(()) => true,
        Err(failure) => {
            println!("{failure}: building std from Debian's source instead");
            needs::ensure(needs::PLATFORMS)?;
            false
        }
    };
    for (packages, targets) in
        [(format!("{PACKAGES} {ROUTER}"), &UNIX[..]), (PACKAGES.to_owned(), &WINDOWS)]
    {
        let mut cargo =
            if has_targets { workspace.cargo("check --locked") } else { debian(workspace) };
        cargo.args(packages.split(' ')).args(QUICKLY);
        cargo.args(targets.iter().map(|target| format!("--target={target}")));
        run(&format!("programs for {}", targets.join(", ")), &mut cargo)?;
    }
    Ok(format!("programs compile for {}", all().join(", ")))
}

fn rustup_targets() -> Result<(), Failure> {
    let title = format!("rustup target add {}", all().join(" "));
    run(&title, Command::new("rustup").args(["target", "add"]).args(all()))
}

/// One of each family: what they have in common is that they are not Linux.
fn all() -> Vec<&'static str> {
    [&UNIX[..], &WINDOWS].concat()
}

/// Debian's compiler brings no libraries for these targets, but the source of std. Its cargo and
/// rustup's know nothing of each other, so it has a target directory of its own.
fn debian(workspace: &Workspace) -> Command {
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo.current_dir(&workspace.root).args(["check", "--locked"]);
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
