//! kcptun connections and streams for [tokio]: the tunnel inside your own program, on the wire the
//! same as `kcptun-client` and `kcptun-server`.
//!
//! ```
//! use kcptun_tokio::{CipherKind, Client, ClientSettings, Config, PacketCipher, Server, ServerSettings};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let cipher = PacketCipher::new(CipherKind::Aes, b"a long and random key").unwrap();
//! let server = Server::bind(ServerSettings {
//!     listen: "127.0.0.1:0".parse().unwrap(),
//!     cipher: cipher.clone(),
//!     tunnel: Config::default(),
//!     socket: Default::default(),
//! })?;
//! let client = Client::new(ClientSettings {
//!     remote: server.local_addr().to_string().parse().unwrap(),
//!     cipher,
//!     tunnel: Config::default(),
//!     socket: Default::default(),
//!     policy: Default::default(),
//! });
//!
//! let mut question = client.open().await?;
//! question.write_all(b"hello").await?;
//! question.shutdown().await?; // half close: the answer still comes
//!
//! let mut answer = server.accept().await?;
//! let mut text = String::new();
//! answer.read_to_string(&mut text).await?;
//! answer.write_all(text.to_uppercase().as_bytes()).await?;
//! answer.shutdown().await?;
//!
//! let mut text = String::new();
//! question.read_to_string(&mut text).await?;
//! assert_eq!(text, "HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! Settings other than the defaults, and the sessions that live:
//!
//! ```
//! use kcptun_tokio::{
//!     CipherKind, Client, ClientSettings, Config, PacketCipher, SessionLimits, Shape, SmuxVersion,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let mut tunnel = Config { fec: Shape::new(20, 5).expect("at most 256"), ..Config::default() };
//! tunnel.smux.version = SmuxVersion::V2; // the same at both ends
//! tunnel.kcp.send_window = 2048;
//! let client = Client::new(ClientSettings {
//!     remote: "127.0.0.1:29900".parse().unwrap(),
//!     cipher: PacketCipher::new(CipherKind::Aes, b"a long and random key").unwrap(),
//!     tunnel,
//!     socket: Default::default(),
//!     policy: Default::default(),
//! });
//! let stream = client.open().await?; // nobody has to be there yet
//! let sessions = client.sessions(SessionLimits { sessions: 10, streams: 100 });
//! assert_eq!(sessions.listed[0].remote, stream.remote());
//! assert_eq!(sessions.listed[0].streams[0].0, stream.number());
//! # Ok(())
//! # }
//! ```
//!
//! FEC takes the vector unit that it finds in the CPU and is several times faster by it (feature
//! `simd`, on by default).
//!
//! A [`Stream`] is `Send + 'static`, so it may be moved to any task. Everything that is not a
//! socket, a timer or a task is in `kcptun-async`, and the protocol itself in `kcptun-tunnel`.

#![forbid(unsafe_code)]

mod runtime;
mod stream;

#[cfg(feature = "simd")]
pub use kcptun_async::detect_fec_kernel;
pub use kcptun_async::{
    CipherKind, ClientSettings, Config, ConnectionFigures, ConnectionStats, FecKernel, KcpConfig,
    Offload, PacketCipher, PolicyConfig, RemoteAddress, Resolve, ServerSettings, SessionLimits,
    SessionStats, Sessions, Shape, SmuxConfig, SmuxVersion, SocketConfig, StreamStats,
    SystemResolver, TargetAddress, TunnelStats,
};
pub use runtime::{Tokio, TokioBytes, TokioListener, TokioTimer, TokioUdp};
pub use stream::{Client, Server, Stream};
