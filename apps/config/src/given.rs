//! What the user wrote, for the start-up lines.

use crate::kinds::Mode;
use crate::values::Values;

/// Numbers and words as the user gave them: the original prints those, not what comes of them.
/// The key is not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    values: Vec<(&'static str, String)>,
    timing: String,
    memory: String,
}

impl Given {
    pub(crate) fn new(values: &Values, mode: Mode) -> Self {
        let memory = if values.has("mem") { values.quote("mem") } else { String::new() };
        let mut given = Self { values: values.given(), timing: String::new(), memory };
        let numbers = match mode.parameters() {
            Some(fixed) => fixed.map(|number| number.to_string()),
            None => ["nodelay", "interval", "resend", "nc"].map(|name| given.get(name).to_owned()),
        };
        given.timing = numbers.join(" ");
        given
    }

    /// What was given for an option; empty when it has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The memory as messages name it.
    pub(crate) fn memory(&self) -> &str {
        &self.memory
    }

    /// nodelay, interval, resend and nc, as they hold.
    pub(crate) fn timing(&self) -> &str {
        &self.timing
    }
}
