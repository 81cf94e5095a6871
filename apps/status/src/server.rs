//! Listeners and connections.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use kcptun_async::Runtime;
use kcptun_async::runtime::{Bytes as _, Listener as _, Timer as _};
use kcptun_net::{ListenAddress, tcp};
use proto_base::Instant;

use crate::guests::{Guests, Place};
use crate::http::{BadRequest, MAX_HEAD, Request};
use crate::service::{Paths, Service};
use crate::source::{Program, Tunnel};

/// How long a connection may be silent between requests. Scrapers come every 15 to 60 s.
const IDLE: Duration = Duration::from_secs(75);
/// How long the rest of a request may take.
const HEAD: Duration = Duration::from_secs(10);
/// How long an answer may take on its way.
const ANSWER: Duration = Duration::from_secs(30);
/// How long is listened to a client that is being left, so that it sees the answer and no reset.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Bytes read at once.
const CHUNK: usize = 2_048;

/// Where to listen for what. Equal addresses share a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The page, `/metrics`, `/healthz` and `/status.json` (`--status`).
    pub status: Option<ListenAddress>,
    /// `/debug/pprof/` (`--pprof`).
    pub pprof: Option<ListenAddress>,
}

/// A listener, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// Address and port as bound, or the path of a unix socket.
    pub address: String,
    /// It serves the status page.
    pub status: bool,
    /// It serves profiles.
    pub pprof: bool,
    /// Only programs of this machine can connect. Where this is false, whoever reaches the address
    /// reads addresses and traffic of all sessions: there is no password.
    pub is_local: bool,
}

/// What is shown of a tunnel, and to how many at once: 32 clients of all its listeners together.
/// Clones are the same site.
#[derive(Clone)]
pub struct Site {
    service: Arc<Service>,
    guests: Guests,
}

impl Site {
    /// A site that nobody can reach yet.
    #[must_use]
    pub fn new(program: Program, tunnel: Arc<dyn Tunnel>) -> Self {
        Self { service: Arc::new(Service::new(program, tunnel)), guests: Guests::default() }
    }

    /// Listens where asked and shows the tunnel from then on, on tasks of `runtime`, for as long as
    /// it runs. To be called again for more addresses, so that one that cannot be had does not cost
    /// the others.
    ///
    /// # Errors
    /// When an address cannot be bound; the text names it. Nothing of `addresses` is served then.
    pub async fn listen<R: Runtime>(
        &self,
        runtime: &R,
        addresses: Addresses,
    ) -> io::Result<Vec<Bound>> {
        let Addresses { status, pprof } = addresses;
        let mut wanted = Vec::new();
        let is_shared = status.is_some() && status == pprof;
        wanted.extend(status.map(|address| (address, true, is_shared)));
        wanted.extend(pprof.filter(|_| !is_shared).map(|address| (address, false, true)));

        let mut listeners = Vec::new();
        for (address, status, pprof) in wanted {
            let listener = runtime.blocking(move || tcp::listen(&address)).await?;
            let is_local = is_local(&listener);
            let listener = runtime.listener(listener)?;
            listeners.push((listener, Paths { status, pprof, is_local }));
        }
        let mut bound = Vec::new();
        for (listener, paths) in listeners {
            let Paths { status, pprof, is_local } = paths;
            bound.push(Bound { address: listener.local(), status, pprof, is_local });
            let (runtime, service) = (runtime.clone(), Arc::clone(&self.service));
            let visit = Visit { runtime: runtime.clone(), service, paths };
            runtime.spawn(accept(visit, listener, self.guests.clone()));
        }
        Ok(bound)
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("guests", &self.guests).finish_non_exhaustive()
    }
}

fn is_local(listener: &tcp::Listener) -> bool {
    match listener {
        tcp::Listener::Tcp(listener) => {
            listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
        }
        #[cfg(unix)]
        tcp::Listener::Unix(_) => true,
    }
}

async fn accept<R: Runtime>(visit: Visit<R>, listener: R::Listener, guests: Guests) {
    loop {
        match listener.accept().await {
            Ok(bytes) => {
                if let Some(place) = guests.admit(kcptun_async::now()) {
                    visit.runtime.spawn(visit.clone().receive(bytes, place));
                }
            }
            Err(error) => {
                tracing::debug!("status page: accept: {error}");
                let mut timer = visit.runtime.timer();
                let end = kcptun_async::now() + ACCEPT_PAUSE;
                poll_fn(|cx| timer.poll_until(cx, Some(end))).await;
            }
        }
    }
}

/// What a connection is about.
#[derive(Clone)]
struct Visit<R: Runtime> {
    runtime: R,
    service: Arc<Service>,
    paths: Paths,
}

impl<R: Runtime> Visit<R> {
    /// Answers one client until it goes, or is left.
    async fn receive(self, bytes: R::Bytes, place: Place) {
        let timer = self.runtime.timer();
        let mut guest = Guest::<R> { bytes, timer, place, received: Vec::new() };
        loop {
            let request = match guest.request().await {
                Some(Ok(request)) => request,
                Some(Err(bad)) => {
                    let answer = bad.response().emit(crate::http::Method::Get, false);
                    guest.send(&answer).await;
                    return guest.leave().await;
                }
                None => return,
            };
            guest.place.waits(None);
            let answer = self.service.answer(&self.runtime, self.paths, &request);
            let Some(answer) = guest.unless_gone(pin!(answer)).await else { return };
            let sent = guest.send(&answer.emit(request.method, request.keeps_alive)).await;
            if !sent {
                return;
            }
            if !request.keeps_alive {
                return guest.leave().await;
            }
        }
    }
}

/// A client.
struct Guest<R: Runtime> {
    bytes: R::Bytes,
    timer: R::Timer,
    place: Place,
    /// What came and was not understood yet.
    received: Vec<u8>,
}

impl<R: Runtime> Guest<R> {
    /// The next request; `None` when the client went, fell silent or lost its place.
    async fn request(&mut self) -> Option<Result<Request, BadRequest>> {
        let since = kcptun_async::now();
        self.place.waits(Some(since));
        let mut first_at = None;
        loop {
            if !self.received.is_empty() {
                match Request::parse(&self.received) {
                    Ok(Some((request, len))) => {
                        self.received.drain(..len);
                        return Some(Ok(request));
                    }
                    Ok(None) => {}
                    Err(bad) => return Some(Err(bad)),
                }
                first_at.get_or_insert_with(kcptun_async::now);
            }
            let deadline = first_at.map_or(since + IDLE, |first| first + HEAD);
            poll_fn(|cx| {
                if self.place.poll_lost(cx).is_ready() {
                    return Poll::Ready(None);
                }
                self.poll_fill(cx, deadline)
            })
            .await?;
        }
    }

    /// What `work` yields, unless the client goes before.
    async fn unless_gone<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            // What comes meanwhile is another request; more than one can wait in the system.
            while self.received.len() < MAX_HEAD {
                match self.poll_read(cx) {
                    Poll::Ready(Some(())) => {}
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => break,
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Sends all of an answer; `false` when that failed.
    async fn send(&mut self, answer: &[u8]) -> bool {
        let deadline = kcptun_async::now() + ANSWER;
        let mut sent = 0;
        poll_fn(|cx| {
            while sent < answer.len() {
                match self.bytes.poll_write(cx, &answer[sent..]) {
                    Poll::Ready(Ok(count @ 1..)) => sent += count,
                    Poll::Ready(_) => return Poll::Ready(false),
                    Poll::Pending => {
                        return self.timer.poll_until(cx, Some(deadline)).map(|()| false);
                    }
                }
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Ends the connection so that the client sees all that was said.
    async fn leave(mut self) {
        if self.bytes.shutdown_write().is_err() {
            return;
        }
        let deadline = kcptun_async::now() + FAREWELL;
        let mut left = 8 * MAX_HEAD;
        while left > 0 {
            self.received.clear();
            let more = poll_fn(|cx| self.poll_fill(cx, deadline)).await;
            if more.is_none() {
                return;
            }
            left = left.saturating_sub(self.received.len());
        }
    }

    /// Ready when something came (`None`: the client went, or it is too late).
    fn poll_fill(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<Option<()>> {
        match self.poll_read(cx) {
            Poll::Pending => self.timer.poll_until(cx, Some(deadline)).map(|()| None),
            ready => ready,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut chunk = [0; CHUNK];
        self.bytes.poll_read(cx, &mut chunk).map(|read| match read {
            Ok(count @ 1..) => {
                self.received.extend_from_slice(&chunk[..count]);
                Some(())
            }
            _ => None,
        })
    }
}
