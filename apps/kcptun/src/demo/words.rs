//! How the demo says things.

use std::time::Duration;

use kcptun_link::LinkConfig;

use super::options::Options;

/// A rate in the unit that suits it.
pub(super) fn rate(bits: u64) -> String {
    let bits = bits as f64;
    match bits {
        1e9.. => format!("{} Gbit/s", short(bits / 1e9)),
        1e6.. => format!("{} Mbit/s", short(bits / 1e6)),
        _ => format!("{} kbit/s", short(bits / 1e3)),
    }
}

/// Three digits, without zeros at the end.
fn short(number: f64) -> String {
    let digits = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
    let text = format!("{number:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The link as a sentence: the usual settings in words, the others as they were given.
pub(super) fn link(link: &LinkConfig) -> String {
    let percent = |share: f64| format!("{} % loss", short(share * 100.0));
    let usual =
        LinkConfig { delay: link.delay, loss: link.loss, rate: link.rate, ..LinkConfig::default() };
    let mut parts = vec![
        format!("{} ms round trip", short(link.delay.as_secs_f64() * 2e3)),
        percent(link.loss),
        link.rate.map_or_else(|| "any rate".to_owned(), rate),
    ];
    if usual != *link {
        let rest = LinkConfig { delay: Duration::ZERO, loss: 0.0, rate: None, ..link.clone() };
        parts.push(rest.to_string().replace(',', ", "));
    }
    parts.join(", ")
}

/// What to type for real.
pub(super) fn commands(options: &Options, key: &str) -> Vec<String> {
    let tunnel = options.words.join(" ");
    let lines = |place: &str, program: &str, addresses: &str| {
        [
            format!("  {place}"),
            format!("    KCPTUN_KEY={key} \\"),
            format!("    {program} {addresses} \\"),
            format!("      {tunnel}"),
        ]
    };
    let mut all = vec!["for real (the key is fresh, and for you alone):".to_owned()];
    all.extend(lines(
        "on the server, next to a TCP service on its port 1080:",
        "kcptun-server",
        "--listen :29900 --target 127.0.0.1:1080",
    ));
    all.extend(lines(
        "at home, where programs then use 127.0.0.1:12948:",
        "kcptun-client",
        "--localaddr 127.0.0.1:12948 --remoteaddr SERVER:29900",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClientConfig, Outcome, ServerConfig};

    #[test]
    fn links_and_rates_in_words() {
        let said = |text: &str| link(&text.parse().unwrap());
        assert_eq!(
            said("delay=50ms,loss=10%,rate=50mbit"),
            "100 ms round trip, 10 % loss, 50 Mbit/s"
        );
        assert_eq!(
            said("delay=250us,loss=0.25%,jitter=5ms"),
            "0.5 ms round trip, 0.25 % loss, any rate, jitter=5ms"
        );
        for (bits, text) in [
            (1_500, "1.5 kbit/s"),
            (12_340_000, "12.3 Mbit/s"),
            (100_000_000, "100 Mbit/s"),
            (1_000_000_000, "1 Gbit/s"),
        ] {
            assert_eq!(rate(bits), text);
        }
    }

    #[test]
    fn the_programs_understand_what_is_to_be_typed() {
        let options = Options::parse(["--loss".into(), "20%".into()]).unwrap();
        let text = commands(&options, "secret").join("\n");
        let words = |program: &str| -> Vec<String> {
            let from = text.find(&format!("{program} ")).unwrap() + program.len();
            let end = text[from..].find("--nocomp").unwrap() + "--nocomp".len();
            text[from..from + end]
                .split_whitespace()
                .filter(|it| *it != "\\")
                .map(str::to_owned)
                .collect()
        };
        let environment = |_: &str| Some("secret".into());
        let client = ClientConfig::parse(words("kcptun-client"), &environment).unwrap();
        let server = ServerConfig::parse(words("kcptun-server"), &environment).unwrap();
        let (Outcome::Run(client), Outcome::Run(server)) = (client, server) else {
            panic!("{text}")
        };
        assert!(client.warnings.is_empty() && server.warnings.is_empty(), "{text}");
        assert_eq!(client.config.remote.ports().first(), 29_900);
        assert!(!server.config.common.compression);
    }
}
