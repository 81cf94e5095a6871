//! A client whose runtime has ended: whoever waits for a stream is told, and so is who asks later.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kcptun_async::{Client, Runtime};
use kcptun_runtimes::support::{client_settings, sleep, within};

/// Waits for a stream on a runtime that has not ended; fails if that takes too long.
fn open<R: Runtime>(client: &Client<R>) -> io::Error {
    let limit = Duration::from_secs(10);
    let opened = smol::block_on(within(&kcptun_smol::Smol::default(), limit, client.open()));
    opened.expect("it hangs").expect_err("nobody drives it")
}

/// Ends a client's runtime while one waits that is polled elsewhere.
fn end_while_waiting<R: Runtime>(client: Client<R>, end: impl FnOnce()) {
    let waiting = {
        let client = client.clone();
        thread::spawn(move || open(&client))
    };
    thread::sleep(Duration::from_millis(300));
    end();
    let told = waiting.join().expect("no panic");
    assert_eq!(told.kind(), io::ErrorKind::NotConnected, "{told}");
    let told = open(&client);
    assert_eq!(told.kind(), io::ErrorKind::NotConnected, "{told}");
}

/// A client that finds no server, as there is no such name, or one that it takes for a server.
fn client<R: Runtime>(runtime: R, is_known: bool) -> Client<R> {
    let mut settings = client_settings((Ipv4Addr::LOCALHOST, 9).into());
    if !is_known {
        settings.remote = "no-such-name.invalid:9".parse().expect("a name");
    }
    Client::new(runtime, settings)
}

#[test]
fn a_client_of_tokio_outlives_its_runtime() {
    for is_known in [false, true] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let client = runtime.block_on(async {
            let client = client(kcptun_tokio::Tokio, is_known);
            let wait = Duration::from_millis(200);
            let opened = within(&kcptun_tokio::Tokio, wait, client.open()).await;
            assert_eq!(opened.is_some(), is_known);
            client
        });
        match is_known {
            true => {
                drop(runtime);
                open(&client);
            }
            false => end_while_waiting(client, move || drop(runtime)),
        }
    }
}

#[test]
fn a_client_of_smol_outlives_its_executor() {
    for is_known in [false, true] {
        let executor = Arc::new(smol::Executor::new());
        let runtime = kcptun_smol::Smol::on(&executor);
        let client = client(runtime.clone(), is_known);
        smol::block_on(executor.run(async {
            let opened = within(&runtime, Duration::from_millis(200), client.open()).await;
            assert_eq!(opened.is_some(), is_known);
            sleep(&runtime, Duration::from_millis(10)).await;
        }));
        match is_known {
            true => {
                drop(executor);
                open(&client);
            }
            false => end_while_waiting(client, move || drop(executor)),
        }
    }
}

#[test]
fn an_executor_that_is_gone_already_runs_nothing() {
    let executor = Arc::new(smol::Executor::new());
    let runtime = kcptun_smol::Smol::on(&executor);
    drop(executor);
    open(&client(runtime, true));
}
