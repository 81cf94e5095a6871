//! The sorting of a few things, without the C library.
//!
//! musl's `getaddrinfo` sorts the addresses of a name, 48 at most, with `qsort`, which nothing else
//! here uses and which takes 6 KB as zig builds it.
#![allow(unsafe_code)]

use std::cmp::Ordering;
#[cfg(target_env = "musl")]
use std::ffi::{c_int, c_void};

#[cfg(target_env = "musl")]
type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> c_int;

/// In the place of the C library's.
///
/// # Safety
/// As the C standard has it: `base` points to `count` things of `size` bytes, which `compare` orders.
// SAFETY: the same name, arguments and meaning as the C library's, which allows that: a static
// program takes the first definition, and this one is in it before the library is looked at.
#[cfg(target_env = "musl")]
#[unsafe(no_mangle)]
unsafe extern "C" fn qsort(base: *mut c_void, count: usize, size: usize, compare: Compare) {
    if count < 2 || size == 0 {
        return;
    }
    // SAFETY: the caller's promise; nobody else has them meanwhile.
    let things = unsafe { std::slice::from_raw_parts_mut(base.cast::<u8>(), count * size) };
    sort(things, size, |one, other| {
        // SAFETY: both are one of the things.
        unsafe { compare(one.as_ptr().cast(), other.as_ptr().cast()) }.cmp(&0)
    });
}

/// Sorts things of `size` bytes, at least 1, that lie one after the other. Equal ones keep their
/// order.
#[cfg_attr(not(target_env = "musl"), allow(dead_code))]
fn sort(things: &mut [u8], size: usize, compare: impl Fn(&[u8], &[u8]) -> Ordering) {
    for sorted in 1..things.len() / size {
        // Down to its place among those before it.
        for at in (1..=sorted).rev() {
            let pair = &mut things[(at - 1) * size..(at + 1) * size];
            let (before, this) = pair.split_at_mut(size);
            if compare(before, this) != Ordering::Greater {
                break;
            }
            before.swap_with_slice(this);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_of_any_size_are_sorted_and_equal_ones_keep_their_order() {
        for (size, count) in [(1, 0), (1, 1), (4, 2), (28, 48), (3, 100)] {
            let mut things: Vec<u8> =
                (0..count).flat_map(|n: u32| vec![(n * 37 % 11) as u8; size]).collect();
            let number = |at: usize| (at / size) as u8;
            if size > 1 {
                (0..things.len()).step_by(size).for_each(|at| things[at + 1] = number(at));
            }
            let mut expected: Vec<Vec<u8>> = things.chunks(size).map(<[u8]>::to_vec).collect();
            expected.sort_by_key(|thing| thing[0]);
            sort(&mut things, size, |one, other| one[0].cmp(&other[0]));
            assert_eq!(things, expected.concat());
        }
    }
}
