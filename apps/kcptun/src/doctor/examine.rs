//! The order in which things are looked at, and what is made of them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kcptun_net::BufferSizes;
use smux_proto::wire::Version;
use tokio::task::JoinSet;

use super::answer::GREETING;
use super::facts::{Facts, Flow};
use super::findings::{Finding, Verdict, loss, megabits, millis, share};
use super::options::Options;
use super::prober::{PathMtu, Prober, Reached, Survey, answers};
use super::session::{Session, Target, Throughput, Understanding};
use super::ways::Way;
use super::{Subject, advice};
use crate::config::{ClientConfig, Parsed};
use crate::terminal::Screen;
use crate::{RunError, settings};

/// Time that a server may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time within which a server says something of its own: its keepalive of 10 s, and some more.
const KEEPALIVE: Duration = Duration::from_secs(13);
/// Time between small probes. More than most servers hold an ack.
const SPACING: Duration = Duration::from_millis(50);
/// Probes for round trip and loss, and how many when it shall be quick.
const PROBES: u32 = 120;
const FEW_PROBES: u32 = 40;

/// Looks at everything; whether the tunnel is usable.
pub(super) async fn examine(
    options: &Options,
    parsed: &Parsed<ClientConfig>,
    screen: &mut Screen,
) -> Result<bool, RunError> {
    let mut table = Table { screen, worst: Verdict::Ok };
    table.screen.line(format_args!(
        "kcptun doctor: a client with --crypt {}, smux {}, {}, to {}\n",
        parsed.config.common.crypt.name(),
        parsed.config.common.smux_version.number(),
        if parsed.config.common.compression { "compression" } else { "no compression" },
        parsed.config.remote,
    ));
    table.configuration(parsed);
    let Some(addresses) = table.name(&parsed.config) else { return Ok(table.end()) };
    let failed = |error: io::Error| RunError::new(error);
    let Some(subject) = table.reach(&parsed.config, &addresses).await? else {
        return Ok(table.end());
    };
    let mut facts = Facts::new(&parsed.config);
    let mut session =
        table.path_and_settings(options, &subject, &mut facts).await.map_err(failed)?;
    table.buffers(parsed, facts.granted);
    match &mut session {
        Some(_) if !facts.has_mtu && !options.is_quick => {
            let text = "not measured: full packets do not arrive";
            table.show(Verdict::Note, "throughput", text);
        }
        Some((session, Target::Speaks(greeting))) if greeting == GREETING && !options.is_quick => {
            table.throughput(options, session, &mut facts).await;
        }
        Some(_) if !options.is_quick => table.show(
            Verdict::Note,
            "throughput",
            "not measured: the server's target is not `kcptun doctor --answer` (see -h)",
        ),
        _ => {}
    }
    if session.is_some() {
        facts.advice().into_iter().for_each(|line| table.screen.line(line));
    }
    Ok(table.end())
}

/// Findings as they are made.
struct Table<'s> {
    screen: &'s mut Screen,
    worst: Verdict,
}

impl Table<'_> {
    fn show(&mut self, verdict: Verdict, about: &'static str, text: impl Into<String>) {
        self.worst = self.worst.max(verdict);
        for row in Finding::new(verdict, about, text).rows() {
            self.screen.line(row);
        }
    }

    /// The last line; whether the tunnel is usable.
    fn end(&mut self) -> bool {
        self.screen.line(match self.worst {
            Verdict::Ok | Verdict::Note => "\nusable",
            Verdict::Warn => "\nusable, with warnings",
            Verdict::Fail => "\nnot usable as it is",
        });
        self.worst < Verdict::Fail
    }

    fn configuration(&mut self, parsed: &Parsed<ClientConfig>) {
        for warning in &parsed.warnings {
            self.show(Verdict::Warn, "configuration", warning.to_string());
        }
        if parsed.warnings.is_empty() {
            self.show(Verdict::Ok, "configuration", "nothing odd in it");
        }
    }

    /// Looks the server's name up.
    fn name(&mut self, config: &ClientConfig) -> Option<Vec<SocketAddr>> {
        let ports = config.remote.ports();
        self.screen.status("looking up the name ...");
        match config.remote.resolve(ports.first()) {
            Ok(addresses) if !addresses.is_empty() => {
                let list: Vec<String> = addresses.iter().map(|it| it.ip().to_string()).collect();
                let range = if ports.iter().count() > 1 {
                    format!("; of the ports, {} is looked at", ports.first())
                } else {
                    String::new()
                };
                self.show(Verdict::Ok, "name", format!("{}{range}", list.join(", ")));
                Some(addresses)
            }
            Ok(_) => {
                self.show(Verdict::Fail, "name", "it has no address");
                None
            }
            Err(error) => {
                self.show(Verdict::Fail, "name", error.to_string());
                None
            }
        }
    }

    /// Finds the first address that answers.
    async fn reach(
        &mut self,
        config: &ClientConfig,
        addresses: &[SocketAddr],
    ) -> Result<Option<Subject>, RunError> {
        let cipher = settings::cipher(&config.common)?;
        let mut silent = None;
        for &remote in addresses {
            let subject = Subject {
                remote,
                cipher: cipher.clone(),
                tunnel: settings::tunnel(&config.common),
                socket: settings::socket(&config.common),
            };
            self.screen.status(format_args!("asking {remote} ..."));
            let reached = match Prober::open(&subject) {
                Ok(mut prober) => prober.reach(PATIENCE).await,
                Err(error) => Err(error),
            };
            let text = match reached {
                Ok(Reached::Answers(time)) => {
                    let text = format!("{remote}/udp answers, first after {}", millis(time));
                    self.show(Verdict::Ok, "reachability", text);
                    if remote != addresses[0] {
                        let text = "a client tries the first address of the name, which is silent";
                        self.show(Verdict::Fail, "", text);
                    }
                    return Ok(Some(subject));
                }
                Ok(Reached::Refused) => format!(
                    "{remote}/udp: refused (ICMP): the machine is there, but no server listens on \
                     this port"
                ),
                Ok(Reached::Damaged(count)) => format!(
                    "{remote}/udp: {count} datagrams came back, and all failed the checksum: --key \
                     or --crypt differ from the server's, or something else listens there"
                ),
                Ok(Reached::Silent) => {
                    silent.get_or_insert(subject);
                    format!(
                        "{remote}/udp: nothing comes back, no refusal either: no server, a firewall \
                         on the way, or a setting differs that both ends must share (a server is silent \
                     then)"
                    )
                }
                Err(error) => error.to_string(),
            };
            self.show(Verdict::Fail, "reachability", text);
        }
        if let Some(subject) = silent {
            self.other_ways(config, &subject).await;
        }
        Ok(None)
    }

    /// Asks a silent server in all other ways that the same key allows. A server of this project is
    /// silent, too, to who compresses otherwise or speaks another version of smux.
    async fn other_ways(&mut self, config: &ClientConfig, subject: &Subject) {
        self.screen.status("asking in other ways ...");
        let mut asking = JoinSet::new();
        for (order, way) in Way::others(config, subject).into_iter().enumerate() {
            let Some(subject) = way.subject(config, subject) else { continue };
            asking.spawn(async move {
                (order, way, answers(subject, Duration::from_millis(3500)).await)
            });
        }
        let all = asking.join_all().await;
        // The first of them differs least.
        let best = all.into_iter().filter(|(.., does_answer)| *does_answer).min_by_key(|it| it.0);
        if let Some((_, way, _)) = best {
            self.show(Verdict::Fail, "settings", way.describe(config));
        }
    }

    /// What needs time of the network: the path, and at the same time a session with a stream.
    async fn path_and_settings(
        &mut self,
        options: &Options,
        subject: &Subject,
        facts: &mut Facts,
    ) -> io::Result<Option<(Session, Target)>> {
        let mut session = Session::dial(subject)?;
        let understanding = tokio::spawn(async move {
            let understanding = session.understand(KEEPALIVE).await;
            (session, understanding)
        });
        self.screen.status("round trip and loss ...");
        let mut prober = Prober::open(subject)?;
        facts.granted = prober.line().granted();
        let count = if options.is_quick { FEW_PROBES } else { PROBES };
        let survey = prober.survey(count, SPACING).await?;
        self.survey(&survey, facts);
        self.screen.status("path mtu ...");
        let mut prober = Prober::open(subject)?;
        let path = prober.path_mtu().await?;
        let fits = match path.passes < facts.mtu {
            true => Prober::open(subject)?.fits(facts.mtu).await?,
            false => true,
        };
        self.path_mtu(path, fits, facts);
        self.screen.status("waiting for a sign of the server ...");
        let (session, understanding) = understanding.await.map_err(io::Error::other)?;
        match understanding? {
            Understanding::Agrees(target) => {
                self.show(Verdict::Ok, "settings", "--nocomp and --smuxver are the server's");
                self.target(&target);
                Ok(Some((session, target)))
            }
            Understanding::Differs(hint) => {
                let text = "the server acknowledges, but gives the session up";
                let hint = hint.unwrap_or("--nocomp or --smuxver differ from the server's");
                self.show(Verdict::Fail, "settings", format!("{text}: {hint}"));
                self.other_settings(subject).await?;
                Ok(None)
            }
            Understanding::Unknown => {
                let text = format!(
                    "the server acknowledges, but said nothing of its own for {} s: --nocomp or \
                     --smuxver differ from the server's, or its --keepalive is long",
                    KEEPALIVE.as_secs()
                );
                let is_found = self.other_settings(subject).await?;
                self.show(if is_found { Verdict::Fail } else { Verdict::Warn }, "settings", text);
                Ok((!is_found).then_some((session, Target::Waits)))
            }
        }
    }

    /// Tries the other combinations of compression and smux version; whether one works.
    async fn other_settings(&mut self, subject: &Subject) -> io::Result<bool> {
        self.screen.status("trying other settings ...");
        let mut ways = JoinSet::new();
        for compression in [false, true] {
            for version in [Version::V1, Version::V2] {
                let mut tunnel = subject.tunnel.clone();
                if (tunnel.compression, tunnel.smux.version) == (compression, version) {
                    continue;
                }
                tunnel.compression = compression;
                tunnel.smux.version = version;
                let mut session = Session::dial(&Subject { tunnel, ..subject.clone() })?;
                ways.spawn(async move {
                    let understanding = session.understand(KEEPALIVE).await;
                    (compression, version, understanding)
                });
            }
        }
        for (compression, version, understanding) in ways.join_all().await {
            if matches!(understanding, Ok(Understanding::Agrees(_))) {
                let nocomp = if compression { "without --nocomp" } else { "with --nocomp" };
                let text =
                    format!("it works {nocomp} and with --smuxver {} here", version.number());
                self.show(Verdict::Fail, "settings", text);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn target(&mut self, target: &Target) {
        match target {
            Target::Speaks(bytes) if bytes == GREETING => {
                self.show(Verdict::Ok, "target", "`kcptun doctor --answer`, for measurements");
            }
            Target::Speaks(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let text = text.lines().next().unwrap_or_default().escape_debug().to_string();
                self.show(Verdict::Ok, "target", format!("connected; it says \"{text}\""));
            }
            Target::Waits => {
                let text = "connected, as far as can be told: it waits to be spoken to";
                self.show(Verdict::Ok, "target", text);
            }
            Target::Ends => {
                let text = "the stream ends at once: the server cannot connect to its --target, or \
                            the target hangs up without a word";
                self.show(Verdict::Fail, "target", text);
            }
        }
    }

    fn survey(&mut self, survey: &Survey, facts: &mut Facts) {
        let Some([least, median, most]) = advice::spread(&survey.round_trips) else {
            return self.show(Verdict::Fail, "round trip", "no probe was acknowledged in time");
        };
        facts.round_trip = Some(median);
        self.show(
            Verdict::Ok,
            "round trip",
            format!(
                "{} at least, {} median, {} for 95 of 100 (acks of {} probes; the server may hold \
                 one for up to its interval, 10 to 40 ms)",
                millis(least),
                millis(median),
                millis(most),
                survey.round_trips.len()
            ),
        );
        if survey.has_forgotten {
            let text = "the server forgot a session while it was in use: was it started anew, or \
                        do --nocomp or --smuxver differ?";
            self.show(Verdict::Warn, "session", text);
        }
        let worst = share(survey.up).max(survey.down.map_or(0.0, share));
        facts.loss = worst;
        let down = match survey.down {
            Some(down) if survey.has_numbers => format!("down {} by FEC numbers", loss(down)),
            Some(down) => format!("down {} by acks", loss(down)),
            None => "down not known".to_owned(),
        };
        let verdict = if worst > 0.01 { Verdict::Warn } else { Verdict::Ok };
        self.show(verdict, "loss", format!("up {}, {down}", loss(survey.up)));
    }

    fn path_mtu(&mut self, path: PathMtu, fits: bool, facts: &mut Facts) {
        let PathMtu { passes, is_strict } = path;
        let how = if is_strict { "in one piece" } else { "perhaps in fragments" };
        let given = facts.mtu;
        if passes == 0 {
            return self.show(Verdict::Warn, "path mtu", "no longer packet arrived at all");
        }
        facts.passes = Some(passes);
        facts.has_mtu = passes >= given || fits;
        let text = format!("{passes} bytes of UDP payload arrive {how} (up)");
        if passes >= given {
            self.show(Verdict::Ok, "path mtu", format!("{text}; --mtu {given} fits"));
        } else if fits {
            let text =
                format!("{text}; --mtu {given} arrives in fragments only, which many paths lose");
            self.show(Verdict::Warn, "path mtu", text);
        } else {
            self.show(Verdict::Fail, "path mtu", format!("{text}; --mtu {given} does not arrive"));
        }
    }

    fn buffers(&mut self, parsed: &Parsed<ClientConfig>, granted: Option<BufferSizes>) {
        let Some(granted) = granted else { return };
        let asked = parsed.config.common.socket_buffer as usize;
        let mut short = Vec::new();
        for (name, limit, granted) in [
            ("receive", "net.core.rmem_max", granted.receive),
            ("send", "net.core.wmem_max", granted.send),
        ] {
            if granted < asked {
                let remedy = if cfg!(any(target_os = "linux", target_os = "android")) {
                    format!("; sysctl -w {limit}={asked}")
                } else {
                    String::new()
                };
                short.push(format!("{name}: {granted} of {asked} bytes granted{remedy}"));
            }
        }
        if short.is_empty() {
            self.show(Verdict::Ok, "socket buffers", format!("{asked} bytes each way, as asked"));
        } else {
            self.show(Verdict::Warn, "socket buffers", short.join("\n"));
        }
    }

    /// Measures through the tunnel.
    async fn throughput(&mut self, options: &Options, session: &mut Session, facts: &mut Facts) {
        self.screen.status("round trip through the tunnel ...");
        match session.pings(20).await.as_deref().map(advice::spread) {
            Ok(Some([least, median, most])) => {
                facts.round_trip = Some(median);
                let text = format!(
                    "{} at least, {} median, {} for 95 of 100 (through the tunnel and back)",
                    millis(least),
                    millis(median),
                    millis(most)
                );
                self.show(Verdict::Ok, "round trip", text);
            }
            Ok(None) => self.show(Verdict::Fail, "round trip", "no answer through the tunnel"),
            Err(error) => return self.show(Verdict::Fail, "throughput", error.to_string()),
        }
        self.screen.status("throughput down ...");
        let down = session.download(options.time).await;
        facts.down = self.one_way("throughput", "down", down, facts, facts.receive_window);
        self.screen.status("throughput up ...");
        let up = session.upload(options.time).await;
        facts.up = self.one_way("", "up", up, facts, facts.send_window);
    }

    fn one_way(
        &mut self,
        about: &'static str,
        way: &str,
        measured: io::Result<Throughput>,
        facts: &Facts,
        window: u64,
    ) -> Option<Flow> {
        let measured = match measured {
            Ok(measured) if measured.rate > 0.0 => measured,
            Ok(_) => {
                self.show(Verdict::Fail, about, format!("{way}: nothing came through"));
                return None;
            }
            Err(error) => {
                self.show(Verdict::Fail, about, format!("{way}: {error}"));
                return None;
            }
        };
        let limit = advice::window_rate(window, facts.round_trip?, facts.mtu);
        let is_full = measured.rate >= limit * 0.6;
        let mut text = format!("{way} {}", megabits(measured.rate));
        if let Some(round_trip) = measured.round_trip {
            text += &format!(", round trip up to {} meanwhile", millis(round_trip));
        }
        let [again, all] = measured.resent;
        if all > 0 {
            text += &format!(", {:.1} % sent again", again as f64 * 100.0 / all as f64);
        }
        if is_full {
            text += &format!("; the window of {window} packets allows {}", megabits(limit));
        }
        self.show(if is_full { Verdict::Warn } else { Verdict::Ok }, about, text);
        Some(Flow { rate: measured.rate, is_full })
    }
}
