//! A target that sends back what it gets.

use std::io;

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
                    let _ = echo(&tcp).await;
                });
            }
            // Out of file descriptors, mostly: connections that end make room.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn echo(tcp: &TcpStream) -> io::Result<()> {
    let mut chunk = Vec::new();
    loop {
        tcp.readable().await?;
        chunk.resize(CHUNK, 0);
        let count = match tcp.try_read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // While nothing comes, a connection holds no memory of ours.
                chunk = Vec::new();
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut rest = &chunk[..count];
        while !rest.is_empty() {
            tcp.writable().await?;
            match tcp.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
