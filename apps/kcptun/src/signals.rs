//! Signals to a running client or server, and what they ask for.
//!
//! | signal | what happens |
//! |---|---|
//! | SIGINT, SIGTERM | an orderly end: a line of totals in the log, exit status 0 |
//! | SIGUSR1 | one line with all counters in the log, as the original writes it |
//! | SIGHUP, with `--log` | the log file is opened by its name again (logrotate); the program outlives its terminal |
//! | SIGHUP, without | not caught: when its terminal hangs up the program ends, as the original does, unless `nohup` shields it |
//! | SIGPIPE | ignored (by Rust's start-up code): a peer that goes is an error of one connection |
//!
//! On systems without these signals Ctrl-C is SIGINT.

use std::task::{Context, Poll};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To end; with the name for the log.
    Stop(&'static str),
    /// To open the log file again.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Reopen,
    /// To log the counters.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is no such signal"))]
    Report,
}

/// The signals to this process, caught from the making of this value on.
pub(crate) trait Signals {
    /// The next one. What comes several times in a row before it is polled may come out once.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal>;
}
