//! One command for tests and CI: `cargo xtask test`, `cargo xtask ci`.
//!
//! | command | what it runs |
//! |---|---|
//! | `test` | all tests of the workspace, then our binaries against Debian's kcptun |
//! | `test --no-peer` | the same without what needs the peer; the last line says so |
//! | `ci` | format, lints, docs, bare-metal builds of the core, then `test` |
//!
//! The last line of the output sums up; the exit status is 0 only if everything passed.
#![forbid(unsafe_code)]

mod ci;
mod peer;
mod step;
mod test;

use std::process::ExitCode;
use std::time::Instant;

use crate::step::{Failure, Workspace};

const USAGE: &str = "usage: cargo xtask test [--no-peer] | cargo xtask ci [--no-peer]";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    is_ci: bool,
    with_peer: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(plan) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let name = if plan.is_ci { "ci" } else { "test" };
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
    let is_ci = match command.as_str() {
        "test" => false,
        "ci" => true,
        _ => return None,
    };
    let with_peer = match options {
        [] => true,
        [option] if option == "--no-peer" => false,
        _ => return None,
    };
    Some(Plan { is_ci, with_peer })
}

fn run(plan: Plan) -> Result<String, Failure> {
    let workspace = Workspace::find()?;
    if !plan.is_ci {
        return test::run(&workspace, plan.with_peer);
    }
    let checks = ci::check(&workspace)?;
    let tests = test::run(&workspace, plan.with_peer)?;
    Ok(format!("{checks}; {tests}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Plan> {
        parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands_are_understood_and_nothing_else() {
        assert_eq!(parsed("test"), Some(Plan { is_ci: false, with_peer: true }));
        assert_eq!(parsed("test --no-peer"), Some(Plan { is_ci: false, with_peer: false }));
        assert_eq!(parsed("ci"), Some(Plan { is_ci: true, with_peer: true }));
        for wrong in ["", "tests", "test --nopeer", "test --no-peer --no-peer", "--no-peer"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
