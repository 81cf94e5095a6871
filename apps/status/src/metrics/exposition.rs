//! The text format of Prometheus.

use std::fmt::{Display, Write as _};

/// A page in the making.
#[derive(Debug)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    pub(super) fn new() -> Self {
        Self { text: String::with_capacity(16_384) }
    }

    /// Begins a family of series; its samples come next.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // A String takes all that is written to it.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One sample; `labels` as they stand between braces.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = if labels.is_empty() {
            writeln!(self.text, "{name} {value}")
        } else {
            writeln!(self.text, "{name}{{{labels}}} {value}")
        };
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// A label value as it stands between quotes.
pub(super) fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
