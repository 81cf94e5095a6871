//! The kernel's list on Linux.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{BATCH, Readiness, Token};

/// An epoll descriptor.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        let rare = EventFlags::RDHUP | EventFlags::PRI;
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET | rare;
        epoll::add(&self.epoll, source, EventData::new_u64(token.to_usize() as u64), flags)?;
        Ok(())
    }

    /// Waits at most `micros` for changes, and tells each. A signal ends the wait.
    pub(crate) fn wait(
        &self,
        micros: u64,
        mut tell: impl FnMut(Token, Readiness),
    ) -> io::Result<()> {
        let mut memory = [const { MaybeUninit::<epoll::Event>::uninit() }; BATCH];
        // The kernel counts milliseconds: rounded up, so that a deadline has passed afterwards.
        let millis = micros.div_ceil(1000);
        let timeout = Timespec {
            tv_sec: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
            // Below a second.
            tv_nsec: (millis % 1000 * 1_000_000) as _,
        };
        let events = match epoll::wait(&self.epoll, &mut memory[..], Some(&timeout)) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in events {
            let flags = event.flags;
            let is_over = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            let readiness = Readiness {
                readable: is_over || flags.intersects(EventFlags::IN | EventFlags::RDHUP),
                writable: is_over || flags.contains(EventFlags::OUT),
                hung_up: is_over,
                ended: is_over || flags.contains(EventFlags::RDHUP),
                urgent: flags.contains(EventFlags::PRI),
            };
            // What went in.
            tell(Token::from_usize(event.data.u64() as usize), readiness);
        }
        Ok(())
    }
}
