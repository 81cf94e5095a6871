//! Running a server.

use crate::RunError;
use crate::config::ServerConfig;

/// Runs the server until it is told to stop.
///
/// # Errors
///
/// Always, in this build: it has the command line but carries no traffic.
pub fn run(config: ServerConfig) -> Result<(), RunError> {
    Err(RunError::new(format!("listen {}: this build carries no traffic", config.listen)))
}
