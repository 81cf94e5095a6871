//! Where the binaries are.

use std::path::{Path, PathBuf};

/// Who made a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// This project.
    Ours,
    /// The original, as Debian packages it (20210922 in bookworm).
    Debian,
}

/// Which half of a tunnel a binary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `kcptun-client`.
    Client,
    /// `kcptun-server`.
    Server,
}

impl Maker {
    /// The path of the binary.
    ///
    /// # Panics
    ///
    /// When it is not there, with a message that says how to get it. Skipping instead would let
    /// a run without a peer pass for a run with one.
    pub fn binary(self, role: Role) -> PathBuf {
        let name = match role {
            Role::Client => "kcptun-client",
            Role::Server => "kcptun-server",
        };
        let (place, remedy) = match self {
            Self::Ours => (
                our_directory(),
                "run `cargo xtask test`, or build package kcptun and set KCPTUN_BIN_DIR",
            ),
            Self::Debian => (
                directory_from("KCPTUN_PEER_DIR").unwrap_or_else(|| PathBuf::from("/usr/bin")),
                "run `apt-get install kcptun` as root, or set KCPTUN_PEER_DIR",
            ),
        };
        let path = place.join(name);
        assert!(path.is_file(), "{self:?} {name} is not at {}: {remedy}", path.display());
        let is_right = self == Self::Ours || !is_ours(&path);
        assert!(is_right, "{} is of this project, not the original's: {remedy}", path.display());
        path
    }
}

/// Whether a program that goes by the original's name is one of this project, as our Debian package
/// puts it in the place of the original's: our versions have dots in them, those of the original
/// are dates, or `SELFBUILD` as Debian builds it.
pub fn is_ours(program: &Path) -> bool {
    let said = std::process::Command::new(program).arg("-v").output();
    said.is_ok_and(|said| is_own_version(&String::from_utf8_lossy(&said.stdout)))
}

fn is_own_version(line: &str) -> bool {
    line.trim().strip_prefix("kcptun version ").is_some_and(|version| version.contains('.'))
}

/// The test executable is `target/PROFILE/deps/NAME-HASH`; binaries are two levels up.
fn our_directory() -> PathBuf {
    directory_from("KCPTUN_BIN_DIR").unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap_or_default();
        test.parent().and_then(Path::parent).unwrap_or(Path::new(".")).into()
    })
}

fn directory_from(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_programs_do_not_pass_for_the_original() {
        assert!(is_own_version(concat!("kcptun version ", env!("CARGO_PKG_VERSION"), "\n")));
        for line in ["kcptun version SELFBUILD\n", "kcptun version 20210922\n", "", "0.1.0"] {
            assert!(!is_own_version(line), "{line}");
        }
        assert!(!is_ours(Path::new("/no/such/program")));
    }
}
