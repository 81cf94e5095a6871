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
        path
    }
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
