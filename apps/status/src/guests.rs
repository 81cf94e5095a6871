//! Who is connected: a bounded number of clients, of whom none can keep the others out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use proto_base::Instant;

/// Clients at once.
pub(crate) const MOST: usize = 32;

/// The clients of all listeners together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guests(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    taken: Vec<Taken>,
    next: u64,
}

#[derive(Debug)]
struct Taken {
    id: u64,
    /// Since when the client has kept us waiting for a whole request.
    waits_since: Option<Instant>,
    waker: Option<Waker>,
}

/// A client's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    guests: Guests,
    id: u64,
}

impl Guests {
    /// A place for one more. When all are taken, who has kept us waiting longest loses his;
    /// `None` when everyone is being served.
    pub(crate) fn admit(&self, now: Instant) -> Option<Place> {
        let mut places = self.lock();
        if places.taken.len() >= MOST {
            let waiting = places.taken.iter().enumerate();
            let (at, _) = waiting
                .filter_map(|(at, guest)| Some((at, guest.waits_since?)))
                .min_by_key(|&(_, since)| since)?;
            if let Some(waker) = places.taken.swap_remove(at).waker {
                waker.wake();
            }
        }
        let id = places.next;
        places.next += 1;
        places.taken.push(Taken { id, waits_since: Some(now), waker: None });
        drop(places);
        Some(Place { guests: self.clone(), id })
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Notes since when the client has been waited for, or (`None`) that it is being served.
    pub(crate) fn waits(&self, since: Option<Instant>) {
        self.with(|taken| taken.waits_since = since);
    }

    /// Ready when the place is lost to somebody else.
    pub(crate) fn poll_lost(&self, cx: &Context<'_>) -> Poll<()> {
        let kept = self.with(|taken| taken.waker = Some(cx.waker().clone()));
        if kept.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Taken) -> T) -> Option<T> {
        let mut places = self.guests.lock();
        places.taken.iter_mut().find(|taken| taken.id == self.id).map(work)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.guests.lock().taken.retain(|taken| taken.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_makes_room() {
        let guests = Guests::default();
        let admit = |ms| guests.admit(Instant::from_millis(ms));
        let places: Vec<Place> = (0..MOST as u64).map(|ms| admit(100 - ms).unwrap()).collect();
        let cx = Context::from_waker(Waker::noop());
        places[MOST - 1].waits(None);
        let newcomer = admit(200).unwrap();
        let lost = |place: &Place| place.poll_lost(&cx).is_ready();
        assert!(lost(&places[MOST - 2]), "the one that began to wait first");
        assert!(
            places[..MOST - 2].iter().chain([&places[MOST - 1], &newcomer]).all(|it| !lost(it))
        );

        places.iter().chain([&newcomer]).for_each(|place| place.waits(None));
        assert!(admit(300).is_none(), "all are being served");
        drop(places);
        assert!(admit(400).is_some());
    }
}
