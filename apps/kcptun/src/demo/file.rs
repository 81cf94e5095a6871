//! The target of the demo, and the download from it: random bytes, and a digest at each end.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a download asks for.
const REQUEST: &[u8] = b"GET random\n";
/// Bytes made and digested at a time.
const CHUNK: usize = 64 << 10;
/// Bytes the target lets the system keep for it: what is sent last shall not wait long.
const SEND_BUFFER: usize = 128 << 10;

/// SHA-256.
pub(super) type Digest = [u8; 32];

/// What one end saw of the file.
#[derive(Debug, Default, Clone)]
pub(super) struct Transfer {
    /// Bytes so far.
    pub(super) bytes: u64,
    /// Of all bytes, once the last has passed.
    pub(super) digest: Option<Digest>,
    /// When the first bytes were asked for, came, and when the last came.
    pub(super) asked_at: Option<Instant>,
    pub(super) began_at: Option<Instant>,
    pub(super) ended_at: Option<Instant>,
    /// Why it ended without a digest.
    pub(super) error: Option<String>,
}

/// A transfer that somebody watches.
#[derive(Debug, Default, Clone)]
pub(super) struct Watched(Arc<Mutex<Transfer>>);

impl Watched {
    /// As it is now.
    pub(super) fn get(&self) -> Transfer {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Transfer)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn finish(&self, result: io::Result<Digest>) {
        self.change(|transfer| {
            transfer.ended_at = Some(Instant::now());
            match result {
                Ok(digest) => transfer.digest = Some(digest),
                Err(error) => transfer.error = Some(error.to_string()),
            }
        });
    }
}

/// Serves one download of random bytes that goes on for `time`.
pub(super) async fn serve(listener: TcpListener, seed: u64, time: Duration, watched: Watched) {
    let result = serve_one(listener, seed, time, &watched).await;
    watched.finish(result);
}

async fn serve_one(
    listener: TcpListener,
    seed: u64,
    time: Duration,
    watched: &Watched,
) -> io::Result<Digest> {
    let (mut tcp, _) = listener.accept().await?;
    socket2::SockRef::from(&tcp).set_send_buffer_size(SEND_BUFFER)?;
    let mut request = [0; REQUEST.len()];
    tcp.read_exact(&mut request).await?;
    if request != REQUEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the request came damaged"));
    }
    let end = Instant::now() + time;
    let (mut random, mut hash) = (Random(seed), Sha256::new());
    let mut chunk = vec![0; CHUNK];
    while Instant::now() < end {
        random.fill(&mut chunk);
        hash.update(&chunk);
        tcp.write_all(&chunk).await?;
        watched.change(|transfer| transfer.bytes += CHUNK as u64);
    }
    tcp.shutdown().await?;
    Ok(hash.finalize().into())
}

/// Downloads what the target behind `address` serves.
pub(super) async fn download(address: SocketAddr, watched: Watched) {
    let result = download_one(address, &watched).await;
    watched.finish(result);
}

async fn download_one(address: SocketAddr, watched: &Watched) -> io::Result<Digest> {
    watched.change(|transfer| transfer.asked_at = Some(Instant::now()));
    let mut tcp = TcpStream::connect(address).await?;
    tcp.write_all(REQUEST).await?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match tcp.read(&mut chunk).await? {
            0 => return Ok(hash.finalize().into()),
            count => {
                hash.update(&chunk[..count]);
                watched.change(|transfer| {
                    transfer.began_at.get_or_insert_with(Instant::now);
                    transfer.bytes += count as u64;
                });
            }
        }
    }
}

/// SplitMix64: bytes that no compression makes shorter.
struct Random(u64);

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..word.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_sees_what_was_served() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (served, received) = (Watched::default(), Watched::default());
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let time = Duration::from_millis(50);
            let serving = tokio::spawn(serve(listener, 3, time, served.clone()));
            download(address, received.clone()).await;
            serving.await.unwrap();
        });
        let (served, received) = (served.get(), received.get());
        assert!(served.bytes > 0 && served.digest.is_some(), "{served:?}");
        assert_eq!((served.bytes, served.digest), (received.bytes, received.digest));
    }
}
