//! A target that sends back what it gets.

use std::io;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

/// Bytes moved at a time: many connections, a little on each.
const CHUNK: usize = 2048;

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                tokio::task::spawn_local(async move {
                    // How it ended is seen by who waits for the bytes.
                    let _ = echo(tcp).await;
                });
            }
            // Out of file descriptors, mostly: connections that end make room.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn echo(mut tcp: TcpStream) -> io::Result<()> {
    loop {
        // While nothing comes, a connection holds no memory of ours.
        tcp.readable().await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        match tcp.try_read_buf(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(_) => tcp.write_all(&chunk).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
