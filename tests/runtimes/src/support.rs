//! Futures that the behaviours are written with: limits, tasks that are waited for, streams.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use kcptun_async::runtime::{Runtime, Timer as _};
use kcptun_async::{
    CipherKind, Client, ClientSettings, Config, PacketCipher, Server, ServerSettings, Stream,
};

/// How long a behaviour may take: a hang shall be a failure.
pub const TIME_LIMIT: Duration = Duration::from_secs(25);

/// Resolves after `time`.
pub async fn sleep<R: Runtime>(runtime: &R, time: Duration) {
    let (mut timer, end) = (runtime.timer(), kcptun_async::now() + time);
    poll_fn(|cx| timer.poll_until(cx, Some(end))).await;
}

/// What `future` says, or `None` after `time`.
pub async fn within<R: Runtime, T>(
    runtime: &R,
    time: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut future, mut end) = (pin!(future), pin!(sleep(runtime, time)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => end.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Runs `future` as a task; the result is its value, to be waited for.
pub fn spawn<R: Runtime, T: Send + 'static>(
    runtime: &R,
    future: impl Future<Output = T> + Send + 'static,
) -> Task<T> {
    let outcome = Arc::new(Mutex::new(Outcome { value: None, is_over: false, waiter: None }));
    let ending = Ending(Arc::clone(&outcome));
    runtime.spawn(async move {
        let value = future.await;
        lock(&ending.0).value = Some(value);
    });
    Task(outcome)
}

/// A task to wait for; see [`spawn`]. It panics when the task did not come to its end.
pub struct Task<T>(Arc<Mutex<Outcome<T>>>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut outcome = lock(&self.0);
        if !outcome.is_over {
            outcome.waiter = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(outcome.value.take().expect("the task has failed"))
    }
}

struct Outcome<T> {
    value: Option<T>,
    is_over: bool,
    waiter: Option<Waker>,
}

/// Tells that a task is gone, however it went.
struct Ending<T>(Arc<Mutex<Outcome<T>>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        let mut outcome = lock(&self.0);
        outcome.is_over = true;
        if let Some(waiter) = outcome.waiter.take() {
            waiter.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cipher of both ends, unless they are to differ.
#[must_use]
pub fn cipher(key: &str) -> PacketCipher {
    PacketCipher::new(CipherKind::Aes, key.as_bytes()).expect("AES is compiled in")
}

/// A server at `listen`.
///
/// # Errors
/// When the address is taken.
pub fn server_at<R: Runtime>(runtime: &R, listen: SocketAddr) -> io::Result<Server> {
    let settings = ServerSettings {
        listen,
        cipher: cipher("one key"),
        tunnel: Config::default(),
        socket: kcptun_async::SocketConfig::default(),
    };
    Server::bind(runtime, settings)
}

/// A server at a free port of loopback.
#[must_use]
pub fn server<R: Runtime>(runtime: &R) -> Server {
    server_at(runtime, (Ipv4Addr::LOCALHOST, 0).into()).expect("a free port")
}

/// What a client of the server at `remote` is told.
#[must_use]
pub fn client_settings(remote: SocketAddr) -> ClientSettings {
    ClientSettings {
        remote: remote.to_string().parse().expect("an address"),
        cipher: cipher("one key"),
        tunnel: Config::default(),
        socket: kcptun_async::SocketConfig::default(),
        policy: kcptun_async::PolicyConfig::default(),
    }
}

/// A client of the server at `remote`.
#[must_use]
pub fn client_of<R: Runtime>(runtime: &R, remote: SocketAddr) -> Client<R> {
    Client::new(runtime.clone(), client_settings(remote))
}

/// Both ends of a tunnel.
#[must_use]
pub fn tunnel<R: Runtime>(runtime: &R) -> (Client<R>, Server) {
    let server = server(runtime);
    (client_of(runtime, server.local_addr()), server)
}

/// Both ends of a new stream. A server hears of a stream with its first byte, so one is sent.
pub async fn stream<R: Runtime>(client: &Client<R>, server: &Server) -> (Stream, Stream) {
    let mut ours = client.open().await.expect("a stream");
    write_all(&mut ours, b"!").await.expect("a first byte");
    let mut theirs = server.accept().await.expect("the stream's other end");
    let mut first = [0];
    assert_eq!(read(&mut theirs, &mut first).await.expect("a first byte"), 1);
    (ours, theirs)
}

/// Sends back what comes on each stream of `server` and ends after the peer, for ever.
pub async fn echo<R: Runtime>(runtime: R, server: Server) {
    while let Ok(mut stream) = server.accept().await {
        runtime.spawn(async move {
            let mut buffer = vec![0; 16_384];
            // A client that goes early makes errors, which are its own affair.
            while let Ok(count @ 1..) = read(&mut stream, &mut buffer).await {
                if write_all(&mut stream, &buffer[..count]).await.is_err() {
                    return;
                }
            }
            stream.finish();
        });
    }
}

/// Runs `behaviour` with a client of an echoing server, which goes after it.
pub async fn with_echo<R: Runtime, T>(
    runtime: &R,
    server: Server,
    behaviour: impl Future<Output = T>,
) -> T {
    let (mut echoing, mut behaviour) = (pin!(echo(runtime.clone(), server)), pin!(behaviour));
    poll_fn(|cx| {
        let _ = echoing.as_mut().poll(cx);
        behaviour.as_mut().poll(cx)
    })
    .await
}

/// Reads once.
///
/// # Errors
/// The stream's.
pub async fn read(stream: &mut Stream, buffer: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| stream.poll_read(cx, buffer)).await
}

/// Reads to the end.
///
/// # Errors
/// The stream's.
pub async fn read_to_end(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 16_384]);
    loop {
        match read(stream, &mut buffer).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Writes all of `data`.
///
/// # Errors
/// The stream's.
pub async fn write_all(stream: &mut Stream, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        let count = poll_fn(|cx| stream.poll_write(cx, data)).await?;
        data = &data[count..];
    }
    Ok(())
}

/// Writes `data` and ends, while it reads to the end: both directions at once on one task.
pub async fn exchange(stream: &mut Stream, data: &[u8]) -> io::Result<Vec<u8>> {
    Exchange { stream, unsent: Some(data), received: Vec::new(), buffer: vec![0; 16_384] }.await
}

struct Exchange<'a> {
    stream: &'a mut Stream,
    /// `None` once the end was sent.
    unsent: Option<&'a [u8]>,
    received: Vec<u8>,
    buffer: Vec<u8>,
}

impl Exchange<'_> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(unsent) = self.unsent {
            if unsent.is_empty() {
                self.stream.finish();
                self.unsent = None;
            } else {
                let count = ready!(self.stream.poll_write(cx, unsent))?;
                self.unsent = Some(&unsent[count..]);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Future for Exchange<'_> {
    type Output = io::Result<Vec<u8>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            let count = ready!(this.stream.poll_read(cx, &mut this.buffer))?;
            if count == 0 {
                return Poll::Ready(Ok(std::mem::take(&mut this.received)));
            }
            this.received.extend_from_slice(&this.buffer[..count]);
        }
    }
}

/// Bytes that differ from place to place and from `seed` to `seed`, and do not compress.
#[must_use]
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
