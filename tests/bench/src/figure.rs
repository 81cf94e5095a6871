//! What is measured: names, units, and which way is better.

/// Which way a figure should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// One kind of number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    /// Its key in the JSON output and in file names.
    pub(crate) key: &'static str,
    /// As people read it.
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

const fn higher(key: &'static str, name: &'static str, unit: &'static str) -> Figure {
    Figure { key, name, unit, better: Better::Higher }
}

const fn lower(key: &'static str, name: &'static str, unit: &'static str) -> Figure {
    Figure { key, name, unit, better: Better::Lower }
}

/// Payload delivered per time.
pub(crate) const GOODPUT: Figure = higher("goodput", "goodput", "Mbit/s");
/// Bytes that entered the path in both directions, IPv4 and UDP headers included, for each
/// payload byte delivered.
pub(crate) const WIRE: Figure = lower("wire", "wire bytes per byte", "B/B");
/// Share of the datagrams that the queue before the bottleneck refused.
pub(crate) const QUEUE_DROPS: Figure = lower("queue_drops", "dropped by the queue", "%");
/// Processor time of client and server for 10^9 payload bytes.
pub(crate) const CPU_PER_GB: Figure = lower("cpu_per_gb", "CPU, both ends", "s/GB");
/// Datagrams dropped by the kernel for want of buffer space, the whole machine.
pub(crate) const UDP_DROPS: Figure = lower("udp_drops", "kernel UDP drops", "per s");
pub(crate) const REQUESTS: Figure = higher("requests", "requests", "per s");
pub(crate) const REQUEST_MEDIAN: Figure = lower("request_p50", "request, median", "ms");
pub(crate) const REQUEST_P99: Figure = lower("request_p99", "request, 99th percentile", "ms");
/// Processor time of client and server for a request.
pub(crate) const CPU_PER_REQUEST: Figure = lower("cpu_per_request", "CPU, both ends", "µs each");
/// Round trip through the tunnel less the median round trip without it.
pub(crate) const ADDED_MEDIAN: Figure = lower("added_p50", "added, median", "ms");
pub(crate) const ADDED_P99: Figure = lower("added_p99", "added, 99th percentile", "ms");
pub(crate) const CLIENT_WAKE_UPS: Figure = lower("wake_ups_client", "wake-ups, client", "per s");
pub(crate) const SERVER_WAKE_UPS: Figure = lower("wake_ups_server", "wake-ups, server", "per s");
pub(crate) const IDLE_CPU: Figure = lower("idle_cpu", "CPU, both ends", "% of a core");
pub(crate) const CLIENT_MEMORY: Figure = lower("memory_client", "resident, client", "MB");
pub(crate) const SERVER_MEMORY: Figure = lower("memory_server", "resident, server", "MB");
pub(crate) const ENCRYPTED: Figure = higher("encrypted", "encryption", "MB/s");
pub(crate) const DECRYPTED: Figure = higher("decrypted", "decryption", "MB/s");
/// Of data, the parity not counted.
pub(crate) const ENCODED: Figure = higher("encoded", "encoding", "GB/s");
pub(crate) const DECODED: Figure = higher("decoded", "decoding, 3 lost", "GB/s");
pub(crate) const QUEUED: Figure = lower("queued", "queued and written by the user", "ns each");
pub(crate) const SENT: Figure = lower("sent", "sent", "ns each");
pub(crate) const RECEIVED: Figure = lower("received", "received and read", "ns each");
pub(crate) const ACKNOWLEDGED: Figure = lower("acknowledged", "acknowledged", "ns each");
/// Share of the sessions that the shard with fewer of them has.
pub(crate) const LESSER_SHARD: Figure = higher("lesser_shard", "sessions on the lesser", "%");
