//! The TCP connections that are carried, each with its stream: a table of fixed size.

use std::collections::VecDeque;
use std::net::SocketAddr;

use kcptun_tunnel::policy::{SessionId, SlotId};
use kcptun_tunnel::relay::Relay;
use kcptun_tunnel::sorted::SortedMap;
use kcptun_tunnel::{ConnectionKey, StreamId};
use proto_base::Instant;

use crate::clock::now;
use crate::poller::Readiness;
use crate::tcp::Tcp;

/// What a pair is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Client: the slot whose session it will use is being dialed.
    AwaitsSession(SlotId),
    /// Server: the target's name is being looked up, or its queue is full.
    AwaitsTarget,
    /// Server: being connected to this one of the target's addresses.
    Connecting(usize),
    /// Bytes pass.
    Joined,
}

/// A stream of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TunnelStream {
    pub(crate) key: ConnectionKey,
    pub(crate) id: StreamId,
    /// The peer's end of the tunnel, for logs.
    pub(crate) remote: SocketAddr,
    /// Client: whose stream it is.
    pub(crate) session: Option<SessionId>,
}

/// A TCP connection, and its stream once it has one.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) phase: Phase,
    pub(crate) tcp: Option<Tcp>,
    pub(crate) stream: Option<TunnelStream>,
    pub(crate) rules: Relay,
    pub(crate) tcp_readable: bool,
    pub(crate) tcp_writable: bool,
    /// Nobody is at the other side of the connection any more.
    pub(crate) is_hung_up: bool,
    /// When it was heard that the other side of the connection says no more.
    pub(crate) ended_at: Option<Instant>,
    /// Reads of the connection may stop short of what is there: see [`Readiness::urgent`].
    pub(crate) may_stop_short: bool,
    pub(crate) stream_readable: bool,
    pub(crate) stream_writable: bool,
    /// Both directions of the stream came to their end, and the endpoint has forgotten it.
    pub(crate) has_ended: bool,
    /// Stands in the queue of those that have something to do.
    is_queued: bool,
    /// Sessions asked for (client), or times that the target's queue was full (server).
    pub(crate) attempts: u8,
}

impl Pair {
    pub(crate) fn new(phase: Phase, tcp: Option<Tcp>, rules: Relay) -> Self {
        Self {
            phase,
            tcp,
            stream: None,
            rules,
            tcp_readable: true,
            tcp_writable: true,
            is_hung_up: false,
            ended_at: None,
            may_stop_short: false,
            stream_readable: true,
            stream_writable: true,
            has_ended: false,
            is_queued: false,
            attempts: 0,
        }
    }

    /// Notes what the system tells of the connection.
    pub(crate) fn handle_readiness(&mut self, readiness: Readiness) {
        self.tcp_readable |= readiness.readable;
        self.tcp_writable |= readiness.writable;
        self.is_hung_up |= readiness.hung_up;
        self.may_stop_short |= readiness.urgent;
        if readiness.ended {
            self.ended_at.get_or_insert_with(now);
        }
    }
}

/// All pairs, found by number or by stream.
#[derive(Debug)]
pub(crate) struct Pairs {
    list: Vec<Option<Pair>>,
    vacant: Vec<u32>,
    by_stream: SortedMap<(ConnectionKey, StreamId), u32>,
    queue: VecDeque<u32>,
}

impl Pairs {
    /// Memory of each, in bytes: its place, its entry in the map, its numbers.
    pub(crate) const SIZE_EACH: usize = size_of::<Option<Pair>>()
        + size_of::<((ConnectionKey, StreamId), u32)>()
        + 3 * size_of::<u32>();

    /// Room for `count`.
    pub(crate) fn new(count: usize) -> Self {
        let mut list = Vec::with_capacity(count);
        list.resize_with(count, || None);
        let mut by_stream = SortedMap::new();
        by_stream.reserve(count);
        Self {
            list,
            vacant: (0..u32::try_from(count).unwrap_or(u32::MAX)).rev().collect(),
            by_stream,
            queue: VecDeque::with_capacity(count),
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.vacant.is_empty()
    }

    /// Takes a place; `None` (and the pair is dropped) when all are taken.
    pub(crate) fn insert(&mut self, pair: Pair) -> Option<u32> {
        let at = self.vacant.pop()?;
        self.list[at as usize] = Some(pair);
        self.wake(at);
        Some(at)
    }

    /// Gives a place back. Its number may still stand in the queue, and is passed over there.
    pub(crate) fn remove(&mut self, at: u32) -> Option<Pair> {
        let pair = self.list.get_mut(at as usize)?.take()?;
        if pair.is_queued {
            self.queue.retain(|&other| other != at);
        }
        if let Some(stream) = &pair.stream {
            self.by_stream.remove(&(stream.key, stream.id));
        }
        self.vacant.push(at);
        Some(pair)
    }

    pub(crate) fn get(&mut self, at: u32) -> Option<&mut Pair> {
        self.list.get_mut(at as usize)?.as_mut()
    }

    /// Gives a pair its stream.
    pub(crate) fn join(&mut self, at: u32, stream: TunnelStream) {
        if let Some(pair) = self.list.get_mut(at as usize).and_then(Option::as_mut) {
            pair.stream = Some(stream);
            self.by_stream.insert((stream.key, stream.id), at);
        }
    }

    pub(crate) fn find(&self, key: ConnectionKey, id: StreamId) -> Option<u32> {
        self.by_stream.get(&(key, id)).copied()
    }

    /// Has something to do.
    pub(crate) fn wake(&mut self, at: u32) {
        if let Some(pair) = self.list.get_mut(at as usize).and_then(Option::as_mut)
            && !pair.is_queued
        {
            pair.is_queued = true;
            self.queue.push_back(at);
        }
    }

    /// The next one that has something to do.
    pub(crate) fn next(&mut self) -> Option<u32> {
        let at = self.queue.pop_front()?;
        if let Some(pair) = self.get(at) {
            pair.is_queued = false;
        }
        Some(at)
    }

    /// How many have something to do.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The numbers of all pairs that there may be.
    pub(crate) fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }
}
