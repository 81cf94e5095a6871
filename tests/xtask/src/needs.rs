//! Programs that this machine may lack, and the Debian packages that bring them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Failure, run};

/// A program, or the path of a file, that has to be there, and the package that brings it.
pub(crate) type Need = (&'static str, &'static str);

/// For the tests with real processes.
pub(crate) const TESTS: &[Need] = &[
    ("kcptun-client", "kcptun"),
    ("kcptun-server", "kcptun"),
    ("ip", "iproute2"),
    ("systemd-analyze", "systemd"),
    ("unshare", "util-linux"),
    ("strace", "strace"),
    ("busybox", "busybox"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("mandoc", "mandoc"),
    // The status page, as a browser shows it.
    ("chromium", "chromium"),
];

/// For a Debian package.
pub(crate) const DEB: &[Need] = &[("dpkg-deb", "dpkg"), ("dpkg-shlibdeps", "dpkg-dev")];

/// For the checks on other operating systems, where rustup cannot bring their targets.
pub(crate) const PLATFORMS: &[Need] = &[
    ("/usr/bin/rustc", "rustc-web"),
    ("/usr/bin/cargo", "cargo-web"),
    ("/usr/lib/rustlib/src/rust/library/std/Cargo.toml", "rust-web-src"),
];

/// Makes sure that all of `needs` are there, installing them if that is possible.
pub(crate) fn ensure(needs: &[Need]) -> Result<(), Failure> {
    let missing = missing_packages(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends"]).args(&missing);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    let unavailable =
        || Failure(format!("missing: {names}; run `apt-get install {names}` as root"));
    if find("apt-get").is_none() || !is_root() {
        return Err(unavailable());
    }
    // The list of packages may be old or absent, as in a fresh container.
    let installed = run(&format!("apt-get install {names}"), &mut install()).or_else(|_| {
        run("apt-get update", Command::new("apt-get").arg("update"))?;
        run(&format!("apt-get install {names}"), &mut install())
    });
    if installed.is_err() || !missing_packages(needs).is_empty() {
        return Err(unavailable());
    }
    Ok(())
}

/// The version of the installed peer, as Debian names it.
pub(crate) fn peer_version() -> String {
    let query = Command::new("dpkg-query").args(["-W", "-f=${Version}", "kcptun"]).output();
    let version = query.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "of unknown version".into())
}

/// Network namespaces, packet sockets and copies of the machine are for root.
pub(crate) fn root() -> Result<(), Failure> {
    if is_root() {
        return Ok(());
    }
    Err(Failure("the tests with real processes need root; run as root, or with --no-peer".into()))
}

fn missing_packages(needs: &[Need]) -> Vec<&'static str> {
    let mut missing: Vec<_> = needs
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

/// In the search path, or at its own path if it has one.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_once() {
        let needs: &[Need] = &[
            ("sh", "dash"),
            ("/bin/sh", "dash"),
            ("no-such-program", "no-such-package"),
            ("/no/such/file", "no-such-package"),
        ];
        assert_eq!(missing_packages(needs), ["no-such-package"]);
    }
}
