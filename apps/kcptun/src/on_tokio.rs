//! The binaries on tokio: one thread for each runtime, and signals.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};

use kcptun_tokio::Tokio;

use crate::host::Host;
use crate::signals::{Signal, Signals};

/// tokio, one thread at a time.
#[derive(Debug)]
#[cfg_attr(feature = "smol", allow(dead_code, reason = "client and server run on smol"))]
pub(crate) struct OnTokio;

impl Host for OnTokio {
    type Runtime = Tokio;
    type Signals = TokioSignals;

    fn run<F: Future>(task: impl FnOnce(Tokio) -> F) -> io::Result<F::Output> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let output = runtime.block_on(async { task(Tokio).await });
        // A look-up of a name may hang for as long as the resolver likes; nobody waits for it.
        runtime.shutdown_background();
        Ok(output)
    }

    fn signals(hang_up: bool) -> TokioSignals {
        TokioSignals::new(true, hang_up)
    }
}

/// Waits for a signal that asks this process to stop; its name. Signals are caught from the call
/// on, not from the first poll on.
pub(crate) fn stop_signal() -> impl Future<Output = &'static str> {
    let mut signals = TokioSignals::new(false, false);
    async move {
        loop {
            if let Signal::Stop(name) = poll_fn(|cx| signals.poll_next(cx)).await {
                return name;
            }
        }
    }
}

/// Signals by tokio's reactor.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct TokioSignals(Vec<(tokio::signal::unix::Signal, Signal)>);

#[cfg(unix)]
impl TokioSignals {
    fn new(report: bool, hang_up: bool) -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let wanted = [
            (true, SignalKind::interrupt(), Signal::Stop("interrupt")),
            (true, SignalKind::terminate(), Signal::Stop("terminated")),
            (report, SignalKind::user_defined1(), Signal::Report),
            (hang_up, SignalKind::hangup(), Signal::Reopen),
        ];
        let wanted = wanted.into_iter().filter(|(is_wanted, ..)| *is_wanted);
        // What cannot be caught keeps the system's effect.
        Self(wanted.filter_map(|(_, kind, asks)| Some((signal(kind).ok()?, asks))).collect())
    }
}

#[cfg(unix)]
impl Signals for TokioSignals {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        for (signal, asks) in &mut self.0 {
            if let Poll::Ready(Some(())) = signal.poll_recv(cx) {
                return Poll::Ready(*asks);
            }
        }
        Poll::Pending
    }
}

/// Ctrl-C by tokio's reactor.
#[cfg(not(unix))]
pub(crate) struct TokioSignals(std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>);

#[cfg(not(unix))]
impl TokioSignals {
    fn new(_report: bool, _hang_up: bool) -> Self {
        Self(Box::pin(tokio::signal::ctrl_c()))
    }
}

#[cfg(not(unix))]
impl Signals for TokioSignals {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        match self.0.as_mut().poll(cx) {
            Poll::Ready(Ok(())) => {
                self.0 = Box::pin(tokio::signal::ctrl_c());
                Poll::Ready(Signal::Stop("interrupt"))
            }
            // Ctrl-C cannot be caught: it keeps the system's effect.
            Poll::Ready(Err(_)) => {
                self.0 = Box::pin(std::future::pending());
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
