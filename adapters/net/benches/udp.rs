//! What a batch costs on loopback: both ends in one thread, 44 datagrams of 1350 bytes per round.
//!
//! `cargo bench -p kcptun-net`; the throughput column counts the bytes once.

use divan::Bencher;
use divan::counter::BytesCount;
use kcptun_net::{Offload, ReceiveBuffers, Received, SocketConfig, UdpSocket};

const STRIDE: usize = 1350;
const DATAGRAMS: usize = 44;

fn main() {
    divan::main();
}

#[divan::bench(args = [Offload::Segments, Offload::Batches, Offload::Single])]
fn loopback(bencher: Bencher, offload: Offload) {
    let config = SocketConfig { offload, ..SocketConfig::default() };
    let receiver = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &config).unwrap();
    let to = receiver.local_addr().unwrap();
    let sender = UdpSocket::bind_for(to, &config).unwrap();
    let mut buffers = ReceiveBuffers::new(ReceiveBuffers::DEFAULT_MESSAGES);
    let batch = vec![7; STRIDE * DATAGRAMS];
    bencher.counter(BytesCount::new(batch.len())).bench_local(|| {
        let outcome = sender.send_batch(&batch, STRIDE, to).unwrap();
        assert_eq!(outcome.sent, DATAGRAMS);
        let mut missing = batch.len();
        while missing > 0 {
            if let Received::Messages(_) = receiver.recv_batch(&mut buffers).unwrap() {
                missing -= buffers.messages().map(|message| message.bytes.len()).sum::<usize>();
            }
        }
    });
}
