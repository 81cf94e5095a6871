//! The binaries' runtime: tokio on one thread, until a signal ends it.

use std::future::Future;

use crate::RunError;

/// Runs `task` until it fails or the program is told to stop (SIGINT, SIGTERM).
pub(crate) fn run(task: impl Future<Output = Result<(), RunError>>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::new(format!("the runtime cannot start: {error}")))?;
    runtime.block_on(async {
        tokio::select! {
            result = task => result,
            signal = stop_signal() => {
                tracing::info!("{signal}: stopping");
                Ok(())
            }
        }
    })
}

#[cfg(unix)]
async fn stop_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};

    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "terminated",
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "interrupt",
        Err(_) => std::future::pending().await,
    }
}
