//! zig, which links static binaries against its own musl: `cargo-zigbuild` and `ziglang` of Python's
//! package index. Debian has neither.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::needs;
use crate::step::{Failure, run};

/// `cargo-zigbuild`, and the Python in which `ziglang` is installed.
#[derive(Debug)]
pub(crate) struct Zig {
    program: PathBuf,
    python: PathBuf,
}

impl Zig {
    /// The one that this machine has, or else one of its own in `folder`: Debian's Python lets nobody
    /// install packages beside its own, but has environments for that.
    pub(crate) fn get(folder: &Path) -> Result<Self, Failure> {
        let own = folder.join("zig");
        if let Some(zig) = Self::find(&own) {
            return Ok(zig);
        }
        needs::ensure(&[("python3", "python3")])?;
        if !has_module(Path::new("python3"), "ensurepip") {
            needs::install(&["python3-venv"])?;
        }
        let mut venv = Command::new("python3");
        run("a Python environment for zig", venv.args(["-m", "venv", "--clear"]).arg(&own))?;
        let mut pip = Command::new(own.join("bin/python3"));
        pip.args(["-m", "pip", "install", "--quiet", "cargo-zigbuild", "ziglang"]);
        run("pip install cargo-zigbuild ziglang", &mut pip)?;
        let missing = || Failure(format!("no cargo-zigbuild with zig in {}", own.display()));
        Self::find(&own).ok_or_else(missing)
    }

    /// Of the system, or of the environment `own`.
    fn find(own: &Path) -> Option<Self> {
        let system = needs::find("cargo-zigbuild").zip(needs::find("python3"));
        let places = [system, Some((own.join("bin/cargo-zigbuild"), own.join("bin/python3")))];
        places
            .into_iter()
            .flatten()
            .find(|(program, python)| program.is_file() && has_module(python, "ziglang"))
            .map(|(program, python)| Self { program, python })
    }

    /// A call of it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("CARGO_ZIGBUILD_PYTHON_PATH", &self.python);
        command
    }
}

fn has_module(python: &Path, name: &str) -> bool {
    let import = Command::new(python).args(["-c", &format!("import {name}")]).output();
    import.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_without_zig_is_none() {
        let folder = std::env::temp_dir().join(format!("xtask-zig-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        std::fs::write(folder.join("bin/cargo-zigbuild"), "").unwrap();
        // What this machine has itself counts first.
        let found = Zig::find(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(found.is_none_or(|zig| !zig.program.starts_with(&folder)));
        assert!(!has_module(Path::new("/no/such/python"), "ziglang"));
    }
}
