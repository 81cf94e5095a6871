//! Why a client or server could not start or had to stop.

use std::fmt;

/// Why a client or server could not start or had to stop: one line for the user, naming the
/// flag or address at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    message: String,
}

impl RunError {
    /// An error that reads as `message` does.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string() }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RunError {}
