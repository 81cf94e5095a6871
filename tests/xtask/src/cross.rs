//! Other machines: without an operating system, with the other byte order, with words of 32 bits.
//!
//! | part | what it shows | in `ci` | with `--all` |
//! |---|---|---|---|
//! | bare | the machines need core alone, the tunnel core and alloc | 3 targets | |
//! | firmware | a session without a heap: here, and as an ELF free of any allocator, which boots | yes | |
//! | suites | vectors and properties hold there | mips | mipsel, armv7 |
//! | interop | its binaries and Debian's kcptun understand each other | mipsel | armv7 |
//!
//! mips is big-endian and has words of 32 bits at once. That static MIPS binaries leave the FPU
//! alone is checked by `cargo xtask router` whenever it builds one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{MACHINES, Machine};
use crate::needs;
use crate::step::{Failure, Workspace, output, run, run_tests};
use crate::toolchain::Toolchain;

/// The machines that must do without an allocator.
const CORE: &str = "-p proto-base -p kcp-proto -p fec-proto -p smux-proto";
/// Targets without an operating system, so without std: small and little-endian, MIPS, and
/// big-endian.
const BARE: [&str; 3] = ["thumbv7em-none-eabi", "mipsel-unknown-none", "armebv7r-none-eabi"];
/// What the firmware is built for, and what links it.
const FIRMWARE_TARGET: &str = BARE[0];
const FIRMWARE_LINKER: &str = "arm-linux-gnueabihf-ld";
/// Whose suites run under the emulator.
const SUITES: &str =
    "-p proto-base -p kcp-proto -p fec-proto -p smux-proto -p kcptun-tunnel --lib --tests";
/// Binaries that run under an emulator: fast to build, with the checks of a debug build.
const PROFILE: [&str; 6] = [
    "profile.emulated.inherits='release'",
    "profile.emulated.lto=false",
    "profile.emulated.codegen-units=16",
    "profile.emulated.debug-assertions=true",
    "profile.emulated.overflow-checks=true",
    "profile.emulated.strip='debuginfo'",
];

/// Runs all parts, or the share of `ci`; answers a summary. The peer must be there.
pub(crate) fn check(workspace: &Workspace, all: bool) -> Result<String, Failure> {
    let toolchain = Toolchain::get(workspace)?;
    bare(workspace, &toolchain)?;
    let mut tests = firmware(workspace, &toolchain)?;
    let [mips, mipsel, armv7, ..] = MACHINES;
    // Between an emulated big-endian machine and its host datagrams do not come through whole:
    // qemu's user mode (7.2) does not turn round the bytes of a UDP_SEGMENT message (seen: 3000 bytes
    // in segments of 1000 leave as one datagram). Interop there waits for a way to send without it.
    let (suites, interop) = if all {
        (vec![mips, mipsel, armv7], vec![mipsel, armv7])
    } else {
        (vec![mips], vec![mipsel])
    };
    for machine in suites.iter().chain(&interop) {
        machine.ensure_linker()?;
        machine.ensure_emulator()?;
    }
    for machine in &suites {
        tests += suite(workspace, &toolchain, machine)?;
    }
    for machine in &interop {
        tests += talk(workspace, &toolchain, machine)?;
    }
    let names = |machines: &[Machine]| {
        let names: Vec<_> = machines.iter().map(|machine| machine.triple).collect();
        names.join(", ")
    };
    Ok(format!(
        "no_std built for {}; firmware linked without an allocator; {tests} tests, \
         suites for {}, interop of {}",
        BARE.join(", "),
        names(&suites),
        names(&interop)
    ))
}

/// Builds for targets that have no std: what builds for them does not use it.
fn bare(workspace: &Workspace, toolchain: &Toolchain) -> Result<(), Failure> {
    for target in BARE {
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
    let arguments = format!("--locked -Z build-std {SUITES}");
    let mut test = machine.cargo(toolchain, &workspace.root, "test", &arguments);
    run_tests(&format!("vectors and properties on {}", machine.triple), &mut test)
}

/// Binaries for `machine` under its emulator against Debian's kcptun.
fn talk(workspace: &Workspace, toolchain: &Toolchain, machine: &Machine) -> Result<u64, Failure> {
    let arguments = "--locked -Z build-std=std,panic_abort -p kcptun --no-default-features \
                     --bin kcptun-client --bin kcptun-server --profile emulated";
    let mut build = machine.cargo(toolchain, &workspace.root, "build", arguments);
    for setting in PROFILE {
        build.args(["--config", setting]);
    }
    run(&format!("binaries for {}", machine.triple), &mut build)?;
    let built = toolchain.target.join(machine.triple).join("emulated");
    let scripts = scripts(machine, &built)?;
    let mut test = workspace.cargo("test --locked -p kcptun-interop --test emulated -- --ignored");
    test.env("KCPTUN_BIN_DIR", scripts);
    run_tests(&format!("{} binaries against Debian's", machine.triple), &mut test)
}

/// Writes programs that run those in `built` under the emulator; answers their folder.
fn scripts(machine: &Machine, built: &Path) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::PermissionsExt;
    let folder = built.join("emulator");
    let trouble = |error: std::io::Error| Failure(format!("{}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(trouble)?;
    for name in ["kcptun-client", "kcptun-server"] {
        let (script, program) = (folder.join(name), built.join(name));
        let line = format!("exec {} '{}' \"$@\"", machine.emulator.join(" "), program.display());
        std::fs::write(&script, format!("#!/bin/sh\n{line}\n")).map_err(trouble)?;
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).map_err(trouble)?;
    }
    Ok(folder)
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
