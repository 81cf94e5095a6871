//! The pool against simple models.

use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

/// Takes and gives buffers back in the order of `steps`; every live buffer must keep the bytes
/// written to it, and all pages must be free in the end.
fn exercise(pool: &mut Pool<'_>, steps: &[(bool, usize)]) -> Result<(), TestCaseError> {
    let mut live: Vec<(Buf, u8, usize)> = Vec::new();
    for (number, &(take, pick)) in steps.iter().enumerate() {
        if take || live.is_empty() {
            let len = [1, 128, 129, 512, 513, 1536, 1537, pool.page_size()][pick % 8];
            let Some(buf) = pool.alloc(len) else {
                prop_assert_eq!(pool.spare_pages(), 0);
                continue;
            };
            prop_assert!(pool.capacity(&buf) >= len);
            let tag = number as u8;
            pool.bytes_mut(&buf).fill(tag);
            live.push((buf, tag, len));
        } else {
            let (buf, tag, _) = live.swap_remove(pick % live.len());
            prop_assert!(pool.bytes(&buf).iter().all(|&byte| byte == tag));
            pool.release(buf);
        }
    }
    if let [first, .., last] = live.as_mut_slice() {
        let [a, b] = [first.0.offset(), last.0.offset()];
        let slab = pool.page_size() * PAGES_PER_SLAB;
        let together = matches!(pool.arena, Arena::Borrowed(_)) || a / slab == b / slab;
        prop_assert_eq!(pool.disjoint_mut([&first.0, &first.0]), None);
        match pool.disjoint_mut([&first.0, &last.0]) {
            None => prop_assert!(!together),
            Some([a, b]) => {
                prop_assert!(together && a.len() >= first.2 && b.len() >= last.2);
                prop_assert!(a.iter().all(|&byte| byte == first.1));
                prop_assert!(b.iter().all(|&byte| byte == last.1));
                (first.1, last.1) = (first.1 ^ 0x55, last.1 ^ 0xaa);
                a.fill(first.1);
                b.fill(last.1);
            }
        }
    }
    for (buf, tag, len) in live {
        prop_assert!(pool.bytes(&buf)[..len].iter().all(|&byte| byte == tag));
        pool.release(buf);
    }
    prop_assert_eq!(pool.used_pages(), 0);
    Ok(())
}

proptest! {
    #[test]
    fn buffers_never_overlap(
        steps in prop::collection::vec((any::<bool>(), 0usize..1000), 1..400),
        page_shift in 11u32..=14,
    ) {
        let page_size = 1 << page_shift;
        let mut arena = vec![0; 24 * page_size + 77];
        let mut states = vec![PageState::new(); 20];
        exercise(&mut Pool::fixed(&mut arena, &mut states, page_size).unwrap(), &steps)?;
        let mut owned = Pool::owned(40 * page_size, page_size).unwrap();
        exercise(&mut owned, &steps)?;
        owned.trim(0, usize::MAX);
        prop_assert_eq!(owned.held_pages(), 0);
        exercise(&mut owned, &steps)?;
    }
}

#[test]
fn a_pool_says_why_it_cannot_be() {
    assert_eq!(Pool::owned(1 << 20, 1000).unwrap_err(), PoolError::PageSize);
    assert_eq!(Pool::owned(0, 2048).unwrap_err(), PoolError::TooSmall);
    // Words of 32 bits cannot name a pool that is too large.
    #[cfg(target_pointer_width = "64")]
    assert_eq!(Pool::owned(usize::MAX, 2048).unwrap_err(), PoolError::TooLarge);
    assert_eq!(Pool::owned(1 << 20, 2048).unwrap().alloc(2049), None);
}

#[test]
fn trim_gives_back_any_slab_that_is_wholly_free() {
    let mut pool = Pool::owned(1 << 20, 2048).unwrap();
    let mut bufs: Vec<Buf> = (0..48).map(|_| pool.alloc(2048).unwrap()).collect();
    let last = bufs.pop().unwrap();
    pool.bytes_mut(&last).fill(7);
    bufs.into_iter().for_each(|buf| pool.release(buf));
    assert_eq!((pool.held_pages(), pool.used_pages()), (48, 1));
    assert_eq!(pool.trim(1, usize::MAX), 1);
    assert_eq!((pool.held_pages(), pool.used_pages()), (32, 1));
    assert_eq!(pool.trim(0, 0), 0, "no more than asked for");
    assert_eq!(pool.trim(0, usize::MAX), 1);
    assert_eq!((pool.held_pages(), pool.used_pages()), (16, 1));
    assert_eq!(pool.spare_pages(), pool.page_limit() - 1);

    // The slab at the end is taken up first, then the empty places from the front.
    let bufs: Vec<Buf> = (0..31).map(|_| pool.alloc(2048).unwrap()).collect();
    assert_eq!(pool.held_pages(), 32);
    assert!(bufs[15..].iter().all(|buf| buf.offset() < 16 * 2048));
    assert!(pool.bytes(&last).iter().all(|&byte| byte == 7));
    bufs.into_iter().for_each(|buf| pool.release(buf));
    pool.release(last);
    assert_eq!(pool.trim(0, usize::MAX), 2);
    assert_eq!(pool.held_pages(), 0);
}

/// After a trim the pages in front are taken first, so that what is used little by little moves
/// there and the slabs at the end come free.
#[test]
fn what_is_taken_after_a_trim_lies_in_front() {
    let mut pool = Pool::owned(1 << 20, 2048).unwrap();
    let bufs: Vec<Buf> = (0..64).map(|_| pool.alloc(2048).unwrap()).collect();
    bufs.into_iter().for_each(|buf| pool.release(buf));
    let stays = pool.alloc(2048).unwrap();
    assert_eq!(pool.trim(4, usize::MAX), 0);
    let next = pool.alloc(2048).unwrap();
    assert!(next.offset() < 16 * 2048);
    pool.release(stays);
    assert_eq!(pool.trim(0, usize::MAX), 3);
    pool.release(next);
}

#[test]
fn fixed_pages_are_never_given_back() {
    let mut arena = vec![0; 32 * 2048];
    let mut states = vec![PageState::new(); 32];
    let mut pool = Pool::fixed(&mut arena, &mut states, 2048).unwrap();
    assert_eq!((pool.trim(0, usize::MAX), pool.held_pages()), (0, 32));
    assert_eq!(core::iter::from_fn(|| pool.alloc(2048)).count(), 32);
}

/// A step of the model below.
#[derive(Debug, Clone)]
enum Act {
    /// Buffers of a length, one after another: rarely few enough for one slab.
    Take {
        len: usize,
        count: usize,
    },
    /// Every so many buffers.
    Give {
        of: usize,
    },
    Trim {
        keep: usize,
        most: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop::sample::select(vec![1, 128, 129, 512, 513, 1536, 1537, 2048]);
    prop_oneof![
        3 => (len, 1usize..60).prop_map(|(len, count)| Act::Take { len, count }),
        3 => (1usize..8).prop_map(|of| Act::Give { of }),
        2 => (0usize..4, 0usize..5).prop_map(|(keep, most)| Act::Trim { keep, most }),
    ]
}

proptest! {
    /// The model: buffers with what was written to them, of which the pages in use and the slabs
    /// in use follow.
    #[test]
    fn trims_harm_nothing(acts in prop::collection::vec(act(), 1..80)) {
        const PAGE: usize = 2048;
        const LIMIT: usize = 9 * PAGES_PER_SLAB;
        let mut pool = Pool::owned(LIMIT * PAGE, PAGE).unwrap();
        let mut live: Vec<(Buf, u16)> = Vec::new();
        let mut held = 0;
        let mut next = 0u16;
        let write = |bytes: &mut [u8], tag: u16| {
            bytes.chunks_exact_mut(2).for_each(|pair| pair.copy_from_slice(&tag.to_le_bytes()));
        };
        let has = |bytes: &[u8], tag: u16| {
            bytes.chunks_exact(2).all(|pair| *pair == tag.to_le_bytes())
        };
        let distinct = |live: &[(Buf, u16)], size: usize| {
            let mut places: Vec<usize> = live.iter().map(|(buf, _)| buf.offset() / size).collect();
            places.sort_unstable();
            places.dedup();
            places.len()
        };
        for act in acts {
            match act {
                Act::Take { len, count } => for _ in 0..count {
                    let is_full = pool.used_pages() == held;
                    let Some(buf) = pool.alloc(len) else {
                        prop_assert!(is_full && held == LIMIT, "refused too soon");
                        break;
                    };
                    next += 1;
                    write(pool.bytes_mut(&buf), next);
                    live.push((buf, next));
                    if pool.held_pages() != held {
                        prop_assert!(is_full, "a slab that was not needed");
                        held += PAGES_PER_SLAB;
                    }
                },
                Act::Give { of } => {
                    let (given, kept): (Vec<_>, Vec<_>) =
                        live.drain(..).enumerate().partition(|(number, _)| number % of == 0);
                    live.extend(kept.into_iter().map(|(_, it)| it));
                    for (_, (buf, tag)) in given {
                        prop_assert!(has(pool.bytes(&buf), tag));
                        pool.release(buf);
                    }
                }
                Act::Trim { keep, most } => {
                    let slabs = distinct(&live, PAGE * PAGES_PER_SLAB);
                    let free = held / PAGES_PER_SLAB - slabs;
                    let dropped = pool.trim(keep, most);
                    prop_assert_eq!(dropped, free.saturating_sub(keep).min(most));
                    held -= dropped * PAGES_PER_SLAB;
                }
            }
            prop_assert_eq!(pool.held_pages(), held);
            prop_assert!(held <= LIMIT);
            prop_assert_eq!(pool.used_pages(), distinct(&live, PAGE));
            prop_assert_eq!(pool.spare_pages() + pool.used_pages(), LIMIT);
            prop_assert!(live.iter().all(|(buf, tag)| has(pool.bytes(buf), *tag)));
        }
        live.into_iter().for_each(|(buf, _)| pool.release(buf));
        pool.trim(0, usize::MAX);
        prop_assert_eq!(pool.held_pages(), 0);
    }
}
