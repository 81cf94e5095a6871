//! Replays the recorded runs of the original (`tests/vectors/kcp.json`, `kcp_newest.json`) and
//! compares every segment it emitted with ours.
//!
//! The inputs of a trace are those that the original got, at the times it got them. Ours may send
//! a segment at another moment of the same interval (deadlines instead of ticks) and acks behind
//! data. So for each side and each segment the original sent there must be one of ours with the
//! same command, number, fragment and data, una and window no older than a moment within one
//! interval allows, at most one interval away, and ours must send nothing else; [`DEVIATIONS`]
//! lists all exceptions with their reasons.

use core::time::Duration;
use std::collections::BTreeMap;

use kcp_proto::wire::{Command, Segments};
use kcp_proto::{Config, ConvId, Kcp, Mode, Rings, Via};
use proto_base::{Instant, Pool};
use serde_json::Value;

/// Every difference in all traces of both files, and its reason. (The crate's page has the table of
/// deliberate deviations in general.)
const DEVIATIONS: &[(&str, &str)] = &[
    (
        "clock-wrap A: missing Push 3 at 4294967426",
        "the timeout follows the current RTO, which had shrunk: it repeats the segment at 326 in the \
         place of a fast repetition, and so waits half an RTO longer the next time",
    ),
    (
        "window-zero-probe B: missing Ack 4 at 30",
        "one receive window, not two: dropped, sent again",
    ),
    ("window-zero-probe B: missing Ack 5 at 30", "same"),
    ("window-zero-probe B: recv failed at 12000", "same: the original had kept 4 and 5"),
    ("window-zero-probe B: recv failed at 12000", "same"),
    ("window-zero-probe B: extra Ack 1 at 30", "acks leave when half a window of them waits"),
    ("window-zero-probe B: extra Ack 3 at 30", "same"),
    (
        "window-zero-probe B: TellWindow 0 at 12000: una 4 window 4 where the original at 12000 says 6 4",
        "one receive window: 4 and 5 were not kept",
    ),
    (
        "bad-input B: TellWindow 0 at 1: una 2 window 30 where the original at 1 says 2 32",
        "a question is answered at once, before the reader of the trace reads; the original waits for a tick",
    ),
    (
        "bad-input B: Ack 31 at 1: una 2 window 30 where the original at 1 says 2 32",
        "the ack rides with that answer",
    ),
];

/// Probes of 5.6.1: it waits 7 s before the first one, 5.6.43 and ours 0.5 s.
const OLD_PROBES: &[&str] = &[
    "window-zero-probe A: missing AskWindow 0 at 7050",
    "window-zero-probe A: extra AskWindow 0 at 550",
    "window-zero-probe A: extra AskWindow 0 at 1300",
    "window-zero-probe A: extra AskWindow 0 at 2425",
    "window-zero-probe A: extra AskWindow 0 at 4112",
    "window-zero-probe A: extra AskWindow 0 at 6643",
    "window-zero-probe A: extra AskWindow 0 at 10440",
];

#[derive(Debug, Clone, PartialEq)]
struct Sent {
    at: u64,
    command: Command,
    sn: u32,
    fragment: u8,
    una: u32,
    window: u16,
    data: Vec<u8>,
}

struct End {
    kcp: Kcp<'static>,
    pool: Pool<'static>,
    sent: Vec<Sent>,
    /// Bytes that the window did not take yet; the original queues them without bound.
    backlog: Vec<u8>,
    interval: u64,
}

impl End {
    fn new(config: &Value, start: Instant) -> Self {
        let number = |key: &str| config[key].as_u64().unwrap();
        let settings = Config {
            datagram_len: (number("mtu") - number("reserved")) as usize,
            mode: if number("stream") == 1 { Mode::Stream } else { Mode::Message },
            nodelay: number("nodelay") == 1,
            interval: Duration::from_millis(number("interval")),
            resend: number("resend") as u32,
            congestion_control: number("nc") == 0,
            ack_no_delay: config["acknodelay"].as_bool().unwrap(),
            send_window: number("sndwnd") as u16,
            receive_window: number("rcvwnd") as u16,
        };
        let conv = ConvId(number("conv") as u32);
        let kcp = Kcp::new(conv, 0, settings, Rings::owned(), start).unwrap();
        let pool = Pool::owned(1 << 20, 4096).unwrap();
        Self { kcp, pool, sent: Vec::new(), backlog: Vec::new(), interval: number("interval") }
    }

    /// Everything that is due until `now`, each at its time.
    fn run_to(&mut self, now: Instant) {
        while let Some(at) = self.kcp.poll_timeout().filter(|&at| at < now) {
            self.kcp.handle_timeout(at);
            self.drain(at);
        }
        self.kcp.handle_timeout(now);
    }

    fn drain(&mut self, now: Instant) {
        let mut out = [0; 1500];
        if !self.backlog.is_empty() {
            let taken = self.kcp.send(&mut self.pool, &self.backlog).unwrap_or(0);
            self.backlog.drain(..taken);
        }
        while let Some(len) = self.kcp.poll_transmit(now, &self.pool, &mut out).unwrap() {
            self.sent.extend(segments(self.kcp.conv(), now.as_millis(), &out[..len]));
        }
    }
}

fn segments(conv: ConvId, at: u64, datagram: &[u8]) -> Vec<Sent> {
    Segments::parse(conv, datagram)
        .unwrap()
        .map(|(header, data)| Sent {
            at,
            command: header.command,
            sn: if matches!(header.command, Command::Push | Command::Ack) {
                header.sn.get()
            } else {
                0
            },
            fragment: header.fragment,
            una: header.una.get(),
            window: header.window,
            data: data.to_vec(),
        })
        .collect()
}

/// The segments in front of the first bad one.
fn good_part(conv: ConvId, datagram: &[u8]) -> Option<&[u8]> {
    (24..datagram.len()).rev().map(|end| &datagram[..end]).find(|part| {
        Segments::parse(conv, part).is_ok_and(|segments| {
            segments.map(|(_, data)| 24 + data.len()).sum::<usize>() == part.len()
        })
    })
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Matches what the original sent with what ours sent; returns what is left on either side.
fn compare(theirs: &[Sent], ours: &[Sent], interval: u64) -> Vec<String> {
    let mut left: Vec<Option<&Sent>> = ours.iter().map(Some).collect();
    let mut differences = Vec::new();
    for want in theirs {
        if want.command == Command::Ack && want.sn < want.una {
            // An ack that una covers is written only to carry the clock; which one is the last of
            // its flush depends on the moment.
            let carried = ours.iter().any(|sent| {
                sent.command == Command::Ack
                    && sent.una >= want.una.min(sent.una + 1)
                    && sent.at.abs_diff(want.at) <= interval
            });
            if carried {
                if let Some(twin) = left.iter_mut().find(|sent| {
                    sent.is_some_and(|sent| {
                        sent.command == Command::Ack
                            && sent.sn < sent.una
                            && sent.at.abs_diff(want.at) <= interval
                    })
                }) {
                    *twin = None;
                }
                continue;
            }
        }
        // A probe's time adds up the waits before it, each rounded up to a tick by the original.
        let tolerance = if want.command == Command::AskWindow { 4 * interval } else { interval };
        let fits = |sent: &Sent| {
            sent.command == want.command
                && sent.sn == want.sn
                && sent.fragment == want.fragment
                && sent.data == want.data
                && sent.at.abs_diff(want.at) <= tolerance
        };
        let best = left
            .iter()
            .enumerate()
            .filter_map(|(at, sent)| {
                sent.filter(|sent| fits(sent)).map(|sent| (at, sent.at.abs_diff(want.at)))
            })
            .min_by_key(|&(_, distance)| distance);
        match best {
            Some((at, _)) => {
                let sent = left[at].take().unwrap();
                if sent.una != want.una || sent.window != want.window {
                    differences.push(format!(
                        "{:?} {} at {}: una {} window {} where the original at {} says {} {}",
                        sent.command,
                        sent.sn,
                        sent.at,
                        sent.una,
                        sent.window,
                        want.at,
                        want.una,
                        want.window
                    ));
                }
            }
            None => {
                differences.push(format!("missing {:?} {} at {}", want.command, want.sn, want.at));
            }
        }
    }
    for sent in left.into_iter().flatten() {
        differences.push(format!("extra {:?} {} at {}", sent.command, sent.sn, sent.at));
    }
    differences
}

fn replay(file: &str) -> Vec<String> {
    let path = format!("{}/../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut report = Vec::new();
    for scenario in vectors["scenarios"].as_array().unwrap() {
        let name = scenario["name"].as_str().unwrap();
        let start = scenario["clock_start"].as_u64().unwrap();
        // The recorded clock has 32 bits; ours goes on counting.
        let mut clock = start;
        let mut ends: BTreeMap<&str, End> = ["A", "B"]
            .map(|ep| (ep, End::new(&scenario["config"][ep], Instant::from_millis(start))))
            .into();
        let mut theirs: BTreeMap<&str, Vec<Sent>> = BTreeMap::new();
        for step in scenario["steps"].as_array().unwrap() {
            let t = step["t"].as_u64().unwrap();
            clock += u64::from((t as u32).wrapping_sub(clock as u32));
            let now = Instant::from_millis(clock);
            for end in ends.values_mut() {
                end.run_to(now);
            }
            let ep = step["ep"].as_str().unwrap();
            let end = ends.get_mut(ep).unwrap();
            let data = step["data"].as_str().map(hex).unwrap_or_default();
            match step["op"].as_str().unwrap() {
                "send" => {
                    end.backlog.extend(&data);
                    let taken = end.kcp.send(&mut end.pool, &end.backlog).unwrap_or(0);
                    end.backlog.drain(..taken);
                }
                "input" => {
                    let regular = step["regular"].as_bool().unwrap();
                    let via = if regular { Via::Direct } else { Via::Recovered };
                    let result = end.kcp.handle_packet(now, &mut end.pool, &data, via);
                    assert_eq!(result.is_ok(), step["ret"].as_i64() == Some(0), "{name} at {t}");
                    if result.is_err() {
                        // The original keeps what stands before a bad segment.
                        if let Some(good) = good_part(end.kcp.conv(), &data) {
                            end.kcp.handle_packet(now, &mut end.pool, good, via).unwrap();
                        }
                    }
                    end.drain(now);
                }
                "recv" => {
                    let mut out = vec![0; 70_000];
                    let len = end.kcp.recv(&mut end.pool, &mut out);
                    match len {
                        Ok(len) => assert_eq!(out[..len], data, "{name} at {t}"),
                        Err(_) => report.push(format!("{name} {ep}: recv failed at {t}")),
                    }
                }
                "flush" => end.drain(now),
                other => panic!("unknown op {other}"),
            }
            for datagram in step["out"].as_array().unwrap() {
                let bytes = hex(datagram.as_str().unwrap());
                theirs.entry(ep).or_default().extend(segments(end.kcp.conv(), clock, &bytes));
            }
        }
        for (ep, end) in &mut ends {
            end.run_to(Instant::from_millis(clock + 1));
            let differences =
                compare(theirs.get(ep).map_or(&[], Vec::as_slice), &end.sent, end.interval);
            report.extend(differences.into_iter().map(|text| format!("{name} {ep}: {text}")));
        }
    }
    report
}

/// Replays a file; what differs must be exactly what is listed.
fn check(file: &str, also: &[&str]) {
    let mut report = replay(file);
    let listed = DEVIATIONS.iter().map(|&(line, _)| line).chain(also.iter().copied());
    let mut stale = Vec::new();
    for line in listed {
        match report.iter().position(|found| found == line) {
            Some(at) => drop(report.remove(at)),
            None => stale.push(line),
        }
    }
    assert!(report.is_empty(), "not listed:\n{}", report.join("\n"));
    assert!(stale.is_empty(), "listed, but no longer so:\n{}", stale.join("\n"));
}

#[test]
fn traces_of_5_6_1() {
    check("kcp.json", OLD_PROBES);
}

#[test]
fn traces_of_5_6_72() {
    check("kcp_newest.json", &[]);
}
