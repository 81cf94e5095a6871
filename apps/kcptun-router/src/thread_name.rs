//! The name of a thread, set without the C library.
//!
//! musl writes its number into a path for that (`/proc/self/task/…/comm`) with `snprintf`, which
//! nothing else here uses: 17 KB of a static program, for floating point most of it.
#![allow(unsafe_code)]
#![cfg(target_env = "musl")]

use std::ffi::{c_char, c_int};

/// In the place of musl's; names the calling thread. Another one, which Rust's library never asks
/// for, is left as it is.
///
/// # Safety
/// `name` points to a text that ends with a zero byte.
// SAFETY: the same name, arguments and meaning as the C library's, which allows that: a static
// program takes the first definition, and this one is in it before the library is looked at.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_setname_np(thread: libc::pthread_t, name: *const c_char) -> c_int {
    // SAFETY: it answers who is calling, and prctl reads the text up to its end, 16 bytes at most.
    unsafe {
        if thread == libc::pthread_self() {
            libc::prctl(libc::PR_SET_NAME, name);
        }
    }
    0
}
