//! What the tests against the original need on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Failure, run};

/// A file that has to be there, and the Debian package that brings it.
const NEEDED: [(&str, &str); 3] =
    [("kcptun-client", "kcptun"), ("kcptun-server", "kcptun"), ("ip", "iproute2")];

/// Makes sure that the peer is there, installing it if that is possible.
pub(crate) fn ensure() -> Result<(), Failure> {
    let missing = missing_packages();
    if missing.is_empty() {
        return permitted();
    }
    let names = missing.join(" ");
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends"]).args(&missing);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    let unavailable = || {
        Failure(format!("missing: {names}; run `apt-get install {names}` as root, or --no-peer"))
    };
    if find("apt-get").is_none() || !is_root() {
        return Err(unavailable());
    }
    // The list of packages may be old or absent, as in a fresh container.
    let installed = run(&format!("apt-get install {names}"), &mut install()).or_else(|_| {
        run("apt-get update", Command::new("apt-get").arg("update"))?;
        run(&format!("apt-get install {names}"), &mut install())
    });
    if installed.is_err() || !missing_packages().is_empty() {
        return Err(unavailable());
    }
    permitted()
}

/// The version of the installed peer, as Debian names it.
pub(crate) fn version() -> String {
    let query = Command::new("dpkg-query").args(["-W", "-f=${Version}", "kcptun"]).output();
    let version = query.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "of unknown version".into())
}

/// Network namespaces and packet sockets are for root.
fn permitted() -> Result<(), Failure> {
    if is_root() {
        return Ok(());
    }
    Err(Failure(
        "the tests with network namespaces need root; run as root, or with --no-peer".into(),
    ))
}

fn missing_packages() -> Vec<&'static str> {
    let mut missing: Vec<_> = NEEDED
        .iter()
        .filter(|(program, package)| match *package {
            // The tests look where the package puts it, or where they are told to.
            "kcptun" => !peer_directory().join(program).is_file(),
            _ => find(program).is_none(),
        })
        .map(|(_, package)| *package)
        .collect();
    missing.dedup();
    missing
}

fn peer_directory() -> PathBuf {
    std::env::var_os("KCPTUN_PEER_DIR")
        .filter(|value| !value.is_empty())
        .map_or_else(|| PathBuf::from("/usr/bin"), PathBuf::from)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of this process's entry is its effective user.
    Path::new("/proc/self").metadata().is_ok_and(|entry| entry.uid() == 0)
}
