//! SVG charts: bars, and the distribution of a latency. They need nothing from outside, and
//! follow the reader's light or dark setting.

use std::fmt::Write;

use crate::table::number;

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 16.0;
/// Baseline of the first line below title and legend.
const TOP: f64 = 72.0;
const STYLE: &str = "<style>\
    text{font:13px system-ui,sans-serif;fill:#24292f}\
    .title{font-size:16px;font-weight:600}.dim{fill:#57606a}\
    .ours{fill:#0969da}.peer{fill:#9a6700}.direct{fill:#57606a}\
    path.ours,path.peer,path.direct{fill:none;stroke-width:2}\
    path.ours{stroke:#0969da}path.peer{stroke:#9a6700}path.direct{stroke:#57606a}\
    .grid{stroke:#d0d7de;stroke-width:1}.back{fill:#fff}\
    @media(prefers-color-scheme:dark){\
    text{fill:#e6edf3}.dim{fill:#9198a1}.back{fill:#0d1117}.grid{stroke:#3d444d}\
    .ours{fill:#4493f8}.peer{fill:#d29922}.direct{fill:#9198a1}\
    path.ours,path.peer,path.direct{fill:none}\
    path.ours{stroke:#4493f8}path.peer{stroke:#d29922}path.direct{stroke:#9198a1}}\
    </style>";

/// Two bars of one chart: ours and the peer's, or whatever its legend says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bars {
    pub(crate) label: String,
    pub(crate) ours: Option<f64>,
    pub(crate) peer: Option<f64>,
}

/// A curve of a distribution; `class` is `ours`, `peer` or `direct`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Curve<'a> {
    pub(crate) name: &'a str,
    pub(crate) class: &'static str,
    pub(crate) samples: &'a [f64],
}

/// Horizontal bars on one scale that begins at 0. `names` are those of the two in a row.
pub(crate) fn bars(title: &str, note: &str, names: [&str; 2], rows: &[Bars]) -> String {
    const ROW: f64 = 44.0;
    const BAR: f64 = 15.0;
    const LABELS: f64 = 240.0;
    const VALUES: f64 = 70.0;
    let most = rows.iter().flat_map(|row| [row.ours, row.peer]).flatten().fold(0.0, f64::max);
    let room = WIDTH - 2.0 * MARGIN - LABELS - VALUES;
    let [ours, peer] = names;
    let mut body = legend(&[("ours", ours), ("peer", peer)]);
    let x = MARGIN + LABELS;
    for (number_of_row, row) in rows.iter().enumerate() {
        let y = TOP + ROW * number_of_row as f64;
        text(&mut body, MARGIN, y + BAR + 3.0, "", &row.label);
        for (n, (class, value)) in [("ours", row.ours), ("peer", row.peer)].iter().enumerate() {
            let y = y + n as f64 * (BAR + 2.0);
            let value_text = value.map_or_else(|| "failed".into(), number);
            let share = value.filter(|_| most > 0.0).map_or(0.0, |value| value.max(0.0) / most);
            let width = room * share;
            let _ = write!(
                body,
                r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="2"/>"#
            );
            text(&mut body, x + width + 6.0, y + 12.0, "dim", &value_text);
        }
    }
    document(title, note, TOP + ROW * rows.len() as f64 + MARGIN / 2.0, &body)
}

/// For each time on a logarithmic axis, the share of the samples that took no longer.
pub(crate) fn distribution(title: &str, note: &str, curves: &[Curve<'_>]) -> String {
    const HEIGHT: f64 = 260.0;
    let positive = || curves.iter().flat_map(|curve| curve.samples).filter(|time| **time > 0.0);
    let low = positive().copied().fold(f64::INFINITY, f64::min);
    let high = positive().copied().fold(0.0, f64::max);
    let named: Vec<_> = curves.iter().map(|curve| (curve.class, curve.name)).collect();
    let mut body = legend(&named);
    if low < high {
        let (left, width) = (MARGIN + 44.0, WIDTH - 2.0 * MARGIN - 60.0);
        let x = |time: f64| left + width * (time / low).ln() / (high / low).ln();
        let y = |share: f64| TOP + HEIGHT * (1.0 - share);
        for percent in [0, 25, 50, 75, 100] {
            let y = y(f64::from(percent) / 100.0);
            line(&mut body, (left, y), (left + width, y));
            text(&mut body, MARGIN, y + 4.0, "dim", &format!("{percent} %"));
        }
        for time in ticks(low, high) {
            line(&mut body, (x(time), TOP), (x(time), TOP + HEIGHT));
            text(&mut body, x(time) - 10.0, TOP + HEIGHT + 18.0, "dim", &number(time));
        }
        for curve in curves.iter().filter(|curve| !curve.samples.is_empty()) {
            let mut sorted = curve.samples.to_vec();
            sorted.sort_by(f64::total_cmp);
            let mut path = String::new();
            for (n, time) in sorted.iter().enumerate() {
                let verb = if n == 0 { 'M' } else { 'L' };
                let share = (n + 1) as f64 / sorted.len() as f64;
                let _ = write!(path, "{verb}{:.1} {:.1}", x(time.max(low)), y(share));
            }
            let _ = write!(body, r#"<path class="{}" d="{path}"/>"#, curve.class);
        }
    }
    document(title, note, TOP + HEIGHT + 30.0, &body)
}

/// 1, 2 and 5 of every decade between the two.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    decades
        .flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(decade)))
        .filter(|time| (low..=high).contains(time))
        .collect()
}

fn document(title: &str, note: &str, height: f64, body: &str) -> String {
    let height = height + 26.0;
    let title = escaped(title);
    let mut out = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img"><title>{title}</title>{STYLE}<rect class="back" width="100%" height="100%" rx="6"/><text class="title" x="{MARGIN}" y="28">{title}</text>"#
    );
    out.push_str(body);
    text(&mut out, MARGIN, height - 12.0, "dim", note);
    out.push_str("</svg>\n");
    out
}

fn legend(names: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut x = MARGIN;
    for (class, name) in names {
        let _ = write!(
            out,
            r#"<rect class="{class}" x="{x:.1}" y="42" width="12" height="12" rx="2"/>"#
        );
        text(&mut out, x + 18.0, 53.0, "", name);
        x += 40.0 + 8.0 * name.chars().count() as f64;
    }
    out
}

fn text(out: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let words = escaped(words);
    let _ = write!(out, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{words}</text>"#);
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        out,
        r#"<line class="grid" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
        from.0, from.1, to.0, to.1
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element is closed, and no text breaks out of its place.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg.trim();
        while let Some(at) = rest.find('<') {
            assert!(!rest[..at].contains('>'), "{}", &rest[..at]);
            let end = rest[at..].find('>').expect("a tag ends") + at;
            let tag = &rest[at + 1..end];
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty() && rest.is_empty(), "{open:?} {rest}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!svg.contains("href") && !svg.contains("url("), "{svg}");
    }

    /// The widths of the bars, without background and legend.
    fn widths(svg: &str) -> Vec<f64> {
        let parts = svg.split("<rect ").skip(4);
        parts.map(|part| part.split("width=\"").nth(1).unwrap()).map(first_number).collect()
    }

    fn first_number(text: &str) -> f64 {
        text.split('"').next().unwrap().parse().unwrap()
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let row = |label: &str, ours, peer| Bars { label: label.into(), ours, peer };
        let rows = [
            row("a <b> & \"c\"", Some(10.0), Some(5.0)),
            row("failed", None, Some(0.0)),
            row("below zero", Some(-1.0), Some(2.5)),
        ];
        let svg = bars("x < y", "note", ["ours", "Debian"], &rows);
        assert_well_formed(&svg);
        let widths = widths(&svg);
        assert!((widths[0] - 2.0 * widths[1]).abs() < 0.11, "{widths:?}");
        assert_eq!(widths[2..5], [0.0; 3]);
        assert!((widths[0] - 4.0 * widths[5]).abs() < 0.21, "{widths:?}");
        assert_well_formed(&bars("none", "", ["ours", "peer"], &[row("zero", Some(0.0), None)]));
        assert_well_formed(&bars("none", "", ["ours", "peer"], &[]));
    }

    #[test]
    fn a_distribution_rises_to_the_right() {
        let samples = [0.3, 0.1, 0.2, 40.0];
        let curve = Curve { name: "ours", class: "ours", samples: &samples };
        let none = Curve { name: "peer", class: "peer", samples: &[] };
        let svg = distribution("ping", "ms", &[curve, none]);
        assert_well_formed(&svg);
        let path = svg.split(" d=\"M").nth(1).unwrap().split('"').next().unwrap();
        let points: Vec<(f64, f64)> = path
            .split('L')
            .map(|point| point.split_once(' ').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert_eq!(points.len(), 4);
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1));
        for samples in [&[][..], &[1.0], &[0.0, 0.0]] {
            let curve = Curve { samples, ..curve };
            assert_well_formed(&distribution("ping", "ms", &[curve]));
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.15, 3.0), [0.2, 0.5, 1.0, 2.0]);
    }
}
