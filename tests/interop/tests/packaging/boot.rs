//! A systemd of its own, to start units for real.

use std::process::Command;
use std::time::Duration;

use kcptun_interop::{Process, wait_until};

use super::machine::Machine;

/// A target that wants nothing: the units of the machine stay where they are.
const NOTHING: &str = "[Unit]\nDefaultDependencies=no\n";
/// What ordinary services wait for; emptied, for nothing of the machine may be set up twice.
const EARLY: [&str; 3] = ["sysinit", "basic", "nothing"];

/// Makes the copy of the machine the root of new namespaces, with systemd as their first process.
/// Namespaces for mounts, processes, cgroups and the host name keep it from the machine's own.
const START: &str = r#"
cd "$1"
mount --make-rprivate /
mkdir -p old "$2"
mount -t cgroup2 cgroup2 "$2"
for left in "$2"/kcptun-test-*; do
    [ ! -d "$left" ] || find "$left" -depth -type d -exec rmdir {} + 2>/dev/null || true
done
mkdir "$2/kcptun-test-$$"
echo $$ >"$2/kcptun-test-$$/cgroup.procs"
umount "$2"
echo "outer $$"
exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup sh -ec '
    mount -t proc proc proc
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    pivot_root . old
    cd /
    umount -l /old
    # As systemd expects it of what starts it in a container.
    mount --make-rshared /
    exec env container=other /lib/systemd/systemd --system --unit=nothing.target \
        --log-target=null --show-status=no'
"#;

/// A [`Machine`] on which systemd runs.
#[derive(Debug)]
pub(crate) struct Booted {
    _systemd: Process,
    pid: String,
}

impl Booted {
    /// Starts systemd on `machine`.
    ///
    /// # Panics
    ///
    /// When it does not start, which may be for want of a kernel with cgroups of version 2.
    pub(crate) fn start(machine: &Machine) -> Self {
        machine.shell("rm -rf /usr/lib/systemd/system/*.wants /etc/systemd/system/*.wants");
        for target in EARLY {
            machine.write(&format!("/etc/systemd/system/{target}.target"), NOTHING);
        }
        let root = machine.root();
        let mut command = machine.around("sh", &["-ec", START, "sh"]);
        command.arg(&root).arg("run/cgroup");
        let systemd = Process::spawn("systemd", command);
        let line = systemd.wait_line(Duration::from_secs(20), |line| line.starts_with("outer "));
        let line = line.expect("namespaces and cgroups can be made (as root?)");
        let outer = line.trim_start_matches("outer ").to_owned();
        let children = format!("/proc/{outer}/task/{outer}/children");
        let mut pid = String::new();
        let is_there = wait_until(Duration::from_secs(20), || {
            pid = std::fs::read_to_string(&children).unwrap_or_default().trim().to_owned();
            !pid.is_empty()
        });
        assert!(is_there, "unshare starts its child");
        let booted = Self { _systemd: systemd, pid };
        let answers = wait_until(Duration::from_secs(30), || {
            booted.command("systemctl", &["is-system-running"]).output().is_ok_and(|output| {
                ["running\n", "degraded\n"].iter().any(|state| output.stdout == state.as_bytes())
            })
        });
        assert!(answers, "systemd answers: {}", booted._systemd.log());
        booted
    }

    /// A command that runs beside systemd.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid, "--mount", "--pid", "--wdns=/", program]).args(args);
        command
    }

    /// Runs a shell script beside systemd; answers what it wrote to both outputs.
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
}
