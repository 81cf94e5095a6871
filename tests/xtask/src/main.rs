//! One command for everything that is done with this workspace: `cargo xtask COMMAND`.
//!
//! | command | what it does |
//! |---|---|
//! | `test` | all tests of the workspace, then our binaries against Debian's kcptun |
//! | `test --no-peer` | the same without what needs the peer or root; the last line says so |
//! | `test --all` | the same as `test`, then what takes long: `cross --all`, `cost`, release archives |
//! | `ci` | format, lints, docs, other systems, `cross`, then `test` |
//! | `cross` | the core without an operating system, suites and interop on an emulated machine |
//! | `cross --all` | the same on three machines |
//! | `router` | the small binary, for `--target TRIPLE` (several may be given), `--features LIST` |
//! | `cost` | instructions per packet on a MIPS router, as in `tests/cost/README.md` |
//! | `platforms` | of that, only the programs for other operating systems |
//! | `bench` | our binaries and Debian's in turn on the same work; `bench --help` says more |
//! | `man` | the manual pages, into `target/man` |
//! | `deb` | the Debian package, into `target/debian`; `--binaries DIR` packs what is there |
//! | `dist` | release archives and their sums, into `target/dist`; `--target TRIPLE` for others; the small binary in them is that of `router` |
//!
//! What is missing on this machine is installed, as root, or named. The last line of the output
//! sums up; the exit status is 0 only if everything passed.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod cost;
mod cross;
mod deb;
mod dist;
mod machine;
mod man;
mod needs;
mod platforms;
mod router;
mod step;
mod test;
mod toolchain;
mod zig;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::cross::Share;
use crate::step::{Failure, Workspace};
use crate::test::Extent;

const USAGE: &str = "\
usage: cargo xtask test [--no-peer | --all]
       cargo xtask ci [--no-peer | --all]
       cargo xtask cross [--all]
       cargo xtask router [--target TRIPLE]... [--features LIST]
       cargo xtask cost
       cargo xtask platforms
       cargo xtask bench [--quick] [--help] [...]
       cargo xtask man
       cargo xtask deb [--binaries DIR]
       cargo xtask dist [--target TRIPLE]...";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    Test(Extent),
    Ci(Extent),
    Platforms,
    /// All of it, or the share of `ci`.
    Cross(Share),
    Router(router::Order),
    Cost,
    /// With flags that the measuring program understands.
    Bench(Vec<String>),
    Man,
    /// From the programs in a directory, or from those it builds.
    Deb(Option<PathBuf>),
    /// For these targets, or for this machine.
    Dist(Vec<String>),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(plan) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let start = Instant::now();
    let outcome = run(plan);
    let seconds = start.elapsed().as_secs();
    let took = format!("{} min {:02} s", seconds / 60, seconds % 60);
    let name = &arguments[0];
    match outcome {
        Ok(summary) => {
            println!("\nxtask {name}: passed in {took}: {summary}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("\nxtask {name}: FAILED after {took}: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<Plan> {
    let (command, options) = arguments.split_first()?;
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    match (command.as_str(), options.as_slice()) {
        ("bench", _) => Some(Plan::Bench(arguments[1..].into())),
        ("test", options) => extent(options).map(Plan::Test),
        ("ci", options) => extent(options).map(Plan::Ci),
        ("platforms", []) => Some(Plan::Platforms),
        ("cross", []) => Some(Plan::Cross(Share::Usual)),
        ("cross", ["--all"]) => Some(Plan::Cross(Share::All)),
        ("cost", []) => Some(Plan::Cost),
        ("router", options) => router::Order::parse(options).map(Plan::Router),
        ("man", []) => Some(Plan::Man),
        ("deb", []) => Some(Plan::Deb(None)),
        ("deb", ["--binaries", folder]) => Some(Plan::Deb(Some(folder.into()))),
        ("dist", options) => targets(options).map(Plan::Dist),
        _ => None,
    }
}

fn extent(options: &[&str]) -> Option<Extent> {
    match options {
        [] => Some(Extent::Usual),
        ["--no-peer"] => Some(Extent::WithoutPeer),
        ["--all"] => Some(Extent::All),
        _ => None,
    }
}

fn targets(options: &[&str]) -> Option<Vec<String>> {
    let target = |pair: &[&str]| match pair {
        ["--target", target] => Some((*target).to_owned()),
        _ => None,
    };
    options.chunks(2).map(target).collect()
}

fn run(plan: Plan) -> Result<String, Failure> {
    let workspace = Workspace::find()?;
    match plan {
        Plan::Test(extent) => test::run(&workspace, extent),
        Plan::Ci(extent) => {
            let checks = ci::check(&workspace)?;
            let platforms = platforms::check(&workspace)?;
            let machines = ci::machines(&workspace, extent)?;
            let tests = test::run(&workspace, extent)?;
            Ok(format!("{checks}; {platforms}; {machines}{tests}"))
        }
        Plan::Platforms => platforms::check(&workspace),
        Plan::Cross(share) => {
            needs::ensure(needs::TESTS)?;
            cross::check(&workspace, share)
        }
        Plan::Cost => cost::run_task(&workspace),
        Plan::Router(order) => router::run_task(&workspace, &order),
        Plan::Bench(options) => bench::run(&workspace, &options),
        Plan::Man => man::run_task(&workspace),
        Plan::Deb(binaries) => deb::run_task(&workspace, binaries.as_deref()),
        Plan::Dist(targets) => dist::run_task(&workspace, &targets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Plan> {
        parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_are_understood_and_nothing_else() {
        assert_eq!(parsed("test"), Some(Plan::Test(Extent::Usual)));
        assert_eq!(parsed("test --no-peer"), Some(Plan::Test(Extent::WithoutPeer)));
        assert_eq!(parsed("ci --all"), Some(Plan::Ci(Extent::All)));
        assert_eq!(parsed("bench --quick"), Some(Plan::Bench(vec!["--quick".into()])));
        assert_eq!(parsed("deb --binaries x"), Some(Plan::Deb(Some("x".into()))));
        assert_eq!(parsed("cross --all"), Some(Plan::Cross(Share::All)));
        assert_eq!(parsed("router"), Some(Plan::Router(router::Order::default())));
        assert_eq!(parsed("dist"), Some(Plan::Dist(vec![])));
        let two = Plan::Dist(vec!["a".into(), "b".into()]);
        assert_eq!(parsed("dist --target a --target b"), Some(two));
        for wrong in [
            "",
            "tests",
            "test --nopeer",
            "test --no-peer --all",
            "--no-peer",
            "man page",
            "deb --binaries",
            "dist --target",
            "dist a b",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
