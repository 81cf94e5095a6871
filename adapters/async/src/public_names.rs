//! The public names of an adapter, the same for every runtime.

/// Defines `Client`, `Server` and `Stream` in the module where it stands: this crate's own with the
/// runtime settled, which has to be `Default`.
///
/// They are types of the adapter because it gives `Stream` its runtime's traits, which only the
/// crate of a type or of a trait can do.
#[doc(hidden)]
#[macro_export]
macro_rules! public_names {
    ($runtime:ident) => {
        /// The dialling end of a tunnel: see [`kcptun_async::Client`].
        #[derive(Debug, Clone)]
        pub struct Client($crate::Client<$runtime>);

        impl Client {
            /// A client. Nothing is dialled before the first stream is opened.
            #[doc = concat!("Its tasks run on the default [`", stringify!($runtime), "`].")]
            #[must_use]
            pub fn new(settings: $crate::ClientSettings) -> Self {
                Self($crate::Client::new($runtime::default(), settings))
            }

            /// As [`new`](Self::new), for a client that asks `resolver` for its server's addresses.
            #[must_use]
            pub fn with_resolver(
                settings: $crate::ClientSettings,
                resolver: ::std::sync::Arc<dyn $crate::Resolve>,
            ) -> Self {
                Self($crate::Client::with_resolver($runtime::default(), settings, resolver))
            }

            /// Opens a stream to the server; see [`kcptun_async::Client::open`].
            ///
            /// # Errors
            /// When several sessions in a row died before a stream could be opened, and when the
            /// client's runtime has ended.
            pub async fn open(&self) -> ::std::io::Result<Stream> {
                self.0.open().await.map(Stream)
            }

            /// Counters of all sessions since the client was made.
            #[must_use]
            pub fn stats(&self) -> $crate::TunnelStats {
                self.0.stats()
            }

            /// The sessions that live, as many as `limits` allow.
            #[must_use]
            pub fn sessions(&self, limits: $crate::SessionLimits) -> $crate::Sessions {
                self.0.sessions(limits)
            }
        }

        /// The accepting end of a tunnel: see [`kcptun_async::Server`].
        #[derive(Debug)]
        pub struct Server($crate::Server);

        impl Server {
            /// Binds the socket and starts its driver.
            #[doc = concat!("Its tasks run on the default [`", stringify!($runtime), "`].")]
            ///
            /// # Errors
            /// When the address cannot be bound, or a setting cannot work.
            pub fn bind(settings: $crate::ServerSettings) -> ::std::io::Result<Self> {
                $crate::Server::bind(&$runtime::default(), settings).map(Self)
            }

            /// The next stream that a client opened, from each session in turn. Any number of
            /// tasks may wait at once, and any of them may give up.
            ///
            /// # Errors
            /// When the runtime that the server was bound on has ended.
            pub async fn accept(&self) -> ::std::io::Result<Stream> {
                self.0.accept().await.map(Stream)
            }

            /// Where the server listens.
            #[must_use]
            pub fn local_addr(&self) -> ::std::net::SocketAddr {
                self.0.local_addr()
            }

            /// Counters of all sessions since the server was bound.
            #[must_use]
            pub fn stats(&self) -> $crate::TunnelStats {
                self.0.stats()
            }

            /// The sessions that live, as many as `limits` allow.
            #[must_use]
            pub fn sessions(&self, limits: $crate::SessionLimits) -> $crate::Sessions {
                self.0.sessions(limits)
            }
        }

        /// One stream through the tunnel; see [`kcptun_async::Stream`]. Closing its write side ends
        /// this direction only.
        #[derive(Debug)]
        pub struct Stream($crate::Stream);

        impl Stream {
            /// Address of the peer's end of the tunnel.
            #[must_use]
            pub fn remote(&self) -> ::std::net::SocketAddr {
                self.0.remote()
            }

            /// Number of the stream in its connection.
            #[must_use]
            pub fn number(&self) -> u32 {
                self.0.number()
            }
        }
    };
}
