//! A server of two shards against one of a single shard.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::figure::{CPU_PER_GB, GOODPUT, LESSER_SHARD};
use crate::measure::{Outcome, Setting, Side};
use crate::service::Job;
use crate::tunnel::{Plan, Tunnel};

/// Sessions, each with a UDP port of its own at the client.
pub(crate) const SESSIONS: usize = 64;
/// Messages by which the thread of a session is found.
const MESSAGES: usize = 4;
const WARM_UP: Duration = Duration::from_millis(500);

/// Bytes in all sessions at once, to the client; ours are two shards, the peer is one.
pub(crate) fn measure(setting: &Setting<'_>) -> Result<Outcome, Failure> {
    let shards = if setting.side == Side::Ours { 2 } else { 1 };
    let client = format!("{} --conn {SESSIONS}", setting.flags);
    let server = format!("{} --shards {shards}", setting.flags);
    let mut tunnel = Tunnel::start_as(&Plan { client, server, ..setting.plan() })?;
    let lesser = if shards == 2 { Some(lesser_shard(&tunnel)?) } else { None };
    let said = |error| Failure(format!("no connection through the tunnel: {error}"));
    let running = (0..SESSIONS)
        .map(|_| tunnel.service.bulk(tunnel.entrance, false).map_err(said))
        .collect::<Result<Vec<_>, _>>()?;
    let read = || -> Result<_, Failure> {
        let delivered: u64 = running.iter().map(|bulk| bulk.delivered()).sum();
        Ok((Instant::now(), delivered, tunnel.cpu_seconds()?))
    };
    std::thread::sleep(WARM_UP);
    let before = read()?;
    std::thread::sleep(setting.time);
    let after = read()?;
    drop(running);
    tunnel.check()?;
    let delivered = (after.1 - before.1) as f64;
    if delivered == 0.0 {
        return Err(Failure("nothing was delivered in the time measured".into()));
    }
    let mut figures = vec![
        (CPU_PER_GB, (after.2 - before.2) / delivered * 1e9),
        (GOODPUT, delivered * 8e-6 / (after.0 - before.0).as_secs_f64()),
    ];
    figures.extend(lesser.map(|share| (LESSER_SHARD, share)));
    Ok(Outcome { figures, ..Outcome::default() })
}

/// Share of the sessions in percent that the lesser of two shards has. The client takes its
/// sessions in turn; a few messages go through each while all others are quiet, and the thread of
/// the server that works on them has it.
fn lesser_shard(tunnel: &Tunnel) -> Result<f64, Failure> {
    let said = |error| Failure(format!("a message failed: {error}"));
    let mut streams = Vec::new();
    for _ in 0..SESSIONS {
        let mut stream = tunnel.service.connect(tunnel.entrance, Job::Echo).map_err(said)?;
        // The session begins with its first message.
        stream.write_all(b"?").map_err(said)?;
        stream.read_exact(&mut [0]).map_err(said)?;
        streams.push(stream);
    }
    let mut sessions: HashMap<String, usize> = HashMap::new();
    for stream in &mut streams {
        let before = thread_times(tunnel.server.id)?;
        for _ in 0..MESSAGES {
            stream.write_all(b"?").map_err(said)?;
            stream.read_exact(&mut [0]).map_err(said)?;
        }
        let after = thread_times(tunnel.server.id)?;
        *sessions.entry(busiest(&before, &after)?).or_default() += 1;
    }
    let most = sessions.values().max().copied().unwrap_or_default();
    Ok((SESSIONS - most) as f64 / SESSIONS as f64 * 100.0)
}

/// Processor time of each thread of a process, in nanoseconds.
fn thread_times(id: u32) -> Result<HashMap<String, u64>, Failure> {
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .map_err(|error| Failure(format!("a process is gone: {error}")))?;
    let time = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("schedstat")).ok()?;
        let time = text.split_whitespace().next()?.parse().ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), time))
    };
    Ok(threads.flatten().filter_map(time).collect())
}

/// The thread that worked most between the two.
fn busiest(before: &HashMap<String, u64>, after: &HashMap<String, u64>) -> Result<String, Failure> {
    let spent = |(thread, time): (&String, &u64)| {
        let before = before.get(thread).copied().unwrap_or_default();
        (time.saturating_sub(before), thread.clone())
    };
    let most = after.iter().map(spent).max().filter(|(time, _)| *time > 0);
    most.map(|(_, thread)| thread).ok_or_else(|| Failure("the server did not work".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_that_worked_is_found() {
        let times = |list: &[(&str, u64)]| {
            list.iter().map(|(thread, time)| ((*thread).to_owned(), *time)).collect()
        };
        let before = times(&[("1", 900), ("2", 50)]);
        assert_eq!(busiest(&before, &times(&[("1", 905), ("2", 90)])).unwrap(), "2");
        assert_eq!(busiest(&before, &times(&[("1", 905), ("3", 90)])).unwrap(), "3");
        assert!(busiest(&before, &before).is_err());
        assert!(thread_times(std::process::id()).unwrap().values().any(|time| *time > 0));
    }
}
