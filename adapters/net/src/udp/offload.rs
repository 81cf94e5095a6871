//! How much of the work of sending and receiving the kernel takes.

/// How datagrams pass to and from the kernel. Each mode carries the same datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Offload {
    /// Whole batches that the kernel or the card cuts up and joins (Linux GSO and GRO).
    Segments,
    /// Many single datagrams per system call (Linux `sendmmsg` and `recvmmsg`).
    Batches,
    /// One datagram per system call, everywhere.
    Single,
}
