//! Connections of the operating system, carried from a listener to a target. Their ends are plain
//! blocking sockets on threads, so that what is compared with is not ours.

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::pin::pin;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

#[cfg(unix)]
use kcptun_async::runtime::Bytes as _;
use kcptun_async::runtime::Listener as _;
use kcptun_async::{Client, Relay, Runtime, Server, TargetAddress};

use crate::support::{pattern, tunnel};

/// For half-closed connections; longer than any behaviour takes.
const CLOSE_WAIT: Duration = Duration::from_secs(60);
/// What comes at once takes less, also on a machine with much to do.
const A_FEW_SECONDS: Duration = Duration::from_secs(10);

/// A question of two megabytes over TCP, to its end; then the answer, to its end.
pub async fn tcp_is_carried<R: Runtime>(runtime: R) {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("an address").to_string();
    let answering = thread::spawn(move || answer(target.accept()?.0));
    carry(&runtime, "127.0.0.1:0", &to, |local| async {
        let asking = thread::spawn(move || ask(TcpStream::connect(local)?));
        join(&runtime, asking).await.expect("an answer");
        join(&runtime, answering).await.expect("a question");
    })
    .await;
}

/// The same over unix sockets.
#[cfg(unix)]
pub async fn unix_sockets_are_carried<R: Runtime>(runtime: R) {
    use std::os::unix::net::{UnixListener, UnixStream};

    let folder = tempfile::tempdir().expect("a folder");
    let (listen, to) = (folder.path().join("listen"), folder.path().join("target"));
    let target = UnixListener::bind(&to).expect("a free path");
    let answering = thread::spawn(move || answer(target.accept()?.0));
    let (listen, to) = (listen.display().to_string(), to.display().to_string());
    carry(&runtime, &listen, &to, |local| async {
        assert_eq!(local, listen);
        let asking = thread::spawn(move || ask(UnixStream::connect(local)?));
        join(&runtime, asking).await.expect("an answer");
        join(&runtime, answering).await.expect("a question");
    })
    .await;
}

/// Unix sockets have the same names in the log whatever the runtime, and the file of a listener goes
/// with it.
#[cfg(unix)]
pub async fn unix_sockets_are_named_by_their_paths<R: Runtime>(runtime: R) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("listen").display().to_string();
    let listener = kcptun_net::tcp::listen(&path.parse().expect("a path"));
    let listener = runtime.listener(listener.expect("a free path")).expect("a listener");
    let near = runtime.connect(path.parse().expect("a path")).await.expect("it listens");
    let far = listener.accept().await.expect("a connection");
    assert_eq!((listener.local(), near.peer()), (path.clone(), path.clone()));
    assert_eq!(far.peer(), "@");
    drop(listener);
    assert!(!std::path::Path::new(&path).exists(), "the file is left behind");
}

/// A connection whose target is not there ends without a byte.
pub async fn a_target_that_is_not_there_ends_the_connection<R: Runtime>(runtime: R) {
    let to = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").to_string()
    };
    carry(&runtime, "127.0.0.1:0", &to, |local| async {
        let asking = thread::spawn(move || {
            let mut connection = TcpStream::connect(local)?;
            connection.write_all(b"is anybody there?")?;
            connection.read_to_end(&mut Vec::new())
        });
        assert_eq!(join(&runtime, asking).await.expect("an end"), 0);
    })
    .await;
}

/// A target that resets its connection ends the stream and the client's connection, though the
/// client would go on writing and reading for ever.
pub async fn a_target_that_resets_ends_the_connection<R: Runtime>(runtime: R) {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("an address").to_string();
    let resetting = thread::spawn(move || {
        let mut connection = target.accept()?.0;
        // Unread bytes make the drop a reset.
        connection.read_exact(&mut [0; 1_000])
    });
    carry(&runtime, "127.0.0.1:0", &to, |local| async {
        let asking = thread::spawn(move || {
            let mut connection = TcpStream::connect(local)?;
            let mut writer = connection.try_clone()?;
            let writing = thread::spawn(move || {
                let piece = pattern(1, 65_536);
                while writer.write_all(&piece).is_ok() {}
            });
            // The end comes as such or as a reset.
            let _ = connection.read_to_end(&mut Vec::new());
            drop(connection.shutdown(Shutdown::Both));
            writing.join().map_err(|_| io::Error::other("the writer failed"))
        });
        join(&runtime, resetting).await.expect("a question");
        join(&runtime, asking).await.expect("an end");
    })
    .await;
}

/// Who gives a download up by a reset ends it at the target within seconds, though the rest of a
/// half-closed connection may go on for a minute: the peer is told by a second FIN that nobody reads
/// any more.
pub async fn a_download_that_is_reset_ends_at_the_target<R: Runtime>(runtime: R) {
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("an address").to_string();
    let flooding = thread::spawn(move || {
        let mut connection = target.accept()?.0;
        let piece = pattern(1, 65_536);
        while connection.write_all(&piece).is_ok() {}
        io::Result::Ok(())
    });
    carry(&runtime, "127.0.0.1:0", &to, |local| async {
        let asking = thread::spawn(move || {
            let mut connection = TcpStream::connect(local)?;
            // What is unread makes the drop a reset.
            connection.read_exact(&mut [0; 100_000])
        });
        join(&runtime, asking).await.expect("a part of the flood");
        let begun = Instant::now();
        join(&runtime, flooding).await.expect("a connection");
        assert!(begun.elapsed() < A_FEW_SECONDS, "{:?}", begun.elapsed());
    })
    .await;
}

/// The end of a connection whose target is not there comes at once, and not only for who reads: who
/// writes for ever is told as well.
pub async fn a_refusal_by_the_target_ends_an_upload<R: Runtime>(runtime: R) {
    let to = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").to_string()
    };
    carry(&runtime, "127.0.0.1:0", &to, |local| async {
        let asking = thread::spawn(move || {
            let (mut connection, begun) = (TcpStream::connect(local)?, Instant::now());
            while connection.write_all(b"is anybody there?").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
            io::Result::Ok(begun.elapsed())
        });
        let elapsed = join(&runtime, asking).await.expect("a connection");
        assert!(elapsed < A_FEW_SECONDS, "{elapsed:?}");
    })
    .await;
}

/// A blocking connection that can end one direction.
trait Connection: Read + Write + Send + Sized + 'static {
    fn end_writing(&self) -> io::Result<()>;
    fn second(&self) -> io::Result<Self>;
}

impl Connection for TcpStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn second(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

#[cfg(unix)]
impl Connection for std::os::unix::net::UnixStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn second(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

const QUESTION: usize = 2 << 20;
const ANSWER: usize = 1 << 20;
/// Who asked and ended its side still reads, and the peer knows: `closewait` does not cut the answer
/// off, however long it takes.
pub async fn an_answer_outlasts_closewait<R: Runtime>(runtime: R) {
    const CLOSE_WAIT: Duration = Duration::from_secs(1);
    const PIECES: u64 = 8;
    let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("an address").to_string();
    let answering = thread::spawn(move || {
        let mut connection = target.accept()?.0;
        connection.read_to_end(&mut Vec::new())?;
        for piece in 0..PIECES {
            thread::sleep(CLOSE_WAIT / 2);
            connection.write_all(&pattern(piece, 1_000))?;
        }
        io::Result::Ok(())
    });
    carry_with(&runtime, CLOSE_WAIT, "127.0.0.1:0", &to, |local| async {
        let asking = thread::spawn(move || {
            let mut connection = TcpStream::connect(local)?;
            connection.write_all(b"question")?;
            connection.shutdown(Shutdown::Write)?;
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer)?;
            io::Result::Ok(answer)
        });
        let answer = join(&runtime, asking).await.expect("an answer");
        join(&runtime, answering).await.expect("a question");
        let all: Vec<u8> = (0..PIECES).flat_map(|piece| pattern(piece, 1_000)).collect();
        assert!(answer == all, "{} bytes", answer.len());
    })
    .await;
}

/// The target has said all it had to say, the client pauses in the midst of its upload until its
/// time is up: the target sees that the upload was cut short, also behind bytes that it has yet to
/// read.
pub async fn an_upload_that_is_given_up_does_not_look_whole<R: Runtime>(runtime: R) {
    const CLOSE_WAIT: Duration = Duration::from_secs(1);
    for sent in [1_000, 200_000] {
        let target = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = target.local_addr().expect("an address").to_string();
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let receiving = thread::spawn(move || {
            let mut connection = target.accept()?.0;
            // Else the end waits for the first byte.
            connection.read_exact(&mut [0; 10])?;
            connection.shutdown(Shutdown::Write)?;
            thread::sleep(3 * CLOSE_WAIT);
            let received = connection.read_to_end(&mut Vec::new());
            drop(tell);
            received
        });
        carry_with(&runtime, CLOSE_WAIT, "127.0.0.1:0", &to, |local| async {
            let asking = thread::spawn(move || {
                let mut connection = TcpStream::connect(local)?;
                connection.write_all(&pattern(1, sent))?;
                // The rest never comes.
                io::Result::Ok((told.recv().is_err(), connection))
            });
            let received = join(&runtime, receiving).await;
            join(&runtime, asking).await.expect("a connection");
            let error = received.expect_err("the upload was cut short");
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
        })
        .await;
    }
}

/// What the target says before it has heard a byte.
const GREETING: &[u8] = b"220 ready\r\n";

fn ask(mut connection: impl Connection) -> io::Result<()> {
    let mut greeting = [0; GREETING.len()];
    let mut writer = connection.second()?;
    let writing = thread::spawn(move || {
        writer.write_all(&pattern(1, QUESTION))?;
        writer.end_writing()
    });
    connection.read_exact(&mut greeting)?;
    assert_eq!(greeting, GREETING);
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    assert!(answer == pattern(2, ANSWER), "{} bytes", answer.len());
    writing.join().map_err(|_| io::Error::other("the writer failed"))?
}

fn answer(mut connection: impl Connection) -> io::Result<()> {
    connection.write_all(GREETING)?;
    let mut question = Vec::new();
    connection.read_to_end(&mut question)?;
    assert!(question == pattern(1, QUESTION), "{} bytes", question.len());
    connection.write_all(&pattern(2, ANSWER))
}

/// What a thread says.
async fn join<R: Runtime, T: Send + 'static>(runtime: &R, thread: JoinHandle<T>) -> T {
    let result = runtime.blocking(move || thread.join()).await;
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Carries connections from `listen` to `target` through a tunnel until `behaviour`, told where
/// they are accepted, is over.
async fn carry<R: Runtime, F: Future<Output = ()>>(
    runtime: &R,
    listen: &str,
    target: &str,
    behaviour: impl FnOnce(String) -> F,
) {
    carry_with(runtime, CLOSE_WAIT, listen, target, behaviour).await;
}

/// The same with another `closewait` at both ends.
async fn carry_with<R: Runtime, F: Future<Output = ()>>(
    runtime: &R,
    closewait: Duration,
    listen: &str,
    target: &str,
    behaviour: impl FnOnce(String) -> F,
) {
    let listen = listen.parse().expect("an address");
    let listener = kcptun_net::tcp::listen(&listen).expect("a free address");
    let listener = runtime.listener(listener).expect("a listener");
    let (client, server) = tunnel(runtime);
    let target = target.parse().expect("an address");
    let mut behaviour = pin!(behaviour(listener.local()));
    let mut accepting = pin!(accept(runtime, closewait, &listener, client));
    let mut serving = pin!(serve(runtime, closewait, server, target));
    poll_fn(|cx| {
        let _ = accepting.as_mut().poll(cx);
        let _ = serving.as_mut().poll(cx);
        behaviour.as_mut().poll(cx)
    })
    .await;
}

/// The client's end, for ever.
async fn accept<R: Runtime>(
    runtime: &R,
    closewait: Duration,
    listener: &R::Listener,
    client: Client<R>,
) {
    loop {
        let mut tcp = listener.accept().await.expect("a connection");
        let (runtime, client) = (runtime.clone(), client.clone());
        runtime.clone().spawn(async move {
            let Ok(stream) = client.open_for(&mut tcp).await else { return };
            // Connections may be reset: both sides see what matters.
            let _ = Relay::new(&runtime, stream, tcp, closewait, false).await;
        });
    }
}

/// The server's end, for ever.
async fn serve<R: Runtime>(
    runtime: &R,
    closewait: Duration,
    server: Server,
    target: TargetAddress,
) {
    loop {
        let stream = server.accept().await.expect("a stream");
        let (runtime, target) = (runtime.clone(), target.clone());
        runtime.clone().spawn(async move {
            if let Ok(tcp) = runtime.connect(target).await {
                let _ = Relay::new(&runtime, stream, tcp, closewait, false).await;
            }
        });
    }
}
