//! `/debug/pprof/`: processor profiles in the form of Go's `net/http/pprof`.
//!
//! Stacks are sampled by SIGPROF, 99 times for each second of processor time: not 100, so as not to
//! beat in step with timers of 10 ms.

use kcptun_async::Runtime;

use crate::http::{Request, Response, Status};

/// Seconds of a profile: unless told, and allowed.
const SECONDS: u64 = 30;
const ALLOWED: std::ops::RangeInclusive<u64> = 1..=300;

/// What there is.
#[expect(clippy::unnecessary_wraps, reason = "of one form with its neighbours")]
pub(crate) fn index() -> Option<Response> {
    let text = "\
/debug/pprof/

profile   processor time by function, for go tool pprof:
            go tool pprof http://ADDRESS/debug/pprof/profile?seconds=30
          seconds: 1 to 300; one at a time
          takes some 200 MB of memory, which the program keeps
cmdline   the command line, without keys

/debug/vars   all counters as JSON
";
    Some(Response::text(Status::OK, text))
}

/// Kinds of profiles that Go programs have and this one does not.
pub(crate) fn unknown(path: &str) -> Option<Response> {
    let reason = match path.strip_prefix("/debug/pprof/")? {
        "heap" | "allocs" => {
            "Rust has no heap profile: memory is not collected, and malloc keeps no record"
        }
        "goroutine" => "there are no goroutines: all sessions of a thread share one loop",
        "threadcreate" | "block" | "mutex" => {
            "threads are few and live as long as the program, and no lock is waited for"
        }
        "trace" => "the Go runtime's trace has no counterpart; take a profile",
        "symbol" => "profiles come with the names of their functions",
        _ => return None,
    };
    Some(Response::text(Status::NOT_FOUND, format!("Not here: {reason}.\n")))
}

/// Records a profile.
pub(crate) async fn profile<R: Runtime>(runtime: &R, request: &Request) -> Option<Response> {
    if request.is_cross_site {
        let text = "A profile is not taken on behalf of another site's page.\n";
        return Some(Response::text(Status::FORBIDDEN, text));
    }
    let seconds = match request.parameter("seconds") {
        None => Some(SECONDS),
        Some(text) => text.parse().ok().filter(|seconds| ALLOWED.contains(seconds)),
    };
    let Some(seconds) = seconds else {
        let (least, most) = (ALLOWED.start(), ALLOWED.end());
        let text = format!("seconds: a whole number from {least} to {most}.\n");
        return Some(Response::text(Status::BAD_REQUEST, text));
    };
    let time = std::time::Duration::from_secs(seconds);
    let response = match recorder::record(runtime, time).await {
        Ok(profile) => Response::new(Status::OK, "application/octet-stream", profile)
            .with_header("Content-Disposition: attachment; filename=\"profile\""),
        Err(refusal) => refusal,
    };
    Some(response)
}

#[cfg(not(all(feature = "profile", unix)))]
mod recorder {
    //! Not in this build.

    use std::time::Duration;

    use kcptun_async::Runtime;

    use crate::http::{Response, Status};

    /// Has nothing to give.
    pub(super) async fn record<R: Runtime>(_: &R, _: Duration) -> Result<Vec<u8>, Response> {
        let text = "This build has no profiler (feature `profile`, Unix).\n";
        Err(Response::text(Status::NOT_FOUND, text))
    }
}

#[cfg(all(feature = "profile", unix))]
mod recorder {
    //! The crate `pprof`.

    use std::future::poll_fn;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use kcptun_async::Runtime;
    use kcptun_async::runtime::Timer as _;
    use pprof::protos::Message as _;
    use pprof::{ProfilerGuard, ProfilerGuardBuilder};

    use crate::http::{Response, Status};

    const FREQUENCY: i32 = 99;

    /// The signal belongs to the process, so one profile is taken at a time.
    static IS_BUSY: AtomicBool = AtomicBool::new(false);

    /// The right to take a profile.
    struct Turn;

    impl Turn {
        fn take() -> Option<Self> {
            (!IS_BUSY.swap(true, Ordering::AcqRel)).then_some(Self)
        }
    }

    impl Drop for Turn {
        fn drop(&mut self) {
            IS_BUSY.store(false, Ordering::Release);
        }
    }

    /// Samples for some time. Dropping the future ends it.
    pub(super) async fn record<R: Runtime>(
        runtime: &R,
        time: Duration,
    ) -> Result<Vec<u8>, Response> {
        let turn = Turn::take().ok_or_else(|| {
            Response::text(Status::CONFLICT, "A profile is being taken; one at a time.\n")
        })?;
        // The unwinding tables of the vdso are wrong on some systems. Samples inside of libc are
        // wanted: that is where system calls stand.
        let profiler = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(&["vdso"]);
        let guard = profiler.build().map_err(|error| failed(&error))?;
        let mut timer = runtime.timer();
        let end = kcptun_async::now() + time;
        poll_fn(|cx| timer.poll_until(cx, Some(end))).await;
        // Names of functions are looked up in the debug information, which takes a while.
        let encoded = runtime.blocking(move || {
            let encoded = encode(&guard);
            drop(guard);
            drop(turn);
            encoded
        });
        encoded.await.map_err(|error| failed(&error))
    }

    fn encode(guard: &ProfilerGuard<'_>) -> pprof::Result<Vec<u8>> {
        let profile = guard.report().build()?.pprof()?;
        // To memory; all that a message needs has been set.
        Ok(profile.write_to_bytes().unwrap_or_default())
    }

    fn failed(error: &pprof::Error) -> Response {
        Response::text(Status::FAILED, format!("The profile failed: {error}\n"))
    }
}
