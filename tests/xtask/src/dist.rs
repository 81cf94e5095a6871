//! Release archives, named as the original's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Failure, Workspace, output, run};
use crate::toolchain::Toolchain;
use crate::{deb, machine, man, router};

/// The programs, and what the original calls them in its archives.
const PROGRAMS: [(&str, &str); 3] =
    [("kcptun-client", "client"), ("kcptun-server", "server"), ("kcptun", "kcptun")];

/// The program for routers, and its name there. It is built small, and for Linux alone.
const ROUTER: (&str, &str) = (router::PROGRAM, "router");

/// Machines by the name of their Rust target, and by Go's names for system and processor, which
/// the original's archives have. The first that fits counts.
const MACHINES: [(&str, &str, &str); 16] = [
    ("x86_64-unknown-linux-", "linux", "amd64"),
    ("i686-unknown-linux-", "linux", "386"),
    ("i586-unknown-linux-", "linux", "386"),
    ("aarch64-unknown-linux-", "linux", "arm64"),
    ("armv7-unknown-linux-", "linux", "arm7"),
    ("arm-unknown-linux-", "linux", "arm6"),
    ("armv5te-unknown-linux-", "linux", "arm5"),
    ("mips-unknown-linux-", "linux", "mips"),
    ("mipsel-unknown-linux-", "linux", "mipsle"),
    ("riscv64gc-unknown-linux-", "linux", "riscv64"),
    ("x86_64-apple-darwin", "darwin", "amd64"),
    ("aarch64-apple-darwin", "darwin", "arm64"),
    ("x86_64-unknown-freebsd", "freebsd", "amd64"),
    ("x86_64-pc-windows-", "windows", "amd64"),
    ("i686-pc-windows-", "windows", "386"),
    ("aarch64-pc-windows-", "windows", "arm64"),
];

/// Builds and packs for this machine, or for each of `targets`; answers a summary.
pub(crate) fn run_task(workspace: &Workspace, targets: &[String]) -> Result<String, Failure> {
    let host = [host_target(workspace)?];
    let targets = if targets.is_empty() { &host[..] } else { targets };
    let folder = workspace.target.join("dist");
    let epoch = source_date(workspace)?;
    let pages = man::write(workspace, &man::toolbox(workspace)?)?;
    let (mut names, mut larger) = (Vec::new(), Vec::new());
    for target in targets {
        let machine = Machine::named(target)?;
        let other = (*target != host[0]).then_some(target.as_str());
        let mut files = machine.programs(&build(workspace, other)?);
        if machine.has_router() {
            let (folder, is_small) = build_router(workspace, target, other)?;
            files.push(machine.place(&folder, ROUTER));
            if !is_small {
                larger.push(target.as_str());
            }
        }
        let pages = pages.iter().map(|page| (page.clone(), format!("man/{}", file_name(page))));
        files.extend(pages.filter(|(_, name)| machine.has_router() || !name.contains(ROUTER.0)));
        files.push((workspace.root.join("LICENSE"), "LICENSE".into()));
        let name = format!("{}-{}.tar.gz", machine.archive(), date(epoch, "%Y%m%d")?);
        pack(&folder, &name, &files, epoch)?;
        names.push(name);
    }
    let sums = output(Command::new("sha256sum").current_dir(&folder).args(&names))?;
    print!("\n{sums}");
    write(&folder.join("SHA256SUMS"), &sums)?;
    let mut summary = format!("{} in {}", names.join(", "), folder.display());
    if !larger.is_empty() {
        let larger = larger.join(", ");
        summary.push_str(&format!(
            "; {} for {larger} was built with the profile alone, not as `cargo xtask router` builds, \
             which does not know that target",
            ROUTER.0
        ));
    }
    Ok(summary)
}

/// Builds the programs as they are released, for `target` or this machine; answers their
/// directory.
pub(crate) fn build(workspace: &Workspace, target: Option<&str>) -> Result<PathBuf, Failure> {
    build_package(workspace, target, "kcptun", "release")
}

/// Builds the program for routers; answers its directory, and whether it is as `cargo xtask router`
/// builds: for `target`, or static for any system with that processor. `other` is the target if it is
/// not this machine.
fn build_router(
    workspace: &Workspace,
    target: &str,
    other: Option<&str>,
) -> Result<(PathBuf, bool), Failure> {
    let Some(machine) = machine::Machine::like(target) else {
        return Ok((build_package(workspace, other, ROUTER.0, "router")?, false));
    };
    let binary = router::build(workspace, &Toolchain::get(workspace)?, &machine, None)?;
    Ok((binary.parent().map(Path::to_owned).unwrap_or_default(), true))
}

/// Builds the programs of a package. No path of this machine gets into them.
fn build_package(
    workspace: &Workspace,
    target: Option<&str>,
    package: &str,
    profile: &str,
) -> Result<PathBuf, Failure> {
    let arguments = format!("build --locked --profile {profile} -p {package} --bins");
    let mut cargo = workspace.cargo(&arguments);
    cargo.arg("--target-dir").arg(&workspace.target);
    let mut folder = workspace.target.clone();
    if let Some(target) = target {
        cargo.args(["--target", target]);
        folder.push(target);
    }
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    for (path, instead) in [(&workspace.root, "/kcptun"), (&home, "/cargo")] {
        flags.push_str(&format!(" --remap-path-prefix={}={instead}", path.display()));
    }
    cargo.env("RUSTFLAGS", flags.trim());
    let title = format!("{package} for {}", target.unwrap_or("this machine"));
    run(&title, &mut cargo)?;
    Ok(folder.join(profile))
}

/// The date that everything released bears, in seconds since 1970: `SOURCE_DATE_EPOCH`, or that
/// of the commit.
pub(crate) fn source_date(workspace: &Workspace) -> Result<u64, Failure> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(given) => given,
        Err(_) => {
            let mut git = Command::new("git");
            git.current_dir(&workspace.root).args(["log", "-1", "--format=%ct"]);
            output(&mut git).map_err(|failure| {
                Failure(format!("{failure}; without git, set SOURCE_DATE_EPOCH"))
            })?
        }
    };
    text.trim().parse().map_err(|_| Failure(format!("not a number of seconds: {}", text.trim())))
}

/// A machine by the names of the original's archives.
struct Machine {
    system: &'static str,
    processor: &'static str,
}

impl Machine {
    fn named(target: &str) -> Result<Self, Failure> {
        let found = MACHINES.iter().find(|(prefix, _, _)| target.starts_with(prefix));
        let (_, system, processor) = found.ok_or_else(|| {
            Failure(format!("{target}: the original has no name for that machine"))
        })?;
        Ok(Self { system, processor })
    }

    fn archive(&self) -> String {
        format!("kcptun-{}-{}", self.system, self.processor)
    }

    /// Where the programs are, and their names in the archive.
    fn programs(&self, binaries: &Path) -> Vec<(PathBuf, String)> {
        PROGRAMS.into_iter().map(|program| self.place(binaries, program)).collect()
    }

    fn place(&self, binaries: &Path, (program, name): (&str, &str)) -> (PathBuf, String) {
        let suffix = if self.system == "windows" { ".exe" } else { "" };
        let source = binaries.join(format!("{program}{suffix}"));
        (source, format!("{name}_{}_{}{suffix}", self.system, self.processor))
    }

    fn has_router(&self) -> bool {
        self.system == "linux"
    }
}

/// Packs `files` under their names into `folder`/`archive`. The same files give the same bytes,
/// whatever their owners and times.
fn pack(
    folder: &Path,
    archive: &str,
    files: &[(PathBuf, String)],
    epoch: u64,
) -> Result<(), Failure> {
    let stage = folder.join("stage");
    let _ = fs::remove_dir_all(&stage);
    for (source, name) in files {
        let mut programs = PROGRAMS.iter().chain([&ROUTER]);
        let is_program = programs.any(|(_, word)| name.starts_with(&format!("{word}_")));
        deb::copy(source, &stage.join(name), if is_program { 0o755 } else { 0o644 })?;
    }
    let mut names: Vec<_> = files.iter().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    let mut tar = Command::new("tar");
    tar.args(["--format=ustar", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.arg(format!("--mtime=@{epoch}")).args(["--use-compress-program", "gzip -9n"]);
    tar.arg("-C").arg(&stage).arg("-cf").arg(folder.join(archive)).args(&names);
    output(&mut tar)?;
    fs::remove_dir_all(&stage).map_err(|error| Failure(format!("{}: {error}", stage.display())))
}

fn host_target(workspace: &Workspace) -> Result<String, Failure> {
    let text = output(&mut workspace.cargo("version --verbose"))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).ok_or_else(|| Failure("cargo does not tell its host".into()))
}

/// A date in UTC, in a form for date(1): `%Y%m%d` in the names of the original's archives.
pub(crate) fn date(epoch: u64, form: &str) -> Result<String, Failure> {
    let mut date = Command::new("date");
    let text = output(date.args(["-u", "-d", &format!("@{epoch}")]).arg(format!("+{form}")))?;
    Ok(text.trim().to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(target: &str) -> (String, Vec<String>) {
        let machine = Machine::named(target).unwrap();
        let programs = machine.programs(Path::new(""));
        (machine.archive(), programs.into_iter().map(|(_, name)| name).collect())
    }

    /// The names that `build-release.sh` of kcptun gives.
    #[test]
    fn archives_and_programs_have_the_names_of_the_original() {
        let (archive, programs) = names("x86_64-unknown-linux-gnu");
        assert_eq!(archive, "kcptun-linux-amd64");
        assert_eq!(programs[..2], ["client_linux_amd64", "server_linux_amd64"]);
        let (archive, programs) = names("x86_64-pc-windows-gnu");
        assert_eq!(archive, "kcptun-windows-amd64");
        assert_eq!(programs[..2], ["client_windows_amd64.exe", "server_windows_amd64.exe"]);
        assert_eq!(names("mipsel-unknown-linux-musl").0, "kcptun-linux-mipsle");
        let router = Machine::named("mipsel-unknown-linux-musl").unwrap();
        assert_eq!(router.place(Path::new(""), ROUTER).1, "router_linux_mipsle");
        assert!(!Machine::named("x86_64-pc-windows-gnu").unwrap().has_router());
        assert_eq!(names("armv7-unknown-linux-musleabihf").0, "kcptun-linux-arm7");
        assert!(Machine::named("thumbv7em-none-eabi").is_err());
        assert_eq!(date(1_632_268_800, "%Y%m%d").unwrap(), "20210922");
    }

    #[test]
    fn the_same_files_make_the_same_archive() {
        let folder = std::env::temp_dir().join(format!("xtask-dist-{}", std::process::id()));
        let archive = |round: u64| {
            let here = folder.join(round.to_string());
            fs::create_dir_all(&here).unwrap();
            let mut files = Vec::new();
            for name in ["server_linux_amd64", "router_linux_amd64", "man/client.1"] {
                let path = here.join(name.replace('/', "-"));
                fs::write(&path, name).unwrap();
                let age = std::time::Duration::from_secs(1000 * round);
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(std::time::SystemTime::now() - age).unwrap();
                files.push((path, name.to_owned()));
            }
            if round == 2 {
                files.reverse();
            }
            pack(&here, "archive.tar.gz", &files, 1_632_268_800).unwrap();
            here.join("archive.tar.gz")
        };
        let (first, second) = (archive(1), archive(2));
        assert_eq!(fs::read(&first).unwrap(), fs::read(second).unwrap());
        let list = output(Command::new("tar").args(["--utc", "-tvf"]).arg(first)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let lines: Vec<_> = list.lines().collect();
        assert_eq!(lines.len(), 3, "{list}");
        assert!(lines[0].starts_with("-rw-r--r-- 0/0") && lines[0].ends_with("man/client.1"));
        assert!(lines[1].starts_with("-rwxr-xr-x 0/0") && lines[1].ends_with("router_linux_amd64"));
        assert!(lines[2].starts_with("-rwxr-xr-x 0/0") && lines[2].ends_with("server_linux_amd64"));
        assert!(list.lines().all(|line| line.contains("2021-09-22 00:00")), "{list}");
    }
}
