//! The small binary for routers, built with Debian's compilers, and for static ones with zig of
//! Python's package index.
//!
//! `cargo xtask router --target mipsel-unknown-linux-musl` gives a static binary that runs on any
//! Linux of that kind; targets that end in `-gnu` are linked against Debian's glibc. `--features
//! salsa20,aes` leaves all other ciphers out. `cargo xtask dist` packs what is built here. `cross
//! build` (see `Cross.toml`) and OpenWrt know the profile, not the flags, and build a larger one.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::Machine;
use crate::needs;
use crate::step::{Failure, Workspace, output, run};
use crate::toolchain::Toolchain;

/// The program, and the package of the same name.
pub(crate) const PROGRAM: &str = "kcptun-router";
/// What the standard library leaves out: backtraces, and code that is long to be fast.
pub(crate) const STD: &str = "-Z build-std=std,panic_abort -Z build-std-features=optimize_for_size";
/// A panic ends the program at once: no text, no unwinding, hence nothing to look names up with.
const FLAGS: &str = "-Zunstable-options -Cpanic=immediate-abort -Zlocation-detail=none \
                     -Cforce-unwind-tables=no";
/// Where nothing is linked at run time, code need not be movable; on MIPS that spares every function
/// the search for its constants. The C library and its start-up code are the linker's.
const STATIC_FLAGS: &str = "-Crelocation-model=static -Clink-self-contained=no \
                            -Clink-arg=-fno-unwind-tables \
                            -Clink-arg=-fno-asynchronous-unwind-tables";
/// A jump of MIPS executes the instruction behind it; what comes next where it leads may stand there
/// instead of none. What is hoisted out of loops is mostly saved and loaded again, as registers run
/// out. The counts of `cargo xtask cost` bear no trace of functions that are called, not copied.
const MIPS_FLAGS: &str = "-Cllvm-args=-disable-mips-df-succbb-search=false \
                          -Cllvm-args=-disable-machine-licm -Cllvm-args=-inline-threshold=10";

/// What to build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Order {
    /// Triples; none: a static binary for machines like this one.
    pub(crate) targets: Vec<String>,
    /// Features of the program instead of its default ones.
    pub(crate) features: Option<String>,
}

impl Order {
    /// From the command line.
    pub(crate) fn parse(options: &[&str]) -> Option<Self> {
        let mut order = Self::default();
        for pair in options.chunks(2) {
            match pair {
                ["--target", triple] => order.targets.push((*triple).to_owned()),
                ["--features", list] => order.features = Some((*list).to_owned()),
                _ => return None,
            }
        }
        Some(order)
    }
}

/// Builds; answers a summary with the sizes.
pub(crate) fn run_task(workspace: &Workspace, order: &Order) -> Result<String, Failure> {
    let here = ["x86_64-unknown-linux-musl".to_owned()];
    let targets = if order.targets.is_empty() { &here[..] } else { &order.targets };
    let machines = targets.iter().map(|triple| Machine::find(triple));
    let machines = machines.collect::<Result<Vec<_>, _>>()?;
    let toolchain = Toolchain::get(workspace)?;
    let mut built = Vec::new();
    for machine in machines {
        let binary = build(workspace, &toolchain, &machine, order.features.as_deref())?;
        let size = binary
            .metadata()
            .map_err(|error| Failure(format!("{}: {error}", binary.display())))?
            .len();
        built.push(format!("{} ({} KB)", binary.display(), size.div_ceil(1000)));
    }
    Ok(built.join(", "))
}

/// Builds for one machine; answers where the binary is.
pub(crate) fn build(
    workspace: &Workspace,
    toolchain: &Toolchain,
    machine: &Machine,
    features: Option<&str>,
) -> Result<PathBuf, Failure> {
    let mut arguments = format!("--locked -p {PROGRAM} --profile router {STD}");
    if let Some(features) = features {
        arguments.push_str(&format!(" --no-default-features --features {features}"));
    }
    let mut build = machine.cargo(toolchain, &workspace.root, "build", &arguments)?;
    build.env("RUSTFLAGS", flags(machine));
    run(&format!("{PROGRAM} for {}", machine.triple), &mut build)?;
    let binary = toolchain.target.join(machine.triple).join("router").join(PROGRAM);
    if machine.triple.starts_with("mips") && machine.triple.ends_with("musl") {
        has_no_float(&binary)?;
        // Tables for debuggers, 100 KB, which other linkers leave out and strip leaves in.
        let mut strip = Command::new("mipsel-linux-gnu-strip");
        run("strip", strip.args(["--remove-section=.pdr"]).arg(&binary))?;
    }
    Ok(binary)
}

/// What the compiler is told for one machine, besides the profile `router`.
pub(crate) fn flags(machine: &Machine) -> String {
    let mut flags = FLAGS.to_owned();
    for (applies, more) in
        [(machine.is_static(), STATIC_FLAGS), (machine.triple.starts_with("mips"), MIPS_FLAGS)]
    {
        if applies {
            flags.push(' ');
            flags.push_str(more);
        }
    }
    flags
}

/// Whether a MIPS binary leaves the FPU alone, which most routers lack.
fn has_no_float(binary: &Path) -> Result<(), Failure> {
    needs::ensure(&[("mipsel-linux-gnu-objdump", "binutils-mipsel-linux-gnu")])?;
    let mut objdump = Command::new("mipsel-linux-gnu-objdump");
    let text = output(objdump.args(["-d", "--no-show-raw-insn"]).arg(binary))?;
    // "  400120:\taddiu\tsp,sp,-32"
    let words = text.lines().filter_map(|line| line.split('\t').nth(1));
    let (mut count, mut found) = (0usize, None);
    for word in words {
        count += 1;
        if is_float(word.trim()) {
            found.get_or_insert(word.trim());
        }
    }
    match found {
        _ if count < 1000 => Err(Failure(format!("{} has no instructions", binary.display()))),
        None => {
            println!("{count} instructions, none of the FPU");
            Ok(())
        }
        Some(word) => Err(Failure(format!("{} uses the FPU: {word}", binary.display()))),
    }
}

/// Whether a mnemonic of MIPS32 is of coprocessor 1.
fn is_float(mnemonic: &str) -> bool {
    const MOVES: [&str; 14] = [
        "lwc1", "swc1", "ldc1", "sdc1", "lwxc1", "swxc1", "ldxc1", "sdxc1", "mtc1", "mfc1",
        "mthc1", "mfhc1", "ctc1", "cfc1",
    ];
    let (stem, format) = mnemonic.rsplit_once('.').unwrap_or((mnemonic, ""));
    MOVES.contains(&mnemonic)
        || stem.starts_with("bc1")
        || matches!(format, "s" | "d" | "ps" | "w" | "l") && !matches!(stem, "rdpgpr" | "ext")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_understood() {
        let order = Order::parse(&["--target", "a", "--features", "aes,salsa20"]).unwrap();
        assert_eq!(order.targets, ["a"]);
        assert_eq!(order.features.as_deref(), Some("aes,salsa20"));
        assert_eq!(Order::parse(&[]), Some(Order::default()));
        assert_eq!(Order::parse(&["--target"]), None);
        assert_eq!(Order::parse(&["a", "b"]), None);
    }

    #[test]
    fn float_instructions_are_told_by_name() {
        for name in ["lwc1", "add.s", "mul.d", "cvt.s.w", "c.lt.d", "bc1t", "trunc.w.s", "mtc1"] {
            assert!(is_float(name), "{name}");
        }
        for name in ["addiu", "lw", "mult", "mfhi", "seb", "jr", "movz"] {
            assert!(!is_float(name), "{name}");
        }
    }
}
