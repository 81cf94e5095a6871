//! The kernel's list on FreeBSD and macOS.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use rustix::event::Timespec;
use rustix::event::kqueue::{self, Event, EventFilter, EventFlags};

use super::{BATCH, Readiness, Token};

/// A kqueue descriptor.
#[derive(Debug)]
pub(crate) struct Poller {
    queue: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let queue = kqueue::kqueue()?;
        rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self { queue })
    }

    pub(crate) fn add(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        let fd = source.as_fd().as_raw_fd();
        let flags = EventFlags::ADD | EventFlags::CLEAR;
        let data = ptr::without_provenance_mut::<c_void>(token.to_usize());
        let changes = [EventFilter::Read(fd), EventFilter::Write(fd)]
            .map(|filter| Event::new(filter, flags, data));
        // SAFETY: the descriptor is open now, and when it is closed the kernel forgets it; the data
        // is a number, to which nobody points.
        unsafe {
            kqueue::kevent_timespec(
                &self.queue,
                &changes,
                &mut [MaybeUninit::<Event>::uninit(); 0],
                None,
            )
        }?;
        Ok(())
    }

    /// Waits at most `micros` for changes, and tells each. A signal ends the wait.
    pub(crate) fn wait(
        &self,
        micros: u64,
        mut tell: impl FnMut(Token, Readiness),
    ) -> io::Result<()> {
        let mut memory = [const { MaybeUninit::<Event>::uninit() }; BATCH];
        let timeout = Timespec {
            tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
            // Below a second.
            tv_nsec: (micros % 1_000_000 * 1_000) as _,
        };
        // SAFETY: no descriptor is named here.
        let events =
            unsafe { kqueue::kevent_timespec(&self.queue, &[], &mut memory[..], Some(&timeout)) };
        let events = match events {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in events {
            let is_writing = matches!(event.filter(), EventFilter::Write(_));
            let is_over = event.flags().contains(EventFlags::EOF);
            // The end of what can be read is a half close; nothing can be written any more to
            // somebody who is gone, or to whom we said that nothing will come.
            let hung_up = is_writing && is_over;
            let readiness = Readiness {
                readable: !is_writing || hung_up,
                writable: is_writing,
                hung_up,
                ended: !is_writing && is_over,
                // No filter tells of it on all systems.
                urgent: true,
            };
            tell(Token::from_usize(event.udata().addr()), readiness);
        }
        Ok(())
    }
}
