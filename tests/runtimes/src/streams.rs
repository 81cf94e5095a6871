//! Bytes and ends of streams.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kcptun_async::{Client, Runtime, SessionLimits};

use crate::support::{
    client_settings, exchange, pattern, read, read_to_end, server, sleep, spawn, stream, tunnel,
    with_echo, within, write_all,
};

/// Sixteen streams, each with its own bytes, half a megabyte in each direction at once.
pub async fn megabytes_cross_on_many_streams<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    with_echo(&runtime, server, async {
        let tasks: Vec<_> = (0..16)
            .map(|seed| {
                let client = client.clone();
                spawn(&runtime, async move {
                    let mut stream = client.open().await.expect("a stream");
                    let sent = pattern(seed, 512 * 1024);
                    let received = exchange(&mut stream, &sent).await.expect("an echo");
                    assert!(received == sent, "stream {seed}: {} bytes", received.len());
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
    })
    .await;
}

/// A question to its end, then the answer to its end.
pub async fn the_asking_end_closes_first<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (mut asking, mut answering) = stream(&client, &server).await;
    let (question, answer) = (pattern(1, 200_000), pattern(2, 700_000));

    let task = spawn(&runtime, async move {
        write_all(&mut asking, &question).await.expect("the question fits");
        asking.finish();
        let late = write_all(&mut asking, b"more").await.expect_err("this direction has ended");
        assert_eq!(late.kind(), io::ErrorKind::BrokenPipe);
        read_to_end(&mut asking).await.expect("an answer")
    });
    let heard = read_to_end(&mut answering).await.expect("a question");
    assert!(heard == pattern(1, 200_000));
    write_all(&mut answering, &answer).await.expect("the answer still goes out");
    answering.finish();
    assert!(task.await == answer);
}

/// The end that did not open the stream ends first, and hears the rest.
pub async fn the_answering_end_closes_first<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (mut asking, mut answering) = stream(&client, &server).await;
    write_all(&mut answering, b"welcome and goodbye").await.expect("a greeting");
    answering.finish();
    assert_eq!(read_to_end(&mut asking).await.expect("a greeting"), b"welcome and goodbye");

    let sent = pattern(3, 700_000);
    let task = spawn(&runtime, async move { read_to_end(&mut answering).await });
    write_all(&mut asking, &sent).await.expect("this direction is open");
    asking.finish();
    assert!(task.await.expect("the rest") == sent);
}

/// A stream that was dropped ends for the other side, behind what was written. The other side is
/// not hindered from writing into the void.
pub async fn what_was_written_before_a_drop_arrives<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    let (mut ours, mut theirs) = stream(&client, &server).await;
    let sent = pattern(4, 100_000);
    write_all(&mut ours, &sent).await.expect("room");
    drop(ours);
    assert!(read_to_end(&mut theirs).await.expect("what was written") == sent);
    let _ = write_all(&mut theirs, b"nobody reads this").await;
    drop(theirs);

    let (mut ours, mut theirs) = stream(&client, &server).await;
    write_all(&mut theirs, &sent).await.expect("room");
    drop(theirs);
    assert!(read_to_end(&mut ours).await.expect("what was written") == sent);
}

/// A reader that pauses stops its writer before memory is full of what it does not read, loses
/// nothing, and once it reads everything goes on.
pub async fn a_slow_reader_holds_its_writer_back<R: Runtime>(runtime: R) {
    const TOTAL: usize = 24 << 20;
    /// All buffers between the two: smux (4 MiB) and the windows of KCP at both ends, twice over.
    const BOUND: usize = 16 << 20;

    let (client, server) = tunnel(&runtime);
    let (mut ours, mut theirs) = stream(&client, &server).await;
    let written = Arc::new(AtomicUsize::new(0));
    let progress = Arc::clone(&written);
    let writer = spawn(&runtime, async move {
        let piece = pattern(5, 65_536);
        for _ in 0..TOTAL / piece.len() {
            write_all(&mut ours, &piece).await.expect("the stream lives");
            progress.fetch_add(piece.len(), Ordering::Relaxed);
        }
        ours.finish();
        ours
    });

    let mut before = usize::MAX;
    while before != written.load(Ordering::Relaxed) {
        before = written.load(Ordering::Relaxed);
        sleep(&runtime, Duration::from_millis(250)).await;
    }
    assert!(before < BOUND, "{before} bytes were taken though nobody reads");

    let (piece, mut at) = (pattern(5, 65_536), 0);
    let mut buffer = vec![0; 10_000];
    loop {
        let count = read(&mut theirs, &mut buffer).await.expect("the stream lives");
        if count == 0 {
            break;
        }
        let same = (0..count).all(|i| buffer[i] == piece[(at + i) % piece.len()]);
        assert!(same, "other bytes behind {at}");
        at += count;
    }
    assert_eq!(at, TOTAL);
    drop(writer.await);
}

/// A hundred streams at once, three times.
pub async fn a_hundred_streams_come_and_go<R: Runtime>(runtime: R) {
    let (client, server) = tunnel(&runtime);
    with_echo(&runtime, server, async {
        for round in 0..3 {
            let tasks: Vec<_> = (0..100)
                .map(|seed| {
                    let client = client.clone();
                    spawn(&runtime, async move {
                        let mut stream = client.open().await.expect("a stream");
                        let sent = pattern(round * 100 + seed, 2_000);
                        assert_eq!(exchange(&mut stream, &sent).await.expect("an echo"), sent);
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
        }
        assert_eq!(client.stats().endpoint.active_opens, 1, "one session carries them all");
    })
    .await;
}

/// In version 1 of smux all streams of a session share a buffer: a few bytes stand behind those that
/// another stream's reader has not taken. When that one reads at last, theirs is woken, though no
/// datagram comes.
pub async fn who_stands_behind_a_slow_reader_is_woken<R: Runtime>(runtime: R) {
    const MUCH: usize = 100_000;

    let server = server(&runtime);
    let mut settings = client_settings(server.local_addr());
    (settings.tunnel.smux.session_buffer, settings.tunnel.smux.stream_buffer) = (65_536, 65_536);
    let client = Client::new(runtime.clone(), settings);
    let (mut slow, mut slow_end) = stream(&client, &server).await;
    let (mut quick, mut quick_end) = stream(&client, &server).await;
    write_all(&mut slow_end, &pattern(10, MUCH)).await.expect("room");
    write_all(&mut quick_end, b"a word").await.expect("room");
    loop {
        sleep(&runtime, Duration::from_millis(100)).await;
        let sessions = server.sessions(SessionLimits { sessions: 1, streams: 0 }).listed;
        let figures = sessions.first().expect("the session lives").figures;
        if figures.in_flight + figures.queued == 0 {
            break;
        }
    }

    let reading = spawn(&runtime, async move {
        let mut word = [0; 6];
        read(&mut quick, &mut word).await.expect("the stream lives");
        word
    });
    sleep(&runtime, Duration::from_millis(50)).await;
    let (mut left, mut buffer) = (MUCH, vec![0; 10_000]);
    while left > 0 {
        left -= read(&mut slow, &mut buffer).await.expect("the stream lives");
    }
    let word = within(&runtime, Duration::from_secs(2), reading).await.expect("nobody wakes it");
    assert_eq!(&word, b"a word");
}
