//! The harness itself, without any tunnel: what it reports must be true.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use kcptun_interop::{Job, Target};

fn job() -> Job {
    Job { connections: 8, up: 300_001, down: 200_003, patience: Duration::from_secs(10) }
}

#[test]
fn a_job_runs_straight_against_the_target() {
    let target = Target::start();
    let report = job().run(target.address()).unwrap();
    assert_eq!(report.bytes, 8 * 500_004);
    assert!(report.mbit_per_second() > 0.0);
    assert!(target.complaints().is_empty());
    Job { up: 0, down: 0, ..job() }.run(target.address()).unwrap();
}

/// A relay that changes byte number `at` of what flows in one direction.
fn damaging(target: &Target, at: usize, upward: bool) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (entrance, target) = (listener.local_addr().unwrap(), target.address());
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(target).unwrap();
        let (back_from, back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = std::thread::spawn(move || copy(back_from, back_to, at, !upward));
        copy(client, server, at, upward);
        back.join().unwrap();
    });
    entrance
}

fn copy(mut from: TcpStream, mut to: TcpStream, at: usize, damage: bool) {
    let (mut done, mut chunk) = (0, [0; 4096]);
    while let Ok(len @ 1..) = from.read(&mut chunk) {
        if damage && (done..done + len).contains(&at) {
            chunk[at - done] ^= 0x40;
        }
        done += len;
        if to.write_all(&chunk[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_wrong_byte_is_found_whichever_way_it_goes() {
    let one = Job { connections: 1, ..job() };
    let target = Target::start();
    let error = one.run(damaging(&target, 100_000, false)).unwrap_err();
    assert!(error.contains("downward: wrong byte at 100000"), "{error}");

    let target = Target::start();
    one.run(damaging(&target, 100_032, true)).unwrap_err();
    let complaint = target.complaints().concat();
    assert!(complaint.contains("upward: wrong byte at 100000"), "{complaint}");
}

#[test]
fn a_silent_tunnel_is_an_error_not_a_hang() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let impatient = Job { connections: 2, patience: Duration::from_millis(200), ..job() };
    let error = impatient.run(listener.local_addr().unwrap()).unwrap_err();
    assert!(error.contains("connection 0") && error.contains("connection 1"), "{error}");
}
