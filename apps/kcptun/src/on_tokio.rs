//! The binaries' runtime: tokio on one thread, until a signal ends it.

use std::future::Future;

use crate::RunError;

/// Runs `task` until it fails or the program is told to stop (SIGINT, SIGTERM).
pub(crate) fn run(task: impl Future<Output = Result<(), RunError>>) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::new(format!("the runtime cannot start: {error}")))?;
    let result = runtime.block_on(async {
        // Before the task says anything: who reads its first line may send a signal at once.
        let stop_signal = stop_signal();
        tokio::select! {
            result = task => result,
            signal = stop_signal => {
                tracing::info!("{signal}: stopping");
                Ok(())
            }
        }
    });
    // A look-up of a name may hang for as long as the resolver likes; nobody waits for it.
    runtime.shutdown_background();
    result
}

/// The signals are caught from the call on, not from the first poll on.
#[cfg(unix)]
pub(crate) fn stop_signal() -> impl Future<Output = &'static str> {
    use tokio::signal::unix::{SignalKind, signal};

    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => "interrupt",
            _ = terminate.recv() => "terminated",
        }
    }
}

#[cfg(not(unix))]
pub(crate) async fn stop_signal() -> &'static str {
    match tokio::signal::ctrl_c().await {
        Ok(()) => "interrupt",
        Err(_) => std::future::pending().await,
    }
}
