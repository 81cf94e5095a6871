//! Copies of this machine to install things on.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kcptun_interop::Process;

use super::package;

/// Mounts a file system over the root in which all changes go to memory, and stays.
const KEEPER: &str = r#"
mount -t tmpfs tmpfs "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
for folder in proc sys dev; do mount --rbind "/$folder" "$1/root/$folder"; done
mount -t tmpfs tmpfs "$1/root/run"
echo "keeper $$"
exec sleep infinity
"#;

/// A view of this machine's file system of its own, in which anything may be changed: nobody
/// else sees it, and it is gone with the value. The network is shared. Needs root and a kernel
/// with overlayfs.
#[derive(Debug)]
pub(crate) struct Machine {
    _keeper: Process,
    pid: String,
    folder: PathBuf,
}

impl Machine {
    /// One that has our Debian package installed.
    ///
    /// # Panics
    ///
    /// When it cannot be made, or the package cannot be installed.
    pub(crate) fn with_package() -> Self {
        let machine = Self::start();
        machine.shell(&format!("dpkg --no-triggers --install '{}'", package().display()));
        machine
    }

    /// One like this machine.
    ///
    /// # Panics
    ///
    /// When it cannot be made.
    pub(crate) fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kcptun-machine-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder to mount on");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", KEEPER, "sh"]).arg(&folder);
        let keeper = Process::spawn("keeper of a machine", command);
        let line = keeper.wait_line(Duration::from_secs(10), |line| line.starts_with("keeper "));
        let line = line.expect("the file system can be mounted (as root?)");
        let pid = line.trim_start_matches("keeper ").to_owned();
        Self { _keeper: keeper, pid, folder }
    }

    /// A command that runs inside. Its process is the one that is started.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.around("chroot", &[]);
        command.arg(self.root()).arg(program).args(args);
        command
    }

    /// A command that sees the copy at [`Machine::root`], but has this machine's root.
    pub(crate) fn around(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.pid, program]).args(args);
        command
    }

    /// Where the copy is mounted, for those who can see it.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Runs a shell script inside; answers what it wrote to both outputs.
    ///
    /// # Panics
    ///
    /// When a command of the script fails.
    pub(crate) fn shell(&self, script: &str) -> String {
        let script = format!("exec 2>&1\n{script}");
        let output = self.command("sh", &["-ec", &script]).output().expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{script}: {}\n{text}", output.status);
        text
    }

    /// Writes a file, its folders too.
    ///
    /// # Panics
    ///
    /// When that is not possible.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let folder = Path::new(path).parent().expect("an absolute path").display();
        let script = format!("mkdir -p '{folder}' && cat >'{path}'");
        let mut command = self.command("sh", &["-ec", &script]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("a shell");
        let input = child.stdin.take().expect("a pipe").write_all(text.as_bytes());
        let status = child.wait().expect("the shell ends");
        assert!(input.is_ok() && status.success(), "cannot write {path}");
    }

    /// Reads a file.
    ///
    /// # Panics
    ///
    /// When that is not possible.
    pub(crate) fn read(&self, path: &str) -> String {
        self.shell(&format!("cat '{path}'"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Outside, nothing was ever mounted on it.
        let _ = std::fs::remove_dir(&self.folder);
    }
}
