//! Other machines: without an operating system, with the other byte order, with words of 32 bits.
//!
//! | part | what it shows | in `ci` | with `--all` |
//! |---|---|---|---|
//! | bare | the machines need core alone, the tunnel core and alloc | one target | three |
//! | firmware | a session without a heap: here, and as an ELF free of any allocator, which boots | yes | yes |
//! | suites | vectors and properties hold there | mips | and mipsel, armv7 |
//! | interop | binaries for it, under an emulator, and Debian's kcptun understand each other | mips | and mipsel, armv7 |
//! | shipped | the same of the small static binary, with all that makes it small | no | mipsel |
//!
//! mips is big-endian and has words of 32 bits at once. That static MIPS binaries leave the FPU
//! alone is checked by `cargo xtask router` whenever it builds one.

use std::path::Path;
use std::process::Command;

use crate::machine::{MACHINES, Machine};
use crate::needs;
use crate::router::{self, PROGRAM};
use crate::step::{Failure, Workspace, output, run, run_tests};
use crate::toolchain::Toolchain;

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// What needs no peer, of the share of `ci`.
    WithoutPeer,
    /// What is done before each commit.
    Usual,
    /// All machines.
    All,
}

/// The machine whose small binary is tried as it is shipped.
const SHIPPED: &str = "mipsel-unknown-linux-musl";
/// The machines that must do without an allocator.
const CORE: &str = "-p proto-base -p kcp-proto -p fec-proto -p smux-proto";
/// Targets without an operating system, so without std: small and little-endian, big-endian, and
/// MIPS.
const BARE: [&str; 3] = ["thumbv7em-none-eabi", "armebv7r-none-eabi", "mipsel-unknown-none"];
/// What the firmware is built for, and what links it.
const FIRMWARE_TARGET: &str = BARE[0];
const FIRMWARE_LINKER: &str = "arm-linux-gnueabihf-ld";
/// Whose suites run under the emulator.
const SUITES: &str = "-p proto-base -p kcp-proto -p fec-proto -p smux-proto -p kcptun-crypt \
                      -p kcptun-tunnel -p kcptun-net --lib --tests";
/// The programs that run under an emulator. On tokio and as a router; with all that a router can
/// have.
const PROGRAMS: &str = "-p kcptun --bin kcptun-client --bin kcptun-server \
                        -p kcptun-router --bin kcptun-router \
                        --no-default-features --features kcptun-router/default";
/// What runs under an emulator: fast to build, with the checks of a debug build. One profile for
/// tests and programs, so that std is built once.
const PROFILE: [&str; 7] = [
    "profile.emulated.inherits='release'",
    "profile.emulated.lto=false",
    "profile.emulated.codegen-units=16",
    "profile.emulated.opt-level=1",
    "profile.emulated.panic='unwind'",
    "profile.emulated.debug-assertions=true",
    "profile.emulated.overflow-checks=true",
];

/// Runs it; answers a summary. The peer must be there, unless it is left out.
pub(crate) fn check(workspace: &Workspace, share: Share) -> Result<String, Failure> {
    let toolchain = Toolchain::get(workspace)?;
    let (bare_targets, machines) = match share {
        Share::WithoutPeer | Share::Usual => (&BARE[..1], &MACHINES[..1]),
        Share::All => (&BARE[..], &MACHINES[..3]),
    };
    bare(workspace, &toolchain, bare_targets)?;
    let mut tests = firmware(workspace, &toolchain)?;
    for machine in machines {
        machine.ensure_emulator()?;
        tests += suite(workspace, &toolchain, machine)?;
        if share != Share::WithoutPeer {
            tests += interop(workspace, &toolchain, machine)?;
        }
    }
    if share == Share::All {
        tests += shipped(workspace, &toolchain)?;
    }
    let triples: Vec<_> = machines.iter().map(|machine| machine.triple).collect();
    let what = if share == Share::WithoutPeer { "suites" } else { "suites and interop" };
    Ok(format!(
        "no_std built for {}; firmware linked without an allocator; {tests} tests: {what} on {}",
        bare_targets.join(", "),
        triples.join(", "),
    ))
}

/// Builds for targets that have no std: what builds for them does not use it.
fn bare(workspace: &Workspace, toolchain: &Toolchain, targets: &[&str]) -> Result<(), Failure> {
    for target in targets {
        for arguments in [
            format!("-Z build-std=core {CORE} --no-default-features"),
            format!(
                "-Z build-std=core,alloc {CORE} -p kcptun-tunnel --no-default-features \
                 --features kcp-proto/alloc,fec-proto/alloc,smux-proto/alloc,\
                 kcptun-tunnel/all-ciphers"
            ),
        ] {
            let arguments = format!("build --locked --lib --target {target} {arguments}");
            let mut build = toolchain.cargo(&workspace.root, &arguments);
            // It never runs.
            build.args(["--config", "profile.dev.package.'*'.opt-level=0"]);
            run(&format!("cargo {arguments}"), &mut build)?;
        }
    }
    Ok(())
}

/// The session without a heap: here under a failing allocator, and linked for the bare machine.
fn firmware(workspace: &Workspace, toolchain: &Toolchain) -> Result<u64, Failure> {
    let folder = workspace.root.join("tests/firmware");
    let mut test = workspace.cargo("test --locked");
    test.current_dir(&folder).env("CARGO_TARGET_DIR", &toolchain.target);
    let tests = run_tests("the firmware's session on this machine", &mut test)?;
    needs::ensure(&[(FIRMWARE_LINKER, "binutils-arm-linux-gnueabihf")])?;
    let mut build = toolchain.cargo(
        &folder,
        &format!(
            "build --locked --release --features cortex-m --bin firmware \
             --target {FIRMWARE_TARGET} -Z build-std=core"
        ),
    );
    let variable = FIRMWARE_TARGET.replace('-', "_").to_uppercase();
    build.env(format!("CARGO_TARGET_{variable}_LINKER"), FIRMWARE_LINKER);
    build.env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), "-C linker-flavor=ld");
    // Nothing for the symbols, but a minute less for building core.
    build.args(["--config", "profile.release.lto=false"]);
    build.args(["--config", "profile.release.codegen-units=16"]);
    run("the firmware for a Cortex-M", &mut build)?;
    let elf = toolchain.target.join(FIRMWARE_TARGET).join("release/firmware");
    has_no_allocator(&elf)?;
    boot(&elf)?;
    Ok(tests + 1)
}

/// Starts the firmware on an emulated board; it ends the emulator with its own status.
fn boot(elf: &Path) -> Result<(), Failure> {
    needs::ensure(&[("qemu-system-arm", "qemu-system-arm"), ("timeout", "coreutils")])?;
    let mut board = Command::new("timeout");
    board.args(["120", "qemu-system-arm", "-M", "mps2-an386", "-nographic"]);
    board.args(["-semihosting-config", "enable=on,target=native", "-kernel"]).arg(elf);
    run("the firmware on an emulated Cortex-M4", &mut board)
}

/// Whether the symbols of an ELF file are there, and none belongs to an allocator.
fn has_no_allocator(elf: &Path) -> Result<(), Failure> {
    let symbols = output(Command::new("arm-linux-gnueabihf-nm").arg(elf))?;
    let names = symbols.lines().filter_map(|line| line.rsplit(' ').next());
    let found: Vec<&str> = names.clone().filter(|name| is_allocator(name)).collect();
    if !names.clone().any(|name| name == "Reset") {
        return Err(Failure(format!("{} has no symbols to look at", elf.display())));
    }
    if found.is_empty() {
        println!("{} symbols, none of an allocator", names.count());
        return Ok(());
    }
    Err(Failure(format!("{} has {}", elf.display(), found.join(", "))))
}

/// Whether a symbol is of the crate alloc, of a global allocator, or of C's.
fn is_allocator(name: &str) -> bool {
    const PARTS: [&str; 6] =
        ["__rust_alloc", "__rust_dealloc", "__rust_realloc", "__rdl_", "__rg_", "malloc"];
    // The crate's name at the start of a path, in the old and in the new mangling.
    let of_crate = name.starts_with("_ZN5alloc") || name.contains("_5alloc");
    of_crate
        || matches!(name, "calloc" | "realloc" | "free" | "sbrk")
        || PARTS.iter().any(|part| name.contains(part))
}

/// The vector and property suites on `machine`.
fn suite(workspace: &Workspace, toolchain: &Toolchain, machine: &Machine) -> Result<u64, Failure> {
    let mut test = cargo(workspace, toolchain, machine, "test", SUITES)?;
    run_tests(&format!("vectors and properties on {}", machine.triple), &mut test)
}

/// Binaries for `machine` under its emulator against Debian's kcptun: those on tokio, and the
/// router's.
fn interop(
    workspace: &Workspace,
    toolchain: &Toolchain,
    machine: &Machine,
) -> Result<u64, Failure> {
    let mut build = cargo(workspace, toolchain, machine, "build", PROGRAMS)?;
    run(&format!("binaries for {}", machine.triple), &mut build)?;
    let built = toolchain.target.join(machine.triple).join("emulated");
    let program = |name: &str| format!("'{}'", built.join(name).display());
    let router = program("kcptun-router");
    let folder = built.join("emulator");
    let programs = [program("kcptun-client"), program("kcptun-server")];
    let tests = against_debian(workspace, machine, "kcptun", &folder, &programs)?;
    let programs = [format!("{router} client"), format!("{router} server")];
    Ok(tests + against_debian(workspace, machine, PROGRAM, &folder, &programs)?)
}

/// The router as it is shipped, with all that its compiler was told to make it small.
fn shipped(workspace: &Workspace, toolchain: &Toolchain) -> Result<u64, Failure> {
    let machine = Machine::find(SHIPPED)?;
    machine.ensure_emulator()?;
    let binary = router::build(workspace, toolchain, &machine, None)?;
    let folder = toolchain.target.join(SHIPPED).join("emulator");
    let programs = ["client", "server"].map(|role| format!("'{}' {role}", binary.display()));
    against_debian(workspace, &machine, PROGRAM, &folder, &programs)
}

/// Runs the interop suite with these commands as client and server; answers how many tests there
/// were.
fn against_debian(
    workspace: &Workspace,
    machine: &Machine,
    name: &str,
    folder: &Path,
    [client, server]: &[String; 2],
) -> Result<u64, Failure> {
    let folder = folder.join(name);
    let roles = [("kcptun-client", client.clone()), ("kcptun-server", server.clone())];
    write_scripts(&folder, machine, &roles)
        .map_err(|error| Failure(format!("{}: {error}", folder.display())))?;
    let arguments = "test --locked -p kcptun-interop --test emulated -- --ignored";
    let mut test = workspace.cargo(arguments);
    test.env("KCPTUN_BIN_DIR", folder);
    run_tests(&format!("{name} for {} against Debian's", machine.triple), &mut test)
}

/// Debian's cargo for `machine`, with what is common to all that runs under an emulator.
fn cargo(
    workspace: &Workspace,
    toolchain: &Toolchain,
    machine: &Machine,
    verb: &str,
    arguments: &str,
) -> Result<Command, Failure> {
    // With `test` for programs, too: else all they have in common with tests is built again.
    let arguments = format!(
        "--locked -Z build-std=std,panic_unwind,proc_macro,test --profile emulated {arguments}"
    );
    let mut cargo = machine.cargo(toolchain, &workspace.root, verb, &arguments)?;
    for setting in PROFILE {
        cargo.args(["--config", setting]);
    }
    Ok(cargo)
}

/// Writes scripts of these names, each of which runs a command under the emulator.
fn write_scripts(
    folder: &Path,
    machine: &Machine,
    scripts: &[(&str, String)],
) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(folder)?;
    for (name, command) in scripts {
        let script = folder.join(name);
        let line = format!("exec {} {command} \"$@\"", machine.emulator.join(" "));
        std::fs::write(&script, format!("#!/bin/sh\n{line}\n"))?;
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocators_are_told_by_their_symbols() {
        for name in
            ["__rust_alloc", "malloc", "__libc_malloc", "_ZN5alloc3vec4grow", "_RNvCs1_5alloc3oom"]
        {
            assert!(is_allocator(name), "{name}");
        }
        for name in ["Reset", "_ZN10proto_base4pool4Pool5alloc17h0", "memcpy"] {
            assert!(!is_allocator(name), "{name}");
        }
    }
}
