//! Programs of others that some rows need.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;

/// A program that this machine may lack, and the Debian package that brings it.
pub(crate) type Need = (&'static str, &'static str);

/// Where the program is.
///
/// # Errors
/// When it is nowhere; it names the package.
pub(crate) fn find((name, package): Need) -> Result<PathBuf, Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Users' paths lack the directories of servers.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut found = places.map(|place| place.join(name)).filter(|path| path.is_file());
    found.next().ok_or_else(|| Failure(format!("{name}: run `apt-get install {package}` as root")))
}

/// Runs a program to its end; what it wrote to its standard output.
///
/// # Errors
/// When it cannot be run or fails; the last line that it wrote says why.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| Failure(format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(Failure(format!("{name}: {}: {last}", output.status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        assert!(find(("sh", "dash")).unwrap().ends_with("sh"));
        let message = find(("no-such-program", "some-package")).unwrap_err().to_string();
        assert!(message.contains("no-such-program") && message.contains("some-package"));
    }

    #[test]
    fn a_program_that_fails_says_why() {
        let shell = |text: &str| output(Command::new("sh").args(["-c", text]));
        assert_eq!(shell("echo yes; echo no >&2"), Ok("yes\n".into()));
        let message = shell("echo first >&2; echo why >&2; exit 3").unwrap_err().to_string();
        assert!(message.contains("why") && message.contains('3'), "{message}");
    }
}
