//! A TCP connection and a stream, joined.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use kcptun_tunnel::relay::{Action, Direction, Relay as Rules};
use proto_base::Instant;

use crate::runtime::{Bytes, Runtime, Timer};
use crate::stream::Stream;

/// Bytes read from TCP at once: what one frame takes.
const PIECE: usize = 16_384;
/// Pieces moved in each direction before other tasks get their turn.
const TURN: usize = 8;
/// How often a connection is looked at that may not be read.
const LOOK: Duration = Duration::from_secs(1);
/// How often one is looked at that has ended its direction. It breaks when the system's probes, one
/// every 15 s, find that nobody is there any more.
const LOOK_BEHIND_END: Duration = Duration::from_secs(15);

/// Moves bytes between a TCP connection and a stream until both directions have ended; the rules
/// of their ends are those of [`Rules`]. Bytes are read straight into the memory they are sent from,
/// and written straight from where they were received.
///
/// Resolves to the error that ended it early, if one did.
pub struct Relay<R: Runtime> {
    stream: Stream,
    tcp: R::Bytes,
    timer: R::Timer,
    rules: Rules,
    /// While the stream has no room for what the connection says, and once that has ended: when to
    /// look whether the connection still stands. Nobody else would notice, as nothing is read.
    look_at: Option<Instant>,
}

impl<R: Runtime> Relay<R> {
    /// Joins the two. `closewait`: see [`Rules`]; `windows`: smux version 2.
    pub fn new(
        runtime: &R,
        stream: Stream,
        tcp: R::Bytes,
        closewait: Duration,
        windows: bool,
    ) -> Self {
        let rules = Rules::new(closewait, windows);
        Self { stream, tcp, timer: runtime.timer(), rules, look_at: None }
    }

    /// TCP to the stream. Ready when it may have to be called again without being woken.
    fn outward(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<io::Result<()>> {
        for _ in 0..TURN {
            if !self.rules.is_open(Direction::TcpToStream) {
                return self.look(now, LOOK_BEHIND_END);
            }
            let tcp = &mut self.tcp;
            let mut inner = Context::from_waker(cx.waker());
            let read = self.stream.poll_write_with(cx, now, PIECE, |slot| {
                match tcp.poll_read(&mut inner, slot) {
                    Poll::Ready(Ok(count)) => (count, Poll::Ready(Ok(count))),
                    other => (0, other),
                }
            });
            if read.is_pending() {
                return self.look(now, LOOK);
            }
            self.look_at = None;
            match read {
                Poll::Ready(Ok(Poll::Ready(Ok(0)))) => {
                    self.rules.handle_end(now, Direction::TcpToStream);
                }
                Poll::Ready(Ok(Poll::Ready(Ok(_)))) => {
                    self.rules.handle_progress(now, Direction::TcpToStream);
                }
                // The peer has closed for good: nobody reads what would be sent.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.rules.handle_end(now, Direction::TcpToStream);
                }
                Poll::Ready(Ok(Poll::Ready(Err(error))) | Err(error)) => {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(Poll::Pending)) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The stream takes nothing (more): ready when the connection broke meanwhile. One that has ended
    /// in peace has still to be read, or waits for an answer.
    fn look(&mut self, now: Instant, pause: Duration) -> Poll<io::Result<()>> {
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            if let Err(error) = self.tcp.is_sending() {
                return Poll::Ready(Err(error));
            }
        }
        self.look_at.get_or_insert(now + pause);
        Poll::Pending
    }

    /// The stream to TCP.
    fn inward(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<io::Result<()>> {
        for _ in 0..TURN {
            if !self.rules.is_open(Direction::StreamToTcp) {
                return Poll::Pending;
            }
            let tcp = &mut self.tcp;
            let mut inner = Context::from_waker(cx.waker());
            let written = self.stream.poll_read_with(cx, now, |bytes| {
                match tcp.poll_write(&mut inner, bytes) {
                    Poll::Ready(Ok(count)) => (count, Poll::Ready(Ok(count))),
                    other => (0, other),
                }
            });
            match written {
                Poll::Ready(Ok(None)) => self.rules.handle_end(now, Direction::StreamToTcp),
                Poll::Ready(Ok(Some(Poll::Ready(Ok(_))))) => {
                    self.rules.handle_progress(now, Direction::StreamToTcp);
                }
                Poll::Ready(Ok(Some(Poll::Ready(Err(error)))) | Err(error)) => {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(Some(Poll::Pending))) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Does what the rules ask; `true` when all is over.
    fn obey(&mut self) -> bool {
        while let Some(action) = self.rules.poll_action() {
            match action {
                Action::FinishStream => self.stream.finish(),
                Action::ShutdownTcp => {
                    if self.tcp.shutdown_write().is_err() {
                        self.rules.handle_error();
                    }
                }
                Action::ResetAll => {
                    self.tcp.reset_on_drop();
                    return true;
                }
                _ => return true,
            }
        }
        self.rules.is_over()
    }
}

impl<R: Runtime> Future for Relay<R> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let now = crate::now();
        // Only a half-closed one wants to know, and it has a deadline.
        if this.rules.poll_timeout().is_some() && this.stream.peer_reads() {
            this.rules.handle_reader();
        }
        this.rules.handle_timeout(now);
        // What the tunnel brings is what wakes most relays.
        let inward = this.inward(cx, now);
        let outward = this.outward(cx, now);
        let mut again = outward.is_ready() || inward.is_ready();
        let mut failure = None;
        for result in [outward, inward] {
            if let Poll::Ready(Err(error)) = result {
                this.rules.handle_error();
                failure = Some(error);
            }
        }
        if this.obey() {
            return Poll::Ready(failure.map_or(Ok(()), Err));
        }
        let deadline = Instant::earliest(this.rules.poll_timeout(), this.look_at);
        again |= this.timer.poll_until(cx, deadline).is_ready();
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
