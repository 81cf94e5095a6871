//! kcptun as one sans-IO object.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod batch;
mod codec;
mod config;
mod connection;
pub mod crypt;
mod endpoint;
pub mod event;
mod inbound;
pub mod nonce;
mod outbound;
pub mod policy;
mod reception;
pub mod relay;
mod shard;
#[cfg(feature = "snappy")]
pub mod snappy;
mod stats;
mod table;
mod timer;
mod variety;

pub use batch::TransmitBatch;
pub use config::{Config, ConfigError};
pub use endpoint::{Endpoint, Full, Side};
pub use event::{CloseReason, Event, StreamError, StreamId};
pub use stats::{ConnectionStats, EndpointStats};
pub use table::ConnectionKey;
