//! How many files and sockets this process may have open.

use std::fmt;

/// Fewer files may be open than are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TooFewFiles {
    /// Files needed at once.
    pub needed: u64,
    /// Files allowed at once.
    pub allowed: u64,
}

impl fmt::Display for TooFewFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, allowed } = self;
        write!(f, "that takes {needed} open files, and {allowed} are allowed: raise `ulimit -n`")
    }
}

impl std::error::Error for TooFewFiles {}

/// Lets this process have as many files open as it may: the soft limit becomes the hard one, as
/// programs in Go have it since 1.19. And at least `needed`, which beyond the hard limit is a right
/// of root's.
///
/// # Errors
/// When fewer than `needed` are allowed; the limit is raised as far as it goes all the same.
#[cfg(unix)]
pub fn allow_files(needed: u64) -> Result<(), TooFewFiles> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let set = |current, maximum| setrlimit(Resource::Nofile, Rlimit { current, maximum });
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && set(maximum, maximum).is_err() {
        // macOS takes no more than its OPEN_MAX, whatever the hard limit is.
        let _ = set(Some(maximum.map_or(10_240, |most| most.min(10_240))), maximum);
    }
    if maximum.is_some_and(|most| most < needed) {
        let _ = set(Some(needed), Some(needed));
    }
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => Err(TooFewFiles { needed, allowed }),
        _ => Ok(()),
    }
}

/// This system has no such limit.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn allow_files(_needed: u64) -> Result<(), TooFewFiles> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let Some(most) = maximum else { return };
        // One less disturbs no other test of this process.
        setrlimit(Resource::Nofile, Rlimit { current: Some(most - 1), maximum }).unwrap();
        assert_eq!(allow_files(0), Ok(()));
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: maximum, maximum });
        // More than any kernel has.
        let error = allow_files(1 << 60).unwrap_err();
        assert_eq!(error.needed, 1 << 60);
        assert!(error.allowed >= most && error.to_string().contains("ulimit -n"), "{error}");
    }
}
