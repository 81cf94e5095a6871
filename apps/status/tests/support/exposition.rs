//! A strict reader of the Prometheus text format, version 0.0.4.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Kind by family.
    pub kinds: HashMap<String, String>,
    /// Value by name and labels, as `name{a="b"}` with the labels in order.
    pub series: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads a page.
    ///
    /// # Errors
    /// The first line that breaks a rule of the format or of naming.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".into());
        }
        let mut page = Self::default();
        let (mut helped, mut closed) = (HashSet::new(), HashSet::new());
        let mut current = String::new();
        for line in text.lines() {
            let at = |why: &str| format!("{why}: {line}");
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (kind, name) = (words.next(), words.next().ok_or_else(|| at("no name"))?);
                let rest = words.next().filter(|rest| !rest.is_empty());
                let rest = rest.ok_or_else(|| at("nothing behind the name"))?;
                match kind {
                    Some("HELP") if !helped.insert(name.to_owned()) => {
                        return Err(at("HELP twice"));
                    }
                    Some("HELP") => {
                        closed.insert(std::mem::replace(&mut current, name.into()));
                    }
                    Some("TYPE") => page.add_type(name, rest, &current).map_err(|e| at(&e))?,
                    _ => return Err(at("neither HELP nor TYPE")),
                }
                continue;
            }
            let (name, series, value) = sample(line).map_err(|error| at(&error))?;
            if name != current || !page.kinds.contains_key(&name) {
                return Err(at("a sample outside of its family"));
            }
            if closed.contains(&name) {
                return Err(at("a family in two pieces"));
            }
            if page.kinds[&name] == "counter" && (!value.is_finite() || value < 0.0) {
                return Err(at("not a count"));
            }
            if page.series.insert(series, value).is_some() {
                return Err(at("a series twice"));
            }
        }
        match page.kinds.keys().find(|name| !helped.contains(*name)) {
            Some(name) => Err(format!("no HELP for {name}")),
            None => Ok(page),
        }
    }

    /// The value of a series.
    ///
    /// # Panics
    /// When there is none.
    pub fn get(&self, series: &str) -> f64 {
        *self.series.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.series))
    }

    fn add_type(&mut self, name: &str, kind: &str, current: &str) -> Result<(), String> {
        if name != current {
            return Err("TYPE not behind its HELP".into());
        }
        if !is_name(name, true) || !["counter", "gauge"].contains(&kind) {
            return Err("bad name or type".into());
        }
        if (kind == "counter") != name.ends_with("_total") {
            return Err("counters, and only they, end in _total".into());
        }
        match self.kinds.insert(name.into(), kind.into()) {
            None => Ok(()),
            Some(_) => Err("TYPE twice".into()),
        }
    }
}

/// Name, series and value of a line.
fn sample(line: &str) -> Result<(String, String, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name, true) {
        return Err("bad name".into());
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.strip_prefix(' ').ok_or("no blank before the value")?;
    if value.contains(' ') {
        return Err("more than a value".into());
    }
    let value = value.parse().map_err(|_| "not a number")?;
    let series =
        if labels.is_empty() { name.into() } else { format!("{name}{{{}}}", labels.join(",")) };
    Ok((name.into(), series, value))
}

/// Labels, in order, and what stands behind the brace.
fn labels(mut rest: &str) -> Result<(Vec<String>, &str), String> {
    let mut all = Vec::new();
    let mut names = HashSet::new();
    loop {
        let (name, value) = rest.split_once("=\"").ok_or("no label")?;
        if !is_name(name, false) || !names.insert(name.to_owned()) {
            return Err("bad label name".into());
        }
        let mut end = None;
        let mut escaped = false;
        for (at, character) in value.char_indices() {
            match character {
                'n' | '\\' | '"' if escaped => escaped = false,
                _ if escaped => return Err("bad escape".into()),
                '\\' => escaped = true,
                '"' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let end = end.ok_or("a label without end")?;
        all.push(format!("{name}=\"{}\"", &value[..end]));
        rest = &value[end + 1..];
        if let Some(behind) = rest.strip_prefix('}') {
            all.sort();
            return Ok((all, behind));
        }
        rest = rest.strip_prefix(',').ok_or("no comma between labels")?;
    }
}

fn is_name(name: &str, is_metric: bool) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || is_metric && byte == b':';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(allowed)
}

#[test]
fn the_reader_is_strict() {
    let good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"\\\"\\n\"} 1\na_total 2\n";
    let page = Exposition::parse(good).unwrap();
    assert_eq!(page.get("a_total"), 2.0);
    let gauge = "# HELP a x\n# TYPE a gauge\n";
    for bad in [
        "a 1\n",
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# TYPE a gauge\na 1\n",
        &format!("{gauge}a 1"),
        &format!("{gauge}a 1\na 2\n"),
        &format!("{gauge}a one\n"),
        &format!("{gauge}a  1\n"),
        &format!("{gauge}a{{b=\"\\x\"}} 1\n"),
        &format!("{gauge}a{{b=\"1\",b=\"2\"}} 1\n"),
        &format!("{gauge}a{{b=\"1\",}} 1\n"),
        &format!("{gauge}a 1\n# HELP b x\n# TYPE b gauge\nb 1\na 1\n"),
        &format!("{gauge}{gauge}"),
        "# HELP a_total x\n# TYPE a_total counter\na_total NaN\n",
    ] {
        assert!(Exposition::parse(bad).is_err(), "{bad}");
    }
}
