//! A stream and a connection joined, with the lines that the original has for it.

use std::time::Duration;

use kcptun_async::{Relay, Runtime, Stream};

use crate::config::{CommonConfig, SmuxVersion};

/// How each pair is joined.
#[derive(Clone, Copy)]
pub(crate) struct Pipe {
    /// What `--closewait` says.
    close_wait: Duration,
    /// Whether streams have windows (smux 2).
    windows: bool,
    quiet: bool,
}

impl Pipe {
    pub(crate) fn new(common: &CommonConfig) -> Self {
        Self {
            close_wait: common.close_wait,
            windows: common.smux_version == SmuxVersion::V2,
            quiet: common.quiet,
        }
    }

    /// Carries bytes both ways until both are over. `from` and `to`: who is joined with whom.
    pub(crate) async fn carry<R: Runtime>(
        self,
        runtime: &R,
        stream: Stream,
        tcp: R::Bytes,
        from: &str,
        to: &str,
    ) {
        let Self { close_wait, windows, quiet } = self;
        if !quiet {
            tracing::info!("stream opened in: {from} out: {to}");
        }
        let result = Relay::new(runtime, stream, tcp, close_wait, windows).await;
        if !quiet {
            if let Err(error) = result {
                tracing::info!("pipe: {error} in: {from} out: {to}");
            }
            tracing::info!("stream closed in: {from} out: {to}");
        }
    }
}
