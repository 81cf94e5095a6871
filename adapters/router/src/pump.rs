//! Bytes between a TCP connection and its stream, each way without a copy of their own.

use std::io;

use kcptun_tunnel::relay::Direction;
use kcptun_tunnel::{Endpoint, Side, StreamError};

use crate::clock::now;
use crate::pairs::{Pair, TunnelStream};
use crate::tcp::Tcp;

/// Bytes read from TCP at once: what one frame takes.
const PIECE: usize = 16_384;
/// Pieces moved in each direction of a pair before others get their turn.
const TURN: usize = 8;

/// TCP to the stream. `true`: there may be more.
pub(crate) fn outward(endpoint: &mut Endpoint, pair: &mut Pair) -> io::Result<bool> {
    let tells_of_more = tells_of_more(pair);
    let (Some(tcp), Some(TunnelStream { key, id, .. })) = (&mut pair.tcp, pair.stream) else {
        return Ok(false);
    };
    for _ in 0..TURN {
        let is_open = pair.rules.is_open(Direction::TcpToStream);
        if !is_open || !pair.tcp_readable || !pair.stream_writable {
            return Ok(false);
        }
        let read = endpoint.write_with(now(), key, id, PIECE, |slot| match tcp.read(slot) {
            Ok(count) => (count, Ok((count, count < slot.len()))),
            Err(error) => (0, Err(error)),
        });
        match read {
            Ok(Ok((0, _))) => pair.rules.handle_end(now(), Direction::TcpToStream),
            Ok(Ok((_, is_short))) => {
                pair.rules.handle_progress(now(), Direction::TcpToStream);
                if is_short && tells_of_more {
                    pair.tcp_readable = false;
                }
            }
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::WouldBlock => pair.tcp_readable = false,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
            Err(StreamError::Blocked) => pair.stream_writable = false,
            // The peer has closed for good: nobody reads what would be sent.
            Err(StreamError::Closed) => pair.rules.handle_end(now(), Direction::TcpToStream),
            Err(_) if pair.has_ended => pair.rules.handle_end(now(), Direction::TcpToStream),
            Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
    Ok(true)
}

/// Whether the poller tells of all that comes after a read which did not fill its room, so that the
/// connection need not be asked again: one call for each message instead of two.
///
/// Such a read took all that was there. What comes after it is a new edge, told by the next wait,
/// also if it came before `tcp_readable` was cleared: only a wait takes edges. So what could be
/// missed is what an earlier wait told together with the bytes just read. That is the end (or a
/// reset), and urgent data, at which a read stops although there are bytes behind it; both are
/// remembered. Unix sockets stop short in more cases (descriptors passed along), and are asked.
fn tells_of_more(pair: &Pair) -> bool {
    let is_plain = matches!(pair.tcp, Some(Tcp::Tcp(..))) && !pair.may_stop_short;
    is_plain && pair.ended_at.is_none()
}

/// The stream to TCP. `true`: there may be more.
pub(crate) fn inward(endpoint: &mut Endpoint, pair: &mut Pair) -> io::Result<bool> {
    let (Some(tcp), Some(TunnelStream { key, id, .. })) = (&mut pair.tcp, pair.stream) else {
        return Ok(false);
    };
    for _ in 0..TURN {
        let is_open = pair.rules.is_open(Direction::StreamToTcp);
        if !is_open || !pair.tcp_writable || !pair.stream_readable {
            return Ok(false);
        }
        let written = endpoint.read_with(now(), key, id, |bytes| match tcp.write(bytes) {
            Ok(count) => (count, Ok(())),
            Err(error) => (0, Err(error)),
        });
        match written {
            Ok(Ok(())) => pair.rules.handle_progress(now(), Direction::StreamToTcp),
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::WouldBlock => pair.tcp_writable = false,
                io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
            Err(StreamError::Blocked) => pair.stream_readable = false,
            Err(StreamError::Finished) => pair.rules.handle_end(now(), Direction::StreamToTcp),
            Err(_) if pair.has_ended => pair.rules.handle_end(now(), Direction::StreamToTcp),
            Err(_) => return Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
    Ok(true)
}

/// The lines of the original about single streams.
pub(crate) fn log_stream(side: Side, pair: &Pair, what: &str, failure: Option<&io::Error>) {
    let (Some(tcp), Some(stream)) = (&pair.tcp, &pair.stream) else { return };
    let (tcp, remote, number) = (tcp.peer(), stream.remote, stream.id.wire());
    match side {
        Side::Client => {
            if let Some(error) = failure {
                tracing::info!("pipe: {error} in: {tcp} out: {remote}({number})");
            }
            tracing::info!("stream {what} in: {tcp} out: {remote}({number})");
        }
        Side::Server => {
            if let Some(error) = failure {
                tracing::info!("pipe: {error} in: {remote}({number}) out: {tcp}");
            }
            tracing::info!("stream {what} in: {remote}({number}) out: {tcp}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::Phase;
    use crate::poller::Readiness;
    use kcptun_net::tcp::{Listener, listen};
    use kcptun_tunnel::Config;
    use kcptun_tunnel::crypt::{CipherKind, PacketCipher};
    use kcptun_tunnel::relay::Relay;
    use std::io::Write as _;
    use std::net::{Shutdown, TcpStream};
    use std::time::Duration;

    /// A client's endpoint, and a pair with a stream of it whose other side has said a few bytes and
    /// then no more.
    fn told_all() -> (Endpoint, Pair) {
        let cipher = PacketCipher::new(CipherKind::None, b"").unwrap();
        let mut endpoint = Endpoint::new(Config::default(), cipher, Side::Client, [1; 32]).unwrap();
        let remote = "127.0.0.1:9".parse().unwrap();
        let key = endpoint.connect(now(), remote).unwrap();
        let id = endpoint.open(now(), key).unwrap();

        let Listener::Tcp(listener) = listen(&"127.0.0.1:0".parse().unwrap()).unwrap() else {
            panic!("a unix socket")
        };
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let near = Tcp::accept(&Listener::Tcp(listener)).unwrap();
        far.write_all(b"a few bytes").unwrap();
        far.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let mut pair = Pair::new(Phase::Joined, Some(near), Relay::new(Duration::ZERO, false));
        pair.stream = Some(TunnelStream { key, id, remote, session: None });
        (endpoint, pair)
    }

    #[test]
    fn after_a_short_read_nothing_is_asked_before_the_system_tells_of_more() {
        let (mut endpoint, mut pair) = told_all();
        assert!(!outward(&mut endpoint, &mut pair).unwrap() && !pair.tcp_readable);
        assert!(pair.rules.is_open(Direction::TcpToStream), "the end was read, too");
        let told = Readiness { readable: true, ended: true, ..Readiness::default() };
        pair.handle_readiness(told);
        assert!(!outward(&mut endpoint, &mut pair).unwrap());
        assert!(!pair.rules.is_open(Direction::TcpToStream));
    }

    #[test]
    fn what_was_told_with_the_bytes_is_not_missed() {
        let ended = Readiness { readable: true, ended: true, ..Readiness::default() };
        let urgent = Readiness { readable: true, urgent: true, ..Readiness::default() };
        for told in [ended, urgent] {
            let (mut endpoint, mut pair) = told_all();
            pair.handle_readiness(told);
            assert!(!outward(&mut endpoint, &mut pair).unwrap());
            assert!(!pair.rules.is_open(Direction::TcpToStream), "{told:?}");
        }
    }
}
