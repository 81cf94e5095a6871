//! The kernels of each architecture and the question whether this CPU has what they need.
//!
//! All unsafe code of the crate stands here, in three forms: loads and stores of a whole vector
//! from and to a byte array of its size, and calls of functions that need CPU features. A kernel
//! leaves this module only through [`find`], which has asked the CPU.

#[macro_use]
mod generic;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod gfni256;
#[cfg(target_arch = "x86_64")]
mod gfni512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod ssse3;

use fec_proto::Kernel;

/// Names of the kernels of this architecture, the fastest first, portable code last.
#[cfg(target_arch = "x86_64")]
pub(crate) const NAMES: &[&str] = &["gfni512", "gfni256", "avx2", "ssse3", "portable"];
#[cfg(target_arch = "aarch64")]
pub(crate) const NAMES: &[&str] = &["neon", "portable"];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) const NAMES: &[&str] = &["portable"];

/// Whether all these features are there: asked of the CPU with `std`, of the compile target
/// without.
#[cfg(target_arch = "x86_64")]
macro_rules! has {
    ($($feature:tt),+) => {
        $({
            #[cfg(feature = "std")]
            let present = std::arch::is_x86_feature_detected!($feature);
            #[cfg(not(feature = "std"))]
            let present = cfg!(target_feature = $feature);
            present
        })&&+
    };
}

/// The kernel of this name, if this CPU can run it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn find(name: &str) -> Option<Kernel> {
    match name {
        "gfni512" if has!("gfni", "avx512f") => Some(gfni512::KERNEL),
        "gfni256" if has!("gfni", "avx2") => Some(gfni256::KERNEL),
        "avx2" if has!("avx2") => Some(avx2::KERNEL),
        "ssse3" if has!("ssse3") => Some(ssse3::KERNEL),
        "portable" => Some(Kernel::PORTABLE),
        _ => None,
    }
}

/// The kernel of this name, if this CPU can run it.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn find(name: &str) -> Option<Kernel> {
    match name {
        #[cfg(target_arch = "aarch64")]
        "neon" if has_neon() => Some(neon::KERNEL),
        "portable" => Some(Kernel::PORTABLE),
        _ => None,
    }
}

#[cfg(target_arch = "aarch64")]
fn has_neon() -> bool {
    #[cfg(feature = "std")]
    let present = std::arch::is_aarch64_feature_detected!("neon");
    #[cfg(not(feature = "std"))]
    let present = cfg!(target_feature = "neon");
    present
}
