//! What the binaries need of a runtime beyond what the tunnel needs of one.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kcptun_async::Runtime;
use kcptun_async::runtime::Timer as _;

use crate::signals::Signals;

/// A runtime that has threads to itself, and hears of signals. One file implements it for each.
pub(crate) trait Host: 'static {
    /// What the tunnel runs on.
    type Runtime: Runtime;
    /// Where signals come out.
    type Signals: Signals;

    /// Runs what `task` makes on this thread to its end. What it spawned ends with it.
    ///
    /// # Errors
    /// When the runtime cannot start.
    fn run<F: Future>(task: impl FnOnce(Self::Runtime) -> F) -> io::Result<F::Output>;

    /// Catches the signals to this process from now on, SIGHUP only with `hang_up`. To be called in
    /// a task of [`run`](Self::run).
    fn signals(hang_up: bool) -> Self::Signals;
}

/// Lets time pass.
pub(crate) async fn pause<R: Runtime>(runtime: &R, time: Duration) {
    let mut timer = runtime.timer();
    let end = kcptun_async::now() + time;
    poll_fn(|cx| timer.poll_until(cx, Some(end))).await;
}

/// What the first of two futures that is ready has to say. The other one is dropped.
pub(crate) async fn race<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
    .await
}

/// A value that comes once, for tasks of any thread. Clones are the same notice.
#[derive(Debug)]
pub(crate) struct Notice<T>(Arc<Mutex<Board<T>>>);

#[derive(Debug)]
struct Board<T> {
    value: Option<T>,
    readers: Vec<Waker>,
}

impl<T: Clone> Notice<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Board { value: None, readers: Vec::new() })))
    }

    /// Sets the value, unless there is one.
    pub(crate) fn set(&self, value: T) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.value.get_or_insert(value);
        board.readers.drain(..).for_each(Waker::wake);
    }

    /// The value, if there is one.
    pub(crate) fn get(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).value.clone()
    }

    /// The value, or a wake-up when it comes.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<T> {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = &board.value {
            return Poll::Ready(value.clone());
        }
        if !board.readers.iter().any(|reader| reader.will_wake(cx.waker())) {
            board.readers.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Clone for Notice<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(AtomicUsize);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_notice_wakes_each_reader_once_and_keeps_its_first_value() {
        let (notice, count) = (Notice::new(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        assert!(notice.poll(&cx).is_pending() && notice.poll(&cx).is_pending());
        notice.clone().set(1);
        notice.set(2);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!((notice.get(), notice.poll(&cx)), (Some(1), Poll::Ready(1)));
    }
}
