//! `kcptun doctor`: what is wrong with a tunnel, and what to set at both ends.
//!
//! It runs where the client runs, with the client's flags, and speaks to the server as a client
//! does. Nothing is written to the server's target: small probes are smux frames that every server
//! reads and drops, and a stream is opened only to see what the target does.
//!
//! | what | how | module |
//! |---|---|---|
//! | whether the server answers, round trip, loss, path MTU | single KCP segments, each sent once | `talk`, `prober` |
//! | compression, smux version, target | a session with a stream | `session` |
//! | throughput | `kcptun doctor --answer` as the server's target | `session`, `answer` |
//! | settings that a silent server may have | single segments in all other ways | `ways` |
//! | flag values | | `facts`, `advice` |
//!
//! `options` has the flags, `line` the socket, `findings` the table, `examine` the order of it all.

mod advice;
mod answer;
mod examine;
mod facts;
mod findings;
mod line;
mod options;
mod prober;
mod session;
mod talk;
mod ways;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;

use kcptun_async::{Config, PacketCipher, SocketConfig};
use kcptun_net::address::HostPort;
use tokio::net::TcpListener;

use self::options::{Asked, PROGRAM};
use crate::terminal::{Screen, refuse, usage};
use crate::{RunError, front, on_tokio};

/// Runs the command with its `arguments` (without the names of program and command).
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let asked = match Asked::parse(arguments) {
        Ok(asked) => asked,
        Err(error) => return usage(PROGRAM, &error),
    };
    let is_usable = match asked {
        Asked::Answer(address) => {
            front::run(PROGRAM, answer(&address)).map(|done| done.map(|()| true))
        }
        Asked::Examine(options) => front::client(PROGRAM, &options.client).and_then(|parsed| {
            front::run(PROGRAM, examine::examine(&options, &parsed, &mut Screen::new()))
        }),
    };
    match is_usable {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::FAILURE,
        Ok(Err(error)) => refuse(PROGRAM, &error),
        Err(status) => status,
    }
}

/// Is the target that measurements need, until a signal comes.
async fn answer(address: &HostPort) -> Result<(), RunError> {
    let stop = on_tokio::stop_signal();
    let failed = |error| RunError::new(format!("--answer {address}: {error}"));
    let addresses = address.resolve_to_bind().map_err(failed)?;
    let listener = TcpListener::bind(&addresses[..]).await.map_err(failed)?;
    let mut screen = Screen::plain();
    let local = listener.local_addr().map_err(failed)?;
    screen.line(format_args!("answering at {local}: let the server's --target be this address"));
    tokio::select! {
        result = answer::serve(listener, |line| Screen::plain().line(line)) => result.map_err(failed),
        signal = stop => {
            screen.line(format_args!("{signal}: stopped"));
            Ok(())
        }
    }
}

/// A tunnel to be looked at: where the server is, and how it is spoken to.
#[derive(Debug, Clone)]
struct Subject {
    remote: SocketAddr,
    cipher: PacketCipher,
    tunnel: Config,
    socket: SocketConfig,
}
