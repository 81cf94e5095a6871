//! What became of a batch, and the loop that sends one whatever the backend.

use std::fmt;
use std::io;

/// What became of the datagrams of one [`send_batch`](super::UdpSocket::send_batch), counted from
/// the front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOutcome {
    /// Datagrams that the kernel took.
    pub sent: usize,
    /// Datagrams that it refused: too large, forbidden, no memory. Lost, as on the wire. When there
    /// is no way to the peer, all that follow are; when the way out is full (ENOBUFS), or many in a
    /// row are refused, the rest of what was given is.
    pub lost: usize,
    /// The socket is full: everything behind the first [`done`](Self::done) datagrams is to be
    /// kept until it is writable.
    pub blocked: bool,
    /// An ICMP message said that nobody listens at the peer (connected sockets only). Evidence
    /// about an earlier datagram; this batch was sent regardless.
    pub refused: bool,
    /// Nothing gets to the peer from this socket at present: there is no route, the network is
    /// down, or the machine has lost the socket's own address. A new socket may do better.
    pub unreachable: bool,
    /// Why the last of the `lost` was lost.
    pub error: Option<SendError>,
}

impl SendOutcome {
    /// Datagrams that need no further care: sent or lost.
    #[must_use]
    pub fn done(&self) -> usize {
        self.sent + self.lost
    }

    /// Datagrams that the system refused for a reason of its own, and that reason: worth a line in
    /// the log. What the peer's host refused is none.
    #[must_use]
    pub fn loss(&self) -> Option<(usize, SendError)> {
        let error = self.error.filter(|error| error.verdict != Verdict::Refused)?;
        Some((self.lost, error))
    }
}

/// Why the system did not take a datagram. Displayed, it says what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendError {
    kind: io::ErrorKind,
    code: Option<i32>,
    verdict: Verdict,
}

impl SendError {
    /// What kind of error it is.
    #[must_use]
    pub fn kind(self) -> io::ErrorKind {
        self.kind
    }

    fn advice(self) -> Option<&'static str> {
        match (self.verdict, self.kind) {
            (Verdict::TooLarge, _) => Some("lower --mtu"),
            (Verdict::Crowded, _) => {
                Some("the queue of the network card is full; a lower --sndwnd sends less at once")
            }
            (_, io::ErrorKind::PermissionDenied) => {
                Some("a firewall on this machine refuses the packets")
            }
            _ => None,
        }
    }
}

impl From<&io::Error> for SendError {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error(), verdict: Verdict::of(error) }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f)?,
            None => self.kind.fmt(f)?,
        }
        self.advice().map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

/// Sends all of `bytes` by calling `transmit` with what remains; it answers with the number of
/// datagrams it passed to the kernel, at least one.
pub(super) fn drive(
    bytes: &[u8],
    stride: usize,
    mut transmit: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<SendOutcome> {
    let mut outcome = SendOutcome::default();
    let mut rest = bytes;
    let mut tried_twice = false;
    // Datagrams lost since one went.
    let mut lost_in_a_row = 0;
    while !rest.is_empty() {
        let taken = match transmit(rest) {
            Ok(count) => {
                let count = count.max(1);
                outcome.sent += count;
                lost_in_a_row = 0;
                count
            }
            Err(error) => match Verdict::of(&error) {
                Verdict::Unusable => return Err(error),
                Verdict::Interrupted => continue,
                Verdict::Blocked => {
                    outcome.blocked = true;
                    break;
                }
                verdict => {
                    outcome.refused |= verdict == Verdict::Refused;
                    // The error may be the echo of an earlier datagram, which this call consumed.
                    // A full queue is nobody's echo.
                    if !tried_twice && verdict != Verdict::Crowded {
                        tried_twice = true;
                        continue;
                    }
                    let no_way = means_no_way(&error);
                    let is_hopeless = match verdict {
                        Verdict::TooLarge | Verdict::Refused => false,
                        Verdict::Crowded => true,
                        _ => no_way || lost_in_a_row == MOST_IN_A_ROW,
                    };
                    let lost = if is_hopeless { rest.len().div_ceil(stride) } else { 1 };
                    lost_in_a_row += 1;
                    outcome.lost += lost;
                    outcome.unreachable |= no_way;
                    outcome.error = Some(SendError::from(&error));
                    lost
                }
            },
        };
        tried_twice = false;
        rest = rest.get(taken.saturating_mul(stride)..).unwrap_or_default();
    }
    Ok(outcome)
}

/// What an error of a system call means for the datagrams behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A signal came; nothing happened.
    Interrupted,
    /// Not now.
    Blocked,
    /// ICMP port unreachable.
    Refused,
    /// This datagram is too large; a shorter one may pass.
    TooLarge,
    /// The queue on the way out is full, which a writable socket does not tell.
    Crowded,
    /// Another reason. The next datagram may pass, unless it [means](means_no_way) that nothing does.
    Unreachable,
    /// Not a socket any more.
    Unusable,
}

impl Verdict {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted => Self::Interrupted,
            io::ErrorKind::WouldBlock => Self::Blocked,
            // Windows reports the ICMP message as a reset.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Self::Refused,
            _ => match error.raw_os_error() {
                Some(TOO_LARGE) => Self::TooLarge,
                Some(CROWDED) => Self::Crowded,
                Some(code) if UNUSABLE.contains(&code) => Self::Unusable,
                _ => Self::Unreachable,
            },
        }
    }
}

/// Whether the system itself has no way to the peer. Linux answers EINVAL when the address that a
/// socket is bound to has been taken from the machine (net/ipv4/route.c,
/// `ip_route_output_key_hash_rcu`).
fn means_no_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::InvalidInput
    )
}

/// Datagrams refused one after the other, behind which the rest of a batch is given up: a firewall
/// forbids them all, and each attempt costs a system call.
const MOST_IN_A_ROW: u32 = 4;

#[cfg(unix)]
const TOO_LARGE: i32 = libc::EMSGSIZE;
#[cfg(unix)]
const CROWDED: i32 = libc::ENOBUFS;
#[cfg(unix)]
const UNUSABLE: [i32; 3] = [libc::EBADF, libc::ENOTSOCK, libc::EFAULT];
#[cfg(not(unix))]
const TOO_LARGE: i32 = 10040; // WSAEMSGSIZE
#[cfg(not(unix))]
const CROWDED: i32 = 10055; // WSAENOBUFS
#[cfg(not(unix))]
const UNUSABLE: [i32; 3] = [10009, 10038, 10014]; // WSAEBADF, WSAENOTSOCK, WSAEFAULT

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Sends five datagrams of 10 bytes, the last of 5, with a kernel that answers as scripted
    /// and then takes everything one by one.
    fn send(script: &[i32]) -> (io::Result<SendOutcome>, Vec<usize>) {
        let mut script = script.iter();
        let mut seen = Vec::new();
        let outcome = drive(&[0; 45], 10, |rest| match script.next() {
            Some(0) | None => {
                seen.push(rest.len());
                Ok(1)
            }
            Some(code) => Err(io::Error::from_raw_os_error(*code)),
        });
        (outcome, seen)
    }

    #[test]
    fn everything_goes() {
        let (outcome, seen) = send(&[libc::EINTR]);
        assert_eq!(outcome.unwrap(), SendOutcome { sent: 5, ..SendOutcome::default() });
        assert_eq!(seen, [45, 35, 25, 15, 5]);
    }

    #[test]
    fn a_full_socket_says_how_far_it_came() {
        let (outcome, _) = send(&[0, 0, libc::EAGAIN]);
        let expected = SendOutcome { sent: 2, blocked: true, ..SendOutcome::default() };
        assert_eq!(outcome.unwrap(), expected);
    }

    #[test]
    fn an_echoed_refusal_costs_no_datagram() {
        let (outcome, seen) = send(&[libc::ECONNREFUSED, 0, libc::ECONNREFUSED]);
        let expected = SendOutcome { sent: 5, refused: true, ..SendOutcome::default() };
        assert_eq!(outcome.unwrap(), expected);
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn one_too_large_does_not_stop_the_rest() {
        let (outcome, seen) = send(&[libc::EMSGSIZE, libc::EMSGSIZE]);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.sent, outcome.lost, outcome.blocked), (4, 1, false));
        assert!(outcome.error.is_some());
        assert_eq!(seen, [35, 25, 15, 5]);
    }

    #[test]
    fn no_route_loses_the_rest_at_once() {
        let (outcome, seen) = send(&[0, libc::ENETUNREACH, libc::ENETUNREACH]);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.sent, outcome.lost, outcome.done()), (1, 4, 5));
        assert_eq!(outcome.error.map(SendError::kind), Some(io::ErrorKind::NetworkUnreachable));
        assert!(outcome.unreachable);
        assert_eq!(seen, [45]);
    }

    #[test]
    fn a_momentary_refusal_loses_one_datagram() {
        for code in [libc::EPERM, libc::ENOMEM, libc::EACCES] {
            let (outcome, seen) = send(&[0, code, code, 0, code, code]);
            let outcome = outcome.unwrap();
            assert_eq!((outcome.sent, outcome.lost, outcome.unreachable), (3, 2, false), "{code}");
            assert_eq!(seen, [45, 25, 5]);
        }
    }

    #[test]
    fn a_firewall_costs_few_system_calls() {
        let mut calls = 0;
        let outcome = drive(&[0; 4400], 100, |_| {
            calls += 1;
            Err(io::Error::from_raw_os_error(libc::EPERM))
        });
        assert_eq!(outcome.unwrap().lost, 44);
        assert_eq!(calls, 2 * (MOST_IN_A_ROW + 1), "twice each");
    }

    #[test]
    fn a_loss_says_what_to_do_about_it() {
        for (code, advice) in [
            (libc::EPERM, ": a firewall on this machine refuses the packets"),
            (libc::EMSGSIZE, ": lower --mtu"),
            (libc::ENOBUFS, "--sndwnd sends less at once"),
            (libc::ENETUNREACH, ")"),
        ] {
            let (lost, error) = send(&[code; 9]).0.unwrap().loss().unwrap();
            assert!(lost > 0);
            let text = error.to_string();
            assert!(text.contains(&format!("(os error {code})")), "{text}");
            assert!(text.ends_with(advice), "{text}");
        }
        // What the peer's host says is told elsewhere.
        let refused = send(&[libc::ECONNREFUSED, libc::ECONNREFUSED]).0.unwrap();
        assert_eq!((refused.lost, refused.loss()), (1, None));
        assert_eq!(send(&[]).0.unwrap().loss(), None);
    }

    #[test]
    fn a_full_queue_ends_the_batch_without_another_attempt() {
        let (outcome, seen) = send(&[0, libc::ENOBUFS]);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.sent, outcome.lost, outcome.done()), (1, 4, 5));
        assert!(!outcome.unreachable && !outcome.blocked);
        assert_eq!(seen, [45]);
    }

    #[test]
    fn what_the_socket_has_no_way_for_is_told_from_what_was_refused_once() {
        let lost_address = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ENETDOWN];
        for code in lost_address.into_iter().chain([libc::EADDRNOTAVAIL, libc::EINVAL]) {
            assert!(send(&[code; 2]).0.unwrap().unreachable, "{code}");
        }
        // A firewall, memory, size: a new socket would fare no better.
        for code in [libc::EPERM, libc::ENOBUFS, libc::EMSGSIZE, libc::ECONNREFUSED] {
            assert!(!send(&[code; 2]).0.unwrap().unreachable, "{code}");
        }
    }

    #[test]
    fn a_closed_socket_is_an_error() {
        assert!(send(&[libc::EBADF]).0.is_err());
    }
}
