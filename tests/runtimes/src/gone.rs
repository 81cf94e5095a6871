//! Connections of the operating system that go while nobody reads them.

use std::future::poll_fn;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kcptun_async::runtime::{Bytes as _, Listener as _};
use kcptun_async::{Client, Relay, RemoteAddress, Resolve, Runtime};

use crate::support::{
    Task, client_settings, read, server, sleep, spawn, stream, tunnel, within, write_all,
};

const SECOND: Duration = Duration::from_secs(1);
const CLOSE_WAIT: Duration = Duration::from_secs(60);

/// Both ends of a connection: ours, and the application's.
async fn accepted<R: Runtime>(runtime: &R) -> (R::Bytes, TcpStream) {
    let listener = kcptun_net::tcp::listen(&"127.0.0.1:0".parse().expect("an address"));
    let listener = runtime.listener(listener.expect("a free port")).expect("a reactor");
    let application = TcpStream::connect(listener.local()).expect("it listens");
    (listener.accept().await.expect("a connection"), application)
}

/// An application breaks its connection while the stream has no room for what it has said: that is
/// noticed, though nobody reads it.
pub async fn a_reset_is_noticed_while_nothing_may_be_read<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (ours, mut theirs) = stream(&client, &server).await;
    let (tcp, mut application) = accepted(&runtime).await;
    let joined = Relay::new(&runtime, ours, tcp, CLOSE_WAIT, false);
    let relay = spawn(&runtime, joined);
    write_all(&mut theirs, b"unread bytes make the drop a reset").await.expect("room");

    application.set_nonblocking(true).expect("an option");
    let (piece, mut idle) = (vec![1; 65_536], 0);
    while idle < 10 {
        match application.write(&piece) {
            Ok(_) => idle = 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                idle += 1;
                sleep(&runtime, Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(application.peek(&mut [0]).is_ok_and(|count| count > 0), "nothing is unread");
    drop(application);
    let end = within(&runtime, 5 * SECOND, relay).await.expect("nobody notices");
    assert_eq!(end.expect_err("it was cut off").kind(), io::ErrorKind::ConnectionReset);
}

/// An application ends its direction and waits for an answer; then it breaks its connection, while
/// nothing comes: that is noticed, though there is nothing to read or to write.
pub async fn a_reset_is_noticed_behind_an_end<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (ours, mut theirs) = stream(&client, &server).await;
    let (tcp, application) = accepted(&runtime).await;
    let joined = Relay::new(&runtime, ours, tcp, CLOSE_WAIT, false);
    let relay = spawn(&runtime, joined);
    write_all(&mut theirs, b"unread bytes make the drop a reset").await.expect("room");
    application.set_nonblocking(true).expect("an option");
    while !application.peek(&mut [0]).is_ok_and(|count| count > 0) {
        sleep(&runtime, SECOND / 100).await;
    }
    application.shutdown(std::net::Shutdown::Write).expect("it stands");
    assert_eq!(read(&mut theirs, &mut [0]).await.expect("its end"), 0);

    drop(application);
    let end = within(&runtime, 20 * SECOND, relay).await.expect("nobody looks");
    // On Linux a connection whose other side had ended its direction breaks with EPIPE.
    let kind = end.expect_err("it was cut off").kind();
    let reset = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
    assert!(reset.contains(&kind), "{kind:?}");
}

/// A name service that begins to know the server at some time.
struct Late {
    knows: AtomicBool,
    address: SocketAddr,
}

impl Resolve for Late {
    fn resolve(&self, _: &RemoteAddress, _: u16) -> io::Result<Vec<SocketAddr>> {
        match self.knows.load(Ordering::Relaxed) {
            true => Ok(vec![self.address]),
            false => Err(io::Error::other("the network is not there")),
        }
    }
}

/// A client whose server's name is not known yet.
fn late_client<R: Runtime>(runtime: &R, address: SocketAddr) -> (Client<R>, Arc<Late>) {
    let late = Arc::new(Late { knows: AtomicBool::new(false), address });
    let resolver: Arc<dyn Resolve> = Arc::clone(&late) as _;
    (Client::with_resolver(runtime.clone(), client_settings(address), resolver), late)
}

/// Opens a stream for a connection; tells how long that took.
fn opening<R: Runtime>(
    runtime: &R,
    client: &Client<R>,
    mut tcp: R::Bytes,
) -> Task<(io::Result<()>, Duration)> {
    let (client, begin) = (client.clone(), Instant::now());
    spawn(runtime, async move {
        let opened = client.open_for(&mut tcp).await.map(drop);
        (opened, begin.elapsed())
    })
}

/// While there is no session: a connection that breaks is let go within seconds, one that was closed
/// soon after, as it may still want an answer; and one that is open waits for as long as it takes.
/// A half-closed one is served when the session comes soon.
pub async fn who_waits_for_a_session_may_go<R: Runtime>(runtime: R) {
    let server = server(&runtime);
    let (client, never) = late_client(&runtime, (Ipv4Addr::LOCALHOST, 9).into());
    let (sooner, late) = late_client(&runtime, server.local_addr());

    let (mut tcp, mut application) = accepted(&runtime).await;
    application.write_all(b"a question").expect("room");
    let unread = poll_fn(|cx| tcp.poll_write(cx, b"unread")).await.expect("room");
    application.peek(&mut [0]).expect("it has come");
    assert_eq!(unread, 6);
    let broken = opening(&runtime, &client, tcp);
    drop(application);

    let (tcp, mut application) = accepted(&runtime).await;
    application.write_all(b"a question").expect("room");
    let closed = opening(&runtime, &client, tcp);
    drop(application);

    let (tcp, _application) = accepted(&runtime).await;
    let open = opening(&runtime, &client, tcp);

    let (tcp, mut half_closed) = accepted(&runtime).await;
    half_closed.write_all(b"a question").expect("room");
    half_closed.shutdown(std::net::Shutdown::Write).expect("it stands");
    let served = opening(&runtime, &sooner, tcp);

    let (broken, _) = within(&runtime, 4 * SECOND, broken).await.expect("nobody notices");
    assert_eq!(broken.expect_err("it broke").kind(), io::ErrorKind::ConnectionReset);
    late.knows.store(true, Ordering::Relaxed);
    let (served, _) = within(&runtime, 4 * SECOND, served).await.expect("a session");
    served.expect("a half-closed connection is no dead one");

    let (closed, elapsed) = within(&runtime, 14 * SECOND, closed).await.expect("nobody notices");
    assert_eq!(closed.expect_err("it was closed").kind(), io::ErrorKind::NotConnected);
    assert!(elapsed > 8 * SECOND, "after {elapsed:?}");
    let waiting = within(&runtime, SECOND, open).await;
    assert!(waiting.is_none(), "an open connection waits");
    // Lets it go.
    never.knows.store(true, Ordering::Relaxed);
}
