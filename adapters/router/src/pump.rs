//! Bytes between a TCP connection and its stream, each way without a copy of their own.

use std::io;

use kcptun_tunnel::relay::Direction;
use kcptun_tunnel::{Endpoint, Side, StreamError};

use crate::clock::now;
use crate::pairs::{Pair, TunnelStream};

/// Bytes read from TCP at once: what one frame takes.
const PIECE: usize = 16_384;
/// Pieces moved in each direction of a pair before others get their turn.
const TURN: usize = 8;

/// TCP to the stream. `true`: there may be more.
pub(crate) fn outward(endpoint: &mut Endpoint, pair: &mut Pair) -> io::Result<bool> {
    let (Some(tcp), Some(TunnelStream { key, id, .. })) = (&mut pair.tcp, pair.stream) else {
        return Ok(false);
    };
    for _ in 0..TURN {
        let is_open = pair.rules.is_open(Direction::TcpToStream);
        if !is_open || !pair.tcp_readable || !pair.stream_writable {
            return Ok(false);
        }
        let read = endpoint.write_with(now(), key, id, PIECE, |slot| match tcp.read(slot) {
            Ok(count) => (count, Ok(count)),
            Err(error) => (0, Err(error)),
        });
        match read {
            Ok(Ok(0)) => pair.rules.handle_end(now(), Direction::TcpToStream),
            Ok(Ok(_)) => pair.rules.handle_progress(now(), Direction::TcpToStream),
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
