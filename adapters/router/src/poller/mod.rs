//! Waiting for readiness, edge by edge: epoll, or kqueue where that is what there is.
//!
//! Every descriptor is registered once, for everything, and tells each change once; whoever owns it
//! remembers what it may do until the system says "would block". So the steady state makes no call
//! but the wait itself. A descriptor leaves when it is closed.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod kqueue;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use epoll::Poller;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use kqueue::Poller;

/// Changes taken from the kernel at once.
const BATCH: usize = 64;

/// Whose descriptor changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Listener,
    Names,
    /// There are fewer than 2^30 of these, and of pairs.
    Udp(u32),
    Pair(u32),
}

impl Token {
    /// What the kernel keeps: no more than 32 bits on some systems.
    fn to_usize(self) -> usize {
        let (kind, index) = match self {
            Self::Listener => (0, 0),
            Self::Names => (1, 0),
            Self::Udp(index) => (2, index),
            Self::Pair(index) => (3, index),
        };
        (index as usize) << 2 | kind
    }

    fn from_usize(raw: usize) -> Self {
        // As it went in.
        let index = (raw >> 2) as u32;
        match raw & 3 {
            0 => Self::Listener,
            1 => Self::Names,
            2 => Self::Udp(index),
            _ => Self::Pair(index),
        }
    }
}

/// What a descriptor can do now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Both directions are over: nobody is there any more.
    pub(crate) hung_up: bool,
    /// The other side says no more.
    pub(crate) ended: bool,
    /// Urgent data came, at which reading stops short; or the system does not tell.
    pub(crate) urgent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
    use std::time::Duration;

    /// What is told of `token` until it holds what `until` looks for, or half a second has passed.
    fn told(poller: &Poller, token: Token, until: fn(Readiness) -> bool) -> Readiness {
        let mut all = Readiness::default();
        for _ in 0..50 {
            let tell = |other, it: Readiness| {
                if other == token {
                    all.readable |= it.readable;
                    all.writable |= it.writable;
                    all.hung_up |= it.hung_up;
                    all.ended |= it.ended;
                }
            };
            poller.wait(10_000, tell).unwrap();
            if until(all) {
                break;
            }
        }
        all
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn numbers_come_back_as_they_went() {
        let largest = u32::MAX >> 2;
        for token in [Token::Listener, Token::Names, Token::Udp(largest), Token::Pair(largest)] {
            assert_eq!(Token::from_usize(token.to_usize()), token);
        }
    }

    #[test]
    fn each_change_is_told_once() {
        let poller = Poller::new().unwrap();
        let (mut near, mut far) = pair();
        poller.add(&near, Token::Pair(7)).unwrap();
        let first = told(&poller, Token::Pair(7), |it| it.writable);
        assert!(first.writable && !first.readable && !first.hung_up && !first.ended, "{first:?}");
        far.write_all(b"one").unwrap();
        assert!(told(&poller, Token::Pair(7), |it| it.readable).readable);
        assert!(!told(&poller, Token::Pair(7), |it| it.readable).readable, "no change since");
        assert_eq!(near.read(&mut [0; 10]).unwrap(), 3);
        far.write_all(b"two").unwrap();
        assert!(told(&poller, Token::Pair(7), |it| it.readable).readable);

        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        poller.add(&udp, Token::Udp(7)).unwrap();
        udp.send_to(b"datagram", udp.local_addr().unwrap()).unwrap();
        let both = told(&poller, Token::Udp(7), |it| it.readable && it.writable);
        assert!(both.readable && both.writable && !both.hung_up && !both.ended, "{both:?}");
    }

    #[test]
    fn a_half_close_is_the_end_of_reading_and_no_more() {
        let poller = Poller::new().unwrap();
        let (mut near, far) = pair();
        poller.add(&near, Token::Pair(0)).unwrap();
        told(&poller, Token::Pair(0), |it| it.writable);
        far.shutdown(Shutdown::Write).unwrap();
        let end = told(&poller, Token::Pair(0), |it| it.readable);
        assert!(end.readable && end.ended && !end.hung_up, "{end:?}");
        assert_eq!(near.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_reset_hangs_up() {
        let poller = Poller::new().unwrap();
        let (near, far) = pair();
        poller.add(&near, Token::Pair(0)).unwrap();
        told(&poller, Token::Pair(0), |it| it.writable);
        socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let end = told(&poller, Token::Pair(0), |it| it.hung_up && it.ended);
        assert!(end.hung_up && end.ended, "{end:?}");
        assert!(near.take_error().unwrap().is_some());
    }

    #[test]
    fn nothing_to_tell_ends_in_time() {
        let poller = Poller::new().unwrap();
        let begun = std::time::Instant::now();
        poller.wait(20_000, |token, _| panic!("{token:?}")).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(19));
    }
}
