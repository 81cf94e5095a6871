//! The options as a Markdown table, for a README that cannot fall behind.

use crate::options::{Group, OptionSpec, all_options, router_options};

/// All options of both programs, then those that only `kcptun-router` has: flag, default, values
/// and meaning, one row each. A default that is empty is left out; where the two programs differ
/// both stand there.
///
/// A document that holds this text can be compared with it in a test.
#[must_use]
pub fn markdown_table() -> String {
    let mut table = String::from("| flag | default | values | meaning |\n|---|---|---|---|\n");
    for spec in all_options().chain(router_options()) {
        let cells = [flags(spec), default(spec), spec.allowed.to_owned(), meaning(spec)];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    table
}

fn flags(spec: &OptionSpec) -> String {
    let alias = spec.alias.map(|alias| match alias.len() {
        1 => format!("`-{alias}`, "),
        _ => format!("`--{alias}`, "),
    });
    format!("{}`{}`", alias.unwrap_or_default(), spec.flag())
}

fn default(spec: &OptionSpec) -> String {
    let quoted = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    match (spec.client, spec.server) {
        (Some(client), Some(server)) if client != server => {
            format!("{} client, {} server", quoted(client), quoted(server))
        }
        (Some(text), _) | (None, Some(text)) => quoted(text),
        (None, None) => String::new(),
    }
}

fn meaning(spec: &OptionSpec) -> String {
    let whose = match (spec.client, spec.server) {
        (Some(_), None) => "client: ",
        (None, Some(_)) => "server: ",
        _ if spec.group == Group::Router => "`kcptun-router`: ",
        _ => "",
    };
    format!("{whose}{}", spec.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_one_row_of_four_cells() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), 2 + all_options().count() + router_options().count());
        for line in table.lines() {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
        }
        assert!(table.contains("\n| `-l`, `--localaddr` | `:12948` | "), "{table}");
        assert!(
            table.contains("| `--sndwnd` | `128` client, `1024` server | 1 to 65535 packets |")
        );
        assert!(table.contains("| `--mem` | `8M` | "), "{table}");
    }
}
