//! Network namespaces, to build paths that loopback cannot be.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Names are PREFIX-PID-LABEL: one look tells whether the owner still lives.
const PREFIX: &str = "kcptun-test";
/// Where `ip netns exec` finds a namespace's own files of `/etc` (ip-netns(8)).
const NAMES: &str = "/etc/netns";

/// A network namespace of its own, with loopback up; removed when dropped. Needs root and `ip`
/// of Debian's package iproute2.
///
/// A test process that is killed cannot clean up, so creating a namespace first removes those
/// whose test process is gone.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Creates one; `label` must be unique within the test process.
    ///
    /// # Panics
    ///
    /// When it cannot be created, with the words of `ip`.
    pub fn create(label: &str) -> Self {
        remove_left_behind();
        let name = format!("{PREFIX}-{}-{label}", std::process::id());
        ip(&["netns", "add", &name]);
        // From here on the guard removes it, whatever happens.
        let namespace = Self { name };
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"]);
        namespace
    }

    /// Joins two namespaces by a pair of interfaces with the given MTU. The addresses are
    /// written as `10.0.0.1/24`; `name` is that of the interface on both sides.
    ///
    /// # Panics
    ///
    /// When `ip` refuses.
    pub fn join(&self, address: &str, other: &Self, other_address: &str, name: &str, mtu: usize) {
        let mtu = mtu.to_string();
        ip(&[
            "link",
            "add",
            name,
            "mtu",
            &mtu,
            "netns",
            &self.name,
            "type",
            "veth",
            "peer",
            "name",
            name,
            "mtu",
            &mtu,
            "netns",
            &other.name,
        ]);
        for (namespace, address) in [(self, address), (other, other_address)] {
            ip(&["-n", &namespace.name, "address", "add", address, "dev", name]);
            ip(&["-n", &namespace.name, "link", "set", name, "up"]);
        }
    }

    /// Runs `ip` with `args`, as on a command line, on what is inside.
    ///
    /// # Panics
    ///
    /// When `ip` refuses.
    pub fn ip(&self, args: &str) {
        let args: Vec<&str> = ["-n", &self.name].into_iter().chain(args.split(' ')).collect();
        ip(&args);
    }

    /// What commands started inside from now on see as `/etc/hosts`, and as `/etc/resolv.conf`.
    /// Called again, it changes what running ones see, too.
    ///
    /// # Panics
    ///
    /// When the files cannot be written.
    pub fn set_names(&self, hosts: &str, resolver: &str) {
        // `ip netns exec` mounts these over those of the machine; the same files have to stay.
        let place = Path::new(NAMES).join(&self.name);
        std::fs::create_dir_all(&place)
            .and_then(|()| std::fs::write(place.join("hosts"), hosts))
            .and_then(|()| std::fs::write(place.join("resolv.conf"), resolver))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", place.display()));
    }

    /// Sends what is not local to `gateway`.
    ///
    /// # Panics
    ///
    /// When `ip` refuses.
    pub fn route_all_by(&self, gateway: &str) {
        ip(&["-n", &self.name, "route", "add", "default", "via", gateway]);
    }

    /// Makes it a router.
    ///
    /// # Panics
    ///
    /// When the kernel refuses.
    pub fn forward(&self) {
        // /proc/sys/net shows the namespace of the thread that opens it.
        self.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
            .expect("forwarding can be switched on");
    }

    /// A command that runs `program` inside.
    pub fn command(&self, program: &Path, args: &[String]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program).args(args);
        command
    }

    /// Runs `work` on a thread inside. Sockets it opens, and threads it starts, stay inside.
    ///
    /// # Panics
    ///
    /// When the namespace cannot be entered, or `work` panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let handle = File::open(Path::new("/run/netns").join(&self.name))
                .expect("the namespace has a handle");
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("the thread may enter the namespace");
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn remove_left_behind() {
    let names = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&name);
        }
    }
}

/// Interfaces end with the namespace. Nothing can be done about a failure.
fn remove(name: &str) {
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
    let _ = std::fs::remove_dir_all(Path::new(NAMES).join(name));
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap_or_else(|error| {
        panic!("cannot run ip: {error}; run `apt-get install iproute2` as root")
    });
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {} (as root?): {complaint}", args.join(" "));
}
