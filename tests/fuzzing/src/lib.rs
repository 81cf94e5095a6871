//! What the fuzz targets do, as plain functions of bytes.
//!
//! Each function drives one machine as the bytes say, and panics when a promise of the machine is
//! broken. Any bytes are a legal input: they are read as operations, numbers and packets as far as
//! they go.
//!
//! | target | what the bytes are | what must hold |
//! |---|---|---|
//! | [`kcp_packets`] | datagrams for one KCP end, raw or well-formed | no panic; windows, memory and output stay bounded |
//! | [`kcp_operations`] | calls on two KCP ends and what the path does | bytes arrive once and in order, in the end all of them |
//! | [`fec_decoder`] | FEC packets of any kind | no panic; memory stays bounded and comes back |
//! | [`fec_groups`] | losses, disorder and copies between encoder and decoder | what is rebuilt was sent; enough packets rebuild |
//! | [`smux_bytes`] | a byte stream, split anywhere | the split changes nothing; memory comes back |
//! | [`smux_operations`] | calls on two smux ends | each stream's bytes arrive once and in order, in the end all of them |
//! | [`snappy_decompress`] | a framed stream, split anywhere | the split changes nothing; memory stays bounded |
//! | [`snappy_round_trip`] | pieces to compress | what comes out went in |
//! | [`endpoint_datagrams`] | a client and a server, and datagrams changed on their way | no panic; connections and memory stay bounded; deadlines pass |
//! | [`address_text`] | text | addresses give their text back |
//!
//! The stable test of this crate runs all of them over the seeds in `corpus` and over pseudo-random
//! bytes. With [cargo-fuzz](https://rust-fuzz.github.io/book/) and a nightly toolchain they run
//! guided by coverage, from the root of the repository:
//!
//! ```text
//! mkdir -p fuzz/corpus/kcp_operations
//! cargo +nightly fuzz run kcp_operations fuzz/corpus/kcp_operations tests/fuzzing/corpus/kcp_operations
//! ```
//!
//! An input that made a target panic belongs in `corpus`, so that the stable test keeps it.
//!
//! ```
//! kcptun_fuzzing::address_text(b"[::1]:3000-4000");
//! let (name, run) = kcptun_fuzzing::TARGETS[0];
//! assert_eq!(name, "address_text");
//! run(b"any bytes");
//! ```
#![forbid(unsafe_code)]

mod address;
mod endpoint;
mod fec;
mod input;
mod kcp;
mod smux;
mod snappy;

pub use address::address_text;
pub use endpoint::endpoint_datagrams;
pub use fec::{fec_decoder, fec_groups};
pub use kcp::{kcp_operations, kcp_packets};
pub use smux::{smux_bytes, smux_operations};
pub use snappy::{snappy_decompress, snappy_round_trip};

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 10] = [
    ("address_text", address_text),
    ("endpoint_datagrams", endpoint_datagrams),
    ("fec_decoder", fec_decoder),
    ("fec_groups", fec_groups),
    ("kcp_operations", kcp_operations),
    ("kcp_packets", kcp_packets),
    ("smux_bytes", smux_bytes),
    ("smux_operations", smux_operations),
    ("snappy_decompress", snappy_decompress),
    ("snappy_round_trip", snappy_round_trip),
];
