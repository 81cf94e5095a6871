//! The binaries on smol: one executor for each thread, and signals.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_signal::Signal as Number;
use kcptun_smol::Smol;
use smol::Executor;
use smol::stream::Stream as _;

use crate::host::Host;
use crate::signals::{Signal, Signals};

/// smol, with executors that a thread has to itself.
#[derive(Debug)]
pub(crate) struct OnSmol;

impl Host for OnSmol {
    type Runtime = Smol;
    type Signals = SmolSignals;

    fn run<F: Future>(task: impl FnOnce(Smol) -> F) -> io::Result<F::Output> {
        // Tasks that are left end when it is dropped.
        let executor = Arc::new(Executor::new());
        let runtime = Smol::on(&executor);
        Ok(smol::block_on(executor.run(async { task(runtime).await })))
    }

    fn signals(hang_up: bool) -> SmolSignals {
        SmolSignals::new(hang_up)
    }
}

/// Signals by smol's reactor.
#[derive(Debug)]
pub(crate) struct SmolSignals(Option<async_signal::Signals>);

impl SmolSignals {
    fn new(hang_up: bool) -> Self {
        // What cannot be caught keeps the system's effect.
        let signals = async_signal::Signals::new([Number::Int]).ok();
        #[cfg(unix)]
        let signals = signals.map(|mut signals| {
            let wanted = [(true, Number::Term), (true, Number::Usr1), (hang_up, Number::Hup)];
            for (_, number) in wanted.into_iter().filter(|(is_wanted, _)| *is_wanted) {
                let _ = signals.add_signals([number]);
            }
            signals
        });
        #[cfg(not(unix))]
        let _ = hang_up;
        Self(signals)
    }
}

impl Signals for SmolSignals {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        let Some(signals) = &mut self.0 else { return Poll::Pending };
        loop {
            return match Pin::new(&mut *signals).poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Ok(number))) => match asks(number) {
                    Some(signal) => Poll::Ready(signal),
                    None => continue,
                },
                // No more will come.
                Poll::Ready(Some(Err(_)) | None) => {
                    self.0 = None;
                    Poll::Pending
                }
            };
        }
    }
}

/// What a signal asks for.
fn asks(number: Number) -> Option<Signal> {
    match number {
        Number::Int => Some(Signal::Stop("interrupt")),
        #[cfg(unix)]
        Number::Term => Some(Signal::Stop("terminated")),
        #[cfg(unix)]
        Number::Usr1 => Some(Signal::Report),
        #[cfg(unix)]
        Number::Hup => Some(Signal::Reopen),
        #[cfg(unix)]
        _ => None,
    }
}
