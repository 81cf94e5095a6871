//! Sessions: their beginnings and ends.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use kcptun_async::{Client, Runtime, Server};

use crate::support::{
    cipher, client_of, client_settings, exchange, pattern, read, read_to_end, server, server_at,
    sleep, spawn, stream, tunnel, with_echo, within, write_all,
};

/// How soon streams have to work after a server has come back.
const BACK_WITHIN: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// Nobody listens when the stream is opened and written to; then somebody does.
pub async fn a_client_may_start_before_its_server<R: Runtime>(runtime: R) {
    let address = free_port();
    let client = client_of(&runtime, address);
    let mut stream = client.open().await.expect("nobody has to be there");
    write_all(&mut stream, b"early").await.expect("room");
    sleep(&runtime, Duration::from_millis(400)).await;

    let server = bind_again(&runtime, address).await;
    with_echo(&runtime, server, async {
        stream.finish();
        assert_eq!(read_to_end(&mut stream).await.expect("an echo"), b"early");
    })
    .await;
}

/// A server is replaced by another on the same port, twice: streams work again soon, whether the
/// session was idle or in the midst of a stream.
pub async fn a_server_comes_back<R: Runtime>(runtime: R) {
    let first = server(&runtime);
    let address = first.local_addr();
    let client = client_of(&runtime, address);
    let mut pending = None;
    with_echo(&runtime, first, async {
        ask(&client, 0).await.expect("an echo");
        let mut stream = client.open().await.expect("a stream");
        write_all(&mut stream, b"!").await.expect("room");
        assert_eq!(read(&mut stream, &mut [0]).await.expect("an echo"), 1);
        pending = Some(stream);
    })
    .await;
    for seed in 1..3 {
        let server = bind_again(&runtime, address).await;
        let back = Instant::now();
        with_echo(&runtime, server, async {
            // As an application does: what fails, or takes too long, is tried again.
            while !matches!(within(&runtime, SECOND, ask(&client, seed)).await, Some(Ok(()))) {
                sleep(&runtime, Duration::from_millis(10)).await;
                assert!(back.elapsed() < 2 * BACK_WITHIN, "no stream works");
            }
        })
        .await;
        assert!(back.elapsed() < BACK_WITHIN, "after {:?}", back.elapsed());
        if let Some(mut stream) = pending.take() {
            // Its session knows no more of it than the new server does.
            let error = read(&mut stream, &mut [0]).await.expect_err("the stream is lost");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }
}

/// An echo on a stream of its own.
pub(crate) async fn ask<R: Runtime>(client: &Client<R>, seed: u64) -> io::Result<()> {
    let sent = pattern(seed, 3_000);
    let received = exchange(&mut client.open().await?, &sent).await?;
    if received == sent { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// With another key nothing gets through, and it does no harm to those with the right one.
pub async fn another_key_never_connects<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let mut settings = client_settings(server.local_addr());
    settings.cipher = cipher("another key");
    // What was written is kept for this long when the client is gone: the server may come back.
    (settings.tunnel.smux.keepalive, settings.tunnel.smux.timeout) = (SECOND, 2 * SECOND);
    let stranger = Client::new(runtime.clone(), settings);
    let mut strange = stranger.open().await.expect("the server is not asked");
    write_all(&mut strange, &pattern(6, 50_000)).await.expect("room");
    let wait = Duration::from_millis(600);
    assert!(within(&runtime, wait, server.accept()).await.is_none(), "a stranger came in");
    assert!(server.stats().endpoint.checksum_errors > 0);
    assert_eq!(server.stats().endpoint.passive_opens, 0);

    let (mut ours, mut theirs) = stream(&client, &server).await;
    write_all(&mut theirs, b"you are known").await.expect("room");
    drop(theirs);
    assert_eq!(read_to_end(&mut ours).await.expect("a greeting"), b"you are known");
    assert!(within(&runtime, Duration::ZERO, read(&mut strange, &mut [0])).await.is_none());
    assert_eq!(stranger.stats().sessions.stream_bytes_in, 0);
}

/// Datagrams of all lengths, from nobody, do not hinder streams.
pub async fn noise_does_no_harm<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let noise = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let address = server.local_addr();
    let (mut ours, mut theirs) = stream(&client, &server).await;
    let sent = pattern(7, 300_000);
    let task = spawn(&runtime, async move { exchange(&mut ours, &pattern(7, 300_000)).await });
    for len in 0..1_500 {
        let _ = noise.send_to(&pattern(len, len as usize), address);
        if len % 64 == 0 {
            sleep(&runtime, Duration::from_millis(1)).await;
        }
    }
    let received = read_to_end(&mut theirs).await.expect("the stream lives");
    assert!(received == sent);
    theirs.finish();
    assert!(task.await.expect("the stream lives").is_empty());
    let stats = server.stats();
    assert!(stats.endpoint.too_short > 0 && stats.endpoint.checksum_errors > 0);
    assert_eq!(stats.endpoint.passive_opens, 1);
}

/// A client that is dropped leaves its streams to those who hold them.
pub async fn streams_outlive_their_client<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (mut ours, mut theirs) = stream(&client, &server).await;
    drop(client);
    let sent = pattern(8, 300_000);
    let task = spawn(&runtime, async move { (read_to_end(&mut theirs).await, theirs) });
    write_all(&mut ours, &sent).await.expect("the stream lives");
    ours.finish();
    let (received, mut theirs) = task.await;
    assert!(received.expect("the stream lives") == sent);
    write_all(&mut theirs, b"farewell").await.expect("the stream lives");
    drop(theirs);
    assert_eq!(read_to_end(&mut ours).await.expect("the stream lives"), b"farewell");
}

/// What was written arrives, though stream and client are dropped at once.
pub async fn the_last_words_of_a_client_arrive<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let mut stream = client.open().await.expect("a stream");
    let sent = pattern(9, 700_000);
    let task = spawn(&runtime, async move {
        write_all(&mut stream, &pattern(9, 700_000)).await.expect("room");
        drop(stream);
        drop(client);
    });
    let mut theirs = server.accept().await.expect("the stream's other end");
    let received = read_to_end(&mut theirs).await.expect("the last words");
    assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
    task.await;
}

/// Futures that wait are dropped; the next ones work.
pub async fn waiting_for_a_stream_may_be_given_up<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    poll_once(client.open()).await;
    assert!(poll_once(server.accept()).await.is_none());
    let (mut ours, mut theirs) = stream(&client, &server).await;
    assert!(poll_once(read(&mut theirs, &mut [0])).await.is_none());
    write_all(&mut ours, b"still here").await.expect("room");
    drop(ours);
    assert_eq!(read_to_end(&mut theirs).await.expect("the stream lives"), b"still here");
}

/// Two tasks wait for a stream. Whichever gives up, a stream that comes wakes the other.
pub async fn one_of_two_who_accept_may_give_up<R: Runtime>(runtime: R) {
    for later_gives_up in [true, false] {
        let (client, server) = tunnel(&runtime);
        let server = Arc::new(server);
        let accept = |patience| {
            let (runtime, server) = (runtime.clone(), Arc::clone(&server));
            // Tasks of their own: what wakes one does not wake the other.
            spawn(&runtime.clone(), async move {
                let accepted = within(&runtime, patience, server.accept()).await;
                accepted.is_some_and(|stream| stream.is_ok())
            })
        };
        let [first, second] =
            if later_gives_up { [20 * SECOND, SECOND] } else { [SECOND, 20 * SECOND] };
        let first = accept(first);
        sleep(&runtime, SECOND / 10).await;
        let second = accept(second);
        let (given_up, waiting) = if later_gives_up { (second, first) } else { (first, second) };
        assert!(!given_up.await, "nobody came");

        let mut ours = client.open().await.expect("a stream");
        write_all(&mut ours, b"!").await.expect("a first byte");
        assert!(within(&runtime, 3 * SECOND, waiting).await.expect("nobody woke it"));
    }
}

/// A session that opens streams without end keeps nobody from a stream of another one.
pub async fn streams_are_accepted_from_each_session_in_turn<R: Runtime>(runtime: R) {
    const MANY: usize = 20;
    let (busy, server) = tunnel(&runtime);
    let modest = client_of(&runtime, server.local_addr());
    let (mut ours, mut remotes) = (Vec::new(), Vec::new());
    for (client, count) in [(&busy, MANY), (&modest, 2)] {
        for _ in 0..count {
            let mut stream = client.open().await.expect("a stream");
            write_all(&mut stream, b"!").await.expect("a first byte");
            ours.push(stream);
        }
        let begin = Instant::now();
        while server.stats().sessions.mux.incoming < ours.len() as u64 {
            assert!(begin.elapsed() < 5 * SECOND, "{:?}", server.stats().sessions.mux);
            sleep(&runtime, SECOND / 100).await;
        }
    }
    for _ in 0..ours.len() {
        let stream = server.accept().await.expect("the stream's other end");
        remotes.push(stream.remote());
    }
    let last = remotes[MANY - 1];
    assert!(remotes[..4].iter().filter(|&&one| one == last).count() == 2, "{remotes:?}");
    assert!(remotes[..4].iter().filter(|&&one| one != last).count() == 2, "{remotes:?}");
}

/// Whoever holds a stream of a server that is dropped is told.
pub async fn a_server_that_goes_resets_its_streams<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (_ours, mut theirs) = stream(&client, &server).await;
    let waiting = spawn(&runtime, async move { (read(&mut theirs, &mut [0]).await, theirs) });
    drop(server);
    let (result, mut theirs) = waiting.await;
    assert_eq!(result.expect_err("it is gone").kind(), io::ErrorKind::ConnectionReset);
    let error = write_all(&mut theirs, b"?").await.expect_err("it is gone");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// A server that is gone and does not come back: a stream that waits for an answer is told, as its
/// host refuses what is sent there.
pub async fn a_refusal_resets_streams<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (mut ours, mut theirs) = stream(&client, &server).await;
    write_all(&mut theirs, b"!").await.expect("room");
    assert_eq!(read(&mut ours, &mut [0]).await.expect("a sign of life"), 1);
    drop(server);
    read(&mut theirs, &mut [0]).await.expect_err("its server is gone");
    write_all(&mut ours, b"is anybody there?").await.expect("room");
    let error = read(&mut ours, &mut [0]).await.expect_err("nobody is there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// Polls a future once and drops it.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// An address at which nobody listens.
fn free_port() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    socket.and_then(|socket| socket.local_addr()).expect("a free port")
}

/// A server at an address that another may just be leaving.
pub(crate) async fn bind_again<R: Runtime>(runtime: &R, address: SocketAddr) -> Server {
    loop {
        match server_at(runtime, address) {
            Ok(server) => return server,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
        }
        sleep(runtime, Duration::from_millis(2)).await;
    }
}
