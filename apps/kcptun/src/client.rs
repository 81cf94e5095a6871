//! Running a client.

use crate::RunError;
use crate::config::ClientConfig;

/// Runs the client until it is told to stop.
///
/// # Errors
///
/// Always, in this build: it has the command line but carries no traffic.
pub fn run(config: ClientConfig) -> Result<(), RunError> {
    Err(RunError::new(format!("listen {}: this build carries no traffic", config.listen)))
}
