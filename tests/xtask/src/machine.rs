//! The other machines that are built for, and how to link and run there.

use std::path::Path;
use std::process::Command;

use crate::needs::{self, Need};
use crate::step::Failure;
use crate::toolchain::Toolchain;
use crate::zig::Zig;

/// A target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// As rustc names it.
    pub(crate) triple: &'static str,
    link: Link,
    /// The emulator and its arguments; empty: binaries run here.
    pub(crate) emulator: &'static [&'static str],
}

/// How binaries are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// With one of Debian's cross compilers, against its glibc.
    Gcc { compiler: &'static str, needs: &'static [Need] },
    /// With zig, statically against its musl.
    Zig,
}

/// All targets of `cargo xtask router`. The first three are those that tests run on.
pub(crate) const MACHINES: [Machine; 9] = [
    Machine {
        triple: "mips-unknown-linux-gnu",
        link: Link::Gcc {
            compiler: "mips-linux-gnu-gcc",
            needs: &[
                ("mips-linux-gnu-gcc", "gcc-mips-linux-gnu"),
                ("/usr/mips-linux-gnu/lib/crt1.o", "libc6-dev-mips-cross"),
            ],
        },
        emulator: &["qemu-mips-static", "-L", "/usr/mips-linux-gnu"],
    },
    Machine {
        triple: "mipsel-unknown-linux-gnu",
        link: Link::Gcc {
            compiler: "mipsel-linux-gnu-gcc",
            needs: &[
                ("mipsel-linux-gnu-gcc", "gcc-mipsel-linux-gnu"),
                ("/usr/mipsel-linux-gnu/lib/crt1.o", "libc6-dev-mipsel-cross"),
            ],
        },
        emulator: &["qemu-mipsel-static", "-L", "/usr/mipsel-linux-gnu"],
    },
    Machine {
        triple: "armv7-unknown-linux-gnueabihf",
        link: Link::Gcc {
            compiler: "arm-linux-gnueabihf-gcc",
            needs: &[
                ("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf"),
                ("/usr/arm-linux-gnueabihf/lib/crt1.o", "libc6-dev-armhf-cross"),
            ],
        },
        emulator: &["qemu-arm-static", "-L", "/usr/arm-linux-gnueabihf"],
    },
    // 24Kc is the core of many routers; it has no FPU.
    musl("mipsel-unknown-linux-musl", &["qemu-mipsel-static", "-cpu", "24Kc"]),
    musl("mips-unknown-linux-musl", &["qemu-mips-static", "-cpu", "24Kc"]),
    musl("armv7-unknown-linux-musleabihf", &["qemu-arm-static"]),
    musl("arm-unknown-linux-musleabi", &["qemu-arm-static"]),
    musl("aarch64-unknown-linux-musl", &["qemu-aarch64-static"]),
    musl("x86_64-unknown-linux-musl", &[]),
];

const fn musl(triple: &'static str, emulator: &'static [&'static str]) -> Machine {
    Machine { triple, link: Link::Zig, emulator }
}

impl Machine {
    /// The machine of this name.
    pub(crate) fn find(triple: &str) -> Result<Self, Failure> {
        MACHINES.into_iter().find(|machine| machine.triple == triple).ok_or_else(|| {
            let known = MACHINES.map(|machine| machine.triple).join(", ");
            Failure(format!("unknown target {triple}; known are {known}"))
        })
    }

    /// The machine of this name, or else one whose static binaries run there: of the same processor
    /// and system.
    pub(crate) fn like(triple: &str) -> Option<Self> {
        let family = triple.rsplit_once('-').map_or(triple, |(family, _)| family);
        let is_like = |machine: &Self| {
            machine.is_static() && machine.triple.rsplit_once('-').is_some_and(|it| it.0 == family)
        };
        Self::find(triple).ok().or_else(|| MACHINES.into_iter().find(is_like))
    }

    /// Whether binaries for it need nothing of the system but its kernel.
    pub(crate) fn is_static(&self) -> bool {
        self.link == Link::Zig
    }

    /// Installs what running its binaries needs.
    pub(crate) fn ensure_emulator(&self) -> Result<(), Failure> {
        match self.emulator {
            [program, ..] => needs::ensure(&[(program, "qemu-user-static")]),
            [] => Ok(()),
        }
    }

    /// A call of cargo for this machine: `verb` is `build` or `test`, `arguments` what follows.
    /// Installs what linking takes.
    pub(crate) fn cargo(
        &self,
        toolchain: &Toolchain,
        folder: &Path,
        verb: &str,
        arguments: &str,
    ) -> Result<Command, Failure> {
        let variable = self.triple.replace('-', "_").to_uppercase();
        let arguments = format!("--target {} {arguments}", self.triple);
        let mut command = match self.link {
            Link::Gcc { compiler, needs } => {
                needs::ensure(needs)?;
                let mut cargo = toolchain.cargo(folder, &format!("{verb} {arguments}"));
                cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), compiler);
                cargo
            }
            Link::Zig => {
                let mut zig = Zig::get(&toolchain.target)?.command();
                let verb = if verb == "build" { "zigbuild" } else { verb };
                zig.arg(verb).args(arguments.split_whitespace());
                toolchain.prepare(&mut zig, folder);
                zig
            }
        };
        if !self.emulator.is_empty() {
            command.env(format!("CARGO_TARGET_{variable}_RUNNER"), self.emulator.join(" "));
        }
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_name() {
        assert_eq!(Machine::find("mips-unknown-linux-gnu").ok(), Some(MACHINES[0]));
        let error = Machine::find("mips").unwrap_err().to_string();
        assert!(error.contains("x86_64-unknown-linux-musl"), "{error}");
    }

    #[test]
    fn static_binaries_run_where_other_libraries_are() {
        let like = |triple| Machine::like(triple).map(|machine| machine.triple);
        assert_eq!(like("x86_64-unknown-linux-gnu"), Some("x86_64-unknown-linux-musl"));
        assert_eq!(like("mips-unknown-linux-gnu"), Some("mips-unknown-linux-gnu"));
        assert_eq!(like("arm-unknown-linux-gnueabi"), Some("arm-unknown-linux-musleabi"));
        for other in ["riscv64gc-unknown-linux-gnu", "x86_64-unknown-freebsd", "x86_64", ""] {
            assert_eq!(like(other), None, "{other}");
        }
    }
}
