//! Both ends of a tunnel in this process, with traffic and a status page for each, to look at:
//!
//! ```text
//! cargo run -p kcptun-status --example two_ends
//! ```
//!
//! With `UDP-PORT REMOTE` the server listens at that port and the client dials REMOTE, so that a
//! bad link can stand between: `kcptun link --listen :4001 --to 127.0.0.1:4000 --link loss=5%`,
//! `two_ends 4000 127.0.0.1:4001`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kcptun_async::{
    CipherKind, Client, ClientSettings, Config, PacketCipher, Server, ServerSettings, Stream,
};
use kcptun_status::{Addresses, Program, Side, Site, Tunnel};
use kcptun_tokio::Tokio;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let port = words.first().map_or("0", String::as_str);
    let cipher = PacketCipher::new(CipherKind::Aes, b"a long and random key")?;
    let settings = ServerSettings {
        listen: format!("127.0.0.1:{port}").parse()?,
        cipher: cipher.clone(),
        tunnel: Config::default(),
        socket: kcptun_async::SocketConfig::default(),
    };
    let server = Arc::new(Server::bind(&Tokio, settings)?);
    let remote = words.get(1).cloned().unwrap_or_else(|| server.local_addr().to_string());
    let client = Client::new(
        Tokio,
        ClientSettings {
            remote: remote.parse()?,
            cipher,
            tunnel: Config::default(),
            socket: kcptun_async::SocketConfig::default(),
            policy: kcptun_async::PolicyConfig::default(),
        },
    );
    show(Side::Server, "127.0.0.1:9130", Arc::clone(&server)).await?;
    show(Side::Client, "127.0.0.1:9129", client.clone()).await?;
    for number in 0..3 {
        tokio::spawn(ask(client.clone(), number));
    }
    loop {
        tokio::spawn(answer(server.accept().await?));
    }
}

async fn show(
    side: Side,
    address: &str,
    tunnel: impl Tunnel,
) -> Result<(), Box<dyn std::error::Error>> {
    let address = address.parse()?;
    let addresses = Addresses { status: Some(address), pprof: Some("127.0.0.1:6060".parse()?) };
    let addresses = match side {
        Side::Client => addresses,
        Side::Server => Addresses { pprof: None, ..addresses },
    };
    let program = Program::new(side, env!("CARGO_PKG_VERSION"));
    let program = program.with_settings([("crypt", "aes"), ("mode", "fast"), ("fec", "10+3")]);
    let site = Site::new(program, Arc::new(tunnel));
    for bound in site.listen(&Tokio, addresses).await? {
        println!("http://{}/", bound.address);
    }
    Ok(())
}

/// Asks for something of varying size, again and again.
async fn ask(client: Client<Tokio>, number: u64) -> io::Result<()> {
    for round in 0_u64.. {
        let mut stream = client.open().await?;
        let wanted = 200_000 + (round * 7_919 + number * 104_729) % 5 * 400_000;
        write(&mut stream, &wanted.to_be_bytes()).await?;
        stream.finish();
        while std::future::poll_fn(|cx| stream.poll_read(cx, &mut [0; 16_384])).await? > 0 {}
        tokio::time::sleep(Duration::from_millis(300 * (round % 4))).await;
    }
    Ok(())
}

/// Gives as much as was asked for.
async fn answer(mut stream: Stream) -> io::Result<()> {
    let mut wanted = [0; 8];
    let mut have = 0;
    while have < wanted.len() {
        match std::future::poll_fn(|cx| stream.poll_read(cx, &mut wanted[have..])).await? {
            0 => return Ok(()),
            count => have += count,
        }
    }
    let mut left = usize::try_from(u64::from_be_bytes(wanted)).unwrap_or(0);
    let mut number = 1_u64;
    let mut noise = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        number.to_be_bytes()[0]
    };
    while left > 0 {
        let piece: Vec<u8> = (0..left.min(16_384)).map(|_| noise()).collect();
        write(&mut stream, &piece).await?;
        left -= piece.len();
    }
    stream.finish();
    while std::future::poll_fn(|cx| stream.poll_read(cx, &mut [0; 64])).await? > 0 {}
    Ok(())
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::future::poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}
