//! What a packet costs, in instructions of a MIPS router: the table in `tests/cost/README.md`.
//!
//! `kcptun-cost` does a fixed amount of work; a plug-in of qemu counts the instructions. The same
//! work with more rounds costs more, and the difference is what the rounds cost: start-up and the
//! first packets, for which memory grows, do not count.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::Machine;
use crate::needs::{self, Need};
use crate::router;
use crate::step::{Failure, Workspace, run};
use crate::toolchain::Toolchain;

const TARGET: &str = "mipsel-unknown-linux-musl";
/// Debian's static emulators take no plug-ins, these do.
const EMULATOR: [&str; 3] = ["qemu-mipsel", "-cpu", "24Kc"];
const NEEDS: &[Need] = &[("qemu-mipsel", "qemu-user"), ("cc", "gcc")];
/// Rounds of the shorter and of the longer run, and packets of a round.
const ROUNDS: [u64; 2] = [10, 20];
const PACKETS: u64 = 40;

/// The most that AES may take in a batch, as a share of what it takes packet by packet.
const AES_SHARE: f64 = 0.6;

/// Builds, counts and prints the tables; answers a summary. Fails if batches do not pay.
pub(crate) fn run_task(workspace: &Workspace) -> Result<String, Failure> {
    let counter = Counter::build(workspace)?;
    println!("\n| cipher, instructions per packet of 1350 bytes | |\n|---|---|");
    let mut ways = Vec::new();
    for (way, name) in [
        ("lanes", "AES-256, bitsliced, a batch of 40 together"),
        ("single", "AES-256, bitsliced, packet by packet"),
        ("table", "AES-256 by tables"),
        ("salsa20", "salsa20"),
    ] {
        let cost = counter.per_packet(&["cipher", way])?;
        println!("| {name} | {cost} |");
        ways.push(cost);
    }
    println!("\n| all layers, per full packet | sender | receiver |\n|---|---|---|");
    for cipher in ["aes", "salsa20", "none"] {
        for (fec, name) in [("off", "no FEC"), ("on", "FEC 10+3")] {
            let both = counter.per_packet(&["both", cipher, fec])?;
            let receiver = counter.replayed(cipher, fec)?;
            println!("| {cipher}, {name} | {} | {receiver} |", both.saturating_sub(receiver));
        }
    }
    let share = ways[0] as f64 / ways[1].max(1) as f64;
    let line = format!("AES of a batch takes {share:.2} of what it takes packet by packet");
    if share <= AES_SHARE { Ok(line) } else { Err(Failure(format!("{line}, above {AES_SHARE}"))) }
}

/// The program, and what counts its instructions.
struct Counter {
    program: PathBuf,
    plugin: PathBuf,
    folder: PathBuf,
}

impl Counter {
    fn build(workspace: &Workspace) -> Result<Self, Failure> {
        let machine = Machine::find(TARGET)?;
        needs::ensure(NEEDS)?;
        let toolchain = Toolchain::get(workspace)?;
        let source = workspace.root.join("tests/cost");
        let arguments = format!("--locked --profile router {}", router::STD);
        let mut build = machine.cargo(&toolchain, &source, "build", &arguments)?;
        build.env("RUSTFLAGS", router::flags(&machine));
        run("kcptun-cost", &mut build)?;
        let folder = toolchain.target.join(TARGET).join("router");
        let plugin = folder.join("count.so");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-O2", "-shared", "-fPIC", "-o"]).arg(&plugin);
        run("the plug-in that counts", cc.arg(source.join("count.c")))?;
        Ok(Self { program: folder.join("kcptun-cost"), plugin, folder })
    }

    /// What a packet of more rounds costs.
    fn per_packet(&self, work: &[&str]) -> Result<u64, Failure> {
        let [short, long] = ROUNDS.map(|rounds| self.count(work, rounds, None));
        Ok((long? - short?) / ((ROUNDS[1] - ROUNDS[0]) * PACKETS))
    }

    /// The same for the receiver alone, from what was recorded.
    fn replayed(&self, cipher: &str, fec: &str) -> Result<u64, Failure> {
        let tape = self.folder.join("tape");
        let [short, long] = ROUNDS.map(|rounds| {
            self.count(&["record", cipher, fec], rounds, Some(&tape))?;
            self.count(&["replay", cipher, fec], rounds, Some(&tape))
        });
        Ok((long? - short?) / ((ROUNDS[1] - ROUNDS[0]) * PACKETS))
    }

    fn count(&self, work: &[&str], rounds: u64, file: Option<&Path>) -> Result<u64, Failure> {
        let [emulator, options @ ..] = EMULATOR;
        let mut command = Command::new(emulator);
        command.args(options).arg("-plugin").arg(&self.plugin).arg(&self.program);
        command.args(work).arg(rounds.to_string()).args(file);
        let title = work.join(" ");
        let output = command
            .output()
            .map_err(|error| Failure(format!("{title} under {emulator}: {error}")))?;
        let failed = |what: &str| Failure(format!("{command:?}: {what}"));
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(failed(text.trim()));
        }
        let count = text.lines().find_map(|line| line.strip_prefix("instructions: "));
        count.and_then(|count| count.parse().ok()).ok_or_else(|| failed("no count"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn what_is_counted_is_built_like_what_is_shipped() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
        let (shipped, counted) = (read("Cargo.toml"), read("tests/cost/Cargo.toml"));
        let from = shipped.find("[profile.release]").unwrap();
        let to = shipped.find("[profile.bench]").unwrap();
        let profiles = shipped[from..to].trim();
        assert!(profiles.contains("[profile.router]"));
        assert!(counted.contains(profiles), "tests/cost/Cargo.toml lacks:\n{profiles}");
    }
}
