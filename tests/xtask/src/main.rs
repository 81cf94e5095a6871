//! One command for tests, CI and benches: `cargo xtask test`, `cargo xtask ci`, `cargo xtask bench`.
//!
//! | command | what it runs |
//! |---|---|
//! | `test` | all tests of the workspace, then our binaries against Debian's kcptun |
//! | `test --no-peer` | the same without what needs the peer; the last line says so |
//! | `ci` | format, lints, docs, bare-metal builds of the core, then `test` |
//! | `bench` | our binaries and Debian's in turn on the same work; `bench --help` says more |
//!
//! The last line of the output sums up; the exit status is 0 only if everything passed.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod peer;
mod step;
mod test;

use std::process::ExitCode;
use std::time::Instant;

use crate::step::{Failure, Workspace};

const USAGE: &str = "usage: cargo xtask test [--no-peer] | cargo xtask ci [--no-peer] | \
                     cargo xtask bench [--quick] [--help] [...]";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    Test {
        with_peer: bool,
    },
    Ci {
        with_peer: bool,
    },
    /// With flags that the measuring program understands.
    Bench(Vec<String>),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(plan) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let name = match plan {
        Plan::Test { .. } => "test",
        Plan::Ci { .. } => "ci",
        Plan::Bench(_) => "bench",
    };
    let start = Instant::now();
    let outcome = run(plan);
    let seconds = start.elapsed().as_secs();
    let took = format!("{} min {:02} s", seconds / 60, seconds % 60);
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
    if command == "bench" {
        return Some(Plan::Bench(options.into()));
    }
    let with_peer = match options {
        [] => true,
        [option] if option == "--no-peer" => false,
        _ => return None,
    };
    match command.as_str() {
        "test" => Some(Plan::Test { with_peer }),
        "ci" => Some(Plan::Ci { with_peer }),
        _ => None,
    }
}

fn run(plan: Plan) -> Result<String, Failure> {
    let workspace = Workspace::find()?;
    match plan {
        Plan::Test { with_peer } => test::run(&workspace, with_peer),
        Plan::Ci { with_peer } => {
            let checks = ci::check(&workspace)?;
            let tests = test::run(&workspace, with_peer)?;
            Ok(format!("{checks}; {tests}"))
        }
        Plan::Bench(options) => bench::run(&workspace, &options),
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
        assert_eq!(parsed("test"), Some(Plan::Test { with_peer: true }));
        assert_eq!(parsed("test --no-peer"), Some(Plan::Test { with_peer: false }));
        assert_eq!(parsed("ci"), Some(Plan::Ci { with_peer: true }));
        assert_eq!(parsed("bench --quick"), Some(Plan::Bench(vec!["--quick".into()])));
        for wrong in ["", "tests", "test --nopeer", "test --no-peer --no-peer", "--no-peer"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
