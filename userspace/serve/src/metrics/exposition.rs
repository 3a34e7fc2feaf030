//! Metrics as text: OpenMetrics 1.0, or what Prometheus reads of old, by the header Accept.

use std::fmt::Write as _;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text format, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that is asked for; text where both are as good.
    pub(crate) fn accepted(accept: &str) -> Self {
        let weight = |name: &str| {
            let weights = accept.split(',').filter_map(|range| weight_of(range, name));
            weights.fold(0.0, f64::max)
        };
        let text = ["text/plain", "text/*", "*/*"].map(weight).into_iter().fold(0.0, f64::max);
        let open = weight("application/openmetrics-text");
        if open > text { Self::OpenMetrics } else { Self::Text }
    }

    /// Its content type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How much a range of the header Accept is wanted, from 0 to 1, if it is of this name.
fn weight_of(range: &str, name: &str) -> Option<f64> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(name) {
        return None;
    }
    let said = parts.find_map(|part| part.strip_prefix("q="));
    Some(said.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

/// What kind of a number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// It is 1; what it tells stands in its labels.
    Info,
}

/// Metrics of one name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// Without the ending of its kind; a unit stands at its end.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Empty where it counts nothing that has one.
    pub(crate) unit: &'static str,
    pub(crate) labels: &'static [&'static str],
    /// A sentence without its full stop.
    pub(crate) help: &'static str,
}

impl Family {
    /// What its samples are called.
    pub(crate) fn sample(&self) -> String {
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge => "",
        };
        format!("{}{ending}", self.name)
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<bool> for Number {
    fn from(holds: bool) -> Self {
        Self::Whole(holds.into())
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

/// Metrics, as far as they are written.
#[derive(Debug)]
pub(crate) struct Exposition {
    format: Format,
    text: String,
}

impl Exposition {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// Writes a family: values of its labels, in their order, each with a number. Without a sample it is named all the
    /// same, so that whoever looks finds it.
    pub(crate) fn family<'a, const LABELS: usize, N: Into<Number>>(
        &mut self,
        family: &Family,
        samples: impl IntoIterator<Item = ([&'a str; LABELS], N)>,
    ) {
        let name = family.sample();
        self.head(family, &name);
        for (values, number) in samples {
            let labels = family.labels.iter().copied().zip(values);
            let labels: Vec<String> = labels.map(|(label, value)| label_text(label, value)).collect();
            self.sample(&name, &labels.join(","), number.into());
        }
    }

    /// Writes gauges of a name that is found out as it goes: labels as text, and numbers.
    pub(crate) fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        self.heads(name, "gauge", help);
        samples.into_iter().for_each(|(labels, number)| self.sample(name, labels, Number::Real(number)));
    }

    /// All of it.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn head(&mut self, family: &Family, sample: &str) {
        match (self.format, family.kind) {
            (Format::OpenMetrics, kind) => {
                let kind = match kind {
                    Kind::Counter => "counter",
                    Kind::Gauge => "gauge",
                    Kind::Info => "info",
                };
                self.heads(family.name, kind, family.help);
                if !family.unit.is_empty() {
                    let _ = writeln!(self.text, "# UNIT {} {}", family.name, family.unit);
                }
            }
            (Format::Text, Kind::Counter) => self.heads(sample, "counter", family.help),
            (Format::Text, Kind::Gauge | Kind::Info) => self.heads(sample, "gauge", family.help),
        }
    }

    fn heads(&mut self, name: &str, kind: &str, help: &str) {
        let help = match self.format {
            Format::Text => help.replace('\\', "\\\\").replace('\n', "\\n"),
            Format::OpenMetrics => escaped(help),
        };
        let _ = writeln!(self.text, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, number: Number) {
        self.text.push_str(name);
        if !labels.is_empty() {
            let _ = write!(self.text, "{{{labels}}}");
        }
        let _ = match number {
            Number::Whole(number) => writeln!(self.text, " {number}"),
            Number::Real(number) => writeln!(self.text, " {number}"),
        };
    }
}

/// A label with its value.
pub(crate) fn label_text(label: &str, value: &str) -> String {
    format!("{label}=\"{}\"", escaped(value))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Family = Family {
        name: "tapline_test_rows",
        kind: Kind::Counter,
        unit: "rows",
        labels: &["query"],
        help: "Rows of \"all\"",
    };

    fn text(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.family(&ROWS, [(["a\"b\\c\nd"], 7_u64)]);
        out.gauges("tapline_result_a_n", "Column n", [("src=\"\"", 0.5), ("", 2.0)]);
        out.finish()
    }

    #[test]
    fn each_format_has_its_own_heads() {
        let samples = "# HELP tapline_result_a_n Column n.\n# TYPE tapline_result_a_n gauge\ntapline_result_a_n{src=\"\"} 0.5\ntapline_result_a_n 2\n";
        let sample = "tapline_test_rows_total{query=\"a\\\"b\\\\c\\nd\"} 7\n";
        let head =
            "# HELP tapline_test_rows_total Rows of \"all\".\n# TYPE tapline_test_rows_total counter\n";
        assert_eq!(text(Format::Text), format!("{head}{sample}{samples}"));
        let head = "# HELP tapline_test_rows Rows of \\\"all\\\".\n# TYPE tapline_test_rows counter\n# UNIT tapline_test_rows rows\n";
        assert_eq!(text(Format::OpenMetrics), format!("{head}{sample}{samples}# EOF\n"));
    }

    #[test]
    fn who_asks_for_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let cases = [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html, */*;q=0.8", Format::Text),
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text; q=0.2, text/plain; q=0.3", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=high", Format::Text),
        ];
        for (accept, expected) in cases {
            assert_eq!(Format::accepted(accept), expected, "{accept}");
        }
    }
}
