//! A running tunnel to look at: a page, metrics, health and profiles over HTTP.
//!
//! | path | what | flag |
//! |---|---|---|
//! | `/` | a page that draws throughput, round trip, loss and overhead, and lists sessions and streams | `--status` |
//! | `/metrics` | all figures for Prometheus (text format 0.0.4) | `--status` |
//! | `/healthz` | 200 `ok`, or 503 and what is wrong | `--status` |
//! | `/status.json` | what the page draws | `--status` |
//! | `/debug/vars` | all counters as JSON, as Go's `expvar` has it | either |
//! | `/debug/pprof/` | processor profiles for `go tool pprof` | `--pprof` |
//!
//! A [`Site`] serves them on tasks of the tunnel's own runtime. Everything is read-only, and nothing
//! of it may disturb traffic: an answer lists at most 100 sessions and 500 streams (the rest is
//! counted), at most 32 clients are connected to all its listeners together, and one that is slow is left.
//!
//! ```no_run
//! # async fn example<R: kcptun_async::Runtime>(
//! #     runtime: R, client: kcptun_async::Client<R>,
//! # ) -> std::io::Result<()> {
//! use std::sync::Arc;
//! use kcptun_status::{Addresses, Program, Side, Site};
//!
//! let addresses = Addresses {
//!     status: Some("127.0.0.1:9129".parse().unwrap()),
//!     pprof: None,
//! };
//! let program = Program::new(Side::Client, "1.0").with_settings([("mode", "fast3")]);
//! let site = Site::new(program, Arc::new(client));
//! for bound in site.listen(&runtime, addresses).await? {
//!     println!("status page: http://{}/", bound.address);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Scraping
//!
//! Point a scraper at it; nothing else is needed:
//!
//! ```yaml
//! scrape_configs:
//!   - job_name: kcptun
//!     static_configs:
//!       - targets: ["127.0.0.1:9129"]
//! ```
//!
//! `kcptun_*` are figures of the whole end, `kcptun_session_*` those of each session that lives,
//! labelled with its two addresses. Counters only grow, so rates come from their differences:
//!
//! | question | expression |
//! |---|---|
//! | throughput, bytes per second | `rate(kcptun_payload_bytes_total[1m])` |
//! | bytes on the wire per byte carried | `sum(rate(kcptun_wire_bytes_total[5m])) / sum(rate(kcptun_payload_bytes_total[5m]))` |
//! | loss on the way out | `(sum(rate(kcptun_retransmits_total[5m])) - rate(kcptun_spurious_retransmits_total[5m])) / rate(kcptun_data_segments_out_total[5m])` |
//! | parity that was of use | `rate(kcptun_fec_recovered_total[5m])` against `rate(kcptun_fec_wasted_total[5m])` |
//! | a key or cipher that differs | `rate(kcptun_errors_total{kind="checksum"}[5m]) > 0` |
//!
//! # Health
//!
//! A server that answers is well. A client is ill when it has wanted to reach the server for 30 s
//! and could not: none of its sessions is answered, or none can be dialled. An unused client is
//! well.
//!
//! # Profiles
//!
//! `go tool pprof http://127.0.0.1:6060/debug/pprof/profile?seconds=30`, or any other reader of the
//! format. One profile is taken at a time (feature `profile`, on by default; Unix). It costs
//! memory: a client of 6 MB had 176 MB after the first one and 243 MB after the second, and keeps
//! them (the tables of the crate `pprof`).
//!
//! # Who may look
//!
//! There is no password: bind to loopback (a bare port would be all interfaces) or behind a proxy
//! that asks for one. On loopback a request must name this machine, so that no web page can reach
//! the server by a name of its own (DNS rebinding), and answers carry no leave for other sites.
#![forbid(unsafe_code)]

mod guests;
mod health;
mod http;
mod json;
mod metrics;
mod page;
mod profile;
mod server;
mod service;
mod source;

pub use kcptun_tunnel::Side;
pub use server::{Addresses, Bound, Site};
pub use source::{Program, Tunnel};
