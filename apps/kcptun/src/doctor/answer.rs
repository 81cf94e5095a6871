//! `kcptun doctor --answer`: the target that measurements of throughput need.
//!
//! It speaks first, so that a client knows it from other targets without having said anything:
//! [`GREETING`]. Then it takes [`Command`]s.
//!
//! | command | answer |
//! |---|---|
//! | ping | the same 16 bytes |
//! | give | random bytes for as long as the command says, then the end |
//! | take | the number of bytes that have come since, 8 bytes little-endian, ten times a second |

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the service says first.
pub(super) const GREETING: &[u8; 16] = b"kcptun-doctor 1\n";
/// Time between two reports of what has come.
pub(super) const REPORT: Duration = Duration::from_millis(100);
/// Longest time that one command keeps the service busy.
const LONGEST: Duration = Duration::from_secs(60);
/// Bytes moved at a time.
const CHUNK: usize = 64 << 10;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// To hear this number.
    Ping(u64),
    /// To get bytes for this many milliseconds.
    Give(u64),
    /// To be told how much comes, for this many milliseconds.
    Take(u64),
}

impl Command {
    /// Bytes of a command.
    pub(super) const LEN: usize = 16;

    pub(super) fn emit(self) -> [u8; Self::LEN] {
        let (word, value) = match self {
            Self::Ping(number) => (b"ping....", number),
            Self::Give(millis) => (b"give....", millis),
            Self::Take(millis) => (b"take....", millis),
        };
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(word);
        bytes[8..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (word, value) = bytes.split_first_chunk::<8>()?;
        let value = u64::from_le_bytes(value.try_into().ok()?);
        match word {
            b"ping...." => Some(Self::Ping(value)),
            b"give...." => Some(Self::Give(value)),
            b"take...." => Some(Self::Take(value)),
            _ => None,
        }
    }
}

/// Serves whoever connects, for ever; `told` is given a line for each that is done.
///
/// # Errors
/// When the system has no random bytes to give.
pub(super) async fn serve(
    listener: TcpListener,
    told: impl Fn(String) + Clone + Send + 'static,
) -> io::Result<()> {
    let mut random = vec![0; CHUNK];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let random: std::sync::Arc<[u8]> = random.into();
    loop {
        let Ok((tcp, from)) = listener.accept().await else {
            tokio::time::sleep(REPORT).await;
            continue;
        };
        let (random, told) = (random.clone(), told.clone());
        tokio::spawn(async move {
            let result = Service { tcp, random }.run().await;
            if let Err(error) = result
                && error.kind() == io::ErrorKind::InvalidData
            {
                told(format!("{from}: {error}"));
            }
        });
    }
}

/// One connection.
struct Service {
    tcp: TcpStream,
    /// Bytes that no compression makes shorter: a frame holds less than half of them.
    random: std::sync::Arc<[u8]>,
}

impl Service {
    async fn run(mut self) -> io::Result<()> {
        self.tcp.set_nodelay(true)?;
        self.tcp.write_all(GREETING).await?;
        loop {
            let mut bytes = [0; Command::LEN];
            self.tcp.read_exact(&mut bytes).await?;
            let time = |millis| Duration::from_millis(millis).min(LONGEST);
            match Command::parse(&bytes) {
                Some(Command::Ping(_)) => self.tcp.write_all(&bytes).await?,
                Some(Command::Give(millis)) => return self.give(time(millis)).await,
                Some(Command::Take(millis)) => return self.take(time(millis)).await,
                None => {
                    let text = "what came is no command; is this another program's client?";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
    }

    async fn give(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.tcp.write_all(&self.random).await?;
        }
        Ok(())
    }

    async fn take(&mut self, time: Duration) -> io::Result<()> {
        let (end, mut total) = (Instant::now() + time, 0u64);
        let mut chunk = vec![0; CHUNK];
        let mut reports = tokio::time::interval(REPORT);
        while Instant::now() < end {
            tokio::select! {
                _ = reports.tick() => self.tcp.write_all(&total.to_le_bytes()).await?,
                count = self.tcp.read(&mut chunk) => match count? {
                    0 => return Ok(()),
                    count => total += count as u64,
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn commands_are_read_back(value: u64, which in 0..3) {
            let command = [Command::Ping, Command::Give, Command::Take][which as usize](value);
            prop_assert_eq!(Command::parse(&command.emit()), Some(command));
        }

        #[test]
        fn other_bytes_are_no_command(mut bytes: [u8; 16]) {
            bytes[0] |= 0x80;
            prop_assert_eq!(Command::parse(&bytes), None);
        }
    }
}
