//! Lines of the log.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kcptun_async::{
    CipherKind, Client, PacketCipher, RemoteAddress, Resolve, Runtime, Server, ServerSettings,
};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::support::{client_settings, sleep, within, write_all};

const SECOND: Duration = Duration::from_secs(1);

/// What this thread logs.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Takes lines down from now on, until the guard goes.
    pub(crate) fn take_down() -> (Self, impl Drop) {
        let lines = Self::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        (lines, subscriber.with_writer(move || writer.clone()).finish().set_default())
    }

    /// Lines with `part` in them.
    pub(crate) fn with(&self, part: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("no panic").clone()).expect("UTF-8");
        text.lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server that never answers: one session after the other is given up, but the log says it once.
pub async fn no_answer_is_told_once_for_all_sessions<R: Runtime>(runtime: R) {
    const ENOUGH: u64 = 3;

    let (lines, _guard) = Lines::take_down();
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let mut settings = client_settings(silent.local_addr().expect("an address"));
    // What was written is kept for this long, as the server may come back.
    (settings.tunnel.smux.keepalive, settings.tunnel.smux.timeout) = (SECOND, 8 * SECOND);
    let client = Client::new(runtime.clone(), settings);
    let (begin, mut streams) = (Instant::now(), Vec::new());
    while client.stats().endpoint.active_opens < ENOUGH {
        let mut stream = client.open().await.expect("nobody has to be there");
        write_all(&mut stream, b"is anybody there?").await.expect("room");
        streams.push(stream);
        sleep(&runtime, Duration::from_millis(200)).await;
        assert!(begin.elapsed() < 20 * SECOND, "it hangs on to its session");
    }
    let told = lines.with("no answer from");
    assert_eq!(told.len(), 1, "{told:?}");
}

/// A name service that knows nothing.
struct Nothing;

impl Resolve for Nothing {
    fn resolve(&self, _: &RemoteAddress, _: u16) -> io::Result<Vec<std::net::SocketAddr>> {
        Err(io::Error::other("no such name"))
    }
}

/// A dial that fails is repeated each second, and told once, in the words of the original, as a line
/// of the ordinary course.
pub async fn a_dial_that_fails_is_told_once<R: Runtime>(runtime: R) {
    let (lines, _guard) = Lines::take_down();
    let settings = client_settings((Ipv4Addr::LOCALHOST, 9).into());
    let client = Client::with_resolver(runtime.clone(), settings, Arc::new(Nothing));
    let opening = within(&runtime, Duration::from_millis(2_500), client.open()).await;
    assert!(opening.is_none(), "there is no such name");
    assert!(client.stats().dial_failures >= 2, "{:?}", client.stats().dial_failures);
    let told = lines.with("re-connecting: no such name");
    assert!(told.len() == 1 && told[0].contains(" INFO "), "{told:?}");
}

/// A connection that ends within its first datagrams was never told of before: the line about its
/// end names its peer.
pub async fn a_session_that_ends_at_once_is_told_with_its_peer<R: Runtime>(runtime: R) {
    let (lines, _guard) = Lines::take_down();
    let mut settings = ServerSettings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        cipher: PacketCipher::new(CipherKind::Null, b"").expect("built in"),
        tunnel: kcptun_async::Config::default(),
        socket: kcptun_async::SocketConfig::default(),
    };
    settings.tunnel.compression = false;
    let server = Server::bind(&runtime, settings).expect("a free port");
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    // A push of KCP's with eight bytes, a frame of a version of smux that does not exist.
    let mut datagram = [0; 32];
    (datagram[4], datagram[20], datagram[24]) = (81, 8, 9);
    peer.send_to(&datagram, server.local_addr()).expect("loopback takes it");
    let begin = Instant::now();
    while lines.with("invalid protocol").is_empty() {
        assert!(begin.elapsed() < 5 * SECOND, "{:?}", lines.with(""));
        sleep(&runtime, Duration::from_millis(10)).await;
    }
    let peer = peer.local_addr().expect("an address").to_string();
    let told = lines.with("invalid protocol");
    assert!(told.len() == 1 && told[0].contains(&peer), "{told:?}");
}
