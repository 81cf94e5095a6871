//! Which path answers what.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use kcptun_async::{Runtime, SessionLimits};

use crate::health::Health;
use crate::http::{Method, Request, Response, Status};
use crate::metrics::{self, Snapshot};
use crate::source::{Program, Tunnel};
use crate::{json, page, profile};

/// What is listed at most, so that an answer takes no more than a few milliseconds of the thread
/// that carries the tunnel.
pub(crate) const LIMITS: SessionLimits = SessionLimits { sessions: 100, streams: 500 };

/// Which paths a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paths {
    /// The page, metrics and health.
    pub(crate) status: bool,
    /// What stands under `/debug/pprof/`.
    pub(crate) pprof: bool,
    /// Only programs of this machine can connect.
    pub(crate) is_local: bool,
}

/// What all listeners show.
pub(crate) struct Service {
    program: Program,
    tunnel: Arc<dyn Tunnel>,
    health: Mutex<Health>,
}

impl Service {
    pub(crate) fn new(program: Program, tunnel: Arc<dyn Tunnel>) -> Self {
        Self { program, tunnel, health: Mutex::default() }
    }

    /// The answer to a request.
    pub(crate) async fn answer<R: Runtime>(
        &self,
        runtime: &R,
        paths: Paths,
        request: &Request,
    ) -> Response {
        if let Some(refusal) = refusal(paths, request) {
            return refusal;
        }
        let response = match request.path.as_str() {
            "/debug/pprof/profile" if paths.pprof => profile::profile(runtime, request).await,
            path if paths.pprof && path.starts_with("/debug/pprof") => self.pprof(path),
            "/debug/vars" => self.vars(),
            "/" if !paths.status => profile::index(),
            path if paths.status => self.status(path),
            _ => None,
        };
        response.unwrap_or_else(|| {
            Response::text(Status::NOT_FOUND, format!("Nothing is here. {}\n", overview(paths)))
        })
    }

    fn status(&self, path: &str) -> Option<Response> {
        let response = match path {
            "/" => page::page(),
            "/healthz" => match self.look().1 {
                None => Response::text(Status::OK, "ok\n"),
                Some(trouble) => Response::text(Status::UNAVAILABLE, format!("{trouble}\n")),
            },
            "/metrics" => {
                let (snapshot, _) = self.look();
                let text = metrics::prometheus(&self.program, &snapshot);
                Response::new(Status::OK, metrics::CONTENT_TYPE, text.into_bytes())
            }
            "/status.json" => {
                let (snapshot, trouble) = self.look();
                json_response(json::status(&self.program, &snapshot, trouble.as_deref()))
            }
            _ => return None,
        };
        Some(response)
    }

    fn vars(&self) -> Option<Response> {
        Some(json_response(json::vars(&self.program, &self.look().0)))
    }

    fn pprof(&self, path: &str) -> Option<Response> {
        match path {
            "/debug/pprof" | "/debug/pprof/" => profile::index(),
            // As Go has it: words with a zero byte between them.
            "/debug/pprof/cmdline" => {
                Some(Response::text(Status::OK, self.program.command_line.join("\0")))
            }
            _ => profile::unknown(path),
        }
    }

    /// The figures of now, and what is wrong.
    fn look(&self) -> (Snapshot, Option<String>) {
        let now = kcptun_async::now();
        let (total, sessions) = (self.tunnel.total(), self.tunnel.sessions(LIMITS));
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = health.judge(now, self.program.side, &total, &sessions);
        (Snapshot { now, total, sessions, is_well: trouble.is_none() }, trouble)
    }
}

/// Why a request is refused, whatever its path.
fn refusal(paths: Paths, request: &Request) -> Option<Response> {
    if request.method == Method::Other {
        let response = Response::text(Status::BAD_METHOD, "Everything here is read with GET.\n");
        return Some(response.with_header("Allow: GET, HEAD"));
    }
    // A page of somebody else's may have made its own name point to this machine, by which the
    // browser would take us for that site and let the page read what we say.
    if paths.is_local && !is_name_of_here(&request.host) {
        let text =
            "This server is for programs of this machine: call it localhost, or by address.\n";
        return Some(Response::text(Status::FORBIDDEN, text));
    }
    None
}

/// Names that nobody else can have, and addresses.
fn is_name_of_here(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = host.to_ascii_lowercase();
    host.is_empty()
        || name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok()
}

fn json_response(text: String) -> Response {
    Response::new(Status::OK, "application/json", text.into_bytes())
}

fn overview(paths: Paths) -> String {
    let mut there = Vec::new();
    if paths.status {
        there.extend(["/", "/metrics", "/healthz", "/status.json"]);
    }
    there.push("/debug/vars");
    if paths.pprof {
        there.push("/debug/pprof/");
    }
    format!("What there is: {}", there.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for name in ["localhost", "LOCALHOST", "a.localhost", "127.0.0.1", "[::1]", "10.0.0.1", ""]
        {
            assert!(is_name_of_here(name), "{name}");
        }
        for name in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "[x]"] {
            assert!(!is_name_of_here(name), "{name}");
        }
    }
}
