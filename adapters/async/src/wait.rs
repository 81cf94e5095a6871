//! Waiting with a limit.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::now;
use crate::runtime::{Runtime, Timer};

/// Resolves after `time`.
#[cfg(unix)]
pub(crate) async fn sleep<R: Runtime>(runtime: &R, time: Duration) {
    let (mut timer, end) = (runtime.timer(), now() + time);
    poll_fn(|cx| timer.poll_until(cx, Some(end))).await;
}

/// What `future` says, or `None` after `time`.
pub(crate) async fn within<R: Runtime, T>(
    runtime: &R,
    time: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut future, mut timer, end) = (pin!(future), runtime.timer(), now() + time);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => timer.poll_until(cx, Some(end)).map(|()| None),
    })
    .await
}
