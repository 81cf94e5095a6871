//! Unix sockets at either side of the tunnel, with the original at the other end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use kcptun_interop::{BOTH_WAYS, Maker, Pattern, Process, Role, flags, free_port, wait_until};

const BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// The original of 2021 takes a path as `--target`; as `--localaddr` only ours does.
#[test]
#[ignore = "needs Debian's kcptun; run by cargo xtask test"]
fn sockets_with_paths_carry_both_ways() {
    for pair in BOTH_WAYS {
        let folder = Folder::new(&format!("{pair:?}"));
        let target = folder.0.join("target");
        echo(UnixListener::bind(&target).expect("a socket in a folder of ours"));
        let port = free_port();
        let arguments = flags(&format!("-l 127.0.0.1:{port} -t {}", target.display()));
        let mut server = Process::start("server", &pair.server.binary(Role::Server), &arguments);
        server.wait_udp(port);
        let entrance = folder.0.join("entrance");
        let tcp = free_port();
        let local = match pair.client {
            Maker::Debian => format!("127.0.0.1:{tcp}"),
            _ => entrance.display().to_string(),
        };
        let arguments = flags(&format!("-l {local} -r 127.0.0.1:{port}"));
        let mut client = Process::start("client", &pair.client.binary(Role::Client), &arguments);
        if pair.client == Maker::Debian {
            client.wait_tcp(tcp);
            let address = SocketAddr::from(([127, 0, 0, 1], tcp));
            exchange(TcpStream::connect(address).expect("the client listens"));
        } else {
            assert!(wait_until(PATIENCE, || entrance.exists()), "{}", client.log());
            exchange(UnixStream::connect(&entrance).expect("the client listens"));
        }
        assert!(client.is_running() && server.is_running());
    }
}

/// A folder of the test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let words: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        // Short: the path of a unix socket has 107 bytes at the most.
        let path = std::env::temp_dir().join(format!("kcptun-{}-{words}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for sockets");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends back what comes.
fn echo(listener: UnixListener) {
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

/// A megabyte there and back, every byte compared.
fn exchange<S>(mut stream: S)
where
    S: Read + Write + Send + SecondHandle + 'static,
{
    let mut writing = stream.second();
    let writer = thread::spawn(move || {
        let mut sent = vec![0; BYTES];
        Pattern::new(1).fill(&mut sent);
        writing.write_all(&sent).expect("the tunnel takes bytes");
    });
    let mut received = vec![0; BYTES];
    stream.read_exact(&mut received).expect("the tunnel brings them back");
    Pattern::new(1).check(&received).expect("the same bytes");
    writer.join().expect("all was written");
}

/// A second handle, with a limit to every wait.
trait SecondHandle: Sized {
    fn second(&self) -> Self;
}

impl SecondHandle for TcpStream {
    fn second(&self) -> Self {
        self.set_read_timeout(Some(PATIENCE)).expect("a limit");
        self.try_clone().expect("a second handle")
    }
}

impl SecondHandle for UnixStream {
    fn second(&self) -> Self {
        self.set_read_timeout(Some(PATIENCE)).expect("a limit");
        self.try_clone().expect("a second handle")
    }
}
