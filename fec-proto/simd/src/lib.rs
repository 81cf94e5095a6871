//! Vector kernels for [`fec_proto`]: the same bytes as [`Kernel::PORTABLE`], sooner.
//!
//! ```
//! use fec_proto::Kernel;
//!
//! let kernel = fec_simd::detect();
//! let (mut ours, mut expected) = ([1; 100], [1; 100]);
//! kernel.mul_add(7, &[200; 100], &mut ours);
//! Kernel::PORTABLE.mul_add(7, &[200; 100], &mut expected);
//! assert_eq!(ours, expected);
//! ```
//!
//! With the feature `std` (default) the CPU is asked at run time. Without it the crate is `no_std`
//! and takes what the compile target guarantees, such as NEON on 64-bit ARM or whatever
//! `-C target-feature` names.
//!
//! # Measured
//!
//! `cargo bench -p fec-simd`: 10+3 groups of 1,330-byte packets through
//! [`Encoder`](fec_proto::Encoder) and [`Decoder`](fec_proto::Decoder), three data packets of each
//! group lost, in GB of data per second; median on one core of a 2024 server CPU (AMD Zen 5).
//!
//! | kernel | encode | decode with 3 losses |
//! |---|---|---|
//! | `gfni512` (64-byte vectors) | 21.6 | 11.2 |
//! | `gfni256` | 21.0 | 10.7 |
//! | `avx2` | 17.6 | 8.9 |
//! | `ssse3` | 9.1 | 5.8 |
//! | `portable` (at baseline x86-64) | 3.1 | 2.7 |
//!
//! With GFNI a group's decoding is a third arithmetic; the rest is copying packets into the pool,
//! coefficients and bookkeeping. NEON is checked to compile and has not been measured.
//!
//! # Safety
//!
//! All unsafe code stands in the folder `arch`: vector loads and stores of byte arrays, and calls
//! of functions that need CPU features. The arithmetic is safe code, the loops exist once, and
//! every kernel that the CPU can run passes `fec-proto`'s suite.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

#[allow(unsafe_code, reason = "vector instructions; each use says why it is sound")]
mod arch;
mod tables;

use fec_proto::Kernel;

/// Names of the kernels that exist for this architecture, the fastest first. The last is
/// `"portable"`, which every CPU can run.
pub const NAMES: &[&str] = arch::NAMES;

/// The fastest kernel that this CPU can run; [`Kernel::PORTABLE`] when there is no other.
///
/// ```
/// let kernel = fec_simd::detect();
/// assert!(fec_simd::NAMES.contains(&kernel.name()));
/// ```
#[must_use]
pub fn detect() -> Kernel {
    available().next().unwrap_or(Kernel::PORTABLE)
}

/// The kernel of this name, for benches, tests and diagnosis. `None`: this CPU cannot run it, or
/// the name is none of [`NAMES`].
///
/// ```
/// assert!(fec_simd::by_name("portable").is_some());
/// assert!(fec_simd::by_name("abacus").is_none());
/// ```
#[must_use]
pub fn by_name(name: &str) -> Option<Kernel> {
    arch::find(name)
}

/// All kernels that this CPU can run, the fastest first and the portable one last.
pub fn available() -> impl Iterator<Item = Kernel> {
    NAMES.iter().filter_map(|name| by_name(name))
}
