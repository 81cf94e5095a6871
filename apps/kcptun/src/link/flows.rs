//! The clients of a relay, each with a socket of its own towards the target.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kcptun_async::runtime::{Runtime as _, Udp as _};
use kcptun_net::{SocketConfig, UdpSocket};
use kcptun_tokio::{Tokio, TokioUdp};
use proto_base::Instant;

/// One client.
#[derive(Debug)]
pub(super) struct Flow {
    /// Where its datagrams come from and its answers go to.
    pub(super) client: SocketAddr,
    /// The socket that stands for it before the target.
    pub(super) udp: TokioUdp,
    /// When something was last heard of it or for it.
    pub(super) seen: Instant,
}

/// All clients, found by address and by the number that goes with their datagrams. The number is
/// not used again, so what is on its way to a client that is gone reaches nobody else.
#[derive(Debug)]
pub(super) struct Flows {
    target: SocketAddr,
    socket: SocketConfig,
    limit: usize,
    by_client: HashMap<SocketAddr, u64>,
    by_tag: HashMap<u64, Flow>,
    next_tag: u64,
    /// Receive-buffer losses of sockets that are closed.
    past_drops: u64,
}

impl Flows {
    pub(super) fn new(target: SocketAddr, socket: SocketConfig, limit: usize) -> Self {
        let (by_client, by_tag) = (HashMap::new(), HashMap::new());
        Self { target, socket, limit, by_client, by_tag, next_tag: 0, past_drops: 0 }
    }

    /// The number of the client at `client`, which becomes one if there is room.
    ///
    /// # Errors
    /// `QuotaExceeded` when there are as many as allowed, and what the system says when it has no
    /// socket left.
    pub(super) fn admit(&mut self, now: Instant, client: SocketAddr) -> io::Result<u64> {
        if let Some(&tag) = self.by_client.get(&client) {
            if let Some(flow) = self.by_tag.get_mut(&tag) {
                flow.seen = now;
            }
            return Ok(tag);
        }
        if self.by_tag.len() >= self.limit {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let udp = Tokio.udp(UdpSocket::bind_for(self.target, &self.socket)?)?;
        let tag = self.next_tag;
        self.next_tag += 1;
        self.by_client.insert(client, tag);
        self.by_tag.insert(tag, Flow { client, udp, seen: now });
        Ok(tag)
    }

    pub(super) fn get_mut(&mut self, tag: u64) -> Option<&mut Flow> {
        self.by_tag.get_mut(&tag)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut Flow)> {
        self.by_tag.iter_mut().map(|(&tag, flow)| (tag, flow))
    }

    /// Forgets a client.
    pub(super) fn remove(&mut self, tag: u64) {
        if let Some(flow) = self.by_tag.remove(&tag) {
            self.by_client.remove(&flow.client);
            self.past_drops += u64::from(flow.udp.socket().dropped().unwrap_or(0));
        }
    }

    /// Forgets the clients of which nothing was heard for `idle`.
    pub(super) fn expire(&mut self, now: Instant, idle: Duration) {
        let is_old = |flow: &Flow| now.since(flow.seen) >= idle;
        let old: Vec<u64> =
            self.by_tag.iter().filter(|(_, flow)| is_old(flow)).map(|(&tag, _)| tag).collect();
        for tag in old {
            self.remove(tag);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_tag.len()
    }

    /// Clients so far, those that are gone included.
    pub(super) fn ever(&self) -> u64 {
        self.next_tag
    }

    /// Datagrams from the target that found a receive buffer of this machine full.
    pub(super) fn dropped(&self) -> u64 {
        let dropped = |flow: &Flow| u64::from(flow.udp.socket().dropped().unwrap_or(0));
        self.past_drops + self.by_tag.values().map(dropped).sum::<u64>()
    }
}
