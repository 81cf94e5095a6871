//! Placeholder page of kcp-proto, replaced as the crate is written.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
