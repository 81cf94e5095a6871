//! Programs that this machine may lack, and the Debian packages that bring them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Failure, output, run};

/// The original, as Debian calls its package, and one of its programs.
const PEER: &str = "kcptun";
const CLIENT: &str = "kcptun-client";

/// A program, or the path of a file, that has to be there, and the package that brings it.
pub(crate) type Need = (&'static str, &'static str);

/// For the tests of the workspace.
pub(crate) const OWN: &[Need] = &[("kill", "procps"), ("setpriv", "util-linux")];

/// For the tests with real processes.
pub(crate) const TESTS: &[Need] = &[
    (CLIENT, PEER),
    ("kcptun-server", PEER),
    ("ip", "iproute2"),
    ("systemd-analyze", "systemd"),
    ("unshare", "util-linux"),
    ("strace", "strace"),
    ("busybox", "busybox"),
    ("make", "make"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("groff", "groff-base"),
    ("mandoc", "mandoc"),
    ("col", "bsdextrautils"),
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
    let installed = install(&missing);
    let left = missing_packages(needs);
    if left.is_empty() {
        return Ok(());
    }
    let ours = peer_directory().join(CLIENT);
    if left.contains(&PEER) && is_ours(&ours) {
        return Err(Failure(format!(
            "{} is of this project: for the tests against the original remove its package, \
             kcptun-rs, and install kcptun, or name the original's folder in KCPTUN_PEER_DIR",
            ours.display()
        )));
    }
    installed.and(Err(unavailable(&left)))
}

/// Installs packages, as root, without removing any.
pub(crate) fn install(packages: &[&str]) -> Result<(), Failure> {
    let names = packages.join(" ");
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "-y", "--no-install-recommends", "--no-remove"]).args(packages);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    if find("apt-get").is_none() || !is_root() {
        return Err(unavailable(packages));
    }
    // The list of packages may be old or absent, as in a fresh container.
    let installed = run(&format!("apt-get install {names}"), &mut install()).or_else(|_| {
        run("apt-get update", Command::new("apt-get").arg("update"))?;
        run(&format!("apt-get install {names}"), &mut install())
    });
    installed.map_err(|_| unavailable(packages))
}

fn unavailable(packages: &[&str]) -> Failure {
    let names = packages.join(" ");
    Failure(format!("missing: {names}; run `apt-get install {names}` as root"))
}

/// The version of the installed peer, as Debian names it.
pub(crate) fn peer_version() -> String {
    let query = Command::new("dpkg-query").args(["-W", "-f=${Version}", PEER]).output();
    let version = query.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "of unknown version".into())
}

/// What the tests make of namespaces and mounts, in short.
const PROBE: &str = r#"
mount -t tmpfs tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
"#;

/// Network namespaces, packet sockets and copies of the machine are for root, and not for root of
/// every container.
pub(crate) fn root() -> Result<(), Failure> {
    let what = "the tests with real processes";
    if !is_root() {
        return Err(Failure(format!("{what} need root; run as root, or with --no-peer")));
    }
    let folder = std::env::temp_dir().join(format!("xtask-probe-{}", std::process::id()));
    let failed = |error| Failure(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "--net", "sh", "-ec", PROBE, "sh"]).arg(&folder);
    let outcome = output(&mut probe);
    // Outside, nothing was ever mounted on it.
    let _ = std::fs::remove_dir(&folder);
    outcome.map(|_| ()).map_err(|Failure(why)| {
        Failure(format!(
            "{what} make namespaces and mount file systems, which this root may not ({why}); give \
             the container those rights (`--privileged`), or run with --no-peer"
        ))
    })
}

fn missing_packages(needs: &[Need]) -> Vec<&'static str> {
    let mut missing: Vec<_> = needs
        .iter()
        .filter(|(program, package)| match *package {
            // The tests look where the package puts it, or where they are told to.
            PEER => {
                let file = peer_directory().join(program);
                !file.is_file() || is_ours(&file)
            }
            _ => find(program).is_none(),
        })
        .map(|(_, package)| *package)
        .collect();
    missing.dedup();
    missing
}

/// Whether a program that goes by the original's name is one of this project: our versions have
/// dots in them, those of the original are dates, or `SELFBUILD` as Debian builds it.
fn is_ours(program: &Path) -> bool {
    let said = Command::new(program).arg("-v").output();
    said.is_ok_and(|said| is_own_version(&String::from_utf8_lossy(&said.stdout)))
}

fn is_own_version(line: &str) -> bool {
    line.trim().strip_prefix("kcptun version ").is_some_and(|version| version.contains('.'))
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

    #[test]
    fn our_programs_do_not_pass_for_the_original() {
        assert!(is_own_version(&kcptun_config::version_line()));
        for line in ["kcptun version SELFBUILD\n", "kcptun version 20210922\n", "", "0.1.0"] {
            assert!(!is_own_version(line), "{line}");
        }
        assert!(!is_ours(Path::new("/no/such/program")) && !is_ours(Path::new("/bin/true")));
    }
}
