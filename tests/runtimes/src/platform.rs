//! The runtimes, as tests see them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kcptun_async::Runtime;

use crate::support::{TIME_LIMIT, sleep, within};

/// A runtime that a test can start, and whose tasks it can count.
pub trait Platform {
    /// The adapter's.
    type Runtime: Runtime;

    /// Runs `behaviour` on one thread, then waits until no task is left.
    ///
    /// # Panics
    /// When the behaviour panics or takes longer than [`TIME_LIMIT`], or tasks are left as long
    /// after it.
    fn run<F: Future<Output = ()>>(behaviour: impl FnOnce(Self::Runtime) -> F);
}

/// tokio, its current-thread runtime.
#[derive(Debug)]
pub struct Tokio;

impl Platform for Tokio {
    type Runtime = kcptun_tokio::Tokio;

    fn run<F: Future<Output = ()>>(behaviour: impl FnOnce(Self::Runtime) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let tasks = runtime.metrics();
        let tasks = || tasks.num_alive_tasks();
        runtime.block_on(run(kcptun_tokio::Tokio, behaviour, tasks));
    }
}

/// smol, an executor of the test's own.
#[derive(Debug)]
pub struct Smol;

impl Platform for Smol {
    type Runtime = kcptun_smol::Smol;

    fn run<F: Future<Output = ()>>(behaviour: impl FnOnce(Self::Runtime) -> F) {
        let executor = Arc::new(smol::Executor::new());
        let tasks = || usize::from(!executor.is_empty());
        let runtime = kcptun_smol::Smol::on(&executor);
        smol::block_on(executor.run(run(runtime, behaviour, tasks)));
    }
}

async fn run<R: Runtime, F: Future<Output = ()>>(
    runtime: R,
    behaviour: impl FnOnce(R) -> F,
    tasks: impl Fn() -> usize,
) {
    let _ = tracing_subscriber::fmt().with_test_writer().try_init();
    within(&runtime, TIME_LIMIT, behaviour(runtime.clone())).await.expect("it hangs");
    let ended = async {
        while tasks() > 0 {
            sleep(&runtime, Duration::from_millis(5)).await;
        }
    };
    within(&runtime, TIME_LIMIT, ended).await.expect("tasks are left when all is dropped");
}
