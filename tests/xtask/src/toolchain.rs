//! A compiler for other machines, from Debian's packages. (What links is a matter of the machine.)
//!
//! Debian's `rustc-web` comes with the source of its standard library, so it can build for any
//! target it knows (`-Z build-std`), where rustup needs a ready-made library for each.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::needs::{self, Need};
use crate::step::{Failure, Workspace};

const NEEDS: &[Need] = &[
    (RUSTC, "rustc-web"),
    (CARGO, "cargo-web"),
    ("/usr/lib/rustlib/src/rust/library/std/Cargo.toml", "rust-web-src"),
];
const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";

/// Debian's cargo and rustc.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// Where it builds.
    pub(crate) target: PathBuf,
}

impl Toolchain {
    /// Installs it, unless it is there.
    pub(crate) fn get(workspace: &Workspace) -> Result<Self, Failure> {
        needs::ensure(NEEDS)?;
        Ok(Self { target: workspace.target.join("cross") })
    }

    /// Its cargo, called with `arguments` separated by spaces, in `folder`.
    pub(crate) fn cargo(&self, folder: &Path, arguments: &str) -> Command {
        let mut command = Command::new(CARGO);
        command.args(arguments.split_whitespace());
        self.prepare(&mut command, folder);
        command
    }

    /// Lets a command that calls cargo call this one.
    pub(crate) fn prepare(&self, command: &mut Command, folder: &Path) {
        command.current_dir(folder);
        // What the cargo that runs this program told it is not true for this one.
        for variable in ["RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTFLAGS", "LD_LIBRARY_PATH"] {
            command.env_remove(variable);
        }
        command.env("CARGO", CARGO).env("RUSTC", RUSTC);
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_DIR", &self.target);
    }
}
