//! The two text formats of metrics. Pure.

use std::fmt::{self, Display, Formatter, Write as _};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TextFormat {
    /// The text format of Prometheus, version 0.0.4. It is the only one that the textfile collector reads.
    Prometheus,
    /// `OpenMetrics`, version 1.0.0.
    OpenMetrics,
}

impl TextFormat {
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that a client with this `Accept` header prefers.
    pub(super) fn preferred(accept: &str) -> Self {
        let weight = |kind: &str| {
            let ranges =
                accept.split(',').filter(|range| range.split(';').next().is_some_and(|name| name.trim() == kind));
            ranges.map(weight).fold(0.0, f64::max)
        };
        let is_open = weight("application/openmetrics-text") > weight("text/plain");
        if is_open { Self::OpenMetrics } else { Self::Prometheus }
    }
}

/// The `q` of a range of an `Accept` header.
fn weight(range: &str) -> f64 {
    let q = range.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
    q.map_or(1.0, |q| q.trim().parse().unwrap_or(0.0))
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never decreases; its name ends in `_total`.
    Counter,
    /// Increases and decreases.
    Gauge,
}

/// The value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// Written with all digits. Prometheus keeps values up to 2^53 (9 PB) exactly.
    Whole(u64),
    Real(f64),
}

/// The labels of a series: names and values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// All series of one name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Family {
    /// The name of the series.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// One sentence, without characters that need escaping.
    pub(super) help: String,
    /// Whether counters start at 0 with each start of the service, not with the book.
    pub(super) is_of_service: bool,
    pub(super) series: Vec<(Labels, Value)>,
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
        }
    }
}

/// All of `families` as one text.
pub(super) fn text(families: &[Family], format: TextFormat) -> String {
    let mut text = String::new();
    for family in families {
        if !family.series.is_empty() {
            write(family, format, &mut text).expect("a text takes what is written to it");
        }
    }
    if format == TextFormat::OpenMetrics {
        text += "# EOF\n";
    }
    text
}

fn write(Family { name, kind, help, series, .. }: &Family, format: TextFormat, text: &mut String) -> fmt::Result {
    let (kind, family) = match (kind, format) {
        (Kind::Counter, TextFormat::OpenMetrics) => ("counter", name.strip_suffix("_total").unwrap_or(name)),
        (Kind::Counter, TextFormat::Prometheus) => ("counter", name.as_str()),
        (Kind::Gauge, _) => ("gauge", name.as_str()),
    };
    writeln!(text, "# HELP {family} {help}\n# TYPE {family} {kind}")?;
    for (labels, value) in series {
        text.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            write!(text, "{before}{label}=\"{}\"", escaped(value))?;
        }
        let end = if labels.is_empty() { "" } else { "}" };
        writeln!(text, "{end} {value}")?;
    }
    Ok(())
}

/// The value of a label, escaped as both formats require.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> [Family; 3] {
        let family = |name: &str, kind, series| Family {
            name: name.to_owned(),
            kind,
            help: "Help.".to_owned(),
            is_of_service: false,
            series,
        };
        let labels = vec![("user", "a\\b\"c\nd\u{2028}".to_owned()), ("class", "lan".to_owned())];
        [
            family("x_total", Kind::Counter, vec![(labels, Value::Whole(u64::MAX))]),
            family("y", Kind::Gauge, vec![(Vec::new(), Value::Real(0.5))]),
            family("z", Kind::Gauge, Vec::new()),
        ]
    }

    #[test]
    fn both_formats_have_every_digit_and_escape_what_would_end_a_value() {
        let series = "x_total{user=\"a\\\\b\\\"c\\nd\u{2028}\",class=\"lan\"} 18446744073709551615\n";
        let gauge = "# HELP y Help.\n# TYPE y gauge\ny 0.5\n";
        assert_eq!(
            text(&families(), TextFormat::Prometheus),
            format!("# HELP x_total Help.\n# TYPE x_total counter\n{series}{gauge}")
        );
        assert_eq!(
            text(&families(), TextFormat::OpenMetrics),
            format!("# HELP x Help.\n# TYPE x counter\n{series}{gauge}# EOF\n")
        );
    }

    #[test]
    fn a_client_gets_the_format_that_it_prefers() {
        // What Prometheus 2.42 and curl send.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, TextFormat::OpenMetrics),
            ("*/*", TextFormat::Prometheus),
            ("", TextFormat::Prometheus),
            ("text/plain, application/openmetrics-text; q=0.5", TextFormat::Prometheus),
            ("application/openmetrics-text;q=0", TextFormat::Prometheus),
            ("application/openmetrics-text;q=x", TextFormat::Prometheus),
        ] {
            assert_eq!(TextFormat::preferred(accept), format, "{accept}");
        }
    }
}
