//! Values that options take, for properties.

use kcptun_config::options::{Side, options};
use proptest::prelude::*;
use serde_json::Value;

/// An option with a value.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    name: &'static str,
    key: String,
    json: Value,
    text: String,
}

impl Chosen {
    /// The key, in any case, and the value in a file.
    pub(crate) fn member(&self) -> String {
        format!("\"{}\": {}", self.key, self.json)
    }

    /// The option on a command line.
    pub(crate) fn flag(&self) -> String {
        format!("--{}={}", self.name, self.text)
    }
}

/// Some options of `side` with values that are no problem, in any order.
pub(crate) fn some_options(side: Side) -> impl Strategy<Value = Vec<Chosen>> {
    let all: Vec<_> = options(side).filter_map(|spec| Some((spec.name, spec.key?))).collect();
    let some = prop::sample::subsequence(all.clone(), 0..=all.len()).prop_shuffle();
    some.prop_flat_map(|some| {
        let one = |(name, key): (&'static str, &'static str)| {
            (values(name), any::<bool>()).prop_map(move |((json, text), upper)| {
                let key = if upper { key.to_uppercase() } else { key.to_owned() };
                Chosen { name, key, json, text }
            })
        };
        some.into_iter().map(one).collect::<Vec<_>>()
    })
}

/// What the option takes, as JSON and as the text of a flag.
fn values(name: &str) -> BoxedStrategy<(Value, String)> {
    match name {
        "localaddr" | "target" => word("[a-z]{1,9}:[1-9][0-9]{0,3}|/[a-z]{1,9}"),
        "remoteaddr" | "listen" => word("[a-z]{1,9}:[1-9][0-9]{0,3}|:1-20"),
        "status" => word("|[a-z]{1,9}:[1-9][0-9]{0,3}"),
        "pprof" => prop_oneof![switch(), word("[a-z]{1,9}:[1-9][0-9]{0,3}")].boxed(),
        "key" => word("\\PC{0,20}"),
        "log" | "snmplog" => word("[ -~]{0,20}"),
        "crypt" => word("aes|aes-128-gcm|aes-192|3des|none|null|whatever"),
        "mode" => word("normal|fast|fast2|fast3|manual|whatever"),
        "QPP" => Just((false.into(), "false".to_owned())).boxed(),
        "nocomp" | "acknodelay" | "quiet" | "tcp" => switch(),
        "smuxver" => whole(1, 2),
        "keepalive" => whole(1, 30),
        "shards" => whole(1, 64),
        "conn" | "framesize" => whole(1, 65_535),
        "snmpperiod" => whole(0, 1 << 40),
        "smuxbuf" => whole(4_194_304, 1 << 40),
        "streambuf" => whole(1, 4_194_304),
        _ => prop_oneof![whole(-5, 70), whole(50, 1500), whole(-5, 1 << 33)].boxed(),
    }
}

fn whole(low: i64, high: i64) -> BoxedStrategy<(Value, String)> {
    (low..=high).prop_map(|number| (number.into(), number.to_string())).boxed()
}

fn switch() -> BoxedStrategy<(Value, String)> {
    any::<bool>().prop_map(|yes| (yes.into(), yes.to_string())).boxed()
}

fn word(pattern: &str) -> BoxedStrategy<(Value, String)> {
    let text = prop::string::string_regex(pattern).unwrap();
    text.prop_map(|text| (text.clone().into(), text)).boxed()
}
