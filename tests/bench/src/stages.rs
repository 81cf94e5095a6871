//! Where the processor time of both ends goes: samples of `perf`, by what the code is for.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::failure::Failure;
use crate::measure::Setting;
use crate::program::{Need, find, output};
use crate::requests::Load;
use crate::table::number;
use crate::tunnel::Tunnel;

const PERF: Need = ("perf", "linux-perf");
/// Samples per second and core. A prime, so that it does not fall in step with timers.
const RATE: &str = "1999";
const WARM_UP: Duration = Duration::from_millis(500);

/// The stages of a packet, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    UdpSend,
    UdpReceive,
    Tcp,
    Waking,
    Encryption,
    Fec,
    Kcp,
    Smux,
    Copies,
    Rest,
}

impl Stage {
    pub(crate) const ALL: [Self; 10] = [
        Self::UdpSend,
        Self::UdpReceive,
        Self::Tcp,
        Self::Waking,
        Self::Encryption,
        Self::Fec,
        Self::Kcp,
        Self::Smux,
        Self::Copies,
        Self::Rest,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UdpSend => "kernel: UDP send",
            Self::UdpReceive => "kernel: UDP receive",
            Self::Tcp => "kernel: TCP",
            Self::Waking => "kernel: epoll, wake-ups",
            Self::Encryption => "encryption, checksum",
            Self::Fec => "FEC",
            Self::Kcp => "KCP",
            Self::Smux => "smux, snappy",
            Self::Copies => "copies",
            Self::Rest => "loop, runtime, the rest",
        }
    }
}

/// Words in the names of kernel functions and the stage that they are of. The innermost function
/// that has one decides, so a wake-up in the middle of a send is a wake-up.
const KERNEL: [(&str, Stage); 19] = [
    // Before the others: there is a tcp_schedule_loss_probe.
    ("tcp_", Stage::Tcp),
    ("epoll", Stage::Waking),
    ("ep_poll", Stage::Waking),
    ("ep_send_events", Stage::Waking),
    ("wake_up", Stage::Waking),
    ("schedule", Stage::Waking),
    ("futex", Stage::Waking),
    ("eventfd", Stage::Waking),
    ("sock_def_readable", Stage::Waking),
    ("udp_sendmsg", Stage::UdpSend),
    ("udp_send_skb", Stage::UdpSend),
    ("udp_recvmsg", Stage::UdpReceive),
    ("udp_rcv", Stage::UdpReceive),
    ("udp4_lib", Stage::UdpReceive),
    ("udp6_lib", Stage::UdpReceive),
    ("udp_queue", Stage::UdpReceive),
    ("udp_gro", Stage::UdpReceive),
    ("recvmmsg", Stage::UdpReceive),
    ("sendmmsg", Stage::UdpSend),
];

/// The same for ours: the function in which the sample was taken. Inlined ones count for the
/// function that they are part of.
const USER: [(&str, Stage); 13] = [
    ("memmove", Stage::Copies),
    ("memcpy", Stage::Copies),
    ("crypt::", Stage::Encryption),
    ("aes::", Stage::Encryption),
    ("crc32fast", Stage::Encryption),
    ("rand_chacha", Stage::Encryption),
    ("nonce", Stage::Encryption),
    ("fec_", Stage::Fec),
    ("kcp_proto", Stage::Kcp),
    ("smux_proto", Stage::Smux),
    ("snap", Stage::Smux),
    ("crc32c", Stage::Smux),
    ("memset", Stage::Copies),
];

/// Samples of one work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    /// The work, for the heading.
    pub(crate) name: &'static str,
    /// Processor time of both ends for a unit of work.
    pub(crate) cost: f64,
    pub(crate) unit: &'static str,
    /// Number of samples by stage, in the order of [`Stage::ALL`].
    pub(crate) samples: [u64; Stage::ALL.len()],
}

impl Profile {
    /// Share of a stage, 0 to 1.
    pub(crate) fn share(&self, stage: Stage) -> f64 {
        let all: u64 = self.samples.iter().sum();
        self.samples[stage as usize] as f64 / all.max(1) as f64
    }
}

/// Bulk to the client, and small requests.
pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Profile>, Failure> {
    Ok(vec![bulk(setting)?, requests(setting)?])
}

fn bulk(setting: &Setting<'_>) -> Result<Profile, Failure> {
    let mut tunnel = Tunnel::start_as(&setting.plan())?;
    let bulk = tunnel.service.bulk(tunnel.entrance, false);
    let bulk = bulk.map_err(|error| Failure(format!("no connection: {error}")))?;
    std::thread::sleep(WARM_UP);
    let (before, cpu) = (bulk.delivered(), tunnel.cpu_seconds()?);
    let samples = sample(&tunnel, setting.time, || {
        std::thread::sleep(setting.time);
        let gigabytes = (bulk.delivered() - before) as f64 / 1e9;
        Ok((tunnel.cpu_seconds()? - cpu) / gigabytes)
    })?;
    drop(bulk);
    tunnel.check()?;
    let (samples, cost) = samples;
    Ok(Profile { name: "bulk", cost, unit: "s/GB", samples })
}

fn requests(setting: &Setting<'_>) -> Result<Profile, Failure> {
    let mut tunnel = Tunnel::start_as(&setting.plan())?;
    let mut load = Load::open(&tunnel)?;
    load.drive(WARM_UP)?;
    let cpu = tunnel.cpu_seconds()?;
    let (samples, cost) = sample(&tunnel, setting.time, || {
        let count = load.drive(setting.time)?.len();
        Ok((tunnel.cpu_seconds()? - cpu) / count.max(1) as f64 * 1e6)
    })?;
    tunnel.check()?;
    Ok(Profile { name: "requests", cost, unit: "µs each", samples })
}

/// Takes samples of both ends while `work` runs.
fn sample(
    tunnel: &Tunnel,
    time: Duration,
    work: impl FnOnce() -> Result<f64, Failure>,
) -> Result<([u64; Stage::ALL.len()], f64), Failure> {
    let perf = find(PERF)?;
    let home = TempDir::new().map_err(|error| Failure(format!("no directory: {error}")))?;
    let data = home.path().join("perf.data");
    let ids = format!("{},{}", tunnel.client.id, tunnel.server.id);
    let mut record = Command::new(&perf);
    record.args(["record", "-q", "-e", "cpu-clock", "-F", RATE, "-p", &ids]);
    // Without frame pointers a look at the stack of a program finds nothing, and may cost the
    // kernel's part of the chain.
    record.args(["-g", "--kernel-callchains", "-o"]);
    record.arg(&data).args(["--", "sleep", &time.as_secs_f64().to_string()]);
    let start = Instant::now();
    let (recorded, cost) = std::thread::scope(|scope| {
        let recording = scope.spawn(move || output(&mut record));
        let cost = work();
        (recording.join(), cost)
    });
    recorded.map_err(|_| Failure("perf: the thread that waited for it ended".into()))??;
    if start.elapsed() < time {
        return Err(Failure("perf ended before its time".into()));
    }
    let samples = count(&chains(&perf, &data)?, &leaves(&perf, &data)?)?;
    Ok((samples, cost?))
}

/// A paragraph for each sample: a line with the program, and then, if it was taken in the kernel,
/// the functions on the stack, the innermost first.
fn chains(perf: &Path, data: &Path) -> Result<String, Failure> {
    let mut command = Command::new(perf);
    output(command.args(["script", "--no-inline", "-F", "comm,ip,sym,dso", "-i"]).arg(data))
}

/// A line for each sample: the innermost function.
fn leaves(perf: &Path, data: &Path) -> Result<String, Failure> {
    let mut command = Command::new(perf);
    output(command.args(["script", "-G", "--no-inline", "-F", "ip,sym,dso", "-i"]).arg(data))
}

fn count(chains: &str, leaves: &str) -> Result<[u64; Stage::ALL.len()], Failure> {
    let chains: Vec<&str> = chains.split("\n\n").filter(|chain| !chain.trim().is_empty()).collect();
    let leaves: Vec<&str> = leaves.lines().filter(|leaf| !leaf.trim().is_empty()).collect();
    if chains.is_empty() || chains.len() != leaves.len() {
        let (chains, leaves) = (chains.len(), leaves.len());
        return Err(Failure(format!("perf told of {leaves} samples and {chains} chains")));
    }
    let mut samples = [0; Stage::ALL.len()];
    for (chain, leaf) in chains.into_iter().zip(leaves) {
        samples[stage(chain, leaf) as usize] += 1;
    }
    Ok(samples)
}

/// The stage of one sample. Functions are lines of address, name and `(object)`.
fn stage(chain: &str, leaf: &str) -> Stage {
    let find = |line: &str, table: &[(&str, Stage)]| {
        // The address may not be taken for a name.
        let function = line.trim().split_once(' ').map_or("", |(_, rest)| rest);
        table.iter().find(|(word, _)| function.contains(word)).map(|(_, stage)| *stage)
    };
    let kernel = chain.trim_start_matches('\n').lines().skip(1);
    let mut kernel = kernel.filter(|line| !line.trim().is_empty()).peekable();
    let stage = match kernel.peek() {
        Some(_) => kernel.find_map(|line| find(line, &KERNEL)),
        None => find(leaf, &USER),
    };
    stage.unwrap_or(Stage::Rest)
}

/// The table: share of each stage, and its part of the cost.
pub(crate) fn table(profiles: &[Profile]) -> String {
    let mut out = String::from("\nstages: where the processor time of both our ends goes\n");
    let _ = write!(out, "{:26}", "");
    for profile in profiles {
        let _ = write!(out, "{:>12}{:>14}", profile.name, profile.unit);
    }
    for stage in Stage::ALL {
        let _ = write!(out, "\n  {:24}", stage.name());
        for profile in profiles {
            let share = profile.share(stage);
            let percent = format!("{} %", number(share * 100.0));
            let _ = write!(out, "{percent:>12}{:>14}", number(share * profile.cost));
        }
    }
    let _ = write!(out, "\n  {:24}", "all");
    for profile in profiles {
        let _ = write!(out, "{:>12}{:>14}", "100 %", number(profile.cost));
    }
    out.push_str("\n  (while perf takes samples, which costs some percent)\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAINS: &str = "\
kcptun-server 
\tffffffff81a try_to_wake_up ([kernel.kallsyms])
\tffffffff81b sock_def_readable ([kernel.kallsyms])
\tffffffff81c udp_queue_rcv_one_skb ([kernel.kallsyms])
\tffffffff81d udp_sendmsg ([kernel.kallsyms])

kcptun-server 
\tffffffff81a copy_from_user ([kernel.kallsyms])
\tffffffff81d udp_sendmsg ([kernel.kallsyms])

kcptun-client 
\tffffffff81a tcp_schedule_loss_probe ([kernel.kallsyms])

kcptun-server 

kcptun-client 

kcptun-client 

";
    const LEAVES: &str = "
     ffffffff81a try_to_wake_up ([kernel.kallsyms])
     ffffffff81a copy_from_user ([kernel.kallsyms])
     ffffffff81a tcp_schedule_loss_probe ([kernel.kallsyms])
     55 aes::backends::encrypt (/x/kcptun-server)
     7f __memmove_avx512_unaligned_erms (/usr/lib/libc.so.6)
     57 tokio::runtime::task::raw::poll (/x/kcptun-client)
";

    #[test]
    fn the_innermost_function_that_tells_decides() {
        let samples = count(CHAINS, LEAVES).unwrap();
        let expected = [
            (Stage::Waking, 1),
            (Stage::UdpSend, 1),
            (Stage::Tcp, 1),
            (Stage::Encryption, 1),
            (Stage::Copies, 1),
            (Stage::Rest, 1),
        ];
        for stage in Stage::ALL {
            let number = expected.iter().find(|(of, _)| *of == stage).map_or(0, |(_, n)| *n);
            assert_eq!(samples[stage as usize], number, "{stage:?}");
        }
        assert!(count(CHAINS, "").is_err() && count("", "").is_err());
    }

    #[test]
    fn shares_make_up_the_cost() {
        let mut samples = [0; Stage::ALL.len()];
        (samples[Stage::Tcp as usize], samples[Stage::Kcp as usize]) = (3, 1);
        let profile = Profile { name: "bulk", cost: 2.0, unit: "s/GB", samples };
        let text = table(&[profile]);
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
        assert!(line("kernel: TCP").ends_with("75.0 %          1.50"), "{text}");
        assert!(line("KCP").ends_with("25.0 %         0.500"), "{text}");
        for (number, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, number);
        }
    }
}
