//! Waiting for readiness: epoll, edge by edge.
//!
//! Every descriptor is registered once, for everything, and tells each change once; whoever owns it
//! remembers what it may do until the system says "would block". So the steady state makes no call
//! but the wait itself. A descriptor leaves when it is closed.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Changes taken from the kernel at once.
const BATCH: usize = 64;

/// Whose descriptor changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Listener,
    Names,
    Udp(u32),
    Pair(u32),
}

impl Token {
    fn to_u64(self) -> u64 {
        let (kind, index) = match self {
            Self::Listener => (0, 0),
            Self::Names => (1, 0),
            Self::Udp(index) => (2, index),
            Self::Pair(index) => (3, index),
        };
        kind << 32 | u64::from(index)
    }

    fn from_u64(raw: u64) -> Self {
        // The low half is the index.
        let index = raw as u32;
        match raw >> 32 {
            0 => Self::Listener,
            1 => Self::Names,
            2 => Self::Udp(index),
            _ => Self::Pair(index),
        }
    }
}

/// What a descriptor can do now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Both directions are over: nobody is there any more.
    pub(crate) hung_up: bool,
}

/// The kernel's list of descriptors.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, source, EventData::new_u64(token.to_u64()), flags)?;
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
            };
            tell(Token::from_u64(event.data.u64()), readiness);
        }
        Ok(())
    }
}
