//! A tunnel with a status server, and a client that speaks raw HTTP.

// Each test binary uses its own part of this.
#![allow(dead_code, unreachable_pub)]

pub mod exposition;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use kcptun_async::{
    CipherKind, Client, ClientSettings, Config, PacketCipher, PolicyConfig, Runtime, Server,
    ServerSettings, SocketConfig, Stream,
};
use kcptun_status::{Addresses, Program, Side};

/// Bytes that went through each stream, and back.
pub const CARRIED: usize = 100_000;
/// Streams that stay open.
pub const STREAMS: usize = 2;

/// Where the pages are.
#[derive(Debug, Clone)]
pub struct Site {
    /// The client's, with everything on one listener.
    pub client: String,
    /// The server's status page alone.
    pub server: String,
    /// The server's profiles alone.
    pub pprof: String,
    /// The same on a listener that was added later.
    pub more: String,
}

impl Site {
    /// On tokio.
    pub fn tokio() -> Self {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(run(kcptun_tokio::Tokio, tell));
        });
        told.recv_timeout(Duration::from_secs(30)).expect("the tunnel starts")
    }

    /// On smol.
    pub fn smol() -> Self {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(|| smol::block_on(run(kcptun_smol::Smol::default(), tell)));
        told.recv_timeout(Duration::from_secs(30)).expect("the tunnel starts")
    }
}

/// Runs a tunnel with traffic until the process ends.
async fn run<R: Runtime>(runtime: R, tell: mpsc::Sender<Site>) {
    let cipher = PacketCipher::new(CipherKind::Aes, b"a long and random key").unwrap();
    let settings = ServerSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        cipher: cipher.clone(),
        tunnel: Config::default(),
        socket: SocketConfig::default(),
    };
    let server = Arc::new(Server::bind(&runtime, settings).unwrap());
    let settings = ClientSettings {
        remote: server.local_addr().to_string().parse().unwrap(),
        cipher,
        tunnel: Config::default(),
        socket: SocketConfig::default(),
        policy: PolicyConfig::default(),
    };
    let client = Client::new(runtime.clone(), settings);
    let accepting = Arc::clone(&server);
    let spawner = runtime.clone();
    runtime.spawn(async move {
        while let Ok(stream) = accepting.accept().await {
            spawner.spawn(echo(stream));
        }
    });
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = client.open().await.unwrap();
        exchange(&mut stream).await;
        streams.push(stream);
    }

    let any = || Some("127.0.0.1:0".parse().unwrap());
    let program = |side| Program::new(side, "1.2 \"three\"").with_settings([("mode", "fast")]);
    let both = Addresses { status: any(), pprof: any() };
    let site = kcptun_status::Site::new(program(Side::Client), Arc::new(client));
    let bound = site.listen(&runtime, both).await.unwrap();
    assert!(bound.len() == 1 && bound[0].status && bound[0].pprof && bound[0].is_local);
    let client = bound[0].address.clone();
    // Two spellings of the address: two listeners.
    let apart = Addresses { status: any(), pprof: Some("localhost:0".parse().unwrap()) };
    let site = kcptun_status::Site::new(program(Side::Server), server);
    let bound = site.listen(&runtime, apart).await.unwrap();
    let [status, pprof] = bound.as_slice() else { panic!("{bound:?}") };
    assert!(status.status && !status.pprof && pprof.pprof && !pprof.status);
    // One more, asked for by itself.
    let more = site.listen(&runtime, Addresses { pprof: any(), status: None }).await.unwrap();
    let [more] = more.as_slice() else { panic!("{more:?}") };
    let site = Site {
        client,
        server: status.address.clone(),
        pprof: pprof.address.clone(),
        more: more.address.clone(),
    };
    tell.send(site).unwrap();
    std::future::pending::<()>().await;
    drop(streams);
}

async fn echo(mut stream: Stream) {
    let mut buffer = vec![0; 4_096];
    while let Ok(count @ 1..) = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await {
        let mut sent = 0;
        while sent < count {
            sent += poll_fn(|cx| stream.poll_write(cx, &buffer[sent..count])).await.unwrap();
        }
    }
}

async fn exchange(stream: &mut Stream) {
    let piece = [9; 1_000];
    for _ in 0..CARRIED / piece.len() {
        let mut sent = 0;
        while sent < piece.len() {
            sent += poll_fn(|cx| stream.poll_write(cx, &piece[sent..])).await.unwrap();
        }
        let mut back = [0; 1_000];
        let mut came = 0;
        while came < back.len() {
            came += poll_fn(|cx| stream.poll_read(cx, &mut back[came..])).await.unwrap();
        }
        assert_eq!(back, piece);
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its code.
    pub status: u16,
    /// By names in lower case.
    pub headers: HashMap<String, String>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A connection that is asked for one thing after the other.
pub struct Connection(TcpStream);

impl Connection {
    /// A new one.
    pub fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    /// Sends a request line with the usual headers, and reads the answer.
    pub fn ask(&mut self, line: &str) -> Answer {
        self.send(format!("{line} HTTP/1.1\r\nHost: localhost:1\r\n\r\n").as_bytes());
        self.read(line.starts_with("HEAD"))
    }

    /// Sends something.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Whether the other side has ended the connection, waiting for it.
    pub fn is_ended(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Reads an answer; that to a HEAD request has no body.
    pub fn read(&mut self, is_head: bool) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let status = first.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.into()))
            .collect();
        let len = if is_head { 0 } else { headers["content-length"].parse().unwrap() };
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        Answer { status, headers, body }
    }
}

/// One request on a connection of its own.
pub fn get(address: &str, path: &str) -> Answer {
    Connection::to(address).ask(&format!("GET {path}"))
}
