//! The newest windows of queries that are marked as metrics.
//!
//! Takes the results of each query's newest window, gives a gauge for each column that is a number, with the keys as
//! labels. A window that was followed by one which no row reached is not the newest: then there is nothing.

use super::exposition::{Exposition, label_text};
use super::families::QUERY_LEFT_OUT;
use super::names;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Float64Type;
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Field};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tapline_catalog::{Metrics, QueryRunState, QueryStatus};
use tapline_engine::{Status, WindowResult};
use tapline_query::ColumnRole;
use tapline_sinks::flat;

/// Rows of a query's window that become metrics; those beyond are counted.
const ROWS_MAX: usize = 1000;
/// A window is still the newest so long behind the end of the one that follows it, in nanoseconds: the result of that
/// may be on its way.
const GRACE_NS: i64 = 5_000_000_000;
/// Labels that are no keys.
const OWN_LABELS: [&str; 2] = ["query", "status"];

/// Samples of one name: labels, and a value.
#[derive(Debug, Default)]
struct Gauges {
    help: String,
    samples: Vec<(Arc<str>, f64)>,
}

/// Of all queries, by name.
type Families = BTreeMap<String, Gauges>;

pub(super) fn expose(queries: &[QueryStatus], out: &mut Exposition) {
    let mut families = Families::new();
    let marked = queries.iter().filter_map(|query| Some((query, query.metrics.as_deref()?)));
    let left_out = marked.filter_map(|(query, metrics)| {
        let name = query.definition.name.as_str();
        if matches!(query.state, QueryRunState::Failed(_)) || !is_newest(query, metrics) {
            return Some(([name], 0));
        }
        let rows = Rows::new(name, metrics, &query.newest)?;
        Some(([name], rows.add_to(&mut families)))
    });
    let left_out: Vec<([&str; 1], u64)> = left_out.collect();
    out.family(&QUERY_LEFT_OUT, left_out);
    for (name, gauges) in &families {
        out.gauges(name, &gauges.help, gauges.samples.iter().map(|(labels, value)| (&**labels, *value)));
    }
}

/// Whether no later window has closed since the last one that was given.
fn is_newest(query: &QueryStatus, metrics: &Metrics) -> bool {
    let (Some(watermark), Some(every_ns), Some(last)) =
        (query.watermark, metrics.every_ns, query.last_window)
    else {
        return true;
    };
    watermark < last.end.plus(every_ns).plus(every_ns.max(GRACE_NS))
}

/// The rows of one query's newest window.
struct Rows<'a> {
    query: &'a str,
    results: &'a [Arc<WindowResult>],
    /// The keys by position, with their labels.
    keys: Vec<(usize, String)>,
    /// The numbers by position, with the names of their gauges, and of themselves.
    numbers: Vec<(usize, String, String)>,
    /// The labels of rows that were taken.
    seen: HashSet<Arc<str>>,
    left_out: u64,
}

impl<'a> Rows<'a> {
    /// Nothing where there is no result.
    fn new(query: &'a str, metrics: &Metrics, results: &'a [Arc<WindowResult>]) -> Option<Self> {
        let schema = results.iter().find_map(|result| result.rows.first())?.schema();
        let of = |role: ColumnRole| -> Vec<(usize, &Arc<Field>)> {
            let fields = schema.fields().iter().enumerate();
            fields.filter(|(place, _)| metrics.roles.get(*place) == Some(&role)).collect()
        };
        let (keys, numbers) = (of(ColumnRole::Key), of(ColumnRole::Number));
        let labels = names::distinct(keys.iter().map(|(_, field)| field.name().as_str()), &OWN_LABELS, true);
        let endings = names::distinct(numbers.iter().map(|(_, field)| field.name().as_str()), &[], false);
        let gauge = |ending: &String| format!("tapline_result_{}_{ending}", names::part(query));
        let gauges: Vec<String> = endings.iter().map(gauge).collect();
        let numbers = numbers.iter().zip(gauges);
        Some(Self {
            query,
            results,
            keys: keys.iter().map(|(place, _)| *place).zip(labels).collect(),
            numbers: numbers.map(|((place, field), gauge)| (*place, gauge, field.name().clone())).collect(),
            seen: HashSet::new(),
            left_out: 0,
        })
    }

    /// Adds them to what there is; gives how many are left out.
    fn add_to(mut self, families: &mut Families) -> u64 {
        let mut taken = 0;
        for result in self.results {
            for batch in &result.rows {
                let rows = batch.num_rows().min(ROWS_MAX - taken);
                taken += rows;
                self.left_out += (batch.num_rows() - rows) as u64;
                // Columns that cannot be written are none of metrics: the rows are left out.
                if self.add_batch(&batch.slice(0, rows), result.status, families).is_err() {
                    self.left_out += rows as u64;
                }
            }
        }
        self.left_out
    }

    fn add_batch(
        &mut self,
        batch: &RecordBatch,
        status: Status,
        families: &mut Families,
    ) -> Result<(), ArrowError> {
        let labels = self.labels(batch, status)?;
        // One sample for the same labels: others would be of rows that nothing tells apart.
        let is_first: Vec<bool> = labels.iter().map(|labels| self.seen.insert(Arc::clone(labels))).collect();
        self.left_out += is_first.iter().filter(|is_first| !**is_first).count() as u64;
        for (place, gauge, column) in &self.numbers {
            let values = cast(batch.column(*place), &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            let gauges = families.entry(gauge.clone()).or_default();
            if gauges.help.is_empty() {
                gauges.help = format!("{column} of the newest window of the query {}", self.query);
            }
            let rows = values.iter().zip(&labels).zip(&is_first).filter(|(_, is_first)| **is_first);
            // What is absent or no number has no sample, so that sums over the others are sums.
            let known = rows.filter_map(|((value, labels), _)| {
                Some((Arc::clone(labels), value.filter(|value| value.is_finite())?))
            });
            gauges.samples.extend(known);
        }
        Ok(())
    }

    /// The labels of each row: the query, the keys, and the status where it is neither final nor has taken its place.
    fn labels(&self, batch: &RecordBatch, status: Status) -> Result<Vec<Arc<str>>, ArrowError> {
        let places: Vec<usize> = self.keys.iter().map(|(place, _)| *place).collect();
        let keys = flat(&batch.project(&places)?)?;
        let options = FormatOptions::default();
        let columns = keys.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let query = label_text(OWN_LABELS[0], self.query);
        let is_whole = matches!(status, Status::Final | Status::Revised);
        let status = (!is_whole).then(|| label_text(OWN_LABELS[1], status.name()));
        let of_row = |row: usize| -> Arc<str> {
            let keys = self.keys.iter().zip(&columns);
            let keys = keys.map(|((_, label), column)| label_text(label, &column.value(row).to_string()));
            let all: Vec<String> = std::iter::once(query.clone()).chain(keys).chain(status.clone()).collect();
            Arc::from(all.join(","))
        };
        Ok((0..batch.num_rows()).map(of_row).collect())
    }
}
