//! Placeholder page of tunnel, replaced as the crate is written.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod batch;
pub mod crypt;
pub mod nonce;
#[cfg(feature = "snappy")]
pub mod snappy;
